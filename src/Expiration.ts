/**
 * Expiry by the age of the last heartbeat, never by trust in a per-key TTL.
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
 * The default `maxAge` of a registry: 30 seconds, three of the default heartbeats.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxAge: Duration.Duration = Duration.seconds(30)

const settings = { maxAge: withDefault(duration(Duration.zero, Duration.infinity), defaultMaxAge) }

/**
 * Returns a predicate that is true where a heartbeat is too old by a clock. Pure:
 * it reads that clock, and nothing else.
 *
 * **Details**
 *
 * Expired means older than `maxAge` (default 30 seconds): exactly `maxAge` is
 * live, no heartbeat at all is expired, and one from the future is live.
 * `KVStore.getUnexpired` reads one key by this rule, and removes what is expired.
 *
 * **Gotchas**
 *
 * Age is the difference of two readings of ONE clock. For what a `KVStore` or a
 * `Registry` returned that is the store's clock, `KVStore.clock`; by another
 * host's clock live instances seem expired, or expired ones live.
 *
 * Throws `InvalidConfig` where `maxAge` is no duration, or below 0: a pure
 * function has no error channel, and a `maxAge` that was taken for 0 would make
 * every instance expired.
 *
 * **Example** (An instance and the store's clock)
 *
 * ```ts
 * import { Expiration, KVStore, Registry } from "effect-aegis"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* KVStore.KVStore
 *   const registry = yield* Registry.Registry
 *   const expired = Expiration.isExpired(store.clock, { maxAge: "10 seconds" })
 *   const all = yield* registry.list("orders", { includeExpired: true })
 *   return all.filter((instance) => !expired(instance))
 * })
 *
 * const layer = Registry.layer().pipe(Layer.provideMerge(KVStore.layerMemory({ bucket: "registry" })))
 * Effect.runPromise(Effect.provide(program, layer))
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const isExpired = (
  clock: Clock.Clock,
  options?: { readonly maxAge?: Duration.Input | undefined }
): (subject: { readonly lastHeartbeat: DateTime.Utc | undefined }) => boolean => {
  const { maxAge } = Result.getOrThrow(read("options", options, settings))
  const isTooOld = isOlder(clock, maxAge)
  return ({ lastHeartbeat }) => isTooOld(lastHeartbeat)
}
