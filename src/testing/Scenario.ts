/**
 * A fleet with faults, judged: what runs on each machine, what may go wrong, and
 * what must hold all the same. It is played for many plans; one that fails is
 * made as small as it gets, and told with its seed, its faults and its timeline.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { invalid } from "../internal/simulation/given.ts"
import { aimProblem, checkScenario, kindsInBuckets } from "../internal/testing/scenarioChecks.ts"
import { completed } from "../internal/testing/scenarioDefaults.ts"
import * as report from "../internal/testing/scenarioReport.ts"
import { clocksOf, story } from "../internal/testing/scenarioStory.ts"
import type { Violation } from "./Checks.ts"
import * as Faults from "./Faults.ts"
import { ScenarioFailed } from "./ScenarioError.ts"
import { type Run, runExit, type RunOptions, type SimulatedNode, type Simulation } from "./Simulation.ts"
import { type InvalidSimulation, SimulationStuck } from "./SimulationError.ts"

export { ScenarioFailed } from "./ScenarioError.ts"

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

const problemWith = (scenario: Scenario): InvalidSimulation | undefined => {
  const { buckets, drift, faults, duration, maxFaults, nodes, offset, settleTime, warmUp } = completed(scenario)
  return checkScenario({
    nodes,
    buckets,
    kinds: faults,
    knownKinds: Faults.kinds,
    kindsInBuckets: kindsInBuckets(Faults.Fault),
    durations: { warmUp, duration, settleTime, offset },
    drift,
    maxFaults
  })
}

/** What cannot be had as asked fails when it is played: until then there is only a plan with nothing in it. */
const nothingWrong = (): Arbitrary.Arbitrary<Faults.Plan> => Arbitrary.Constant<Faults.Plan>({ seed: 0, faults: [] })

