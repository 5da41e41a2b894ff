/**
 * `Registry.heartbeat`, for callers that run their own heartbeat loop. Keeps one
 * `OwnRecord` per instance, so that a heartbeat cannot register an instance again
 * after another process deregistered it (docs/protocols/registry.md, R15).
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { RegistryReason } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import type { Access } from "./access.ts"
import { OwnRecord } from "./ownRecord.ts"
import { changed, keyOf } from "./record.ts"

/** The first heartbeat enrols the instance like a registration, but fails at once if another process has the id. */
export const makeHeartbeat = (
  access: Access,
  nonce: string,
  attemptTimeout: Duration.Duration
): (instance: ServiceInstance) => Effect.Effect<void, RegistryReason> => {
  const known = new Map<string, OwnRecord>()

  const recordOf = (instance: ServiceInstance) =>
    Effect.map(Clock.Clock, (clock) => {
      const own = known.get(keyOf(instance)) ?? new OwnRecord({ access, instance, nonce, attemptTimeout }, clock)
      known.set(own.key, own)
      return own
    })

  return (instance) =>
    Effect.flatMap(recordOf(instance), (own) => {
      const { group, metadata, status, version } = instance
      return Effect.tapError(
        own.write((current) => Result.succeed(changed(current, { group, metadata, status, version }))),
        // After DuplicateInstance the next call enrols again: the other process may have expired by then.
        // Deregistered is final, so that record is kept.
        (reason) =>
          Effect.sync(() => {
            if (reason._tag === "DuplicateInstance" && own.isOver && known.get(own.key) === own) known.delete(own.key)
          })
      )
    })
}
