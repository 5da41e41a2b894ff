/**
 * `getUnexpired`: a read that treats an expired value as absent and deletes it
 * (docs/protocols/kv.md, K19).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { ExpireOptions, KVEntry, RemoveOptions } from "../../KVStore.ts"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import { KVStoreError } from "../../KVStoreError.ts"
import { read, refuse, type Setting, shown, toDuration } from "../options.ts"
import { isConflict, retryOperation } from "../retry.ts"
import { shownKey } from "../subjects.ts"
import { isOlder } from "../time.ts"

interface ExpiringStore {
  readonly config: KVStoreConfig
  readonly clock: Clock.Clock
  readonly get: (key: string) => Effect.Effect<Option.Option<KVEntry>, KVStoreError>
  readonly delete: (key: string, options: RemoveOptions) => Effect.Effect<void, KVStoreError>
}

const operation = "getUnexpired"

/** Any positive, finite duration: the limits of the bucket's settings do not apply to a read. */
const positiveTime: Setting<Duration.Duration> = (name, value) => {
  const given = toDuration(value)
  return given !== undefined && Duration.isFinite(given) && Duration.isPositive(given)
    ? Result.succeed(given)
    : refuse(name, `a positive time such as "5 seconds"`, given === undefined ? shown(value) : Duration.format(given))
}

const settings = { maxAge: positiveTime }

/** Logs a failed deletion. The value is expired all the same, so the read does not fail. */
const notRemoved = (error: KVStoreError) => Effect.logDebug("a value that has expired was not removed", error)

/** After a conflict with another writer, the new value is kept and its age is checked. */
export const getUnexpired = (
  store: ExpiringStore,
  key: string,
  options: ExpireOptions
): Effect.Effect<Option.Option<KVEntry>, KVStoreError> =>
  Effect.suspend(() => {
    const given = read(operation, options, settings)
    if (Result.isFailure(given)) {
      return Effect.fail(
        new KVStoreError({ bucket: store.config.bucket, operation, key: shownKey(key), reason: given.failure })
      )
    }
    const isTooOld = isOlder(store.clock, given.success.maxAge)
    const remove = ({ revision }: KVEntry) =>
      store.delete(key, { revision }).pipe(
        Effect.catchIf((error) => !isConflict(error), notRemoved),
        Effect.as(Option.none<KVEntry>())
      )
    const unexpired = retryOperation(store.config, operation, key, (writing) =>
      Effect.flatMap(store.get(key), (found) => {
        const expired = Option.filter(found, ({ created }) =>
          isTooOld(created))
        return Option.isSome(expired) ? writing(remove(expired.value)) : Effect.succeed(found)
      }))
    // The timeout was reached during the deletion, the only write: the value is expired in any case.
    return Effect.catchIf(
      unexpired,
      ({ reason }) =>
        reason._tag === "OutcomeUnknown",
      (error) =>
        Effect.as(notRemoved(error), Option.none())
    )
  })
