/**
 * Simulates a whole fleet in one process, on a virtual clock: one NATS server, and
 * as many machines as a test needs, each with clocks and a link of its own, and with
 * the code on it that runs in production. Minutes pass in milliseconds, and every
 * choice (delays, orders, what a crash loses) is made from one seed, so that each
 * run can be repeated.
 *
 * `run` runs a program in a simulation; the program gets machines and faults from
 * `Simulation`. Nothing waits for real time: a program that waits for a promise, a
 * socket or a timer of the host fails with `SimulationStuck`.
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
import type { KVStore } from "../KVStore.ts"
import type { BucketOptions } from "../KVStoreConfig.ts"
import type { KVStoreError } from "../KVStoreError.ts"
import type { NatsClient } from "../NatsClient.ts"
import type { Disruption, Stop } from "./Checks.ts"
import { Fleet } from "./internal/world/fleet.ts"
import { showTimeline } from "./internal/world/world.ts"
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
  /** Starts a machine; it is switched off, as by a crash, when the scope closes. Its id is letters, digits, `_` and `-`. */
  readonly node: (
    id: string,
    options?: NodeOptions
  ) => Effect.Effect<SimulatedNode, InvalidConfig, Scope.Scope>
  /** The simulation's bucket. */
  readonly store: SimulatedStore
  /** Any bucket by its name; `"*"`: every bucket that was created; `"#1"`: the second one of them. */
  readonly bucket: (name: string) => SimulatedStore
  /** Pauses the whole server for `duration`; it goes on where it was. */
  readonly pauseServer: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** Milliseconds of true time since the beginning. */
  readonly now: Effect.Effect<number>
  /** Writes a line into the timeline. */
  readonly note: (who: string, what: string) => Effect.Effect<void>
  readonly facts: Effect.Effect<Facts>
}>()("effect-aegis/testing/Simulation") {}

/**
 * The options of a run.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /** Decides every choice of the run. Default 1. */
  readonly seed?: number | string | undefined
  /** The line of servers that is simulated. Default `"2.15"`. */
  readonly server?: "2.10" | "2.15" | undefined
  /** The bucket of `node.layer` and `store`. Default `{ bucket: "simulation" }`. */
  readonly bucket?: BucketOptions | undefined
  /** True time after which the run fails with `SimulationStuck`. Default 1 hour. */
  readonly limit?: Duration.Input | undefined
  /** Whether to record a timeline. It costs time. Default false. */
  readonly timeline?: boolean | undefined
}

/**
 * The options of a machine.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeOptions {
  /** The error of its wall clock, ahead or (negative) behind. Default 0. */
  readonly offset?: Duration.Input | undefined
  /** How fast its clocks run, relative to true time. Above 0; default 1. */
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
  /** Ends the process as by SIGKILL: nothing of it runs any more, no finalizer either, and what it held is not released. */
  readonly crash: Effect.Effect<void>
  /** Waits until there is a process: at once, or when it has been started again. */
  readonly running: Effect.Effect<void>
  /** Starts a new process, without any state of the one before: `run` runs in it from now on. */
  readonly restart: Effect.Effect<void>
  /** Pauses the process as by SIGSTOP, and SIGCONT after `duration`. Returns at once. A pause that is under way is extended. */
  readonly pause: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Suspends the machine for `duration`: its monotonic clock stands still as well. Returns at once. A pause or a
   * suspension that is under way is extended.
   */
  readonly suspend: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Sets the wall clock forward, or back where the duration is negative. The monotonic clock does not change. The clock of
   * a machine that is suspended is set 2 s after its end.
   */
  readonly stepClock: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Cuts the link in one direction or both, until `heal` or for `duration`. Returns at once. Messages that are sent
   * meanwhile wait, as with TCP, and arrive then, unless the client has closed the connection (after 6 to 9 s).
   */
  readonly cut: (
    direction: "requests" | "replies" | "both",
    duration?: Duration.Input
  ) => Effect.Effect<void, InvalidConfig>
  /** Sets the quality of the link, until `heal` or for `duration`. Returns at once. Of several the last one counts. */
  readonly link: (quality: LinkQuality, duration?: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** Breaks the connection; the client reconnects within a second. */
  readonly disconnect: Effect.Effect<void>
  /** Ends `cut` and `link`. */
  readonly heal: Effect.Effect<void>
}

