/**
 * Checks a fleet under faults: what runs on each machine, which faults may happen,
 * and what must hold all the same. A scenario is run with many plans; one that fails
 * is shrunk, and reported with its seed, its faults and its timeline.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { InvalidConfig } from "../AegisError.ts"
import * as options from "../internal/options.ts"
import type { Violation } from "./Checks.ts"
import * as Faults from "./Faults.ts"
import { aimProblem, problemOf } from "./internal/scenario/plan.ts"
import * as report from "./internal/scenario/report.ts"
import * as settings from "./internal/scenario/settings.ts"
import { clocksOf, story } from "./internal/scenario/story.ts"
import { ScenarioFailed } from "./ScenarioError.ts"
import { type Run, runExit, type RunOptions, type SimulatedNode, type Simulation } from "./Simulation.ts"
import { SimulationStuck } from "./SimulationError.ts"

export { InvalidConfig } from "../AegisError.ts"
export { ScenarioFailed } from "./ScenarioError.ts"

/**
 * A fleet, the faults that may happen in it, and for how long.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scenario {
  readonly nodes: ReadonlyArray<string>
  /** The time before the first fault; the times of faults count from its end. Default 0. */
  readonly warmUp?: Duration.Input | undefined
  /** Faults begin within this time, of a day at most. Default 2 minutes. */
  readonly duration?: Duration.Input | undefined
  /** The time after the last fault has ended, before the check of violations. Default 30 seconds. */
  readonly settleTime?: Duration.Input | undefined
  /** The kinds of faults, or kinds with the only buckets that they are injected into. Default: `Faults.survivable`. */
  readonly faults?: Faults.PlanOptions["kinds"]
  /** The most faults of one plan. Default 12. */
  readonly maxFaults?: number | undefined
  /** The buckets that faults are injected into. Default: any one, or all at once. */
  readonly buckets?: ReadonlyArray<string> | undefined
  /** The largest error of wall clocks, ahead or behind. Default 1 day. */
  readonly offset?: Duration.Input | undefined
  /** The largest share by which clocks run fast or slow. Default 0.1: one may run 1.22 times as fast as another. */
  readonly drift?: number | undefined
  /** The options of each simulation. */
  readonly simulation?: Omit<RunOptions, "seed" | "timeline"> | undefined
  /** Evaluated for every run. */
  readonly setup: Effect.Effect<Setup, never, Simulation>
}

/**
 * The processes of a scenario, and its check.
 *
 * @category models
 * @since 0.1.0
 */
export interface Setup {
  /**
   * Runs on each machine, in its process: from the beginning, and again after each restart. It may end. A failure of
   * it fails the scenario, a crash does not.
   */
  readonly process: (node: SimulatedNode) => Effect.Effect<unknown, unknown, Scope.Scope>
  /** Returns the violations, once all faults are over and the fleet has settled; the fleet still runs then. */
  readonly violations: Effect.Effect<ReadonlyArray<Violation | string>, unknown, Scope.Scope>
}

/**
 * The options of a check.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckOptions {
  /** The number of plans. Default 100. */
  readonly runs?: number | undefined
  /** The seed that plans are generated from. Default 1. */
  readonly seed?: number | undefined
  /** The `replay` of a failure: runs that plan only, and ignores the other options. Succeeds where it fails no more. */
  readonly replay?: string | undefined
  /** The most attempts to shrink a failing plan. Default 200. */
  readonly maxShrinks?: number | undefined
}

/**
 * The number of runs without a violation, and the faults that took effect in them.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckSummary {
  readonly runs: number
  /** True time that passed in all runs. */
  readonly lasted: Duration.Duration
  /** How often each fault took effect: one that is missing was not tested. */
  readonly faults: ReadonlyMap<string, number>
}

/** Options that cannot be used fail where the plan is run: until then there is a plan without faults. */
const noFaults: Arbitrary.Arbitrary<Faults.Plan> = Arbitrary.Constant<Faults.Plan>({ seed: 0, faults: [] })

const plansOf = (
  { buckets, duration, faults, maxFaults, nodes }: settings.ScenarioSettings
): Arbitrary.Arbitrary<Faults.Plan> => Faults.plans({ nodes, buckets, duration, maxFaults, kinds: faults })

