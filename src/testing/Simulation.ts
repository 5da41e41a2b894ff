/**
 * Simulates a fleet in one process and on a virtual clock: one NATS server and any
 * number of machines. Each machine has its own clocks and its own link to the server,
 * and runs production code, including the NATS driver of this library.
 *
 * Simulated minutes take milliseconds. One random seed decides every delay, every
 * order of events and every lost message, so a run can be repeated exactly.
 *
 * `run` runs a program in a new simulation. The program creates machines and injects
 * faults with the `Simulation` service. Real I/O and real timers are not supported: a
 * program that waits for a promise, a socket or a timer of the host fails with
 * `SimulationStuck`.
 *
 * All times are simulated time unless their description names another clock. A
 * number is in milliseconds. Simulated time starts at 0 when the run starts.
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
 * The simulated fleet in which a program runs: its machines, its server and the
 * recorded facts.
 *
 * @category services
 * @since 0.1.0
 */
export class Simulation extends Context.Service<Simulation, {
  /** The random seed of this run, as text. */
  readonly seed: string
  /**
   * Starts a machine with a running process. The machine is switched off when the scope closes, as in a crash: its
   * process runs no finalizers. An id consists of letters, digits, `_` and `-`. The ids `store` and `test` are
   * reserved. Fails with `InvalidConfig` if an option or the id is invalid, or if the run has already used the id.
   */
  readonly node: (
    id: string,
    options?: NodeOptions
  ) => Effect.Effect<SimulatedNode, InvalidConfig, Scope.Scope>
  /** The faults of the bucket that `RunOptions.bucket` configures. */
  readonly store: SimulatedStore
  /**
   * Returns the faults of the bucket with this name. `"*"` means every bucket that exists or existed when the fault is
   * injected, `"#0"` the first of these buckets, `"#1"` the second, and so on. A number beyond the last bucket wraps
   * around. An invalid name makes every fault fail with `InvalidConfig`.
   */
  readonly bucket: (name: string) => SimulatedStore
  /** Pauses the server for `duration`, with all buckets, and resumes it with its state unchanged. Returns at once. */
  readonly pauseServer: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** The simulated time in milliseconds since the start of the run. */
  readonly now: Effect.Effect<number>
  /** Adds a line to the timeline: `who` is a node id or another name, `what` the text. */
  readonly note: (who: string, what: string) => Effect.Effect<void>
  /** The facts recorded so far. */
  readonly facts: Effect.Effect<Facts>
}>()("effect-aegis/testing/Simulation") {}

/**
 * Options for a simulation run.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /** The random seed. The same program with the same seed runs identically. Default 1. */
  readonly seed?: number | string | undefined
  /** The simulated version of nats-server: 2.10.27 or 2.15.1. Default `"2.15"`. */
  readonly server?: "2.10" | "2.15" | undefined
  /**
   * The configuration of the bucket for `SimulatedNode.layer` and `Simulation.store`. Default `{ bucket: "simulation"
   * }`.
   */
  readonly bucket?: BucketOptions | undefined
  /**
   * The number of bytes that may wait to be sent to one client, as `max_pending` of nats-server. If more wait, the server
   * cuts the connection, and the client reconnects. Messages wait while a link has too little bandwidth or is cut.
   * Default 64 MiB.
   */
  readonly maxPending?: number | undefined
  /** The simulated time after which an unfinished run fails with `SimulationStuck`. Default 1 hour. */
  readonly limit?: Duration.Input | undefined
  /** Whether to record a timeline. Recording makes the run slower. Default false. */
  readonly timeline?: boolean | undefined
}

/**
 * Options for a machine.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeOptions {
  /** The error of the wall clock: positive if it is ahead, negative if it is behind. At most 366 days. Default 0. */
  readonly offset?: Duration.Input | undefined
  /** The rate of both clocks relative to simulated time: 1.1 is 10 % fast. Greater than 0. Default 1. */
  readonly rate?: number | undefined
}

