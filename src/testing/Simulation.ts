/**
 * A whole fleet in one process, on a virtual clock: one simulated NATS server,
 * and as many machines as a test wants, each with clocks of its own, a link of
 * its own, and the very code that runs in production on it. Minutes pass in
 * milliseconds, and every choice (delays, orders, what a crash loses) is made
 * from one seed, so that what was seen once can be seen again.
 *
 * `run` runs a program in a simulation; in it `Simulation` is what machines and
 * faults are asked of. Nothing waits for real time: a program that waits for a
 * promise, a socket or a timer of the host's would wait for ever, and fails with
 * `SimulationStuck`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { Fleet } from "../internal/simulation/fleet.ts"
import {
  type InvalidSimulation,
  type Run,
  type RunOptions,
  type SimulationService,
  SimulationStuck
} from "../internal/simulation/models.ts"
import { shown } from "../internal/simulation/timeline.ts"

export * from "../internal/simulation/models.ts"

/**
 * The fleet that a program runs in.
 *
 * @category services
 * @since 0.1.0
 */
export class Simulation extends Context.Service<Simulation, SimulationService>()("effect-aegis/testing/Simulation") {}

/**
 * Runs a program in a fleet of its own, from its beginning to its end, and gives
 * how it went, whether the program succeeded or failed (`exit`). The same program
 * with the same seed goes the same way.
 *
 * @category running
 * @since 0.1.0
 */
export const runExit = <A, E>(
  program: Effect.Effect<A, E, Simulation | Scope.Scope>,
  options: RunOptions = {}
): Effect.Effect<Run<A, E>, SimulationStuck | InvalidSimulation> =>
  Effect.gen(function*() {
    const fleet = yield* Fleet.make(options)
    const { seed } = fleet
    const time = () => Duration.millis(fleet.lasted)
    const exit = yield* Effect.mapError(
      fleet.run(Effect.scoped(Effect.provideService(program, Simulation, fleet.service))),
      (how) => new SimulationStuck({ seed, how, at: time(), timeline: shown(fleet.lines, []) })
    )
    const { lines } = fleet
    return {
      seed,
      exit,
      lasted: time(),
      faults: fleet.world.faults,
      facts: fleet.facts(),
      timeline: (...who) => shown(lines, who),
      timelineOf: (from, until) => shown(lines.filter(({ at }) => at >= from && at <= until), [])
    }
  })

/**
 * The same, and fails where the program fails.
 *
 * **Example** (A leader that crashes)
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const simulation = yield* Simulation.Simulation
 *   const [a, b] = [yield* simulation.node("a"), yield* simulation.node("b")]
 *   const lead = (node: Simulation.SimulatedNode) =>
 *     Election.Election.use((election) => election.whileLeader("job", () => Effect.never)).pipe(
 *       Effect.provide(Election.layer().pipe(Layer.provide(node.layer)))
 *     )
 *   yield* Effect.forkChild(a.run(lead(a)))
 *   yield* Effect.sleep("10 seconds")
 *   yield* Effect.forkChild(b.run(lead(b)))
 *   yield* a.crash
 *   yield* Effect.sleep("30 seconds")
 *   const { stored } = yield* simulation.facts
 *   assert.isAbove(stored.length, 0)
 * })
 * const run = Simulation.run(program, { seed: 7 })
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = <A, E>(
  program: Effect.Effect<A, E, Simulation | Scope.Scope>,
  options: RunOptions = {}
): Effect.Effect<Run<A> & { readonly value: A }, E | SimulationStuck | InvalidSimulation> =>
  Effect.flatMap(runExit(program, options), (outcome) =>
    Exit.match(outcome.exit, {
      onFailure: (cause) => Effect.failCause(cause),
      onSuccess: (value) => Effect.succeed({ ...outcome, exit: Exit.succeed(value), value })
    }))
