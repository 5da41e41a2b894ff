/**
 * The fleet of one run: its world, its server, its machines, and the
 * implementation of `Simulation`.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { InvalidConfig } from "../../../AegisError.ts"
import * as config from "../../../internal/kv/config.ts"
import { subjectPrefix } from "../../../internal/kv/headers.ts"
import * as client from "../../../internal/nats/service.ts"
import { invalidConfig, optional, read, type Values } from "../../../internal/options.ts"
import { optionalMillis } from "../../../internal/time.ts"
import type { BucketOptions } from "../../../KVStoreConfig.ts"
import { KVStoreError, Unavailable } from "../../../KVStoreError.ts"
import { NatsClient } from "../../../NatsClient.ts"
import * as NatsKVStore from "../../../NatsKVStore.ts"
import type {
  Facts,
  LinkQuality,
  NodeOptions,
  RunOptions,
  SimulatedNode,
  Simulation,
  StoredWrite
} from "../../Simulation.ts"
import { NodeCrashed } from "../../SimulationError.ts"
import { SimulatedServer } from "../server/server.ts"
import { Chance } from "./chance.ts"
import { Machine } from "./machine.ts"
import { clockFor, NodeClock } from "./nodeClock.ts"
import { referencesOf, runOn } from "./process.ts"
import { direction, linkSettings, nodeId, nodeSettings, runSettings, step, time, withSetting } from "./settings.ts"
import { bucketOf, Stores } from "./stores.ts"
import { goodQuality, type Quality } from "./wire.ts"
import { Actor, type Halt, type Line, World } from "./world.ts"

/** The start of every simulation, in Unix milliseconds. It is fixed so that runs do not depend on the date. */
const epoch = Date.UTC(2026, 0, 1)

/** The timeout of an attempt to connect. */
const connectTimeout = Duration.seconds(2)

/** The maximum number of events before the host's event loop runs other work. */
const turn = 20_000

/** The maximum number of events for the finalizers after the run: a few seconds of real time. */
const mostAtTheEnd = 10 * turn

const versions = { "2.10": "2.10.27", "2.15": "2.15.1" } as const

export class Fleet {
  readonly seed: string
  readonly world: World
  readonly service: Simulation["Service"]
  private readonly server: SimulatedServer
  private readonly stores: Stores
  private readonly version: string
  private readonly machines = new Map<string, Machine>()
  private readonly director: Actor
  private readonly ownClock: NodeClock
  private readonly limit: number
  private readonly bucket: BucketOptions
  private readonly maxPending: number
  private readonly stored: Array<StoredWrite> = []
  private readonly consumerLosses: Array<Facts["consumerLosses"][number]> = []
  private serverPausedUntil = 0
  private endedAt: number | undefined
  /** The timeline until the end of the run; empty if none is recorded. */
  lines: ReadonlyArray<Line> = []

  static make(options: RunOptions): Effect.Effect<Fleet, InvalidConfig> {
    return Effect.gen(function*() {
      const asked = yield* Effect.fromResult(read("options", options, runSettings))
      yield* Effect.mapError(
        config.make(asked.bucket),
        ({ message, reason }) => reason._tag === "InvalidConfig" ? reason : invalidConfig(message)
      )
      return new Fleet(asked)
    })
  }

  private constructor({ bucket, limit, maxPending, seed, server, timeline }: Values<typeof runSettings>) {
    const version = versions[server]
    this.seed = String(seed)
    this.version = version
    this.bucket = bucket
    this.maxPending = maxPending
    this.limit = Duration.toMillis(limit)
    const chance = new Chance(this.seed)
    this.world = new World(chance, { isRecorded: timeline })
    const { after, note, now, injected } = this.world
    this.server = new SimulatedServer({ now, after, note, injected, chance: chance.fork("server") }, { version, epoch })
    this.stores = new Stores(this.world, this.server)
    this.server.onStored(({ at, operation, revision, stampedAt, stream, subject, value }) => {
      const bucket = bucketOf(stream)
      const key = subject.slice(subjectPrefix(bucket).length)
      this.stored.push({ bucket, key, revision, operation, value, at, stampedAt })
    })
    this.server.onConsumersLost((stream) => {
      this.consumerLosses.push({ bucket: bucketOf(stream), at: now() })
    })
    this.director = new Actor(this.world, "director")
    this.ownClock = new NodeClock(this.world, "director", { epoch, offset: 0, rate: 1 })
    this.service = {
      seed: this.seed,
      node: (id, options) => this.node(id, options),
      store: this.stores.of(bucket.bucket),
      bucket: (name) => this.stores.of(name),
      pauseServer: (duration) =>
        withSetting(time, "pauseServer", duration, (value) => this.pauseServer(Duration.toMillis(value))),
      now: Effect.sync(this.world.now),
      note: (who, what) => Effect.sync(() => this.world.note(who, () => what)),
      facts: Effect.sync(() => this.facts())
    }
  }