/**
 * A simulated machine and the process that runs on it.
 *
 * **Details**
 *
 * Durations of faults are in simulated time. A fault with an invalid argument fails
 * with `InvalidConfig` and is not injected.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedNode {
  /** The id that was passed to `Simulation.node`. */
  readonly id: string
  /** The wall clock and the monotonic clock of the machine. */
  readonly clock: Clock.Clock
  /**
   * The bucket of `RunOptions.bucket`, over a connection of this machine. The layer also provides the machine's clocks,
   * random numbers and scheduler.
   */
  readonly layer: Layer.Layer<KVStore, KVStoreError>
  /**
   * A connection of this machine to the simulated server, for `Buckets.layerNats`. The layer also provides
   * the machine's clocks, random numbers and scheduler.
   */
  readonly client: Layer.Layer<NatsClient, KVStoreError>
  /**
   * Runs an effect in the machine's current process, with the machine's clocks, random numbers and scheduler. Fails
   * with `NodeCrashed` when the process crashes, or at once if it has crashed before. A crash runs no finalizers.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | NodeCrashed, R>
  /** Whether the process has crashed and has not been restarted. */
  readonly hasCrashed: Effect.Effect<boolean>
  /** Ends the process as SIGKILL does: its fibers stop, no finalizer runs, and no resource is released. */
  readonly crash: Effect.Effect<void>
  /** Waits until the machine has a running process: at once, or after the next `restart`. */
  readonly running: Effect.Effect<void>
  /** Starts a new process after a crash, for later calls of `run`. Does nothing if the process has not crashed. */
  readonly restart: Effect.Effect<void>
  /**
   * Pauses the process as SIGSTOP does and resumes it after `duration`, as SIGCONT does. Both clocks advance during the
   * pause. Returns at once. If the machine is paused or suspended, extends that to `duration` from now if it would end
   * earlier.
   */
  readonly pause: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Suspends the machine for `duration`: its monotonic clock stops, its wall clock advances. Returns at once. If the
   * machine is paused or suspended, extends that to `duration` from now if it would end earlier.
   */
  readonly suspend: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Sets the wall clock forward, or back if the duration is negative, by at most 366 days. The monotonic clock does not
   * change. During a suspension, and for 2 s after it, the step is delayed until 2 s after the machine resumes.
   */
  readonly stepClock: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Cuts the link for requests (to the server), for replies (to the machine), or for both. The cut lasts for
   * `duration`, or until `heal` if `duration` is omitted. Returns at once. As with TCP, messages sent during the cut
   * are delivered after it, unless the client closes the connection before: 6 to 9 s after the cut.
   */
  readonly cut: (
    direction: "requests" | "replies" | "both",
    duration?: Duration.Input
  ) => Effect.Effect<void, InvalidConfig>
  /**
   * Sets the quality of the link for `duration`, or until `heal` if `duration` is omitted. Returns at once. If several
   * qualities are in effect, the link has the one that was set last.
   */
  readonly link: (quality: LinkQuality, duration?: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** Breaks the connections of the machine. Each client reconnects within 1 s if it can reach the server. */
  readonly disconnect: Effect.Effect<void>
  /**
   * Takes a right to a bucket from the machine's user for `duration`, as a reload of the server's configuration does.
   * Returns at once. Without the right to `write`, writes fail with `PermissionDenied`; reads and watches work. Without
   * the right to `read`, reads fail, and watches end, with `PermissionDenied`; writes work. The connection stays. The
   * names of buckets are those of `Simulation.bucket`.
   */
  readonly revoke: (
    right: "read" | "write",
    bucket: string,
    duration: Duration.Input
  ) => Effect.Effect<void, InvalidConfig>
  /** Ends every `cut` and every `link` quality of the machine. */
  readonly heal: Effect.Effect<void>
}

/**
 * The quality of the link between a machine and the server. Except for `bandwidth`, it
 * applies to each direction.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinkQuality {
  /** The shortest delay of a message. Default 0.2 ms. */
  readonly minDelay?: Duration.Input | undefined
  /** The longest delay of a message, at least `minDelay`. Default 1.5 ms, or `minDelay` if that is longer. */
  readonly maxDelay?: Duration.Input | undefined
  /** The probability that a message is lost, from 0 to 1. Default 0. */
  readonly loss?: number | undefined
  /** The probability that later messages overtake a message, from 0 to 1. Default 0: in order, as with TCP. */
  readonly reordering?: number | undefined
  /**
   * The bandwidth of each connection from the server to the machine, in bytes per second: messages wait for the messages
   * before them. Requests to the server do not wait. Default: unlimited.
   */
  readonly bandwidth?: number | undefined
}

