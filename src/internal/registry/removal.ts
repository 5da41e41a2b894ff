/**
 * `Registry.deregister`: removes the record of an instance, whichever process registered it (docs/protocols/registry.md,
 * R19 and R34). An instance that may only have been slow is purged, so that its next heartbeat registers it again.
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
import { sameNames } from "./keys.ts"
import type { Names } from "./record.ts"

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

const decide = (access: Access, names: Names, entry: KVEntry, isUncertain: boolean, options: RemovalOptions) => {
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
      const { instance } = record
      const isLater = lastHeartbeat !== undefined && !DateTime.Equivalence(lastHeartbeat, instance.lastHeartbeat)
      // Two instances can have the same key of AegisSDK.
      const isOther = isLater || !sameNames(instance, names)
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
 * Removes the record under one key. `isUncertain`: whether this process could not hear of the instance until a moment ago. A
 * record with another nonce than the first one is kept.
 */
const remove = (
  access: Access,
  names: Names,
  key: string,
  isUncertain: () => boolean,
  options: RemovalOptions,
  first?: { readonly nonce: string | undefined }
): Effect.Effect<Removal, KVStoreError> =>
  Effect.flatMap(access.store.get(key, { fromLeader: true }), (entry) => {
    if (Option.isNone(entry)) return Effect.succeed("kept")
    const { decision, nonce } = decide(access, names, entry.value, isUncertain(), options)
    if (decision === "keep" || (first !== undefined && nonce !== first.nonce)) return Effect.succeed("kept")
    const on = { revision: entry.value.revision }
    const removed: Effect.Effect<Removal, KVStoreError> = decision === "purge"
      ? Effect.as(access.store.purge(key, on), "purged")
      : Effect.as(access.store.delete(key, on), "deregistered")
    return Effect.catchIf(
      removed,
      isConflict,
      () => Effect.andThen(conflictPause, remove(access, names, key, isUncertain, options, { nonce }))
    )
  })

/**
 * Removes the records of an instance, and returns each removal by its key. Of an instance that a read has returned it removes
 * the record that was read.
 */
export const removeAll = Effect.fnUntraced(function*(
  access: Access,
  names: Names,
  isUncertain: () => boolean,
  options: RemovalOptions
): Effect.fn.Return<ReadonlyMap<string, Removal>, KVStoreError> {
  const isOne = options.lastHeartbeat !== undefined
  const keys = access.keys.of(names)
  const removed = new Map<string, Removal>()
  // The record of this library is the one that is seen, so it goes last: the instance is Down once.
  for (const key of isOne ? keys : keys.toReversed()) {
    const removal = yield* remove(access, names, key, isUncertain, options)
    if (removal !== "kept") removed.set(key, removal)
    if (isOne && removed.size > 0) break
  }
  return removed
})
