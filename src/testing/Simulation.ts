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
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { InvalidConfig } from "../AegisError.ts"
import { Fleet } from "../internal/simulation/fleet.ts"
import { shown } from "../internal/simulation/timeline.ts"
import type { KVStore } from "../KVStore.ts"
import type { BucketOptions } from "../KVStoreConfig.ts"
import type { KVStoreError } from "../KVStoreError.ts"
import type { NatsClient } from "../NatsClient.ts"
import type { Disruption, Stop } from "./Checks.ts"
import { type NodeCrashed, SimulationStuck } from "./SimulationError.ts"

export { InvalidConfig } from "../AegisError.ts"
export type { Disruption, Stop } from "./Checks.ts"
export { NodeCrashed, SimulationStuck } from "./SimulationError.ts"

/**
 * The fleet that a program runs in.
 *
 * @category services
 * @since 0.1.0
 */
export class Simulation extends Context.Service<Simulation, {
  readonly seed: string
  /** A machine, switched on; off again, as by a crash, when the scope closes. Its id is letters, digits, `_` and `-`. */
  readonly node: (
    id: string,
    options?: NodeOptions
  ) => Effect.Effect<SimulatedNode, InvalidConfig, Scope.Scope>
  /** The simulation's bucket. */
  readonly store: SimulatedStore
  /** Any bucket by its name; `"*"`: every one that there has been; `"#1"`: the second one that was made. */
  readonly bucket: (name: string) => SimulatedStore
  /** The whole server stands still for so long, and goes on where it was. */
  readonly pauseServer: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** Milliseconds of true time since the beginning. */
  readonly now: Effect.Effect<number>
  /** A line of the program's own in the timeline. */
  readonly note: (who: string, what: string) => Effect.Effect<void>
  readonly facts: Effect.Effect<Facts>
}>()("effect-aegis/testing/Simulation") {}

/**
 * How to run a simulation.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /** What decides everything. Default 1. */
  readonly seed?: number | string | undefined
  /** Which line of servers is simulated. Default `"2.15"`. */
  readonly server?: "2.10" | "2.15" | undefined
  /** The bucket of `node.layer` and `store`. Default `{ bucket: "simulation" }`. */
  readonly bucket?: BucketOptions | undefined
  /** True time after which the run is given up. Default 1 hour. */
  readonly limit?: Duration.Input | undefined
  /** Whether to write down what happens. It costs time. Default false. */
  readonly timeline?: boolean | undefined
}

/**
 * How a machine of the fleet is set up.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeOptions {
  /** How far its wall clock is set wrong. Default: not at all. */
  readonly offset?: Duration.Input | undefined
  /** How fast its clocks run beside true time. Default 1. */
  readonly rate?: number | undefined
}

/**
 * A machine, and the process that runs on it. Times are true time.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedNode {
  readonly id: string
  /** The machine's clocks, wall and monotonic. */
  readonly clock: Clock.Clock
  /** The simulation's bucket, over a connection of this machine's; with it the machine's clocks, chance and scheduler. */
  readonly layer: Layer.Layer<KVStore, KVStoreError>
  /** A connection of this machine's, for `NatsKVStore.layer` of any bucket. */
  readonly client: Layer.Layer<NatsClient, KVStoreError>
  /**
   * Runs an effect in this machine's process: on its clocks, in its order, until
   * it ends, or fails with `NodeCrashed`. A crash runs no finalizer.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | NodeCrashed, R>
  /** Whether its process has crashed, and not been started again. */
  readonly hasCrashed: Effect.Effect<boolean>
  /** As by SIGKILL: nothing of the process happens any more, no finalizer runs, and what it held is not given back. */
  readonly crash: Effect.Effect<void>
  /** Waits until there is a process: at once, or when it has been started again. */
  readonly running: Effect.Effect<void>
  /** A new process, which knows nothing of the one before: `run` runs in it from now on. */
  readonly restart: Effect.Effect<void>
  /** As by SIGSTOP, and SIGCONT so much later. Returns at once. A process that is stopped already is so for longer. */
  readonly pause: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * The machine is suspended for so long: its monotonic clock stands still as well. Returns at once. A machine whose
   * process is stopped already is so for longer.
   */
  readonly suspend: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Sets the wall clock forward, or back where the duration is negative. The monotonic clock goes on as it did. A machine
   * that is suspended is set 2 s after it has woken.
   */
  readonly stepClock: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Nothing passes that way until `heal`, or for so long; returns at once. What is sent meanwhile waits, as with
   * TCP, and arrives then, unless the client has noticed (after 6 to 9 s) and
   * given the connection up.
   */
  readonly cut: (
    direction: "requests" | "replies" | "both",
    duration?: Duration.Input
  ) => Effect.Effect<void, InvalidConfig>
  /** How messages travel from now on: until `heal`, or for so long. Returns at once. Of several the last one counts. */
  readonly link: (quality: LinkQuality, duration?: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** The connection breaks at once, and is made again within a second. */
  readonly disconnect: Effect.Effect<void>
  /** Ends `cut` and `link`. */
  readonly heal: Effect.Effect<void>
}

