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
import type {
  InvalidSimulation,
  Run,
  RunOptions,
  SimulatedNode,
  SimulationStuck
} from "../internal/simulation/models.ts"
import type { Violation } from "../internal/testing/checksModels.ts"
import * as Faults from "./Faults.ts"
import { run, Simulation } from "./Simulation.ts"

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
  /** Buckets that faults may strike. Default: that of the simulation. */
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
 * A run in which something was not as it should be.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScenarioFailed extends Data.TaggedError("ScenarioFailed")<{
  readonly plan: Faults.Plan
  readonly violations: ReadonlyArray<string>
  /** Everything that happened. */
  readonly timeline: string
  /** For `check`, or for `it.effect.prop`: leads to this failure again. */
  readonly replay: string | undefined
}> {
  override get message(): string {
    const { faults, seed } = this.plan
    const schedule = faults.length === 0
      ? ["  nothing goes wrong"]
      : faults.toSorted((a, b) => a.at - b.at).map((fault) => `  ${Faults.format(fault)}`)
    return [
      ...this.violations,
      "",
      `seed ${seed}, with these faults (no fewer were found that fail):`,
      ...schedule,
      ...(this.replay === undefined ? [] : [`replay: ${this.replay}`]),
      "",
      this.timeline
    ].join("\n")
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
  /** How often each fault has struck. */
  readonly faults: ReadonlyMap<string, number>
}

const bucketsOf = (scenario: Scenario): ReadonlyArray<string> =>
  scenario.buckets ?? [scenario.simulation?.bucket?.bucket ?? "simulation"]

/**
 * Plans for a scenario, for `Arbitrary.checkEffect` and `it.effect.prop`.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const plans = (scenario: Scenario): Arbitrary.Arbitrary<Faults.Plan> =>
  Faults.plans({
    nodes: scenario.nodes,
    buckets: bucketsOf(scenario),
    lasting: scenario.lasting ?? "2 minutes",
    kinds: scenario.faults,
    mostFaults: scenario.mostFaults
  })

/** Runs in the machine's process, and again whenever that has been started anew. */
const keepRunning = (node: SimulatedNode, process: Effect.Effect<unknown, unknown>): Effect.Effect<unknown, unknown> =>
  Effect.matchEffect(node.run(process), {
    onSuccess: Effect.succeed,
    onFailure: (error) =>
      typeof error === "object" && error !== null && "_tag" in error && error._tag === "NodeCrashed"
        ? Effect.andThen(node.running, keepRunning(node, process))
        : Effect.fail(error)
  })

const story = (scenario: Scenario, plan: Faults.Plan) =>
  Effect.gen(function*() {
    const simulation = yield* Simulation
    const { process, verdict } = yield* scenario.parts
    const chance = new Chance(`${plan.seed}/clocks`)
    const offset = Duration.toMillis(scenario.offset ?? "1 day")
    const drift = scenario.drift ?? 0.1
    const nodes = new Map<string, SimulatedNode>()
    for (const id of scenario.nodes) {
      const own = { offset: Math.round(chance.between(-offset, offset)), rate: chance.between(1 - drift, 1 + drift) }
      nodes.set(id, yield* simulation.node(id, own))
    }
    const targets = { node: (id: string) => nodes.get(id)!, bucket: simulation.bucket }
    const failed = yield* Deferred.make<never, unknown>()
    // They live for as long as the simulation is looked at, and are not tidied up after it.
    yield* Effect.forEach(nodes.values(), (node) =>
      Effect.forkDetach(
        Effect.catchCause(keepRunning(node, Effect.scoped(process(node))), (cause) => Deferred.failCause(failed, cause))
      ))
    const lasting = Effect.all(
      [Effect.sleep(scenario.lasting ?? "2 minutes"), Faults.strikeAll(plan.faults, targets)],
      {
        concurrency: "unbounded",
        discard: true
      }
    )
    const settling = Effect.andThen(
      Effect.forEach(nodes.values(), (node) => Effect.andThen(node.restart, node.heal), { discard: true }),
      Effect.sleep(scenario.settling ?? "30 seconds")
    )
    const all = Effect.andThen(Effect.sleep(scenario.starting ?? 0), Effect.andThen(lasting, settling))
    return yield* Effect.raceFirst(
      Effect.andThen(all, verdict),
      Deferred.await(failed)
    )
  })

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
  run(story(scenario, plan), { ...scenario.simulation, seed: plan.seed, timeline: options.timeline })

const linesOf = (violation: Violation | string): ReadonlyArray<string> =>
  typeof violation === "string"
    ? [violation]
    : [`${violation.rule}: ${violation.message}`, ...violation.history.map((line) => `  ${line}`)]

const problemsOf = ({ exit }: Run<ReadonlyArray<Violation | string>, unknown>): ReadonlyArray<string> =>
  Exit.isSuccess(exit) ? exit.value.flatMap(linesOf) : [Cause.pretty(exit.cause)]

/**
 * Plays a scenario once, and fails where something is not as it should be: with
 * its timeline, for which it is played once more.
 *
 * **Example** (With `it.effect.prop`)
 *
 * ```ts
 * it.effect.prop("the job never runs twice", { plan: Scenario.plans(scenario) }, ({ plan }) =>
 *   Scenario.verify(scenario, plan))
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const verify = (
  scenario: Scenario,
  plan: Faults.Plan
): Effect.Effect<Run<unknown, unknown>, ScenarioFailed | SimulationStuck | InvalidSimulation> =>
  Effect.flatMap(play(scenario, plan), (outcome) => {
    const violations = problemsOf(outcome)
    if (violations.length === 0) return Effect.succeed(outcome)
    return Effect.flatMap(
      play(scenario, plan, { timeline: true }),
      (again) => Effect.fail(new ScenarioFailed({ plan, violations, timeline: again.timeline(), replay: undefined }))
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
  /** What a failure told: that one again, and no other. */
  readonly replay?: string | undefined
  /** How often a failing plan may be made smaller. Default 200. */
  readonly mostShrinks?: number | undefined
}

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
): Effect.fn.Return<Passed, ScenarioFailed | SimulationStuck | InvalidSimulation> {
  const { mostShrinks = 200, replay, runs = 100, seed = 1 } = options
  const arbitrary = plans(scenario)
  const faults = new Map<string, number>()
  let lasted = 0
  const property = (plan: Faults.Plan) =>
    Effect.map(play(scenario, plan), (outcome) => {
      lasted += Duration.toMillis(outcome.lasted)
      for (const [name, count] of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + count)
      return problemsOf(outcome).length === 0
    })
  const result = yield* Arbitrary.checkEffect(arbitrary, property, {
    runs,
    maxShrinks: mostShrinks,
    ...(replay === undefined ? { seed } : { replay })
  })
  if (result._tag === "Passed") return { runs: result.runs, lasted: Duration.millis(lasted), faults }
  if (result._tag !== "Falsified") return yield* Effect.die(new Error(Arbitrary.formatCheckFailure(result)))
  if (result.failure._tag === "PropertyError") return yield* result.failure.error
  const failed = yield* Effect.flip(verify(scenario, result.shrunkInput)).pipe(
    Effect.catchCause(() =>
      Effect.die(new Error(`the run of ${JSON.stringify(result.shrunkInput)} does not go the same way twice`))
    )
  )
  if (failed._tag !== "ScenarioFailed") return yield* failed
  const { plan, timeline, violations } = failed
  return yield* new ScenarioFailed({ plan, timeline, violations, replay: result.replay })
})
