/**
 * Heartbeats by hand, for callers who keep their own loop: one record for each
 * instance that this registry has sent one for, so that what another process
 * deregistered stays so.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { DuplicateInstance, type RegistryReason } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { conflictPause } from "../retry.ts"
import type { Access } from "./access.ts"
import { beforeRegistering } from "./decisions.ts"
import { OwnRecord } from "./ownRecord.ts"
import { changed, keyOf } from "./record.ts"

export const makeHeartbeat = (
  access: Access,
  nonce: string,
  attemptTimeout: Duration.Duration
): (instance: ServiceInstance) => Effect.Effect<void, RegistryReason> => {
  const known = new Map<string, OwnRecord>()

  /** Deregistered is for good. Another process with our id may have expired the next time: the id is forgotten. */
  const goOn = (
    own: OwnRecord,
    { group, metadata, status, version }: ServiceInstance
  ) =>
    Effect.tapError(
      own.write((current) => Result.succeed(changed(current, { group, metadata, status, version }))),
      (reason) => Effect.sync(() => reason._tag === "DuplicateInstance" && known.delete(own.key))
    )

  /** The first heartbeat of this process: as a registration would, but it waits for no other process. */
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
