/**
 * Heartbeats by hand, for callers who keep their own loop: one record for each
 * instance that this registry has sent one for, so that what another process
 * deregistered stays so (docs/protocols/registry.md, R15).
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

/** The first heartbeat of an instance enrols it, as a registration would, but waits for no other process. */
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
        // Deregistered is for good. Another process with the id may have expired the next time: the id is forgotten.
        (reason) =>
          Effect.sync(() => {
            if (reason._tag === "DuplicateInstance" && own.isOver && known.get(own.key) === own) known.delete(own.key)
          })
      )
    })
}