/**
 * Generates plans for a scenario, for `it.effect.prop` with `verify`.
 *
 * **Gotchas**
 *
 * Of a scenario that is not valid there is one plan, without faults: `verify`
 * fails with the `InvalidConfig` that names the option.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const plans = (scenario: Scenario): Arbitrary.Arbitrary<Faults.Plan> =>
  Result.match(settings.read(scenario), { onFailure: () => noFaults, onSuccess: plansOf })

/** What no node has reached was not tested. */
const unreached = (
  { facts: { buckets, connected } }: Run<unknown, unknown>,
  asked: ReadonlySet<string>
): ReadonlyArray<string> => [
  ...connected.length > 0 ? [] : [
    "no node has ever reached the simulated store: does it wait for the real world (a promise, a socket), " +
    "or use a store that is not over node.client?"
  ],
  ...Array.from(asked).filter((name) => !/^[*#]/.test(name) && !buckets.includes(name)).map((name) =>
    `there was never a bucket "${name}" for faults to be injected into: there were ${buckets.join(", ") || "none"}`
  )
]

const decodePlan = Schema.decodeUnknownResult(Faults.Plan)

/** A plan may have been written by hand. */
const planProblem = (plan: Faults.Plan, nodes: ReadonlyArray<string>): InvalidConfig | undefined => {
  const problem = problemOf(decodePlan(plan)) ?? aimProblem(nodes, plan.faults)
  return problem === undefined ? undefined : options.invalidConfig(`plan: ${problem}`)
}

/** Far beyond what the checks take. */
const spare = Duration.hours(1)

const runWith = (
  asked: settings.ScenarioSettings,
  plan: Faults.Plan,
  timeline: boolean
): Effect.Effect<Run<ReadonlyArray<Violation | string>, unknown>, SimulationStuck | InvalidConfig> =>
  Effect.suspend(() => {
    const problem = planProblem(plan, asked.nodes)
    if (problem !== undefined) return Effect.fail(problem)
    const { duration, settleTime, simulation: { bucket, limit, server }, warmUp } = asked
    const faults = plan.faults.map((fault) => fault.at + ("for" in fault ? fault.for : 0))
    const needed = Math.max(Duration.toMillis(duration), ...faults) + Duration.toMillis(warmUp) +
      Duration.toMillis(settleTime)
    return runExit(story(asked, plan), {
      limit: limit ?? Duration.sum(Duration.millis(needed), spare),
      server,
      bucket,
      seed: plan.seed,
      timeline
    })
  })

/**
 * Runs one plan of a scenario. A scenario, a plan or an option that is not valid
 * is `InvalidConfig`.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (
  scenario: Scenario,
  plan: Faults.Plan,
  runOptions: { readonly timeline?: boolean | undefined } = {}
): Effect.Effect<Run<ReadonlyArray<Violation | string>, unknown>, SimulationStuck | InvalidConfig> =>
  Effect.gen(function*() {
    const asked = yield* Effect.fromResult(settings.read(scenario))
    const { timeline } = yield* Effect.fromResult(options.read("options", runOptions, settings.runSettings))
    return yield* runWith(asked, plan, timeline)
  })

/** Every bucket that a fault is aimed at. */
const bucketsAskedFor = ({ buckets, faults }: settings.ScenarioSettings, plan: Faults.Plan): ReadonlySet<string> =>
  new Set([
    ...buckets,
    ...faults.flatMap((one) => typeof one === "string" ? [] : one[1]),
    ...plan.faults.flatMap((fault) => "bucket" in fault ? [fault.bucket] : [])
  ])

const problemsOf = (
  asked: settings.ScenarioSettings,
  plan: Faults.Plan,
  outcome: Run<ReadonlyArray<Violation | string>, unknown>
): ReadonlyArray<Violation | string> => {
  const { exit } = outcome
  return Exit.isSuccess(exit)
    ? [...exit.value, ...unreached(outcome, bucketsAskedFor(asked, plan))]
    : [Cause.pretty(exit.cause)]
}

/** A run that does not end is a violation. */
const violationsOf = (asked: settings.ScenarioSettings, plan: Faults.Plan, timeline = false) =>
  runWith(asked, plan, timeline).pipe(
    Effect.map((outcome) => ({
      outcome,
      violations: problemsOf(asked, plan, outcome),
      timeline: outcome.timeline(),
      endedAt: Exit.isSuccess(outcome.exit) ? undefined : Duration.toMillis(outcome.lasted)
    })),
    Effect.catchIf(
      (error): error is SimulationStuck => error instanceof SimulationStuck,
      ({ at, message, timeline }) =>
        Effect.succeed({ outcome: undefined, violations: [message], timeline, endedAt: Duration.toMillis(at) })
    )
  )

const notTwice = (plan: Faults.Plan): string =>
  `the run of ${Faults.encode(plan)} does not go the same way twice: something in it is not simulated`

/** Runs a plan, and fails with a report; `isSmallest`: whether fewer faults were tried. */
const judge = (
  asked: settings.ScenarioSettings,
  plan: Faults.Plan,
  isSmallest: boolean
): Effect.Effect<Run<unknown, unknown>, ScenarioFailed | InvalidConfig> =>
  Effect.gen(function*() {
    const { outcome, violations: quick } = yield* violationsOf(asked, plan)
    if (outcome !== undefined && quick.length === 0) return outcome
    // Once more, with a timeline, and with the places at which errors were made.
    const { endedAt, timeline, violations } = yield* violationsOf(asked, plan, true)
    if (violations.length === 0) return yield* Effect.die(new Error(notTwice(plan)))
    const text = report.format({
      violations,
      seed: plan.seed,
      faults: plan.faults.toSorted((a, b) => a.at - b.at).map((fault) => ({
        at: fault.at,
        text: Faults.format(fault)
      })),
      warmUp: Duration.toMillis(asked.warmUp),
      clocks: clocksOf(asked, plan.seed),
      endedAt,
      isSmallest,
      replay: Faults.encode(plan),
      timeline
    })
    return yield* new ScenarioFailed({ plan, violations, timeline, report: text })
  })

/**
 * Runs one plan of a scenario, and fails with `ScenarioFailed` where something is
 * violated. The plan is run a second time then, for the timeline.
 *
 * **Example** (With `it.effect.prop`)
 *
 * ```ts
 * it.effect.prop(
 *   "the job never runs twice",
 *   { plan: Scenario.plans(scenario) },
 *   ({ plan }) => Scenario.verify(scenario, plan),
 *   { timeout: 60_000, arbitrary: { runs: 100 } }
 * )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const verify = (
  scenario: Scenario,
  plan: Faults.Plan
): Effect.Effect<Run<unknown, unknown>, ScenarioFailed | InvalidConfig> =>
  Effect.flatMap(Effect.fromResult(settings.read(scenario)), (asked) => judge(asked, plan, false))

/**
 * Runs many plans of a scenario. The first that fails is shrunk: to fewer and
 * shorter faults, for as long as it fails. A scenario or an option that is not
 * valid is `InvalidConfig`.
 *
 * @category running
 * @since 0.1.0
 */
export const check = Effect.fnUntraced(function*(
  scenario: Scenario,
  checkOptions: CheckOptions = {}
): Effect.fn.Return<CheckSummary, ScenarioFailed | InvalidConfig> {
  const asked = yield* Effect.fromResult(settings.read(scenario))
  const { maxShrinks, replay, runs, seed } = yield* Effect.fromResult(
    options.read("options", checkOptions, settings.checkSettings)
  )
  if (replay !== undefined) {
    const { faults, lasted } = yield* judge(asked, replay, false)
    return { runs: 1, faults, lasted }
  }
  const injected = new Map<string, number>()
  let lasted = 0
  let hasFailed = false
  let tries = 0
  const result = yield* Arbitrary.checkEffect(
    plansOf(asked),
    (plan) =>
      Effect.map(violationsOf(asked, plan), ({ outcome, violations }) => {
        if (hasFailed) tries++
        hasFailed ||= violations.length > 0
        lasted += outcome === undefined ? 0 : Duration.toMillis(outcome.lasted)
        for (const [name, count] of outcome?.faults ?? []) injected.set(name, (injected.get(name) ?? 0) + count)
        return violations.length === 0
      }),
    { runs, seed, maxShrinks }
  )
  switch (result._tag) {
    case "Passed":
      return { runs: result.runs, lasted: Duration.millis(lasted), faults: injected }
    // Only of a replay of Effect's own.
    case "ReplayMismatch":
    case "Exhausted":
      return yield* Effect.die(new Error(Arbitrary.formatCheckFailure(result)))
    case "Falsified": {
      if (result.failure._tag === "PropertyError") return yield* result.failure.error
      return yield* Effect.flip(judge(asked, result.shrunkInput, tries < maxShrinks)).pipe(
        Effect.catchCause(() => Effect.die(new Error(notTwice(result.shrunkInput)))),
        Effect.flip
      )
    }
  }
})
