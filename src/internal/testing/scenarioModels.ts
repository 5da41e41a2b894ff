/**
 * What a scenario is, and what comes of it. Exported by Scenario.ts.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Faults from "../../testing/Faults.ts"
import type { Simulation } from "../../testing/Simulation.ts"
import type { RunOptions, SimulatedNode } from "../simulation/models.ts"
import type { Violation } from "./checksModels.ts"

/**
 * What a scenario is made of, beside its faults.
 *
 * @category models
 * @since 0.1.0
 */
export interface Setup {
  /**
   * What runs on a machine, in its process: from the beginning, and again after each restart. It may end. A failure of
   * it fails the scenario, a crash does not.
   */
  readonly process: (node: SimulatedNode) => Effect.Effect<unknown, unknown, Scope.Scope>
  /** What is not as it should be, asked once all faults are over and the fleet has settled; it still runs then. */
  readonly violations: Effect.Effect<ReadonlyArray<Violation | string>, unknown, Scope.Scope>
}

/**
 * A fleet, what may go wrong in it, and for how long.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scenario {
  readonly nodes: ReadonlyArray<string>
  /** How long nothing goes wrong at the beginning; the times of faults count from then on. Default: not at all. */
  readonly warmUp?: Duration.Input | undefined
  /** Faults begin within this time, of a day at most. Default 2 minutes. */
  readonly duration?: Duration.Input | undefined
  /** How long the fleet goes on after everything is well again. Default 30 seconds. */
  readonly settleTime?: Duration.Input | undefined
  /** Which faults, or which in which buckets only. Default: `Faults.survivable`, in all. */
  readonly faults?: Faults.PlanOptions["kinds"]
  /** In one plan. Default 12. */
  readonly maxFaults?: number | undefined
  /** Buckets that faults may strike. Default: any one, or all at once. */
  readonly buckets?: ReadonlyArray<string> | undefined
  /** Wall clocks are set wrong by up to so much, either way. Default 1 day. */
  readonly offset?: Duration.Input | undefined
  /** Clocks run faster or slower by up to this share. Default 0.1: one may run 1.22 times as fast as another. */
  readonly drift?: number | undefined
  /** Which server, and which bucket. */
  readonly simulation?: Omit<RunOptions, "seed" | "timeline"> | undefined
  /** Made anew for every run. */
  readonly setup: Effect.Effect<Setup, never, Simulation>
}

/**
 * How many runs went well, and what struck in them.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckSummary {
  readonly runs: number
  /** True time that passed in all of them. */
  readonly lasted: Duration.Duration
  /** How often each fault has struck: one that is not there was not tested. */
  readonly faults: ReadonlyMap<string, number>
}

/**
 * How to check a scenario.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckOptions {
  /** How many plans. Default 100. */
  readonly runs?: number | undefined
  /** What the plans are made from. Default 1. */
  readonly seed?: number | undefined
  /** What a failure told: that run again, and no other; the other options do not count. One that goes well now passes. */
  readonly replay?: string | undefined
  /** How often a failing plan may be made smaller. Default 200. */
  readonly maxShrinks?: number | undefined
}

/** Every bucket, or one of the first two: those that are more come in their turn. */
const anyBucket: ReadonlyArray<string> = ["*", "#0", "#1"]

/** A scenario, its defaults filled in. */
export const completed = ({
  buckets = anyBucket,
  drift = 0.1,
  faults = Faults.survivable,
  duration = "2 minutes",
  maxFaults = Faults.defaultMaxFaults,
  nodes,
  offset = "1 day",
  setup,
  settleTime = "30 seconds",
  warmUp = 0
}: Scenario) => ({ buckets, drift, faults, duration, maxFaults, nodes, offset, setup, settleTime, warmUp })
