/**
 * Decides by the age of its last heartbeat whether an instance has expired, without
 * relying on per-key TTLs.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { duration, read, withDefault } from "./internal/options.ts"
import { isOlder } from "./internal/time.ts"

/**
 * Default `maxAge` of a registry: 30 seconds, three times the default heartbeat
 * interval.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxAge: Duration.Duration = Duration.seconds(30)

const settings = { maxAge: withDefault(duration(Duration.zero, Duration.infinity), defaultMaxAge) }

/**
 * Returns a predicate that reports whether an instance has expired by the given
 * clock. The predicate reads the clock on each call.
 *
 * **Details**
 *
 * An instance is expired if its last heartbeat is older than `maxAge`, or if it has
 * no heartbeat. A heartbeat that is exactly `maxAge` old, or has a time in the
 * future, is live. `KVStore.getUnexpired` applies the same rule to one key and
 * removes the expired value.
 *
 * **Gotchas**
 *
 * Pass the clock that recorded the heartbeats. For instances that a `Registry`
 * returned, this is `Registry.clock`, and for the `created` of an entry of a
 * `KVStore` it is `KVStore.clock`. The clock of a host can differ from it:
 * live instances would look expired, or expired instances live.
 *
 * Throws `InvalidConfig` if an option is unknown, or if `maxAge` is not a valid
 * duration or is negative: a predicate has no error channel.
 *
 * **Example** (Checking instances by the store's clock)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Aegis, Expiration, Registry } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   const expired = Expiration.isExpired(registry.clock, { maxAge: "10 seconds" })
 *   yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.2.3" })
 *   const all = yield* registry.list("orders", { includeExpired: true })
 *   return all.filter((instance) => !expired(instance)).map((instance) => instance.instanceId)
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => [ 'orders-1' ]
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const isExpired = (
  clock: Clock.Clock,
  options?: {
    /** Age above which an instance is expired; a number is milliseconds. Default 30 seconds. */
    readonly maxAge?: Duration.Input | undefined
  }
): (subject: { readonly lastHeartbeat: DateTime.Utc | undefined }) => boolean => {
  const { maxAge } = Result.getOrThrow(read("options", options, settings))
  const isTooOld = isOlder(clock, maxAge)
  return ({ lastHeartbeat }) => isTooOld(lastHeartbeat)
}
