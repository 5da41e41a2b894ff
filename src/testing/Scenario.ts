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
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Chance } from "../internal/simulation/chance.ts"
import { invalid } from "../internal/simulation/given.ts"
import {
  type InvalidSimulation,
  NodeCrashed,
  type Run,
  type RunOptions,
  type SimulatedNode,
  SimulationStuck
} from "../internal/simulation/models.ts"
import type { Violation } from "../internal/testing/checksModels.ts"
import { aimProblem, checkScenario } from "../internal/testing/scenarioChecks.ts"
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

/** What a failed run is told with. */
type Around = Pick<report.Failed, "clocks" | "isSmallest" | "starting" | "timeline">

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
    kindsInBuckets: Faults.kindsInBuckets,
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

/** A plan may have been written by hand. */
const problemOf = (plan: Faults.Plan, nodes: ReadonlyArray<string>): InvalidSimulation | undefined => {
  const problem = Faults.problemIn(plan) ?? aimProblem(nodes, plan.faults)
  return problem === undefined ? undefined : invalid(`plan: ${problem}`)
}

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
    const problem = problemWith(scenario) ?? problemOf(plan, scenario.nodes)
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
  play(scenario, plan, options).pipe(
    Effect.map((outcome) => ({
      outcome,
      violations: problemsOf(scenario, plan, outcome),
      timeline: outcome.timeline()
    })),
    Effect.catchIf(
      (error): error is SimulationStuck => error instanceof SimulationStuck,
      (stuck) => Effect.succeed({ outcome: undefined, violations: [stuck.message], timeline: stuck.timeline })
    )
  )

const notTwice = (plan: Faults.Plan): string =>
  `the run of ${Faults.encode(plan)} does not go the same way twice: something in it is not simulated`

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
  Effect.gen(function*() {
    const { outcome, violations: quick } = yield* violationsOf(scenario, plan)
    if (outcome !== undefined && quick.length === 0) return outcome
    // As it is told: with a timeline, and with the places at which errors were made.
    const { timeline, violations } = yield* violationsOf(scenario, plan, { timeline: true })
    if (violations.length === 0) return yield* Effect.die(new Error(notTwice(plan)))
    const around: Around = {
      clocks: clocksOf(scenario, plan.seed),
      starting: Duration.toMillis(completed(scenario).starting),
      isSmallest: false,
      timeline
    }
    return yield* new ScenarioFailed({ plan, violations, around })
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
  /** What a failure told: that run again, and no other; the other options do not count. One that goes well now passes. */
  readonly replay?: string | undefined
  /** How often a failing plan may be made smaller. Default 200. */
  readonly mostShrinks?: number | undefined
}

const checkOptionsProblem = ({ mostShrinks = 0, runs = 1, seed = 1 }: CheckOptions): string | undefined => {
  if (!(Number.isSafeInteger(runs) && runs > 0)) return `runs: expected a whole number from 1, got ${runs}`
  if (!Number.isSafeInteger(seed)) return `seed: expected a whole number, got ${seed}`
  if (!(Number.isSafeInteger(mostShrinks) && mostShrinks >= 0)) {
    return `mostShrinks: expected a whole number from 0, got ${mostShrinks}`
  }
  return undefined
}

/** One run again, as a failure of this scenario told it. */
const playAgain = (scenario: Scenario, replay: string): Effect.Effect<Passed, ScenarioFailed | InvalidSimulation> =>
  Option.match(Faults.decode(replay), {
    onNone: () => Effect.fail(invalid(`replay: expected what a failure of this scenario told, got ${replay}`)),
    onSome: (plan) => Effect.map(verify(scenario, plan), ({ faults, lasted }): Passed => ({ runs: 1, faults, lasted }))
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
): Effect.fn.Return<Passed, ScenarioFailed | InvalidSimulation> {
  const problem = checkOptionsProblem(options)
  if (problem !== undefined) return yield* invalid(problem)
  const { mostShrinks = 200, replay, runs = 100, seed = 1 } = options
  if (replay !== undefined) return yield* playAgain(scenario, replay)
  const struck = new Map<string, number>()
  let lasted = 0
  const result = yield* Arbitrary.checkEffect(
    plans(scenario),
    (plan) =>
      Effect.map(violationsOf(scenario, plan), ({ outcome, violations }) => {
        lasted += outcome === undefined ? 0 : Duration.toMillis(outcome.lasted)
        for (const [name, count] of outcome?.faults ?? []) struck.set(name, (struck.get(name) ?? 0) + count)
        return violations.length === 0
      }),
    { runs, seed, maxShrinks: mostShrinks }
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
      const failed = yield* Effect.flip(verify(scenario, result.shrunkInput)).pipe(
        Effect.catchCause(() => Effect.die(new Error(notTwice(result.shrunkInput))))
      )
      return yield* failed._tag === "ScenarioFailed" ? failed.asSmallest() : failed
    }
  }
})
