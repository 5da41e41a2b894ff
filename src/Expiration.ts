/**
 * When something that should beat is taken for gone: by the age of its last
 * heartbeat, never by trust in a per-key TTL.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

/**
 * How long an instance may be silent: 30 seconds, three of the default beats.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxAge: Duration.Duration = Duration.seconds(30)

/**
 * Tells whether a heartbeat is too old by a clock. Pure: it reads that clock,
 * and nothing else.
 *
 * **Details**
 *
 * Expired means older than `maxAge` (default 30 seconds): exactly `maxAge` is
 * alive, no heartbeat at all is expired, and one from the future is alive.
 * `KVStore.getUnexpired` reads one key by this rule, and removes what is expired.
 *
 * **Gotchas**
 *
 * Age is the difference of two readings of ONE clock. For what a `KVStore` or a
 * `Registry` returned that is the store's clock, `KVStore.clock`; another host's
 * clock makes the living vanish, or the dead live on.
 *
 * **Example** (An instance and the store's clock)
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const store = yield* KVStore.KVStore
 *   const registry = yield* Registry.Registry
 *   const expired = Expiration.isExpired(store.clock, { maxAge: "10 seconds" })
 *   const all = yield* registry.list("orders", { includeExpired: true })
 *   return all.filter((instance) => !expired(instance))
 * })
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const isExpired = (
  clock: Clock.Clock,
  options?: { readonly maxAge?: Duration.Input | undefined }
): (subject: { readonly lastHeartbeat: DateTime.Utc | undefined }) => boolean => {
  const maxAge = Duration.toMillis(options?.maxAge ?? defaultMaxAge)
  return ({ lastHeartbeat }) =>
    lastHeartbeat === undefined || clock.currentTimeMillisUnsafe() - lastHeartbeat.epochMilliseconds > maxAge
}
