/**
 * What takes a read and a write on the condition that nobody came between:
 * done again until nobody has.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import { KVStoreError, OutcomeUnknown, Unavailable } from "../../KVStoreError.ts"
import { backoff } from "../retry.ts"

/** Two who met at one key try again after this long, give or take a fifth. */
const shortestPause = Duration.millis(10)

/** What the pause grows to while they keep meeting: a crowd thins out, and some get through. */
const longestPause = Duration.millis(250)

export const isConflict = ({ reason }: KVStoreError): boolean =>
  reason._tag === "RevisionMismatch" || reason._tag === "KeyAlreadyExists"

/** Marks the write of an attempt. */
type Writing = <A, E>(write: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * Repeats an attempt that met a conflict, for so long at most, reads and writes
 * together. Where time runs out it tells what is known: a write under way may
 * land, anything else has changed nothing.
 */
export const decide = <A, E>(
  { attempt, isConflict, timeout, tooLate }: {
    readonly timeout: Duration.Duration
    readonly isConflict: (error: E) => boolean
    readonly tooLate: (reason: OutcomeUnknown | Unavailable) => E
    readonly attempt: (writing: Writing) => Effect.Effect<A, E>
  }
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    let underWay = false
    const mark = (is: boolean) =>
      Effect.sync(() => {
        underWay = is
      })
    const writing: Writing = (write) => Effect.ensuring(Effect.andThen(mark(true), write), mark(false))
    const limit = Duration.format(timeout)
    // It must see what is under way before that is interrupted.
    const timeIsUp = Effect.flatMap(Effect.sleep(timeout), () =>
      Effect.fail(tooLate(
        underWay
          ? new OutcomeUnknown({ problem: `no answer within ${limit}` })
          : new Unavailable({ problem: `undecided after ${limit}` })
      )))
    const decided = Effect.retry(attempt(writing), {
      while: isConflict,
      schedule: backoff(shortestPause, longestPause)
    })
    return Effect.raceFirst(decided, timeIsUp)
  })

/** The same of a store's own operations, by the store's timeout. */
export const settle = <A>(
  { bucket, timeout }: KVStoreConfig,
  operation: string,
  key: string,
  attempt: (writing: Writing) => Effect.Effect<A, KVStoreError>
): Effect.Effect<A, KVStoreError> =>
  decide({
    timeout,
    isConflict,
    tooLate: (reason) => new KVStoreError({ bucket, operation, key, reason }),
    attempt
  })
