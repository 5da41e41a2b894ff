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
import { OwnRecord } from "./ownRecord.ts"
import { beforeRegistering } from "./protocol.ts"
import { changed, keyOf } from "./record.ts"

export const makeByHand = (
  access: Access,
  nonce: string,
  attemptTimeout: Duration.Duration
): (instance: ServiceInstance) => Effect.Effect<void, RegistryReason> => {
  const known = new Map<string, OwnRecord>()

  /** The first beat of this process: as a registration would, but it waits for nobody. */
  const begin = Effect.fnUntraced(function*(
    instance: ServiceInstance
  ): Effect.fn.Return<OwnRecord, RegistryReason> {
    const own = new OwnRecord({ access, instance, nonce, attemptTimeout }, yield* Clock.Clock)
    const { seen, silentFor } = yield* own.last
    const decision = beforeRegistering(nonce, seen, access.isTooOld(silentFor))
    if (decision._tag === "Occupied") return yield* new DuplicateInstance(own.names)
    own.revision = decision.revision
    return own
  })

  return Effect.fnUntraced(function*(instance: ServiceInstance): Effect.fn.Return<void, RegistryReason> {
    const key = keyOf(instance)
    const own = known.get(key) ?? (yield* begin(instance))
    known.set(key, own)
    const { metadata, status, stickyActiveGroup, stickyActiveStatus, version } = instance
    yield* own.write((current) =>
      changed(current, { metadata, status, stickyActiveGroup, stickyActiveStatus, version })
    ).pipe(
      // Deregistered is for good; another process with our id may be gone the next time.
      Effect.tapError((reason) => Effect.sync(() => reason._tag === "DuplicateInstance" && known.delete(key)))
    )
  })
}
