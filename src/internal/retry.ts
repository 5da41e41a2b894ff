/**
 * How work is tried again: after a failure, soon and then less often; after a
 * conflict, when the other writer is done; and for how long an answer is waited
 * for.
 */
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

/** Delays in whole milliseconds, one at least: on a virtual clock between two whole milliseconds `Schedule.fixed` would spin. */
export const inWholeMillis = <Output, Input>(
  schedule: Schedule.Schedule<Output, Input>
): Schedule.Schedule<Output, Input> =>
  Schedule.modifyDelay(
    schedule,
    ({ duration }) => Effect.succeed(wholeMillis(Math.max(1, Duration.toMillis(duration))))
  )

/** Doubling from the shortest to the longest, give or take a fifth, without end. */
export const backoff = (shortest: Duration.Duration, longest: Duration.Duration) =>
  Schedule.min([Schedule.exponential(shortest), Schedule.spaced(longest)]).pipe(Schedule.jittered, inWholeMillis)

// -----------------------------------------------------------------------------
// answers
// -----------------------------------------------------------------------------

/** A request to a store, as an error names it. */
interface Request {
  readonly bucket: string
  readonly operation: string
  readonly key: string
  /** A write that was sent may have landed; a read has changed nothing. */
  readonly kind: "read" | "write"
}

/** Fails with `OutcomeUnknown` (a write) or `Unavailable` (a read) where the answer does not come in time. */
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

/** Waits 20 to 100 ms (docs/protocols/election.md, E10), so that two writers who met at one key do not meet again. */
export const conflictPause = Effect.flatMap(
  Random.nextIntBetween(20, 100),
  (millis) => Effect.sleep(Duration.millis(millis))
)

/** The first pause of a read and a write that are repeated together, give or take a fifth. */
const shortestConflictPause = Duration.millis(10)

/** The longest pause: of many writers some succeed in that time. */
const longestConflictPause = Duration.millis(250)

/** Marks the write of an attempt. */
type Writing = <A, E>(write: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * Repeats an attempt, reads and writes together (docs/protocols/kv.md, K5), until it meets no conflict, for
 * `timeout` at most. It fails with `OutcomeUnknown` where the time runs out during
 * a write, which may land, and with `Unavailable` otherwise.
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
    // It must see whether a write is under way before that is interrupted.
    const timeIsUp = Effect.flatMap(Effect.sleep(timeout), () =>
      Effect.fail(tooLate(
        isWriting
          ? new OutcomeUnknown({ problem: `no answer within ${limit}` })
          : new Unavailable({ problem: `undecided after ${limit}` })
      )))
    const decided = Effect.retry(attempt(writing), {
      while: isConflict,
      schedule: backoff(shortestConflictPause, longestConflictPause)
    })
    return Effect.raceFirst(decided, timeIsUp)
  })

/** `retryConflicts` for an operation of a store, with the store's timeout. */
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
