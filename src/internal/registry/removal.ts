/**
 * `Registry.deregister`: removes the record of an instance, whichever process registered it (docs/protocols/registry.md,
 * R19). An instance that may only have been slow is purged, so that its next heartbeat registers it again.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { KVEntry } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { conflictPause, isConflict } from "../retry.ts"
import type { Access } from "./access.ts"
import { removalOf } from "./decisions.ts"

export interface RemovalOptions {
  /** The age above which the instance is expired, instead of that of its record. */
  readonly maxAge: Duration.Duration | undefined
  readonly onlyIfExpired: boolean
  /** The last heartbeat of the record to remove. Undefined: the present record, whichever it is. */
  readonly lastHeartbeat: DateTime.Utc | undefined
}

/** `purged`: the owner's next heartbeat registers it again. `kept`: nothing was removed. */
export type Removal = "deregistered" | "purged" | "kept"

/** Whether the owner of a record missed a heartbeat within the age at which it is expired: the store may have been away. */
const hasMissed = (access: Access, { maxAge, record: { times } }: ReturnType<Access["aged"]>): boolean =>
  times.streakAfter !== undefined && times.streakSince !== undefined && access.now() - times.streakSince <= maxAge

const decide = (access: Access, entry: KVEntry, isUncertain: boolean, options: RemovalOptions) => {
  const { lastHeartbeat, maxAge, onlyIfExpired } = options
  return Result.match(access.decode(entry), {
    onFailure: () => ({
      nonce: undefined,
      decision: lastHeartbeat !== undefined
        ? "keep" as const
        : removalOf({ isExpired: access.expiredByStore(entry, maxAge), isInDoubt: true, onlyIfExpired })
    }),
    onSuccess: (record) => {
      const aged = access.aged(record)
      const age = maxAge === undefined ? aged.maxAge : Duration.toMillis(maxAge)
      const isOther = lastHeartbeat !== undefined && !DateTime.Equivalence(lastHeartbeat, record.instance.lastHeartbeat)
      return {
        nonce: record.nonce,
        decision: isOther ? "keep" as const : removalOf({
          isExpired: access.ageOf(record) > age,
          isInDoubt: isUncertain || hasMissed(access, aged),
          onlyIfExpired
        })
      }
    }
  })
}

/**
 * `isUncertain`: whether this process could not hear of the instance until a moment ago. A record with another nonce than
 * the first one is kept.
 */
export const remove = (
  access: Access,
  key: string,
  isUncertain: () => boolean,
  options: RemovalOptions,
  first?: { readonly nonce: string | undefined }
): Effect.Effect<Removal, KVStoreError> =>
  Effect.flatMap(access.store.get(key, { fromLeader: true }), (entry) => {
    if (Option.isNone(entry)) return Effect.succeed("kept")
    const { decision, nonce } = decide(access, entry.value, isUncertain(), options)
    if (decision === "keep" || (first !== undefined && nonce !== first.nonce)) return Effect.succeed("kept")
    const on = { revision: entry.value.revision }
    const removed: Effect.Effect<Removal, KVStoreError> = decision === "purge"
      ? Effect.as(access.store.purge(key, on), "purged")
      : Effect.as(access.store.delete(key, on), "deregistered")
    return Effect.catchIf(
      removed,
      isConflict,
      () => Effect.andThen(conflictPause, remove(access, key, isUncertain, options, { nonce }))
    )
  })