/**
 * How messages travel between a machine and the server, each way.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinkQuality {
  /** What a message takes at least. Default 0.2 ms. */
  readonly minDelay?: Duration.Input | undefined
  /** What a message takes at most. Default 1.5 ms. */
  readonly maxDelay?: Duration.Input | undefined
  /** The chance of a message to be lost, from 0 to 1. Default 0. */
  readonly loss?: number | undefined
  /** The chance of a message to be overtaken by later ones, from 0 to 1. Default 0: in order, as TCP has it. */
  readonly reordering?: number | undefined
}

/**
 * A bucket on the server, as what may happen to it.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedStore {
  /**
   * The stream has no leader for so long: requests find nobody, and answers that were under way may never come. One that
   * is kept in a single server's memory is lost.
   */
  readonly loseLeader: (gap: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** The stream is gone, with all that was in it. */
  readonly loseStream: Effect.Effect<void, InvalidConfig>
  /** The same, and somebody else has made it again at once: its revisions begin at 1. */
  readonly recreateStream: Effect.Effect<void, InvalidConfig>
  /** As by a restored backup: the last messages are gone, and their revisions are given again. */
  readonly rollBack: (messages: number) => Effect.Effect<void, InvalidConfig>
  /** The server forgets every watch. */
  readonly dropConsumers: Effect.Effect<void, InvalidConfig>
  /** Copies of a replicated bucket hear of changes this much later from now on. */
  readonly lag: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
}

/**
 * A write that the store has taken.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredWrite {
  readonly bucket: string
  readonly key: string
  readonly revision: number
  readonly operation: "put" | "delete" | "purge" | "expire"
  readonly value: Uint8Array
  /** Milliseconds of true time. */
  readonly at: number
}

/**
 * When a bucket lost what it had, and how: milliseconds of true time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Loss {
  readonly bucket: string
  readonly at: number
  readonly how: "lost" | "recreated" | "rolled back"
}

/**
 * What has happened so far, for checkers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  /** Machines that did not run although they lived: paused or frozen. */
  readonly stops: ReadonlyArray<Stop>
  /** When processes crashed, or machines were switched off. */
  readonly crashes: ReadonlyArray<{ readonly node: string; readonly at: number }>
  /** Stops, cuts and poor links of machines, and what the server itself went through (no node: everybody). */
  readonly disruptions: ReadonlyArray<Disruption>
  /** Machines of which any process has ever connected to the server. */
  readonly connected: ReadonlyArray<string>
  /** The names of all buckets that there have been. */
  readonly buckets: ReadonlyArray<string>
  /** Every message that any bucket has taken, in order. */
  readonly stored: ReadonlyArray<StoredWrite>
  /** When buckets were lost, remade or rolled back. */
  readonly losses: ReadonlyArray<Loss>
}

/**
 * How a run went.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run<A, E = never> {
  readonly seed: string
  /** What the program came to. */
  readonly exit: Exit.Exit<A, E>
  /** True time that passed in it. */
  readonly lasted: Duration.Duration
  /** How often each fault has struck: has changed what somebody was told, or when. */
  readonly faults: ReadonlyMap<string, number>
  readonly facts: Facts
  /** What happened, line by line; of these machines only, where they are named (the server is `store`). */
  readonly timeline: (...who: ReadonlyArray<string>) => string
  /** The same, of a stretch of true time in milliseconds. */
  readonly timelineOf: (from: number, until: number) => string
}

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
): Effect.Effect<Run<A, E>, SimulationStuck | InvalidConfig> =>
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
): Effect.Effect<Run<A> & { readonly value: A }, E | SimulationStuck | InvalidConfig> =>
  Effect.flatMap(runExit(program, options), (outcome) =>
    Exit.match(outcome.exit, {
      onFailure: (cause) => Effect.failCause(cause),
      onSuccess: (value) => Effect.succeed({ ...outcome, exit: Exit.succeed(value), value })
    }))