/**
 * The quality of the link between a machine and the server, in each direction.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinkQuality {
  /** The shortest time of a message. Default 0.2 ms. */
  readonly minDelay?: Duration.Input | undefined
  /** The longest time of a message. Default 1.5 ms. */
  readonly maxDelay?: Duration.Input | undefined
  /** The chance of a message to be lost, from 0 to 1. Default 0. */
  readonly loss?: number | undefined
  /** The chance of a message to be overtaken by later ones, from 0 to 1. Default 0: in order, as TCP has it. */
  readonly reordering?: number | undefined
}

/**
 * The faults of a bucket on the server.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedStore {
  /**
   * Takes the leader of the stream away for `gap`: requests find no responder, and answers that were under way may never
   * come. A stream in the memory of a single server is lost.
   */
  readonly loseLeader: (gap: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** Deletes the stream, with its messages and consumers. */
  readonly loseStream: Effect.Effect<void, InvalidConfig>
  /** Deletes the stream, and creates it again at once: its revisions begin at 1. */
  readonly recreateStream: Effect.Effect<void, InvalidConfig>
  /** Removes the last messages as a restored backup does: their revisions are assigned again. */
  readonly rollBack: (messages: number) => Effect.Effect<void, InvalidConfig>
  /** Deletes every consumer of the stream, and so every watch. */
  readonly dropConsumers: Effect.Effect<void, InvalidConfig>
  /** Delays the copies of a replicated bucket by `duration` from now on. */
  readonly lag: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
}

/**
 * A write that the store took.
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
 * What has happened so far, for checks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  /** When machines were paused or suspended. */
  readonly stops: ReadonlyArray<Stop>
  /** When processes crashed, or machines were switched off. */
  readonly crashes: ReadonlyArray<{ readonly node: string; readonly at: number }>
  /** Stops, cuts and degraded links of machines, and disruptions of the server (without a node). */
  readonly disruptions: ReadonlyArray<Disruption>
  /** Machines that have ever connected to the server. */
  readonly connected: ReadonlyArray<string>
  /** The names of all buckets that there have been. */
  readonly buckets: ReadonlyArray<string>
  /** Every message that any bucket has taken, in order. */
  readonly stored: ReadonlyArray<StoredWrite>
  /** When buckets were lost, recreated or rolled back. */
  readonly losses: ReadonlyArray<Loss>
}

/**
 * The outcome of a run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run<A, E = never> {
  readonly seed: string
  /** The exit of the program. */
  readonly exit: Exit.Exit<A, E>
  /** True time that passed in it. */
  readonly lasted: Duration.Duration
  /** How often each fault took effect: changed an answer, or its time. */
  readonly faults: ReadonlyMap<string, number>
  readonly facts: Facts
  /** The timeline, line by line; of these machines only, where they are named (the server is `store`). */
  readonly timeline: (...who: ReadonlyArray<string>) => string
  /** The timeline between two times: milliseconds of true time. */
  readonly timelineOf: (from: number, until: number) => string
}

/**
 * Runs a program in a fleet of its own, and returns the outcome, also where the
 * program failed (`exit`). The same program with the same seed runs the same way.
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
      (how) => new SimulationStuck({ seed, how, at: time(), timeline: showTimeline(fleet.lines, []) })
    )
    const { lines } = fleet
    return {
      seed,
      exit,
      lasted: time(),
      faults: fleet.world.faults,
      facts: fleet.facts(),
      timeline: (...who) => showTimeline(lines, who),
      timelineOf: (from, until) => showTimeline(lines.filter(({ at }) => at >= from && at <= until), [])
    }
  })

/**
 * Runs a program in a fleet of its own, and fails where the program fails.
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
