/**
 * Stops the work of a leader, and reports work that is slow to stop (docs/protocols/election.md, E23).
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Latch from "effect/Latch"
import { electionOverruns } from "../../Metrics.ts"
import { annotate } from "../logs.ts"
import { update } from "../metrics.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import { longestTick, type Tenure, type TermTimings } from "./tenure.ts"

// -----------------------------------------------------------------------------
// when to report
// -----------------------------------------------------------------------------

/** Work that is being stopped. Times are in milliseconds. */
interface Stopping {
  readonly stoppingFor: number
  /** 0 or less if another candidate may lead. */
  readonly untilOthersLead: number
  readonly isReportedSlow: boolean
}

/** What to report of work that still runs, and when to look again, in milliseconds. */
interface Due {
  readonly report: "Slow" | "Overrun" | undefined
  readonly wait: number
}

/** Pure. Renewals continue while the work stops, so the end of the lease moves. */
export const due = (
  { isReportedSlow, stoppingFor, untilOthersLead }: Stopping,
  { leaseDuration, renewDeadline }: TermTimings
): Due => {
  if (untilOthersLead <= 0) return { report: "Overrun", wait: leaseDuration }
  const untilSlow = leaseDuration - renewDeadline - stoppingFor
  if (isReportedSlow) return { report: undefined, wait: untilOthersLead }
  return untilSlow <= 0
    ? { report: "Slow", wait: untilOthersLead }
    : { report: undefined, wait: Math.min(untilSlow, untilOthersLead) }
}

// -----------------------------------------------------------------------------
// reports
// -----------------------------------------------------------------------------

const shown = (millis: number): string => Duration.format(wholeMillis(millis))

const check = "check the fencing token where it writes"
const remedy = `Make the work stop within leaseDuration - renewDeadline, and ${check}`

/** The lease had ended before the work was told to stop: the deadline, which is earlier, passed unnoticed. */
const pausedRemedy = `This process was paused, or its event loop was blocked, before it could stop the work: ${check}`

/** The reports of one stop. */
class StopReports {
  private readonly tenure: Tenure
  private readonly began: number
  private readonly remedy: string
  private isReportedSlow = false
  private isOverrun = false

  constructor(tenure: Tenure) {
    this.tenure = tenure
    this.began = monotonicMillis(tenure.options.clock)
    this.remedy = tenure.untilLeaseEnds > 0 ? remedy : pausedRemedy
  }

  private readonly slow = Effect.suspend(() => {
    this.isReportedSlow = true
    const { election, stopTimeout } = this.tenure.options
    return Effect.logWarning(
      `the work of "${election}" is slow to stop: leadership is renewed until it has stopped, for at most ` +
        `${shown(stopTimeout)} (stopTimeout)`
    )
  })

  private overrun(line: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const counted = this.isOverrun
        ? Effect.void
        : update(electionOverruns, { election: this.tenure.options.election })
      this.isOverrun = true
      return Effect.andThen(counted, Effect.logError(`${line}: another leader may have started. ${this.remedy}`))
    })
  }

  /** Reports work that still runs: when it is slow, and at each lease while another candidate may lead. */
  readonly watch: Effect.Effect<never> = Effect.gen({ self: this }, function*() {
    const { clock, election, times } = this.tenure.options
    while (true) {
      const { isReportedSlow, tenure } = this
      const stoppingFor = monotonicMillis(clock) - this.began
      const { report, wait } = due({ isReportedSlow, stoppingFor, untilOthersLead: tenure.untilOthersLead }, times)
      if (report === "Slow") yield* this.slow
      if (report === "Overrun") yield* this.overrun(`the work of "${election}" still runs after its lease has ended`)
      // Sleeps by the monotonic clock, which may not advance on a suspended machine. The lease goes on (E16).
      yield* Effect.sleep(wholeMillis(report === "Overrun" ? wait : Math.min(wait, longestTick)))
    }
  })

  /** When the work has stopped. A renewal that is stored late extends a lease that had ended. */
  private get when(): string {
    const { untilOthersLead } = this.tenure
    if (untilOthersLead > 0) return "before another candidate could lead"
    return untilOthersLead === 0
      ? "after another candidate had won"
      : `${shown(-untilOthersLead)} after its lease had ended`
  }

  /** The work has stopped. An overrun in a blocked event loop is known only now. */
  readonly stopped: Effect.Effect<void> = Effect.suspend(() => {
    const { tenure: { options: { election }, untilOthersLead }, when } = this
    if (untilOthersLead > 0 && !this.isOverrun) return Effect.void
    return this.isOverrun
      ? Effect.logWarning(`the work of "${election}" has stopped, ${when}`)
      : this.overrun(`the work of "${election}" stopped only ${when}`)
  })
}

// -----------------------------------------------------------------------------
// stop
// -----------------------------------------------------------------------------

/** Whether the work ended because it was interrupted. A failure before it, or of a finalizer after it, is in the cause as well. */
const wasInterrupted = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons[0] !== undefined && Cause.isInterruptReason(cause.reasons[0])

/** How the work ended by itself. Undefined if it was interrupted. */
export const ownEnd = <A, E>(exit: Exit.Exit<A, E>): Exit.Exit<A, E> | undefined => {
  if (Exit.isSuccess(exit)) return exit
  if (wasInterrupted(exit.cause)) return undefined
  return Exit.failCause(Cause.fromReasons(exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))))
}

/** A finalizer that fails does not change how the work ended. */
const reportFinalizers = <A, E>(election: string, exit: Exit.Exit<A, E>): Effect.Effect<void> =>
  Exit.isFailure(exit) && wasInterrupted(exit.cause) && !Cause.hasInterruptsOnly(exit.cause)
    ? Effect.logError(`the work of "${election}" failed while it was being stopped`, exit.cause)
    : Effect.void

/**
 * Stops the work, and returns how it ended. From here on `isValid` is false, whatever the reason for the stop is. Work that has
 * ended by itself is not interrupted: its finalizers run.
 */
export const stop = <A, E>(
  tenure: Tenure,
  work: Fiber.Fiber<A, E>,
  hasEnded: Latch.Latch
): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.suspend(() => {
    tenure.beginRelease()
    const { candidateId, election } = tenure.options
    const reports = new StopReports(tenure)
    return Effect.gen(function*() {
      const endsItself = hasEnded.isOpen()
      tenure.isStopping = true
      const watching = yield* Effect.forkDetach(reports.watch)
      const exit = yield* Effect.andThen(endsItself ? Effect.void : Fiber.interrupt(work), Fiber.await(work))
      tenure.isStopping = false
      yield* Fiber.interrupt(watching)
      yield* reports.stopped
      if (!endsItself) yield* reportFinalizers(election, exit)
      return exit
    }).pipe(annotate("Election", { election, candidateId }))
  })
