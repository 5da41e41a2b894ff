/**
 * Work that runs in one process of a fleet for as long as the fleet lives: it is started
 * again after a loss of leadership, and after a failure.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { CandidateOptions, Election, Leadership } from "../../Election.ts"
import { ElectionError, type InvalidConfig } from "../../ElectionError.ts"
import { annotate } from "../logs.ts"
import { kindOf, refuse } from "../options.ts"
import { backoff, isClosed } from "../retry.ts"
import { monotonicMillis } from "../time.ts"

/** The work of a singleton. It must not end. */
export type Work<E, R> = (leadership: Leadership) => Effect.Effect<never, E, R>

/** Reads the work of a singleton. */
export const toWork = <E, R>(run: Effect.Effect<never, E, R> | Work<E, R>): Result.Result<Work<E, R>, InvalidConfig> =>
  Effect.isEffect(run)
    ? Result.succeed(() => run)
    : typeof run === "function"
    ? Result.succeed(run)
    : refuse("run", "an Effect, or a function that returns one", kindOf(run))

/** The pauses after failures, with jitter. They begin with the shortest again after a run of more than the longest. */
const shortestPause = Duration.seconds(1)
const longestPause = Duration.minutes(1)

/** A run that has ended. `ranFor` is in milliseconds. */
class Ended extends Data.Error<{ readonly ranFor: number }> {}

/** Whether no later campaign can succeed. */
const isFinal = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) =>
    Cause.isFailReason(reason) && reason.error instanceof ElectionError &&
    reason.error.reason._tag === "KVStoreError" && isClosed(reason.error.reason)
  )

/**
 * Campaigns and runs the work without end. A failure of the work is logged. Fails once the connection of the store is
 * closed.
 */
export const singleton = <E, R>(
  election: Election["Service"],
  name: string,
  work: Work<E, R>,
  options: CandidateOptions | undefined
): Effect.Effect<never, E | ElectionError, R> => {
  const once = Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const began = monotonicMillis(clock)
    const exit: Exit.Exit<unknown, E | ElectionError> = yield* Effect.exit(election.whileLeader(name, work, options))
    if (Exit.isFailure(exit) && isFinal(exit.cause)) return yield* Effect.failCause(exit.cause)
    yield* Exit.isSuccess(exit)
      ? Effect.logError(`the work of "${name}" has ended, and is started again after a pause: it must not end`)
      : Effect.logError(`the work of "${name}" has failed, and is started again after a pause`, exit.cause)
    return yield* new Ended({ ranFor: monotonicMillis(clock) - began })
  })
  const isShort = (error: unknown) => error instanceof Ended && error.ranFor < Duration.toMillis(longestPause)
  const series = Effect.retry(once, { while: isShort, schedule: backoff(shortestPause, longestPause) })
  const again = Effect.catchIf(
    series,
    (error): error is Ended => error instanceof Ended,
    () => Effect.sleep(shortestPause)
  )
  return Effect.forever(again).pipe(annotate("Election", { election: name }))
}
