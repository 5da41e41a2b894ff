/**
 * What a simulation is asked, and what it tells. Exported by Simulation.ts.
 */
import type * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { KVStore } from "../../KVStore.ts"
import type { BucketOptions } from "../../KVStoreConfig.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import type { NatsClient } from "../../NatsClient.ts"
import type { Disruption, Stop } from "../testing/checksModels.ts"

export type { Disruption, Stop } from "../testing/checksModels.ts"

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
  readonly pause: (duration: Duration.Input) => Effect.Effect<void, InvalidSimulation>
  /**
   * The machine is suspended for so long: its monotonic clock stands still as well. Returns at once. A machine whose
   * process is stopped already is so for longer.
   */
  readonly suspend: (duration: Duration.Input) => Effect.Effect<void, InvalidSimulation>
  /**
   * Sets the wall clock forward, or back where the duration is negative. The monotonic clock goes on as it did. A machine
   * that is suspended is set 2 s after it has woken.
   */
  readonly stepClock: (duration: Duration.Input) => Effect.Effect<void, InvalidSimulation>
  /**
   * Nothing passes that way until `heal`, or for so long; returns at once. What is sent meanwhile waits, as with
   * TCP, and arrives then, unless the client has noticed (after 6 to 9 s) and
   * given the connection up.
   */
  readonly cut: (
    direction: "requests" | "replies" | "both",
    lasting?: Duration.Input
  ) => Effect.Effect<void, InvalidSimulation>
  /** How messages travel from now on: until `heal`, or for so long. Returns at once. Of several the last one counts. */
  readonly link: (quality: LinkQuality, lasting?: Duration.Input) => Effect.Effect<void, InvalidSimulation>
  /** The connection breaks at once, and is made again within a second. */
  readonly disconnect: Effect.Effect<void>
  /** Ends `cut` and `link`. */
  readonly heal: Effect.Effect<void>
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
  readonly loseLeader: (gap: Duration.Input) => Effect.Effect<void, InvalidSimulation>
  /** The stream is gone, with all that was in it. */
  readonly loseStream: Effect.Effect<void, InvalidSimulation>
  /** The same, and somebody else has made it again at once: its revisions begin at 1. */
  readonly recreateStream: Effect.Effect<void, InvalidSimulation>
  /** As by a restored backup: the last messages are gone, and their revisions are given again. */
  readonly rollBack: (messages: number) => Effect.Effect<void, InvalidSimulation>
  /** The server forgets every watch. */
  readonly dropConsumers: Effect.Effect<void, InvalidSimulation>
  /** Copies of a replicated bucket hear of changes this much later from now on. */
  readonly lag: (duration: Duration.Input) => Effect.Effect<void, InvalidSimulation>
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
 * The fleet that a program runs in.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulationService {
  readonly seed: string
  /** A machine, switched on; off again, as by a crash, when the scope closes. Its id is letters, digits, `_` and `-`. */
  readonly node: (
    id: string,
    options?: NodeOptions
  ) => Effect.Effect<SimulatedNode, InvalidSimulation, Scope.Scope>
  /** The simulation's bucket. */
  readonly store: SimulatedStore
  /** Any bucket by its name; `"*"`: every one that there has been; `"#1"`: the second one that was made. */
  readonly bucket: (name: string) => SimulatedStore
  /** The whole server stands still for so long, and goes on where it was. */
  readonly pauseServer: (duration: Duration.Input) => Effect.Effect<void, InvalidSimulation>
  /** Milliseconds of true time since the beginning. */
  readonly now: Effect.Effect<number>
  /** A line of the program's own in the timeline. */
  readonly note: (who: string, what: string) => Effect.Effect<void>
  readonly facts: Effect.Effect<Facts>
}

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
 * The process that was to run this has crashed.
 *
 * @category errors
 * @since 0.1.0
 */
export class NodeCrashed extends Data.TaggedError("NodeCrashed")<{ readonly node: string }> {
  override get message(): string {
    return `the process on ${this.node} has crashed: start it again with node.restart`
  }
}

/**
 * A machine or a run that cannot be had as asked.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidSimulation extends Data.TaggedError("InvalidSimulation")<{ readonly problem: string }> {
  override get message(): string {
    return this.problem
  }
}

/**
 * A run that came to no end: nothing could happen any more (the program waits for
 * something outside the simulation, or for itself), its time was up, or it ran on
 * without time going on.
 *
 * @category errors
 * @since 0.1.0
 */
export class SimulationStuck extends Data.TaggedError("SimulationStuck")<{
  readonly seed: string
  readonly how: "nothing left" | "time is up" | "spinning" | "the real world"
  readonly at: Duration.Duration
}> {
  readonly #timeline: string

  constructor(fields: {
    readonly seed: string
    readonly how: "nothing left" | "time is up" | "spinning" | "the real world"
    readonly at: Duration.Duration
    readonly timeline: string
  }) {
    const { timeline, ...shown } = fields
    super(shown)
    this.#timeline = timeline
  }

  /**
   * What happened until then; empty unless it was asked for.
   *
   * @since 0.1.0
   */
  get timeline(): string {
    return this.#timeline
  }

  override get message(): string {
    const why = {
      "nothing left":
        "nothing can happen any more: the program waits for the real world (a promise, a socket), or for itself",
      "time is up": "the limit of its time is reached: end the program, or raise `limit`",
      spinning: "work goes on and on without time passing: a loop that never sleeps",
      "the real world": "something was waited for that is not simulated (a promise, a socket, a timer of the host)"
    }
    return `the simulation with seed ${this.seed} stands still after ${Duration.format(this.at)}: ${why[this.how]}`
  }
}