  facts(): Facts {
    const machines = [...this.machines.values()]
    return {
      stops: machines.flatMap(({ stops }) => stops),
      crashes: machines.flatMap(({ crashes }) => crashes),
      disruptions: [
        ...machines.flatMap(({ disruptions }) => disruptions),
        ...this.stores.disruptions
      ],
      connected: machines.filter(({ hasConnected }) => hasConnected).map(({ id }) => id),
      buckets: Array.from(this.server.known, bucketOf),
      stored: [...this.stored],
      losses: [...this.stores.losses],
      consumerLosses: [...this.consumerLosses]
    }
  }

  /** Runs the program to its end. Fails with the reason if it cannot end. */
  run<A, E>(program: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>, Halt> {
    const references = referencesOf(this.world, "test", this.director, this.ownClock)
    return Effect.acquireUseRelease(
      Effect.contextWith((context: Context.Context<never>) =>
        Effect.sync(() => this.begin(Context.merge(context, references), program))
      ),
      (root) => this.follow(root),
      (root) => Effect.sync(() => this.end(root))
    )
  }

  private begin<A, E>(context: Context.Context<never>, program: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return this.world.inside(() => {
      const root = Effect.runForkWith(context)(program)
      // The end of the fiber counts as activity: it must be caused by the simulation as well.
      root.addObserver(() => this.world.touch())
      return root
    })
  }

  private follow<A, E>(root: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>, Halt> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const ended = this.advance(() => root.pollUnsafe() !== undefined)
        if (ended === "done") {
          // Lets the host's event loop run: fibers that wait for real I/O or timers continue now and are noticed.
          yield* Effect.yieldNow
          return this.world.wasTouched ? yield* Effect.fail<Halt>("the real world") : root.pollUnsafe()!
        }
        if (ended !== "going on") return yield* Effect.fail(ended)
        yield* Effect.yieldNow
      }
    })
  }

  /** Ends the recording. Interrupts a program that did not end and runs its finalizers, unless they need real I/O. */
  private end(root: Fiber.Fiber<unknown, unknown>): void {
    this.endedAt = this.world.now()
    this.lines = Array.from(this.world.lines ?? [])
    if (root.pollUnsafe() !== undefined) return
    this.world.inside(() => root.interruptUnsafe())
    this.world.finish(() => root.pollUnsafe() !== undefined, mostAtTheEnd)
  }

  /** The duration of the run in simulated milliseconds. */
  get lasted(): number {
    return this.endedAt ?? this.world.now()
  }

  /** Runs events. Without a timeline, errors have no stack traces: runs create many errors, and traces are slow. */
  private advance(isDone: () => boolean): Halt | "done" | "going on" {
    const { stackTraceLimit } = Error
    if (this.world.lines === undefined) Error.stackTraceLimit = 0
    try {
      return this.world.advance(isDone, this.limit, turn)
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
  }

  // ------------------------------------------------------------ machines

  private node(id: string, options?: NodeOptions): Effect.Effect<SimulatedNode, InvalidConfig, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      yield* Effect.fromResult(nodeId("id", id))
      const { offset, rate } = yield* Effect.fromResult(read("options", options, nodeSettings))
      if (this.machines.has(id)) {
        return yield* invalidConfig(`id: expected a unique id for each node, got "${id}" twice`)
      }
      const machine = yield* Effect.acquireRelease(
        Effect.sync(() => this.addMachine(id, Duration.toMillis(offset), rate)),
        (machine) => Effect.sync(() => machine.switchOff())
      )
      return this.describe(machine)
    })
  }

  private addMachine(id: string, offset: number, rate: number): Machine {
    const machine = new Machine({
      world: this.world,
      server: this.server,
      version: this.version,
      isServerPaused: () => this.world.now() < this.serverPausedUntil,
      maxPending: this.maxPending,
      id,
      number: this.machines.size,
      epoch,
      offset,
      rate
    })
    this.machines.set(id, machine)
    return machine
  }

  /** The references of a machine's current process, created once per process: a new process has new random numbers. */
  private referencesOf(machine: Machine): () => Context.Context<never> {
    let booted: { readonly process: Actor; readonly references: Context.Context<never> } | undefined
    return () => {
      const { process } = machine
      if (booted?.process !== process) {
        booted = { process, references: referencesOf(this.world, machine.id, process, machine.clock) }
      }
      return booted.references
    }
  }

  private describe(machine: Machine): SimulatedNode {
    const { id } = machine
    const client = this.clientOf(machine)
    const references = this.referencesOf(machine)
    const withReferences = <A, E, R>(inner: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
      Layer.suspend(() => {
        const own = references()
        return Layer.effectContext(
          Effect.provideContext(Effect.map(Layer.build(inner), (built) => Context.merge(built, own)), own)
        )
      })
    return {
      id,
      clock: clockFor(machine.clock, () => machine.process),
      client: withReferences(client),
      layer: withReferences(Layer.provide(NatsKVStore.layer(this.bucket), client)),
      run: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.contextWith((context: Context.Context<R>) =>
          runOn(
            machine.process,
            Context.merge(context, references()),
            effect as Effect.Effect<A, E>,
            (listener) => machine.whenCrashed(listener),
            Effect.fail(new NodeCrashed({ node: id }))
          )
        ),
      ...faultsOf(machine),
      revoke: (right, bucket, duration) => this.stores.revoke(id, right, bucket, duration)
    }
  }

  /** Connects as `NatsClient.layer` does: fails with `Unavailable` after a timeout if the server is unreachable. */
  private clientOf(machine: Machine): Layer.Layer<NatsClient, KVStoreError> {
    const unreachable = new KVStoreError({
      bucket: undefined,
      operation: "connect",
      key: undefined,
      reason: new Unavailable({ problem: `${machine.id} cannot reach the simulated server` })
    })
    const connect = Effect.suspend(() => {
      const connection = machine.connect()
      return connection === undefined
        ? Effect.andThen(Effect.sleep(connectTimeout), Effect.fail(unreachable))
        : Effect.succeed(connection)
    })
    return Layer.effect(
      NatsClient,
      Effect.flatMap(
        Effect.acquireRelease(connect, (connection) => Effect.sync(() => machine.forget(connection)), {
          interruptible: true
        }),
        (connection) => client.make(connection, connection)
      )
    )
  }

  private pauseServer(millis: number): void {
    this.serverPausedUntil = Math.max(this.serverPausedUntil, this.world.now() + millis)
    this.stores.disruptions.push({ node: undefined, from: this.world.now(), until: this.serverPausedUntil })
    this.server.pause(millis)
    for (const machine of this.machines.values()) machine.doubt()
  }
}

