/**
 * The error of `Scenario`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { Violation } from "./Checks.ts"
import * as Faults from "./Faults.ts"

/**
 * A run of a scenario had violations.
 *
 * **Details**
 *
 * The message contains the first violation of each rule, the plan, the text that
 * replays the run, and at most 60 lines of the timeline: 20 from 1 second before the
 * first fault on, and 25 before and 15 after the time of the first violation. If these
 * overlap, or if the violation is a text, which has no time, the 60 lines from 1 second
 * before the first fault on. `timeline` has all lines.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScenarioFailed extends Data.TaggedError("ScenarioFailed")<{
  /** The failing plan: shrunk if `Scenario.check` generated it, otherwise the given plan. */
  readonly plan: Faults.Plan
  /** All violations of the run: those that `Setup.violations` returned, and failures of the run itself as text. */
  readonly violations: ReadonlyArray<Violation | string>
}> {
  readonly #timeline: string
  readonly #report: string

  constructor(fields: {
    readonly plan: Faults.Plan
    readonly violations: ReadonlyArray<Violation | string>
    readonly timeline: string
    readonly report: string
  }) {
    const { report, timeline, ...shown } = fields
    super(shown)
    this.#timeline = timeline
    this.#report = report
  }

  /**
   * The plan as JSON. Pass it to `Scenario.check` as `replay` to run the plan again.
   *
   * @since 0.1.0
   */
  get replay(): string {
    return Faults.encode(this.plan)
  }

  /**
   * The complete timeline of the run.
   *
   * @since 0.1.0
   */
  get timeline(): string {
    return this.#timeline
  }

  /** The report: violations, plan, replay text and at most 60 lines of the timeline. */
  override get message(): string {
    return this.#report
  }
}
