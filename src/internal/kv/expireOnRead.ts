/**
 * A read that takes what is too old for absent, and removes it
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

/** A read may ask for any age: it is no setting of the bucket's. */
const positiveTime: Setting<Duration.Duration> = (name, value) => {
  const given = toDuration(value)
  return given !== undefined && Duration.isFinite(given) && Duration.isPositive(given)
    ? Result.succeed(given)
    : refuse(name, `a positive time such as "5 seconds"`, given === undefined ? shown(value) : Duration.format(given))
}

const settings = { maxAge: positiveTime }

/** The value is too old whether it could be removed or not: only the log is told. */
const notRemoved = (error: KVStoreError) => Effect.logDebug("a value that has expired was not removed", error)

/** What another write has replaced since it was judged is kept, and the key is looked at again. */
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
    // Of all that is done there only the removal can have an unknown outcome: time was up while it was under way.
    return Effect.catchIf(
      unexpired,
      ({ reason }) =>
        reason._tag === "OutcomeUnknown",
      (error) =>
        Effect.as(notRemoved(error), Option.none())
    )
  })