/** The faults of a machine as members of its node. */
const faultsOf = (machine: Machine): Omit<SimulatedNode, "id" | "clock" | "client" | "layer" | "run" | "revoke"> => ({
  hasCrashed: Effect.sync(() => machine.hasCrashed),
  crash: Effect.sync(() => machine.crash()),
  running: Effect.callback((resume) => {
    const forget = machine.whenRunning(() => resume(Effect.void))
    return Effect.sync(forget)
  }),
  restart: Effect.sync(() => machine.restart()),
  pause: (duration) => withSetting(time, "pause", duration, (value) => machine.pause(Duration.toMillis(value))),
  suspend: (duration) => withSetting(time, "suspend", duration, (value) => machine.suspend(Duration.toMillis(value))),
  stepClock: (duration) =>
    withSetting(step, "stepClock", duration, (value) => machine.stepClock(Duration.toMillis(value))),
  cut: (which, duration) =>
    Effect.flatMap(
      Effect.fromResult(direction("direction", which)),
      (checked) =>
        withSetting(optional(time), "duration", duration, (value) => machine.cut(checked, optionalMillis(value)))
    ),
  link: (quality, duration) =>
    Effect.flatMap(
      Effect.fromResult(toQuality(quality)),
      (checked) =>
        withSetting(optional(time), "duration", duration, (value) => machine.setQuality(checked, optionalMillis(value)))
    ),
  disconnect: Effect.sync(() => machine.disconnect()),
  heal: Effect.sync(() => machine.heal())
})

const millisPerSecond = 1000

const toQuality = (given: LinkQuality): Result.Result<Quality, InvalidConfig> =>
  Result.flatMap(read("quality", given, linkSettings), ({ bandwidth, loss, reordering, ...delays }) => {
    const minDelay = optionalMillis(delays.minDelay) ?? goodQuality.minDelay
    const maxDelay = optionalMillis(delays.maxDelay) ?? Math.max(minDelay, goodQuality.maxDelay)
    return maxDelay >= minDelay
      ? Result.succeed({ minDelay, maxDelay, loss, reordering, bandwidth: bandwidth / millisPerSecond })
      : Result.fail(invalidConfig(`maxDelay: expected a time from minDelay (${minDelay} ms) on, got ${maxDelay} ms`))
  })
