/**
 * A fleet with faults, judged: what runs on each machine, what may go wrong, and
 * what must hold all the same. It is played for many plans; one that fails is
 * made as small as it gets, and told with its seed, its faults and its timeline.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { Chance } from "../internal/simulation/chance.ts"
import {
  InvalidSimulation,
  NodeCrashed,
  type Run,
  type RunOptions,
  type SimulatedNode,
  SimulationStuck
} from "../internal/simulation/models.ts"
import type { Violation } from "../internal/testing/checksModels.ts"
import { checkPlan, checkScenario } from "../internal/testing/scenarioChecks.ts"
import * as report from "../internal/testing/scenarioReport.ts"
import * as Faults from "./Faults.ts"
import { runExit, Simulation } from "./Simulation.ts"

/**
 * What a scenario is made of, beside its faults.
 *
 * @category models
 * @since 0.1.0
 */
export interface Parts {
  /**
   * What runs on a machine, in its process: from the beginning, and again after each restart. It may end. A failure of
   * it fails the scenario, a crash does not.
   */
  readonly process: (node: SimulatedNode) => Effect.Effect<unknown, unknown, Scope.Scope>
  /** What is not as it should be, asked once all faults are over and the fleet has settled; it still runs then. */
  readonly verdict: Effect.Effect<ReadonlyArray<Violation | string>, unknown, Scope.Scope>
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
  readonly starting?: Duration.Input | undefined
  /** Faults begin within this time. Default 2 minutes. */
  readonly lasting?: Duration.Input | undefined
  /** How long the fleet goes on after everything is well again. Default 30 seconds. */
  readonly settling?: Duration.Input | undefined
  /** Which faults, or which in which buckets only. Default: `Faults.survivable`, in all. */
  readonly faults?: Faults.PlanOptions["kinds"]
  /** In one plan. Default 12. */
  readonly mostFaults?: number | undefined
  /** Buckets that faults may strike. Default: any one, or all at once. */
  readonly buckets?: ReadonlyArray<string> | undefined
  /** Wall clocks are set wrong by up to so much, either way. Default 1 day. */
  readonly offset?: Duration.Input | undefined
  /** Clocks run faster or slower by up to this share. Default 0.1: one may run 1.22 times as fast as another. */
  readonly drift?: number | undefined
  /** Which server, and which bucket. */
  readonly simulation?: Omit<RunOptions, "seed" | "timeline"> | undefined
  /** Made anew for every run. */
  readonly parts: Effect.Effect<Parts, never, Simulation>
}