/**
 * Plans for a scenario, for `it.effect.prop` with `verify`.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const plans = (scenario: Scenario): Arbitrary.Arbitrary<Faults.Plan> => {
  if (problemWith(scenario) !== undefined) return nothingWrong()
  const { buckets, faults, duration, maxFaults, nodes } = completed(scenario)
  return Faults.plans({ nodes, buckets, duration, maxFaults, kinds: faults })
}

/** What was never reached was not tested. */
const unreached = (
  { facts: { buckets, connected } }: Run<unknown, unknown>,
  asked: ReadonlySet<string>
): ReadonlyArray<string> => [
  ...connected.length > 0 ? [] : [
    "no node has ever reached the simulated store: does it wait for the real world (a promise, a socket), " +
    "or use a store that is not over node.client?"
  ],
  ...Array.from(asked).filter((name) => !/^[*#]/.test(name) && !buckets.includes(name)).map((name) =>
    `there was never a bucket "${name}" for faults to strike: there were ${buckets.join(", ") || "none"}`
  )
]

const decodePlan = Schema.decodeUnknownResult(Faults.Plan)

/** Why this is no plan, in a line. */
const planProblem = (plan: unknown): string | undefined => {
  const decoded = decodePlan(plan)
  return Result.isSuccess(decoded) ? undefined : decoded.failure.message.replaceAll(/\s+/g, " ")
}

/** A plan may have been written by hand. */
const problemOf = (plan: Faults.Plan, nodes: ReadonlyArray<string>): InvalidSimulation | undefined => {
  const problem = planProblem(plan) ?? aimProblem(nodes, plan.faults)
  return problem === undefined ? undefined : invalid(`plan: ${problem}`)
}

/** Far beyond what judging takes. */
const spare = Duration.hours(1)

/**
 * Plays a scenario once.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (
  scenario: Scenario,
  plan: Faults.Plan,
  options: { readonly timeline?: boolean | undefined } = {}
): Effect.Effect<Run<ReadonlyArray<Violation | string>, unknown>, SimulationStuck | InvalidSimulation> =>
  Effect.suspend(() => {
    const problem = problemWith(scenario) ?? problemOf(plan, scenario.nodes)
    if (problem !== undefined) return Effect.fail(problem)
    const { duration, settleTime, warmUp } = completed(scenario)
    const faults = plan.faults.map((fault) => fault.at + ("for" in fault ? fault.for : 0))
    const needed = Math.max(Duration.toMillis(duration), ...faults) + Duration.toMillis(warmUp) +
      Duration.toMillis(settleTime)
    return runExit(story(scenario, plan), {
      limit: Duration.sum(Duration.millis(needed), spare),
      ...scenario.simulation,
      seed: plan.seed,
      timeline: options.timeline
    })
  })

/** All that are named as to be struck. */
const bucketsAskedFor = ({ buckets = [], faults = [] }: Scenario, plan: Faults.Plan): ReadonlySet<string> =>
  new Set([
    ...buckets,
    ...faults.flatMap((one) => typeof one === "string" ? [] : one[1]),
    ...plan.faults.flatMap((fault) => "bucket" in fault ? [fault.bucket] : [])
  ])

const problemsOf = (
  scenario: Scenario,
  plan: Faults.Plan,
  outcome: Run<ReadonlyArray<Violation | string>, unknown>
): ReadonlyArray<Violation | string> => {
  const { exit } = outcome
  return Exit.isSuccess(exit)
    ? [...exit.value, ...unreached(outcome, bucketsAskedFor(scenario, plan))]
    : [Cause.pretty(exit.cause)]
}

/** A run that comes to no end has broken the first of all promises. */
const violationsOf = (scenario: Scenario, plan: Faults.Plan, options: { readonly timeline?: boolean } = {}) =>
  run(scenario, plan, options).pipe(
    Effect.map((outcome) => ({
      outcome,
      violations: problemsOf(scenario, plan, outcome),
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
  scenario: Scenario,
  plan: Faults.Plan,
  isSmallest: boolean
): Effect.Effect<Run<unknown, unknown>, ScenarioFailed | InvalidSimulation> =>
  Effect.gen(function*() {
    const { outcome, violations: quick } = yield* violationsOf(scenario, plan)
    if (outcome !== undefined && quick.length === 0) return outcome
    // Once more, with a timeline, and with the places at which errors were made.
    const { endedAt, timeline, violations } = yield* violationsOf(scenario, plan, { timeline: true })
    if (violations.length === 0) return yield* Effect.die(new Error(notTwice(plan)))
    const text = report.format({
      violations,
      seed: plan.seed,
      faults: plan.faults.toSorted((a, b) => a.at - b.at).map((fault) => ({
        at: fault.at,
        text: Faults.format(fault)
      })),
      warmUp: Duration.toMillis(completed(scenario).warmUp),
      clocks: clocksOf(scenario, plan.seed),
      endedAt,
      isSmallest,
      replay: Faults.encode(plan),
      timeline
    })
    return yield* new ScenarioFailed({ plan, violations, timeline, report: text })
  })

/**
 * Plays a scenario once, and fails where something is not as it should be: with
 * its timeline, for which it is played once more.
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
): Effect.Effect<Run<unknown, unknown>, ScenarioFailed | InvalidSimulation> => judge(scenario, plan, false)

const checkOptionsProblem = ({ maxShrinks = 0, runs = 1, seed = 1 }: CheckOptions): string | undefined => {
  if (!(Number.isSafeInteger(runs) && runs > 0)) return `runs: expected a whole number from 1, got ${runs}`
  if (!Number.isSafeInteger(seed)) return `seed: expected a whole number, got ${seed}`
  if (!(Number.isSafeInteger(maxShrinks) && maxShrinks >= 0)) {
    return `maxShrinks: expected a whole number from 0, got ${maxShrinks}`
  }
  return undefined
}

/** One run again, as a failure of this scenario told it. */
const playAgain = (
  scenario: Scenario,
  replay: string
): Effect.Effect<CheckSummary, ScenarioFailed | InvalidSimulation> =>
  Option.match(Faults.decode(replay), {
    onNone: () => Effect.fail(invalid(`replay: expected what a failure of this scenario told, got ${replay}`)),
    onSome: (plan) =>
      Effect.map(verify(scenario, plan), ({ faults, lasted }): CheckSummary => ({ runs: 1, faults, lasted }))
  })

/**
 * Plays a scenario for many plans. The first that fails is made as small as it
 * gets: with fewer and shorter faults, as long as it fails.
 *
 * @category running
 * @since 0.1.0
 */
export const check = Effect.fnUntraced(function*(
  scenario: Scenario,
  options: CheckOptions = {}
): Effect.fn.Return<CheckSummary, ScenarioFailed | InvalidSimulation> {
  const problem = checkOptionsProblem(options)
  if (problem !== undefined) return yield* invalid(problem)
  const { maxShrinks = 200, replay, runs = 100, seed = 1 } = options
  if (replay !== undefined) return yield* playAgain(scenario, replay)
  const struck = new Map<string, number>()
  let lasted = 0
  let hasFailed = false
  let tries = 0
  const result = yield* Arbitrary.checkEffect(
    plans(scenario),
    (plan) =>
      Effect.map(violationsOf(scenario, plan), ({ outcome, violations }) => {
        if (hasFailed) tries++
        hasFailed ||= violations.length > 0
        lasted += outcome === undefined ? 0 : Duration.toMillis(outcome.lasted)
        for (const [name, count] of outcome?.faults ?? []) struck.set(name, (struck.get(name) ?? 0) + count)
        return violations.length === 0
      }),
    { runs, seed, maxShrinks }
  )
  switch (result._tag) {
    case "Passed":
      return { runs: result.runs, lasted: Duration.millis(lasted), faults: struck }
    // Only a replay of Effect's own comes to nothing.
    case "ReplayMismatch":
    case "Exhausted":
      return yield* Effect.die(new Error(Arbitrary.formatCheckFailure(result)))
    case "Falsified": {
      if (result.failure._tag === "PropertyError") return yield* result.failure.error
      return yield* Effect.flip(judge(scenario, result.shrunkInput, tries < maxShrinks)).pipe(
        Effect.catchCause(() => Effect.die(new Error(notTwice(result.shrunkInput)))),
        Effect.flip
      )
    }
  }
})
