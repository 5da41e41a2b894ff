/**
 * Retries after failures and conflicts, and timeouts of requests.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { KVStoreConfig } from "../KVStoreConfig.ts"
import { KVStoreError, OutcomeUnknown, Unavailable } from "../KVStoreError.ts"
import { wholeMillis } from "./time.ts"

// -----------------------------------------------------------------------------
// after a failure
// -----------------------------------------------------------------------------

/**
 * Rounds delays up to whole milliseconds, at least 1 ms. Without it `Schedule.fixed` would spin on a virtual clock that
 * is between two whole milliseconds.
 */
const inWholeMillis = <Output, Input>(
  schedule: Schedule.Schedule<Output, Input>
): Schedule.Schedule<Output, Input> =>
  Schedule.modifyDelay(
    schedule,
    ({ duration }) => Effect.succeed(wholeMillis(Math.max(1, Duration.toMillis(duration))))
  )

/** Repeats without end, with delays that double from `shortest` to `longest`, each with a jitter of 20 %. */
export const backoff = (shortest: Duration.Duration, longest: Duration.Duration) =>
  Schedule.min([Schedule.exponential(shortest), Schedule.spaced(longest)]).pipe(Schedule.jittered, inWholeMillis)

/** Whether the connection of the store is closed: then no attempt can succeed. */
export const isClosed = ({ reason }: KVStoreError): boolean => reason._tag === "Unavailable" && !reason.isRetryable

/** Whether the store refused a request permanently: it was not applied, and a retry would be refused too. */
export const isRefusal = ({ isRetryable, reason }: KVStoreError): boolean =>
  !isRetryable && reason._tag !== "OutcomeUnknown"

// -----------------------------------------------------------------------------
// answers
// -----------------------------------------------------------------------------

/** A request to a store, for its errors. */
interface Request {
  readonly bucket: string
  readonly operation: string
  readonly key: string
  /** Without an answer, a write may have been stored; a read has changed nothing. */
  readonly kind: "read" | "write"
}

/** Fails with `OutcomeUnknown` (write) or `Unavailable` (read) if there is no answer within `duration`. */
export const answeredWithin = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.Duration,
  { kind, ...request }: Request
): Effect.Effect<A, E | KVStoreError, R> =>
  Effect.timeoutOrElse(effect, {
    duration,
    orElse: () => {
      const problem = `no answer within ${Duration.format(duration)}`
      const reason = kind === "write" ? new OutcomeUnknown({ problem }) : new Unavailable({ problem })
      return Effect.fail(new KVStoreError({ ...request, reason }))
    }
  })

// -----------------------------------------------------------------------------
// after a conflict
// -----------------------------------------------------------------------------

/** Whether a write failed because its condition did not hold. */
export const isConflict = ({ reason }: KVStoreError): boolean =>
  reason._tag === "RevisionMismatch" || reason._tag === "KeyAlreadyExists"

/** Waits a random 20 to 100 ms, so that two writers rarely conflict twice (docs/protocols/election.md, E10). */
export const conflictPause = Effect.flatMap(
  Random.nextIntBetween(20, 100),
  (millis) => Effect.sleep(Duration.millis(millis))
)

/** The first pause of `retryConflicts`. */
const shortestConflictPause = Duration.millis(10)

/** The longest pause of `retryConflicts`. With many writers, some of them succeed within this time. */
const longestConflictPause = Duration.millis(250)

/** Marks the write within an attempt. */
type Writing = <A, E>(write: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * Runs an attempt, which reads and then writes, until it has no conflict, for at most `timeout` (docs/protocols/kv.md,
 * K5). At the timeout it fails with `OutcomeUnknown` if a write is in progress, because that write may be stored, and
 * with `Unavailable` otherwise.
 */
export const retryConflicts = <A, E>(
  { attempt, isConflict, timeout, tooLate }: {
    readonly timeout: Duration.Duration
    readonly isConflict: (error: E) => boolean
    readonly tooLate: (reason: OutcomeUnknown | Unavailable) => E
    readonly attempt: (writing: Writing) => Effect.Effect<A, E>
  }
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    let isWriting = false
    const mark = (is: boolean) =>
      Effect.sync(() => {
        isWriting = is
      })
    const writing: Writing = (write) => Effect.ensuring(Effect.andThen(mark(true), write), mark(false))
    const limit = Duration.format(timeout)
    // Reads `isWriting` before the race interrupts the write and resets it.
    const timeIsUp = Effect.flatMap(Effect.sleep(timeout), () =>
      Effect.fail(tooLate(
        isWriting
          ? new OutcomeUnknown({ problem: `no answer within ${limit}` })
          : new Unavailable({ problem: `not completed within ${limit}` })
      )))
    const decided = Effect.retry(attempt(writing), {
      while: isConflict,
      schedule: backoff(shortestConflictPause, longestConflictPause)
    })
    return Effect.raceFirst(decided, timeIsUp)
  })

/** Runs `retryConflicts` for an operation of a store, with the timeout of the store. */
export const retryOperation = <A>(
  { bucket, timeout }: KVStoreConfig,
  operation: string,
  key: string,
  attempt: (writing: Writing) => Effect.Effect<A, KVStoreError>
): Effect.Effect<A, KVStoreError> =>
  retryConflicts({
    timeout,
    isConflict,
    tooLate: (reason) => new KVStoreError({ bucket, operation, key, reason }),
    attempt
  })

/** A conflict of a write in `retryOwnConflicts`, apart from the errors of the caller's effect. */
class OwnConflict extends Data.Error {}

const isOwnConflict = (error: unknown): error is OwnConflict => error instanceof OwnConflict

/** Marks the write of an attempt of `retryOwnConflicts`. */
export const ownConflicts = <A>(
  write: Effect.Effect<A, KVStoreError>
): Effect.Effect<A, KVStoreError | OwnConflict> =>
  Effect.mapError(write, (error) => isConflict(error) ? new OwnConflict() : error)

/**
 * Runs an attempt, which runs an effect of the caller and then writes, until the write has no conflict, for the store's
 * timeout from the first conflict. Then it fails with `Unavailable`. Interrupts no attempt.
 */
export const retryOwnConflicts = <A, E, R>(
  { bucket, timeout }: KVStoreConfig,
  operation: string,
  key: string,
  attempt: Effect.Effect<A, E | OwnConflict, R>
): Effect.Effect<A, E | KVStoreError, R> =>
  Effect.mapError(
    Effect.retry(attempt, {
      while: isOwnConflict,
      schedule: Schedule.upTo(backoff(shortestConflictPause, longestConflictPause), { duration: timeout })
    }),
    (error) => {
      if (!isOwnConflict(error)) return error
      const problem = `conflicts with other writers for ${Duration.format(timeout)}`
      return new KVStoreError({ bucket, operation, key, reason: new Unavailable({ problem }) })
    }
  )
