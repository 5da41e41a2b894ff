/**
 * Checks the behaviour of a simulated fleet under faults.
 *
 * A scenario describes the machines, the process that runs on each of them, the faults
 * that may happen, and a check for violations. `check` runs the scenario with many
 * generated plans of faults. It shrinks the first failing plan and reports it with its
 * seed, its faults and its timeline.
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
 * A simulated fleet, its faults, and a check for violations.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scenario {
  /** The ids of the machines, at least one, each only once: letters, digits, `_` and `-`, except `store` and `test`. */
  readonly nodes: ReadonlyArray<string>
  /** The time before faults can begin. Times of faults count from its end. Default 0. */
  readonly warmUp?: Duration.Input | undefined
  /** Faults begin within this time, at most a day. Default 2 minutes. */
  readonly duration?: Duration.Input | undefined
  /**
   * The time between the end of the faults (the end of `duration`, or of the last fault if that is later) and the check
   * for violations. At its beginning every crashed machine is restarted and every link is healed. Default 30 seconds.
   */
  readonly settleTime?: Duration.Input | undefined
  /** The kinds of faults. A pair limits a kind to the given buckets. Default: `Faults.survivable`. */
  readonly faults?: Faults.PlanOptions["kinds"]
  /** The maximum number of faults in a plan. Default 12. */
  readonly maxFaults?: number | undefined
  /**
   * The buckets that faults may affect: names, `"*"` for every bucket, or `"#0"`, `"#1"` and so on for a bucket by
   * order of creation. A name of a bucket that never exists fails the scenario. Default: `["*", "#0", "#1"]`.
   */
  readonly buckets?: ReadonlyArray<string> | undefined
  /** The largest error of a wall clock, ahead or behind. Default 1 day. */
  readonly offset?: Duration.Input | undefined
  /**
   * The largest relative error of a clock's rate, from 0 to below 1. Default 0.1: clocks run up to 10 % fast or slow,
   * so one clock may run 1.22 times as fast as another.
   */
  readonly drift?: number | undefined
  /**
   * Options for each simulation run. The default of `limit` is the time that the plan needs, plus 1 hour. The other
   * defaults are those of `RunOptions`.
   */
  readonly simulation?: Omit<RunOptions, "seed" | "timeline"> | undefined
  /** Creates the state of a run, its processes and its check. Evaluated at the start of every run. */
  readonly setup: Effect.Effect<Setup, never, Simulation>
}

/**
 * The processes of a run, and its check for violations.
 *
 * @category models
 * @since 0.1.0
 */
export interface Setup {
  /**
   * The process of each machine. It starts with the machine and again after each restart, even if it had ended before
   * the crash. A failure fails the scenario; a crash of the machine does not.
   */
  readonly process: (node: SimulatedNode) => Effect.Effect<unknown, unknown, Scope.Scope>
  /**
   * Returns the violations of the run, or an empty list. Evaluated when all faults have ended and `settleTime` has
   * passed since. The processes are still running at that time. A failure fails the scenario.
   */
  readonly violations: Effect.Effect<ReadonlyArray<Violation | string>, unknown, Scope.Scope>
}

/**
 * Options for `check`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckOptions {
  /** The number of plans. Default 100. */
  readonly runs?: number | undefined
  /** The seed for generating plans. Default 1. */
  readonly seed?: number | undefined
  /**
   * `ScenarioFailed.replay` of an earlier failure. Runs only that plan and ignores the other options. Succeeds if the
   * plan has no violation any more.
   */
  readonly replay?: string | undefined
  /** The maximum number of attempts to shrink a failing plan. Default 200. */
  readonly maxShrinks?: number | undefined
}

/**
 * The summary of a check without violations.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckSummary {
  /** The number of runs. */
  readonly runs: number
  /** The simulated duration of all runs together. */
  readonly lasted: Duration.Duration
  /** How often each fault took effect, by the name of the effect. A fault that is missing was not tested. */
  readonly faults: ReadonlyMap<string, number>
}

/** The plans of an invalid scenario: one plan without faults. `verify` reports the invalid option. */
const noFaults: Arbitrary.Arbitrary<Faults.Plan> = Arbitrary.Constant<Faults.Plan>({ seed: 0, faults: [] })

const plansOf = (
  { buckets, duration, faults, maxFaults, nodes }: settings.ScenarioSettings
): Arbitrary.Arbitrary<Faults.Plan> => Faults.plans({ nodes, buckets, duration, maxFaults, kinds: faults })

/**
 * Returns an Arbitrary that generates plans for a scenario, for `it.effect.prop` with
 * `verify`.
 *
 * **Gotchas**
 *
 * For an invalid scenario the Arbitrary generates a plan without faults. `verify`
 * then fails with an `InvalidConfig` that names the invalid option.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const plans = (scenario: Scenario): Arbitrary.Arbitrary<Faults.Plan> =>
  Result.match(settings.read(scenario), { onFailure: () => noFaults, onSuccess: plansOf })

/**
 * Reports that no machine connected to the server, or that a bucket that faults target by name was never created: the
 * run then proves nothing.
 */