/**
 * A run in which something was not as it should be. Its message has the first
 * violation of each kind, what the run can be had again with, and what happened
 * around the first fault.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScenarioFailed extends Data.TaggedError("ScenarioFailed")<{
  readonly plan: Faults.Plan
  readonly violations: ReadonlyArray<Violation | string>
  /** For `check`: leads to this failure again. Undefined where the plan was given, and not made smaller. */
  readonly replay: string | undefined
}> {
  readonly #timeline: string
  readonly #clocks: ReadonlyArray<report.Clock>

  constructor(fields: {
    readonly plan: Faults.Plan
    readonly violations: ReadonlyArray<Violation | string>
    readonly replay: string | undefined
    readonly timeline: string
    readonly clocks: ReadonlyArray<report.Clock>
  }) {
    const { clocks, timeline, ...shown } = fields
    super(shown)
    this.#timeline = timeline
    this.#clocks = clocks
  }

  /**
   * Everything that happened.
   *
   * @since 0.1.0
   */
  get timeline(): string {
    return this.#timeline
  }

  override get message(): string {
    const { plan: { faults, seed }, replay, violations } = this
    const inOrder = faults.toSorted((a, b) => a.at - b.at)
    return report.format({
      summary: report.summaryOf(violations),
      seed,
      faults: inOrder.map(Faults.format),
      firstFault: (inOrder[0]?.at ?? 0) / 1000,
      clocks: this.#clocks,
      replay,
      timeline: this.#timeline
    })
  }

  /** @internal */
  withReplay(replay: string): ScenarioFailed {
    const { plan, violations } = this
    return new ScenarioFailed({ plan, violations, replay, timeline: this.#timeline, clocks: this.#clocks })
  }
}

/**
 * How many runs went well, and what struck in them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Passed {
  readonly runs: number
  /** True time that passed in all of them. */
  readonly lasted: Duration.Duration
  /** How often each fault has struck: one that is not there was not tested. */
  readonly faults: ReadonlyMap<string, number>
}

/** Every bucket, or one of the first two: those that are more come in their turn. */
const anyBucket: ReadonlyArray<string> = ["*", "#0", "#1"]

/** A scenario, its defaults filled in. */
const completed = ({
  buckets = anyBucket,
  drift = 0.1,
  faults = Faults.survivable,
  lasting = "2 minutes",
  mostFaults = Faults.defaultMostFaults,
  nodes,
  offset = "1 day",
  parts,
  settling = "30 seconds",
  starting = 0
}: Scenario) => ({ buckets, drift, faults, lasting, mostFaults, nodes, offset, parts, settling, starting })

const problemWith = (scenario: Scenario): InvalidSimulation | undefined => {
  const { buckets, drift, faults, lasting, mostFaults, nodes, offset, settling, starting } = completed(scenario)
  return checkScenario({
    nodes,
    buckets,
    kinds: faults,
    knownKinds: Faults.kinds,
    durations: { starting, lasting, settling, offset },
    drift,
    mostFaults
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
  const { buckets, faults, lasting, mostFaults, nodes } = completed(scenario)
  return Faults.plans({ nodes, buckets, lasting, mostFaults, kinds: faults })
}

/** Each machine's own, by the seed. */
const clocksOf = (scenario: Scenario, seed: number): ReadonlyArray<report.Clock> => {
  const { drift, nodes, offset } = completed(scenario)
  const chance = new Chance(`${seed}/clocks`)
  const most = Duration.toMillis(offset)
  return nodes.map((id) => ({
    id,
    offset: Math.round(chance.between(-most, most)),
    rate: chance.between(1 - drift, 1 + drift)
  }))
}

/** Runs in the machine's process, and again whenever that has been started anew, whether or not it had ended. */
const keepRunning = (node: SimulatedNode, process: Effect.Effect<unknown, unknown>): Effect.Effect<never, unknown> =>
  node.run(Effect.andThen(process, Effect.never)).pipe(
    Effect.catchIf(
      (error) => error instanceof NodeCrashed && error.node === node.id,
      () => Effect.andThen(node.running, keepRunning(node, process))
    )
  )

/** What was never reached was not tested. */
const unreached = ({ facts: { buckets, connected } }: Run<unknown, unknown>, asked: ReadonlyArray<string>) => [
  ...connected.length > 0 ? [] : [
    "no node has ever reached the simulated store: does it wait for the real world (a promise, a socket), " +
    "or use a store that is not over node.client?"
  ],
  ...asked.filter((name) => !/^[*#]/.test(name) && !buckets.includes(name)).map((name) =>
    `there was never a bucket "${name}" for faults to strike: there were ${buckets.join(", ") || "none"}`
  )
]

const story = (scenario: Scenario, plan: Faults.Plan) =>
  Effect.gen(function*() {
    const simulation = yield* Simulation
    const { lasting, settling, starting } = completed(scenario)
    const { process, verdict } = yield* scenario.parts
    const nodes = new Map<string, SimulatedNode>()
    for (const { id, offset, rate } of clocksOf(scenario, plan.seed)) {
      nodes.set(id, yield* simulation.node(id, { offset, rate }))
    }
    const { bucket, freeze } = simulation
    const targets: Faults.Targets = { node: (id) => nodes.get(id)!, bucket, freeze }
    const failed = yield* Deferred.make<never, unknown>()
    // They live for as long as the simulation is looked at, and are not tidied up after it.
    yield* Effect.forEach(nodes.values(), (node) =>
      Effect.forkDetach(
        Effect.catchCause(keepRunning(node, Effect.scoped(process(node))), (cause) => Deferred.failCause(failed, cause))
      ))
    const faults = Effect.all([Effect.sleep(lasting), Faults.strikeAll(plan.faults, targets)], {
      concurrency: "unbounded",
      discard: true
    })
    const healing = Effect.andThen(
      Effect.forEach(nodes.values(), (node) => Effect.andThen(node.restart, node.heal), { discard: true }),
      bucket("*").lag(0)
    )
    const all = Effect.sleep(starting).pipe(
      Effect.andThen(faults),
      Effect.andThen(healing),
      Effect.andThen(Effect.sleep(settling))
    )
    return yield* Effect.raceFirst(Effect.andThen(all, verdict), Deferred.await(failed))
  })

/** Far beyond what a verdict takes. */
const spare = Duration.hours(1)

/**
 * Plays a scenario once.
 *
 * @category running
 * @since 0.1.0
 */
export const play = (
  scenario: Scenario,
  plan: Faults.Plan,
  options: { readonly timeline?: boolean | undefined } = {}
): Effect.Effect<Run<ReadonlyArray<Violation | string>, unknown>, SimulationStuck | InvalidSimulation> =>
  Effect.suspend(() => {
    const problem = problemWith(scenario) ?? checkPlan(scenario.nodes, plan.faults)
    if (problem !== undefined) return Effect.fail(problem)
    const { lasting, settling, starting } = completed(scenario)
    const faults = plan.faults.map((fault) => fault.at + ("for" in fault ? fault.for : 0))
    const needed = Math.max(Duration.toMillis(lasting), ...faults) + Duration.toMillis(starting) +
      Duration.toMillis(settling)
    return runExit(story(scenario, plan), {
      limit: Duration.sum(Duration.millis(needed), spare),
      ...scenario.simulation,
      seed: plan.seed,
      timeline: options.timeline
    })
  })

const problemsOf = (
  scenario: Scenario,
  outcome: Run<ReadonlyArray<Violation | string>, unknown>
): ReadonlyArray<Violation | string> => {
  const { exit } = outcome
  return Exit.isSuccess(exit)
    ? [...exit.value, ...unreached(outcome, scenario.buckets ?? [])]
    : [Cause.pretty(exit.cause)]
}

/** A run that comes to no end has broken the first of all promises. */
const violationsOf = (scenario: Scenario, plan: Faults.Plan) =>
  play(scenario, plan).pipe(
    Effect.map((outcome) => ({ outcome, violations: problemsOf(scenario, outcome) })),
    Effect.catchIf(
      (error): error is SimulationStuck => error instanceof SimulationStuck,
      (stuck) => Effect.succeed({ outcome: undefined, violations: [stuck.message] })
    )
  )

const timelineOf = (scenario: Scenario, plan: Faults.Plan) =>
  play(scenario, plan, { timeline: true }).pipe(
    Effect.map((again) => again.timeline()),
    Effect.catchIf(
      (error): error is SimulationStuck => error instanceof SimulationStuck,
      (stuck) => Effect.succeed(stuck.timeline)
    )
  )

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
): Effect.Effect<Run<unknown, unknown>, ScenarioFailed | InvalidSimulation> =>
  Effect.flatMap(violationsOf(scenario, plan), ({ outcome, violations }) => {
    if (outcome !== undefined && violations.length === 0) return Effect.succeed(outcome)
    const clocks = clocksOf(scenario, plan.seed)
    return Effect.flatMap(
      timelineOf(scenario, plan),
      (timeline) => Effect.fail(new ScenarioFailed({ plan, violations, replay: undefined, timeline, clocks }))
    )
  })

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
  /** What a failure of `check` told: that run again, and no other. One that goes well now passes. */
  readonly replay?: string | undefined
  /** How often a failing plan may be made smaller. Default 200. */
  readonly mostShrinks?: number | undefined
}

const invalid = (problem: string) => new InvalidSimulation({ problem })

/** Why a text leads to no run of this scenario. */
const noReplay = (why: string) => invalid(`replay: expected what a failure of this scenario told, and ${why}`)

/** All the plans, until one fails; the failure with its plan made small. */
const search = (
  scenario: Scenario,
  property: (plan: Faults.Plan) => Effect.Effect<boolean, InvalidSimulation>,
  { mostShrinks = 200, replay, runs = 100, seed = 1 }: CheckOptions
) =>
  Arbitrary.checkEffect(plans(scenario), property, {
    runs,
    maxShrinks: mostShrinks,
    ...(replay === undefined ? { seed } : { replay })
  }).pipe(
    Effect.catchDefect((defect) =>
      replay === undefined ? Effect.die(defect) : Effect.fail(noReplay("this is not of its form"))
    )
  )

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
): Effect.fn.Return<Passed, ScenarioFailed | InvalidSimulation> {
  const { replay, runs = 100 } = options
  if (!(Number.isSafeInteger(runs) && runs > 0)) {
    return yield* invalid(`runs: expected a whole number from 1, got ${runs}`)
  }
  const struck = new Map<string, number>()
  let lasted = 0
  const result = yield* search(
    scenario,
    (plan) =>
      Effect.map(violationsOf(scenario, plan), ({ outcome, violations }) => {
        lasted += outcome === undefined ? 0 : Duration.toMillis(outcome.lasted)
        for (const [name, count] of outcome?.faults ?? []) struck.set(name, (struck.get(name) ?? 0) + count)
        return violations.length === 0
      }),
    options
  )
  const passed = (count: number): Passed => ({ runs: count, lasted: Duration.millis(lasted), faults: struck })
  switch (result._tag) {
    case "Passed":
      return passed(result.runs)
    case "ReplayMismatch":
      if (result.reason === "PropertyPassed") return passed(1)
      return yield* noReplay(
        result.reason === "ShrinkPassed"
          ? "this goes well in its smallest form, and may fail in another: check without it"
          : "this leads to no plan: nodes, faults or times are others now"
      )
    case "Exhausted":
      return yield* Effect.die(new Error(Arbitrary.formatCheckFailure(result)))
    case "Falsified": {
      if (result.failure._tag === "PropertyError") return yield* result.failure.error
      const failed = yield* Effect.flip(verify(scenario, result.shrunkInput)).pipe(
        Effect.catchCause(() =>
          Effect.die(new Error(`the run of ${JSON.stringify(result.shrunkInput)} does not go the same way twice`))
        )
      )
      return yield* failed._tag === "ScenarioFailed" ? failed.withReplay(replay ?? result.replay) : failed
    }
  }
})
