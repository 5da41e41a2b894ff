/**
 * A `put` on any of its conditions, as the one number that the log checks.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { KVOptions } from "../../KVEntry.ts"
import { KeyAlreadyExists, KeyNotFound, type KVStoreReason, OutcomeUnknown, Unavailable } from "../../KVStoreError.ts"
import type { Append, Backend } from "./backend.ts"
import { isLive, revisionOf } from "./entries.ts"

type Decision = Effect.Effect<number, KVStoreReason>
type Write = (message: Append) => Decision

/** A conflict is tried again after this long, at random, so that two who met do not meet again. */
const conflictPause = Effect.flatMap(
  Random.nextIntBetween(5, 25),
  (millis) => Effect.sleep(Duration.millis(millis))
)

export const put = (key: string, value: Uint8Array, revision: number | undefined): Append => ({
  key,
  operation: "put",
  value,
  condition: revision === undefined ? undefined : { key, revision }
})

export const make = (backend: Backend) => {
  /**
   * Repeats a read and a conditional write until the condition is decided, for
   * the operation's timeout at most. Where time runs out it tells what is known:
   * a write under way may land, anything else has changed nothing.
   */
  const decide = (attempt: (write: Write) => Decision): Decision =>
    Effect.suspend(() => {
      const limit = Duration.format(backend.config.timeout)
      let writing = false
      const write: Write = (message) =>
        Effect.onExit(
          Effect.suspend(() => {
            writing = true
            return backend.append(message)
          }),
          () =>
            Effect.sync(() => {
              writing = false
            })
        )
      const again: Decision = Effect.catchIf(
        attempt(write),
        (reason) => reason._tag === "RevisionMismatch",
        () => Effect.andThen(conflictPause, Effect.suspend(() => again))
      )
      const timeIsUp = Effect.flatMap(Effect.sleep(backend.config.timeout), () =>
        Effect.fail(
          writing
            ? new OutcomeUnknown({ problem: `no answer within ${limit}` })
            : new Unavailable({ problem: `undecided after ${limit}` })
        ))
      return Effect.raceFirst(again, timeIsUp)
    })

  /** A tombstone's revision is the condition then: nothing there and a tombstone are both "no value". */
  const createOnly = (key: string, value: Uint8Array): Decision =>
    decide((write) =>
      Effect.catchIf(
        write(put(key, value, 0)),
        (reason) => reason._tag === "RevisionMismatch",
        () =>
          Effect.flatMap(backend.last(key), (last) =>
            isLive(last)
              ? Effect.fail(new KeyAlreadyExists({ revision: last.value.revision }))
              : write(put(key, value, revisionOf(last))))
      )
    )

  const updateOnly = (key: string, value: Uint8Array): Decision =>
    decide((write) =>
      Effect.flatMap(
        backend.last(key),
        (last) => isLive(last) ? write(put(key, value, last.value.revision)) : Effect.fail(new KeyNotFound({}))
      )
    )

  return (key: string, value: Uint8Array, options: KVOptions | undefined): Decision =>
    options?.createOnly === true
      ? createOnly(key, value)
      : options?.updateOnly === true
      ? updateOnly(key, value)
      : options?.whenKey !== undefined
      ? backend.append({ ...put(key, value, undefined), condition: options.whenKey })
      : backend.append(put(key, value, options?.revision))
}