const unreached = (
  { facts: { buckets, connected } }: Run<unknown, unknown>,
  asked: ReadonlySet<string>
): ReadonlyArray<string> => [
  ...connected.length > 0 ? [] : [
    "no node has connected to the simulated server: a process waits for real I/O (a promise, a socket), " +
    "or its store is not built on node.client or node.layer"
  ],
  ...Array.from(asked).filter((name) => !/^[*#]/.test(name) && !buckets.includes(name)).map((name) =>
    `faults target the bucket "${name}", which was never created: the run had the buckets ${
      buckets.join(", ") || "none"
    }`
  )
]

const decodePlan = Schema.decodeUnknownResult(Faults.Plan)

/** Validates a plan: callers can write plans by hand. */
const planProblem = (plan: Faults.Plan, nodes: ReadonlyArray<string>): InvalidConfig | undefined => {
  const problem = problemOf(decodePlan(plan)) ?? aimProblem(nodes, plan.faults)
  return problem === undefined ? undefined : options.invalidConfig(`plan: ${problem}`)
}

/** The time limit of a run exceeds the time that its plan needs by this much. Checks for violations take less. */
const spare = Duration.hours(1)

const runWith = (
  asked: settings.ScenarioSettings,
  plan: Faults.Plan,
  timeline: boolean
): Effect.Effect<Run<ReadonlyArray<Violation | string>, unknown>, SimulationStuck | InvalidConfig> =>
  Effect.suspend(() => {
    const problem = planProblem(plan, asked.nodes)
    if (problem !== undefined) return Effect.fail(problem)
    const { duration, settleTime, simulation: { bucket, limit, maxPending, server }, warmUp } = asked
    const faults = plan.faults.map((fault) => fault.at + ("for" in fault ? fault.for : 0))
    const needed = Math.max(Duration.toMillis(duration), ...faults) + Duration.toMillis(warmUp) +
      Duration.toMillis(settleTime)
    return runExit(story(asked, plan), {
      limit: limit ?? Duration.sum(Duration.millis(needed), spare),
      server,
      bucket,
      maxPending,
      seed: plan.seed,
      timeline
    })
  })

/**
 * Runs one plan of a scenario and returns the outcome. The result of the run is the
 * list of violations.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` if the scenario, the plan or an option is invalid, and with
 * `SimulationStuck` if the run does not end. The option `timeline` records the timeline;
 * default false.
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

/** All buckets that faults of the scenario or of the plan target. */
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

/** The violations of a run. A run that does not end is a violation. */
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
  `two runs of the plan ${
    Faults.encode(plan)
  } differ: the scenario uses something that is not simulated (Date, Math.random)`

/**
 * Runs a plan and fails with a report if it has violations. `isSmallest` is true if shrinking has tried all smaller
 * plans.
 */
const judge = (
  asked: settings.ScenarioSettings,
  plan: Faults.Plan,
  isSmallest: boolean
): Effect.Effect<Run<unknown, unknown>, ScenarioFailed | InvalidConfig> =>
  Effect.gen(function*() {
    const { outcome, violations: quick } = yield* violationsOf(asked, plan)
    if (outcome !== undefined && quick.length === 0) return outcome
    // Runs the plan again, now with a timeline and with stack traces of errors.
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
 * Runs one plan of a scenario, and fails with `ScenarioFailed` if it has violations.
 *
 * **Details**
 *
 * A failing plan runs a second time to record the timeline. Fails with `InvalidConfig`
 * if the scenario or the plan is invalid.
 *
 * **Example** (A property test)
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import * as Effect from "effect/Effect"
 * import { KVStore } from "effect-aegis"
 * import { Scenario } from "effect-aegis/testing"
 *
 * const scenario: Scenario.Scenario = {
 *   nodes: ["a", "b"],
 *   duration: "1 minute",
 *   setup: Effect.sync(() => {
 *     const created: Array<string> = []
 *     return {
 *       process: (node) =>
 *         KVStore.KVStore.use((store) => store.put("job", new Uint8Array(), { createOnly: true })).pipe(
 *           Effect.tap(() => Effect.sync(() => created.push(node.id))),
 *           Effect.provide(node.layer),
 *           Effect.ignore
 *         ),
 *       violations: Effect.sync(() => created.length > 1 ? [`created by ${created.join(" and ")}`] : [])
 *     }
 *   })
 * }
 *
 * it.effect.prop(
 *   "one process creates the job",
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
 * Runs a scenario with many generated plans, and returns a summary if no run has
 * violations.
 *
 * **Details**
 *
 * Shrinks the first failing plan to fewer and shorter faults as long as it fails, and
 * fails with `ScenarioFailed`. Fails with `InvalidConfig` if the scenario or an option is
 * invalid.
 *
 * **Example** (A check with default faults)
 *
 * ```ts
 * import * as assert from "node:assert/strict"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schedule from "effect/Schedule"
 * import { Election } from "effect-aegis"
 * import { Checks, History, Scenario } from "effect-aegis/testing"
 *
 * const scenario: Scenario.Scenario = {
 *   nodes: ["a", "b"],
 *   duration: "1 minute",
 *   setup: Effect.map(History.make, (history) => ({
 *     process: (node) =>
 *       Election.Election.use((election) =>
 *         election.whileLeader("job", (leadership) => history.term(node.id, leadership, Effect.never))
 *       ).pipe(
 *         Effect.provide(Election.layer().pipe(Layer.provide(node.layer))),
 *         Effect.retry(Schedule.spaced("1 second"))
 *       ),
 *     violations: Effect.map(history.leaders, Checks.atMostOneLeader)
 *   }))
 * }
 *
 * const summary = await Effect.runPromise(Scenario.check(scenario, { runs: 3 }))
 * assert.equal(summary.runs, 3)
 * ```
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
    // Effect reports these two only for its own replays, which `check` does not use.
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
