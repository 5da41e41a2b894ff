/**
 * The error of a scenario that failed.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { Violation } from "./Checks.ts"
import * as Faults from "./Faults.ts"

/**
 * A run that violated something. Its message has the first violation of each kind,
 * the text that replays the run, and the timeline from the first fault to the
 * first violation.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScenarioFailed extends Data.TaggedError("ScenarioFailed")<{
  readonly plan: Faults.Plan
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
   * The plan as a text: `Scenario.check` with it as `replay` runs this plan again.
   *
   * @since 0.1.0
   */
  get replay(): string {
    return Faults.encode(this.plan)
  }

  /**
   * The whole timeline of the run.
   *
   * @since 0.1.0
   */
  get timeline(): string {
    return this.#timeline
  }

  override get message(): string {
    return this.#report
  }
}
