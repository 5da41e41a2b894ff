/**
 * Beats by hand, for callers who keep their own loop: one record for each
 * instance that this registry has beaten for, so that what somebody else
 * deregistered stays so.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { DuplicateInstance, type RegistryReason } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import type { Access } from "./access.ts"
import { conflictPause, OwnRecord } from "./ownRecord.ts"
import { beforeRegistering } from "./protocol.ts"
import { changed, keyOf } from "./record.ts"

export const makeHeartbeat = (
  access: Access,
  nonce: string,
  attemptTimeout: Duration.Duration
): (instance: ServiceInstance) => Effect.Effect<void, RegistryReason> => {
  const known = new Map<string, OwnRecord>()

  /** Deregistered is for good; another process with our id may be gone the next time. */
  const goOn = (
    own: OwnRecord,
    { metadata, status, stickyActiveGroup, stickyActiveStatus, version }: ServiceInstance
  ) =>
    Effect.tapError(
      own.write((current) => changed(current, { metadata, status, stickyActiveGroup, stickyActiveStatus, version })),
      (reason) => Effect.sync(() => reason._tag === "DuplicateInstance" && known.delete(own.key))
    )

  /** The first beat of this process: as a registration would, but it waits for nobody. */
  const begin = Effect.fnUntraced(function*(instance: ServiceInstance): Effect.fn.Return<void, RegistryReason> {
    const own = new OwnRecord({ access, instance, nonce, attemptTimeout }, yield* Clock.Clock)
    const { seen, silentFor } = yield* own.last
    const decision = beforeRegistering(nonce, seen, access.isTooOld(silentFor))
    if (decision._tag === "Occupied") return yield* new DuplicateInstance(own.names)
    own.revision = decision.revision
    known.set(own.key, own)
    if (decision._tag === "Own") {
      own.record = decision.record
      return yield* goOn(own, instance)
    }
    yield* Effect.catch(own.put(own.record, decision.revision), (reason): Effect.Effect<void, RegistryReason> => {
      if (reason !== "conflict") return Effect.fail(reason)
      // We were not there yet: what was done meanwhile was not done to us.
      known.delete(own.key)
      return Effect.andThen(conflictPause, begin(instance))
    })
  })

  return (instance) =>
    Effect.suspend(() => {
      const own = known.get(keyOf(instance))
      return own === undefined ? begin(instance) : goOn(own, instance)
    })
}