/**
 * Injects faults into one or several buckets on the server. A bucket that does not
 * exist is skipped.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedStore {
  /**
   * Removes the leader of the bucket's stream for `gap`. Writes fail with "no responders". Requests of the JetStream
   * API get an error or no reply. Direct reads succeed only on a replicated bucket. Writes in flight may be stored
   * without a reply, and consumers may be lost. A stream with memory storage and one replica is deleted. NATS clusters
   * need 4 to 9 s to elect a new leader.
   */
  readonly loseLeader: (gap: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /** Deletes the bucket's stream with its messages and consumers. */
  readonly loseStream: Effect.Effect<void, InvalidConfig>
  /** Deletes the bucket's stream and recreates it at once. Revisions of the new stream begin at 1. */
  readonly recreateStream: Effect.Effect<void, InvalidConfig>
  /**
   * Removes the messages with the last `messages` revisions, as a restored backup does. Later writes reuse these
   * revisions.
   */
  readonly rollBack: (messages: number) => Effect.Effect<void, InvalidConfig>
  /** Deletes every consumer of the stream, which ends the delivery to every watch. */
  readonly dropConsumers: Effect.Effect<void, InvalidConfig>
  /** Sets the additional delay of the copies of a replicated bucket, from now on. 0 ends it. */
  readonly lag: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
  /**
   * Leaves no free storage for the bucket on its servers for `duration`. Writes, also deletes and purges, fail with
   * `StorageFull` if their condition holds. Reads and watches work. Values expire as before, but not if the bucket has
   * expiry markers: a marker needs space. The leader of a replicated bucket steps down after the first refused write, and
   * the bucket has no leader until there is space.
   */
  readonly fill: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
}

/**
 * A message that a bucket accepted.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredWrite {
  /** The name of the bucket. */
  readonly bucket: string
  /** The key of the message. */
  readonly key: string
  /** The revision of the message. */
  readonly revision: number
  /** The kind of message: a value (`put`), a delete or purge marker, or an expiry marker of the server (`expire`). */
  readonly operation: "put" | "delete" | "purge" | "expire"
  /** The stored value. Empty for markers. */
  readonly value: Uint8Array
  /** When the bucket accepted the message: simulated time in milliseconds. */
  readonly at: number
  /**
   * The time that the bucket gave the message, from which its age counts: simulated time in milliseconds. Milliseconds
   * before `at`, or longer if the store was paused in between.
   */
  readonly stampedAt: number
}

/**
 * A loss of messages in a bucket.
 *
 * @category models
 * @since 0.1.0
 */
export interface Loss {
  /** The name of the bucket. */
  readonly bucket: string
  /** When the loss happened: simulated time in milliseconds. */
  readonly at: number
  /**
   * `lost`: the stream or its content was lost. `recreated`: deleted and recreated. `rolled back`: the last messages.
   */
  readonly how: "lost" | "recreated" | "rolled back"
}

/**
 * The facts that a simulation has recorded so far, for checks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  /** The pauses and suspensions of machines. One that has not ended is recorded as ending now. */
  readonly stops: ReadonlyArray<Stop>
  /** The crashes of processes and the ends of machines whose scope has closed. */
  readonly crashes: ReadonlyArray<{
    /** The id of the machine. */
    readonly node: string
    /** Simulated time in milliseconds. */
    readonly at: number
  }>
  /**
   * The pauses, suspensions, clock steps, cuts, degraded links, broken connections and missing rights of machines, and
   * the disruptions of the server (with an undefined `node`).
   */
  readonly disruptions: ReadonlyArray<Disruption>
  /** The ids of the machines that have connected to the server. */
  readonly connected: ReadonlyArray<string>
  /** The names of all buckets that exist or existed, in order of creation. */
  readonly buckets: ReadonlyArray<string>
  /** Every message that any bucket has accepted, in order. */
  readonly stored: ReadonlyArray<StoredWrite>
  /** The losses of messages in buckets. */
  readonly losses: ReadonlyArray<Loss>
  /**
   * The times at which consumers of a bucket were lost that no client had deleted: by a fault of the bucket, or because
   * they had no pull for 10 s. A watch that loses its consumer creates another one.
   */
  readonly consumerLosses: ReadonlyArray<{
    /** The name of the bucket. */
    readonly bucket: string
    /** Simulated time in milliseconds. */
    readonly at: number
  }>
}

