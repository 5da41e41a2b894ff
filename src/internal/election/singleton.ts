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
import { electionWorkFailures } from "../../Metrics.ts"
import { annotate } from "../logs.ts"
import { update } from "../metrics.ts"
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

export interface Singleton<E, R> {
  readonly name: string
  readonly work: Work<E, R>
  readonly candidate: CandidateOptions & { readonly candidateId: string }
  /** Lets the candidate try to win at once: the pause after a failure was long enough for others to win first. */
  readonly returns: Effect.Effect<void>
}

/** Campaigns and runs the work once, and reports how it ended. Fails with `Ended`, or if no later campaign can succeed. */
const runOnce = <E, R>(
  election: Election["Service"],
  { candidate, name, work }: Singleton<E, R>
): Effect.Effect<never, E | ElectionError | Ended, R> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const began = monotonicMillis(clock)
    let hasRun = false
    let isReported = false
    const log = (what: string, ...cause: ReadonlyArray<Cause.Cause<unknown>>) =>
      annotate("Election", { election: name, candidateId: candidate.candidateId })(
        Effect.logError(`${what}, and is started again after a pause`, ...cause)
      )
    const report = (how: string, ...cause: ReadonlyArray<Cause.Cause<unknown>>) =>
      Effect.suspend(() => {
        isReported = true
        return Effect.andThen(
          update(electionWorkFailures, { election: name }),
          log(`the work of "${name}" ${how}`, ...cause)
        )
      })
    // Reported at once: the hand-over that follows can take as long as leaveTimeout.
    const reporting = (leadership: Leadership) => {
      hasRun = true
      const running = work(leadership)
      return Effect.isEffect(running)
        ? Effect.tapCause(
          running,
          (cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : report(`failed in term ${leadership.term}`, cause)
        )
        : running
    }
    const exit: Exit.Exit<unknown, E | ElectionError> = yield* Effect.exit(
      election.whileLeader(name, reporting, candidate)
    )
    if (Exit.isSuccess(exit)) yield* report("has ended, although it must not")
    // A store interrupts its callers when a simulated process crashes.
    else if (isFinal(exit.cause) || (!hasRun && Cause.hasInterruptsOnly(exit.cause))) {
      return yield* Effect.failCause(exit.cause)
    } else if (!hasRun) yield* log(`the campaign for "${name}" failed`, exit.cause)
    else if (!isReported) yield* report("failed", exit.cause)
    return yield* new Ended({ ranFor: monotonicMillis(clock) - began })
  })

/**
 * Campaigns and runs the work without end. A failure of the work is logged. Fails once the connection of the store is
 * closed.
 */
export const singleton = <E, R>(
  election: Election["Service"],
  options: Singleton<E, R>
): Effect.Effect<never, E | ElectionError, R> => {
  const once = Effect.andThen(options.returns, runOnce(election, options))
  const isShort = (error: unknown) => error instanceof Ended && error.ranFor < Duration.toMillis(longestPause)
  const series = Effect.retry(once, { while: isShort, schedule: backoff(shortestPause, longestPause) })
  const counting = update(electionWorkFailures, { election: options.name }, 0)
  const again = Effect.catchIf(
    series,
    (error): error is Ended => error instanceof Ended,
    () => Effect.sleep(shortestPause)
  )
  return Effect.andThen(counting, Effect.forever(again))
}
