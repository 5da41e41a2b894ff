/**
 * One run of a scenario: its machines, their processes, and the faults.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Faults from "../../Faults.ts"
import { type SimulatedNode, Simulation } from "../../Simulation.ts"
import { NodeCrashed } from "../../SimulationError.ts"
import { Chance } from "../world/chance.ts"
import type * as report from "./report.ts"
import type { ScenarioSettings } from "./settings.ts"

/** The clock errors of each machine, derived from the seed. */
export const clocksOf = (
  { drift, nodes, offset }: ScenarioSettings,
  seed: number
): ReadonlyArray<report.MachineClock> => {
  const chance = new Chance(`${seed}/clocks`)
  const most = Duration.toMillis(offset)
  return nodes.map((id) => ({
    id,
    offset: Math.round(chance.between(-most, most)),
    rate: chance.between(1 - drift, 1 + drift)
  }))
}

/** Runs the process on its machine, and again after each restart, even if it had ended before the crash. */
const keepRunning = (node: SimulatedNode, process: Effect.Effect<unknown, unknown>): Effect.Effect<never, unknown> =>
  node.run(Effect.andThen(process, Effect.never)).pipe(
    Effect.catchIf(
      (error) => error instanceof NodeCrashed && error.node === node.id,
      () => Effect.andThen(node.running, keepRunning(node, process))
    )
  )

/** Runs a plan and returns the violations. Fails if a process fails. */
export const story = (scenario: ScenarioSettings, plan: Faults.Plan) =>
  Effect.gen(function*() {
    const simulation = yield* Simulation
    const { duration, settleTime, warmUp } = scenario
    const { process, violations } = yield* scenario.setup
    const nodes = new Map<string, SimulatedNode>()
    for (const { id, offset, rate } of clocksOf(scenario, plan.seed)) {
      nodes.set(id, yield* simulation.node(id, { offset, rate }))
    }
    const { bucket, pauseServer } = simulation
    const targets: Faults.Targets = { node: (id) => nodes.get(id)!, bucket, pauseServer }
    const failed = yield* Deferred.make<never, unknown>()
    // Detached: processes run until the simulation ends, and their finalizers do not run then.
    yield* Effect.forEach(nodes.values(), (node) =>
      Effect.forkDetach(
        Effect.catchCause(keepRunning(node, Effect.scoped(process(node))), (cause) => Deferred.failCause(failed, cause))
      ))
    const faults = Effect.all([Effect.sleep(duration), Faults.injectAll(plan.faults, targets)], {
      concurrency: "unbounded",
      discard: true
    })
    const healing = Effect.andThen(
      Effect.forEach(nodes.values(), (node) => Effect.andThen(node.restart, node.heal), { discard: true }),
      bucket("*").lag(0)
    )
    const all = Effect.sleep(warmUp).pipe(
      Effect.andThen(faults),
      Effect.andThen(healing),
      Effect.andThen(Effect.sleep(settleTime))
    )
    return yield* Effect.raceFirst(Effect.andThen(all, violations), Deferred.await(failed))
  })