/**
 * The outcome of a simulation run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run<A, E = never> {
  /** The random seed of the run, as text. */
  readonly seed: string
  /** The exit of the program. */
  readonly exit: Exit.Exit<A, E>
  /** The simulated duration of the run. */
  readonly lasted: Duration.Duration
  /**
   * How often each fault took effect, by the name of the effect, such as `crash` or `request lost`. `no store leader`
   * counts only if a request arrived during the gap, `store full` for each refused write, and `server paused` only if the
   * server had work to delay.
   */
  readonly faults: ReadonlyMap<string, number>
  /** The facts recorded until the end of the run. */
  readonly facts: Facts
  /**
   * Returns the timeline as text, with times in seconds. If names are passed, returns only the lines of these names:
   * node ids, or `store` for the server. Empty unless `RunOptions.timeline` is true.
   */
  readonly timeline: (...who: ReadonlyArray<string>) => string
  /** Returns the timeline between two simulated times in milliseconds. Empty unless `RunOptions.timeline` is true. */
  readonly timelineOf: (from: number, until: number) => string
}

/**
 * Runs a program in a new simulation and returns the outcome. If the program fails,
 * the failure is in `exit`.
 *
 * **Details**
 *
 * The same program with the same seed runs identically. Fails with `InvalidConfig` if
 * an option is invalid, and with `SimulationStuck` if the program does not end.
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
 * Runs a program in a new simulation and returns the outcome with the program's
 * result. Fails if the program fails.
 *
 * **Details**
 *
 * The same program with the same seed runs identically. Fails with `InvalidConfig` if
 * an option is invalid, and with `SimulationStuck` if the program does not end.
 *
 * **Example** (A leader that crashes)
 *
 * ```ts
 * import * as assert from "node:assert/strict"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { Election } from "effect-aegis"
 * import { Simulation } from "effect-aegis/testing"
 *
 * const program = Effect.gen(function*() {
 *   const simulation = yield* Simulation.Simulation
 *   const a = yield* simulation.node("a")
 *   const b = yield* simulation.node("b")
 *   const leaders: Array<string> = []
 *   const campaignOn = (node: Simulation.SimulatedNode) =>
 *     Effect.forkChild(node.run(
 *       Election.Election.use((election) =>
 *         election.whileLeader("job", () => Effect.andThen(Effect.sync(() => leaders.push(node.id)), Effect.never))
 *       ).pipe(Effect.provide(Election.layer().pipe(Layer.provide(node.layer))))
 *     ))
 *   yield* campaignOn(a)
 *   yield* Effect.sleep("10 seconds")
 *   yield* campaignOn(b)
 *   yield* a.crash
 *   yield* Effect.sleep("30 seconds")
 *   return leaders
 * })
 *
 * const run = await Effect.runPromise(Simulation.run(program, { seed: 7 }))
 * assert.deepEqual(run.value, ["a", "b"])
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = <A, E>(
  program: Effect.Effect<A, E, Simulation | Scope.Scope>,
  options: RunOptions = {}
): Effect.Effect<
  Run<A> & {
    /** The result of the program. */
    readonly value: A
  },
  E | SimulationStuck | InvalidConfig
> =>
  Effect.flatMap(runExit(program, options), (outcome) =>
    Exit.match(outcome.exit, {
      onFailure: (cause) => Effect.failCause(cause),
      onSuccess: (value) => Effect.succeed({ ...outcome, exit: Exit.succeed(value), value })
    }))
