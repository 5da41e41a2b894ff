/**
 * The error of a scenario that failed. Exported by Scenario.ts.
 */
import * as Data from "effect/Data"
import * as Faults from "../../testing/Faults.ts"
import type { Violation } from "./checksModels.ts"
import * as report from "./scenarioReport.ts"

/** What a failed run is told with. */
export type Around = Pick<report.Failed, "clocks" | "endedAt" | "isSmallest" | "warmUp" | "timeline">

/**
 * A run in which something was not as it should be. Its message has the first
 * violation of each kind, what the run can be had again with, and what happened
 * from the first fault to the first violation.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScenarioFailed extends Data.TaggedError("ScenarioFailed")<{
  readonly plan: Faults.Plan
  readonly violations: ReadonlyArray<Violation | string>
}> {
  readonly #around: Around

  constructor(fields: {
    readonly plan: Faults.Plan
    readonly violations: ReadonlyArray<Violation | string>
    readonly around: Around
  }) {
    const { around, ...shown } = fields
    super(shown)
    this.#around = around
  }

  /**
   * The plan as a text: `check` with it plays this run again.
   *
   * @since 0.1.0
   */
  get replay(): string {
    return Faults.encode(this.plan)
  }

  /**
   * Everything that happened.
   *
   * @since 0.1.0
   */
  get timeline(): string {
    return this.#around.timeline
  }

  override get message(): string {
    const { plan: { faults, seed }, replay, violations } = this
    return report.format({
      ...this.#around,
      violations,
      seed,
      faults: faults.toSorted((a, b) => a.at - b.at).map((fault) => ({ at: fault.at, text: Faults.format(fault) })),
      replay
    })
  }

  /** @internal */
  asSmallest(): ScenarioFailed {
    const { plan, violations } = this
    return new ScenarioFailed({ plan, violations, around: { ...this.#around, isSmallest: true } })
  }
}
