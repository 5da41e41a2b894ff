/**
 * Faults of a simulated fleet, as data.
 *
 * A `Plan` lists faults with their times. Plans can be generated, shrunk, printed and
 * replayed.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { InvalidConfig } from "../AegisError.ts"
import * as options from "../internal/options.ts"
import {
  buckets,
  kinds as kindsSetting,
  longestPlan,
  maxFaults,
  nodes,
  planDuration,
  problemOf
} from "./internal/scenario/plan.ts"
import type { SimulatedNode, SimulatedStore } from "./Simulation.ts"

export { InvalidConfig } from "../AegisError.ts"

/** The fields of a fault of a machine. */
const on = <Fields extends Schema.Struct.Fields>(fields: Fields) => ({
  /** When the fault begins: milliseconds from the end of `Scenario.warmUp`, or from the call of `injectAll`. */
  at: whole([0, longestPlan]),
  /** The id of the machine. */
  node: Schema.String,
  ...fields
})

/** The fields of a fault of a bucket. */
const inBucket = <Fields extends Schema.Struct.Fields>(fields: Fields) => ({
  /** When the fault begins: milliseconds from the end of `Scenario.warmUp`, or from the call of `injectAll`. */
  at: whole([0, longestPlan]),
  /** The name of the bucket, `"*"` for every bucket, or `"#0"`, `"#1"` and so on for a bucket by order of creation. */
  bucket: Schema.String,
  ...fields
})

/** Both bounds are inclusive. */
type Bounds = readonly [minimum: number, maximum: number]

/** The bounds of each field: `bandwidth` is bytes per second, `messages` is a count, the others are milliseconds. */
interface Ranges {
  readonly for: Bounds
  readonly flapping: Bounds
  readonly phase: Bounds
  readonly gap: Bounds
  readonly refusing: Bounds
  readonly pause: Bounds
  readonly delay: Bounds
  readonly bandwidth: Bounds
  readonly lag: Bounds
  readonly messages: Bounds
}

/** The bounds for plans written by hand. */
const possible: Ranges = {
  for: [1, longestPlan],
  flapping: [1, longestPlan],
  phase: [1, longestPlan],
  gap: [1, longestPlan],
  refusing: [1, longestPlan],
  pause: [1, longestPlan],
  delay: [1, longestPlan],
  bandwidth: [1, Number.MAX_SAFE_INTEGER],
  lag: [0, longestPlan],
  messages: [0, Number.MAX_SAFE_INTEGER]
}

/**
 * The bounds for generated plans. 30 s is longer than any default lease and as long as the default `maxAge`. NATS
 * clusters need 4 to 9 s to elect a new stream leader. A flapping link or store is often longer than `maxAge`; its
 * phases are shorter and longer than the time that a client needs to notice an outage (2 to 9 s) and to recover. Full
 * storage and a missing right need an operator, so they often last longer than `maxAge`, too.
 */
const drawn: Ranges = {
  for: [1, 30_000],
  flapping: [1, 60_000],
  phase: [200, 10_000],
  gap: [4000, 9000],
  refusing: [1, 60_000],
  pause: [1, 20_000],
  delay: [1, 5000],
  bandwidth: [50_000, 2_000_000],
  lag: [0, 2000],
  messages: [20, 100]
}

const whole = ([minimum, maximum]: Bounds) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const percent = whole([0, 50])

/** The schema of each kind of fault. */
// oxlint-disable-next-line max-lines-per-function -- A table with one entry for each kind.
const schemasIn = (ranges: Ranges) =>
  ({
    /** The process of a machine crashes and is restarted after `for`. */
    Crash: Schema.TaggedStruct(
      "Crash",
      on({
        /** The time until the restart, in milliseconds. */
        for: whole(ranges.for)
      })
    ),
    /** The process of a machine is paused, as by SIGSTOP. */
    Pause: Schema.TaggedStruct(
      "Pause",
      on({
        /** The duration in milliseconds. */
        for: whole(ranges.for)
      })
    ),
    /** A machine is suspended. */
    Suspend: Schema.TaggedStruct(
      "Suspend",
      on({
        /** The duration in milliseconds. */
        for: whole(ranges.for)
      })
    ),
    /** The wall clock of a machine is set. */
    StepClock: Schema.TaggedStruct(
      "StepClock",
      on({
        /** The step in milliseconds: positive is forward, negative is back. */
        by: whole([-longestPlan, longestPlan])
      })
    ),
    /** The link of a machine is cut. */
    Cut: Schema.TaggedStruct(
      "Cut",
      on({
        /** The duration in milliseconds. */
        for: whole(ranges.for),
        /** The messages that are held back: requests to the server, replies to the machine, or both. */
        direction: Schema.Literals(["requests", "replies", "both"])
      })
    ),
    /** The link of a machine is slow, loses messages or reorders them. */
    DegradedLink: Schema.TaggedStruct(
      "DegradedLink",
      on({
        /** The duration in milliseconds. */
        for: whole(ranges.for),
        /** The longest delay of a message, in milliseconds. */
        maxDelay: whole(ranges.delay),
        /** The percentage of lost messages, from 0 to 50. */
        loss: percent,
        /** The percentage of messages that later messages overtake, from 0 to 50. */
        reordering: percent
      })
    ),
    /** The link of a machine has little bandwidth: messages to it wait for the messages before them. */
    NarrowLink: Schema.TaggedStruct(
      "NarrowLink",
      on({
        /** The duration in milliseconds. */
        for: whole(ranges.for),
        /** The bandwidth of each connection of the machine, in bytes per second. */
        bandwidth: whole(ranges.bandwidth)
      })
    ),
    /** The link of a machine is cut repeatedly. */
    FlappingLink: Schema.TaggedStruct(
      "FlappingLink",
      on({
        /** The time from the begin of the first cut until the link stays up, in milliseconds. */
        for: whole(ranges.flapping),
        /** The duration of each cut, in milliseconds. The last one is shorter if `for` ends before it. */
        down: whole(ranges.phase),
        /** The time between two cuts, in milliseconds. */
        up: whole(ranges.phase)
      })
    ),
    /** The connections of a machine break. */
    Disconnect: Schema.TaggedStruct("Disconnect", on({})),
    /** The stream of a bucket has no leader. */
    NoStoreLeader: Schema.TaggedStruct(
      "NoStoreLeader",
      inBucket({
        /** The duration in milliseconds. */
        for: whole(ranges.gap)
      })
    ),
    /** The stream of a bucket repeatedly has no leader. */
    FlappingStore: Schema.TaggedStruct(
      "FlappingStore",
      inBucket({
        /** The time from the first loss of the leader until the stream keeps its leader, in milliseconds. */
        for: whole(ranges.flapping),
        /** The duration of each time without a leader, in milliseconds. The last one is shorter if `for` ends before it. */
        down: whole(ranges.phase),
        /** The time between two losses of the leader, in milliseconds. */
        up: whole(ranges.phase)
      })
    ),
    /** The servers of a bucket have no free storage: it refuses writes, and answers reads. */
    FullStore: Schema.TaggedStruct(
      "FullStore",
      inBucket({
        /** The duration in milliseconds. */
        for: whole(ranges.refusing)
      })
    ),
    /** The user of a machine has no right to use a bucket. */
    RevokedRights: Schema.TaggedStruct(
      "RevokedRights",
      on(inBucket({
        /** The duration in milliseconds. */
        for: whole(ranges.refusing),
        /** The missing right: to write, or to read and to watch. */
        right: Schema.Literals(["read", "write"])
      }))
    ),
    /** The server is paused. */
    PauseServer: Schema.TaggedStruct("PauseServer", {
      /** When the fault begins: milliseconds from the end of `Scenario.warmUp`, or from the call of `injectAll`. */
      at: whole([0, longestPlan]),
      /** The duration in milliseconds. */
      for: whole(ranges.pause)
    }),
    /** Every consumer of a bucket is deleted, which ends the delivery to every watch. */
    DropConsumers: Schema.TaggedStruct("DropConsumers", inBucket({})),
    /** The copies of a replicated bucket lag behind its leader, from `at` on. */
    Lag: Schema.TaggedStruct(
      "Lag",
      inBucket({
        /** The delay of the copies, in milliseconds. */
        by: whole(ranges.lag)
      })
    ),
    /** The stream of a bucket is deleted. */
    LoseStream: Schema.TaggedStruct("LoseStream", inBucket({})),
    /** The stream of a bucket is deleted and recreated by another client: its revisions begin at 1. */
    RecreateStream: Schema.TaggedStruct("RecreateStream", inBucket({})),
    /** The last messages of a bucket are removed, as by a restored backup. */
    RollBack: Schema.TaggedStruct(
      "RollBack",
      inBucket({
        /** The number of messages. */
        messages: whole(ranges.messages)
      })
    )
  }) as const

const schemas = schemasIn(possible)

const drawnSchemas = schemasIn(drawn)

/**
 * Schema for one fault. Times are whole milliseconds of simulated time.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Fault = Schema.Union(Object.values(schemas))

/**
 * One fault, with its time and its target.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = typeof Fault.Type

/**
 * The name of a kind of fault: the `_tag` of a `Fault`.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = Fault["_tag"]

/**
 * The names of all kinds of faults.
 *
 * @category constants
 * @since 0.1.0
 */
export const kinds = Object.keys(schemas) as ReadonlyArray<Kind>

/**
 * The default of `PlanOptions.maxFaults` and `Scenario.maxFaults`: 12.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxFaults = 12

/**
 * Schema for the plan of one run.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Plan = Schema.Struct({
  /** The random seed. It decides everything that `faults` does not: delays, orders of events, errors of clocks. */
  seed: Schema.Int,
  /** The faults of the run, in any order. */
  faults: Schema.Array(Fault)
})

/**
 * The plan of one run: a random seed and a list of faults.
 *
 * @category models
 * @since 0.1.0
 */
export type Plan = typeof Plan.Type

/**
 * The kinds of faults under which elections and registries keep all guarantees. The
 * default of `Scenario.faults`.
 *
 * @category constants
 * @since 0.1.0
 */
export const survivable: ReadonlyArray<Kind> = [
  "Crash",
  "Pause",
  "Suspend",
  "StepClock",
  "Cut",
  "DegradedLink",
  "FlappingLink",
  "Disconnect",
  "NoStoreLeader",
  "FlappingStore",
  "FullStore",
  "RevokedRights",
  "PauseServer",
  "DropConsumers",
  "Lag"
]

/**
 * Options for generated plans.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlanOptions {
  /** The ids of the machines that faults may affect. At least one. */
  readonly nodes: ReadonlyArray<string>
  /**
   * The buckets that faults may affect, at least one: names, `"*"` for every bucket, or `"#0"`, `"#1"` and so on for a
   * bucket by order of creation.
   */
  readonly buckets: ReadonlyArray<string>
  /** Faults begin within this time, at most a day. */
  readonly duration: Duration.Input
  /** The kinds of faults. A pair limits a kind to the given buckets. Default: `survivable`. */
  readonly kinds?: ReadonlyArray<Kind | readonly [kind: Kind, buckets: ReadonlyArray<string>]> | undefined
  /** The maximum number of faults in a plan. Default 12. */
  readonly maxFaults?: number | undefined
}

/** An integer from 0 (inclusive) to `limit` (exclusive), uniformly distributed. It does not shrink. */
const anyBelow = (limit: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Literals(Array.from({ length: limit }, (_, value) => value)), { shrink: () => [] })

/** The length of a seed in hexadecimal digits. */
const digits = 7

/**
 * Seeds are uniformly distributed: integers of `Arbitrary` start small and would repeat. Seeds do not shrink: with the
 * same seed, a shrunk plan runs identically up to the first fault that differs.
 */
const seeds = Arbitrary.map(
  Arbitrary.all(Array.from({ length: digits }, () => anyBelow(16))),
  (values) => values.reduce((seed, value) => seed * 16 + value, 0)
)

/** A plan concatenates this many generated lists: one list is often empty, all of them rarely are. */
const lists = 3

/** Faults of one kind, with the nodes and buckets of the fleet as targets. */
const fitted = (
  kind: Kind,
  targets: ReadonlyArray<string>,
  { duration, nodes }: PlanValues
): Arbitrary.Arbitrary<Fault> => {
  const { fields } = drawnSchemas[kind]
  const when = whole([0, Math.floor(Duration.toMillis(duration))])
  return Arbitrary.schema(
    Schema.Struct({
      ...fields,
      at: when,
      ...("node" in fields ? { node: Schema.Literals(nodes) } : {}),
      ...("bucket" in fields ? { bucket: Schema.Literals(targets) } : {})
    })
  ) as Arbitrary.Arbitrary<Fault>
}

const planSettings = {
  nodes,
  buckets,
  duration: planDuration,
  kinds: options.withDefault(kindsSetting(Fault), survivable),
  maxFaults: options.withDefault(maxFaults, defaultMaxFaults)
}

type PlanValues = options.Values<typeof planSettings>

/** An Arbitrary has no error channel: it throws the error when a test samples it, not when a module creates it. */
const failing = (error: InvalidConfig): Arbitrary.Arbitrary<Plan> =>
  Arbitrary.map(Arbitrary.Constant(error), (thrown): Plan => {
    throw thrown
  })

const plansOf = (asked: PlanValues): Arbitrary.Arbitrary<Plan> => {
  const each = asked.kinds.map((kind) =>
    typeof kind === "string" ? fitted(kind, asked.buckets, asked) : fitted(kind[0], kind[1], asked)
  )
  if (each.length === 0) return Arbitrary.all({ seed: seeds, faults: Arbitrary.Constant([]) })
  const fault = Arbitrary.flatMap(anyBelow(each.length), (index) => each[index]!)
  const several = Array.from(
    { length: lists },
    (_, index) => Arbitrary.array(fault, { maxLength: Math.floor((asked.maxFaults + index) / lists) })
  )
  return Arbitrary.all({ seed: seeds, faults: Arbitrary.map(Arbitrary.all(several), (all) => all.flat()) })
}

/**
 * Returns an Arbitrary that generates plans. It shrinks plans by removing faults and
 * by shortening them.
 *
 * **Gotchas**
 *
 * Invalid options do not throw here. The Arbitrary throws `InvalidConfig` when a plan
 * is sampled, so that the test fails and its module still loads.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const plans = (planOptions: PlanOptions): Arbitrary.Arbitrary<Plan> =>
  Result.match(options.read("options", planOptions, planSettings), { onFailure: failing, onSuccess: plansOf })

/**
 * The targets of faults: machines, buckets and the server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Targets {
  /** Returns the machine with this id. */
  readonly node: (id: string) => SimulatedNode
  /** Returns the faults of the bucket with this name, as `Simulation.bucket` does. */
  readonly bucket: (name: string) => SimulatedStore
  /** Pauses the server for `duration`, as `Simulation.pauseServer` does. */
  readonly pauseServer: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
}

/** The durations of a fault that flaps. */
interface Flapping {
  readonly for: number
  readonly down: number
  readonly up: number
}

/** Begins an outage of `down` milliseconds every `down + up` milliseconds, and waits until `for` is over. */
const flap = (
  times: Flapping,
  outage: (down: number) => Effect.Effect<void, InvalidConfig>
): Effect.Effect<void, InvalidConfig> =>
  Effect.gen(function*() {
    const period = times.down + times.up
    for (let left = times.for; left > 0; left -= period) {
      yield* outage(Math.min(times.down, left))
      yield* Effect.sleep(Math.min(period, left))
    }
  })

/** Injects a fault and waits until it ends. */
const inject = (fault: Fault, { bucket, pauseServer, node }: Targets): Effect.Effect<void, InvalidConfig> => {
  const until = (millis: number, undo: Effect.Effect<void> = Effect.void) => Effect.andThen(Effect.sleep(millis), undo)
  switch (fault._tag) {
    case "Crash":
      return Effect.andThen(node(fault.node).crash, until(fault.for, node(fault.node).restart))
    case "Pause":
      return Effect.andThen(node(fault.node).pause(fault.for), until(fault.for))
    case "Suspend":
      return Effect.andThen(node(fault.node).suspend(fault.for), until(fault.for))
    case "StepClock":
      return node(fault.node).stepClock(fault.by)
    case "Cut":
      return Effect.andThen(node(fault.node).cut(fault.direction, fault.for), until(fault.for))
    case "DegradedLink":
      return Effect.andThen(
        node(fault.node).link(
          { maxDelay: fault.maxDelay, loss: fault.loss / 100, reordering: fault.reordering / 100 },
          fault.for
        ),
        until(fault.for)
      )
    case "NarrowLink":
      return Effect.andThen(node(fault.node).link({ bandwidth: fault.bandwidth }, fault.for), until(fault.for))
    case "FlappingLink":
      return flap(fault, (down) => node(fault.node).cut("both", down))
    case "Disconnect":
      return node(fault.node).disconnect
    case "NoStoreLeader":
      return Effect.andThen(bucket(fault.bucket).loseLeader(fault.for), until(fault.for))
    case "FlappingStore":
      return flap(fault, (down) => bucket(fault.bucket).loseLeader(down))
    case "FullStore":
      return Effect.andThen(bucket(fault.bucket).fill(fault.for), until(fault.for))
    case "RevokedRights":
      return Effect.andThen(node(fault.node).revoke(fault.right, fault.bucket, fault.for), until(fault.for))
    case "PauseServer":
      return Effect.andThen(pauseServer(fault.for), until(fault.for))
    case "DropConsumers":
      return bucket(fault.bucket).dropConsumers
    case "Lag":
      return bucket(fault.bucket).lag(fault.by)
    case "LoseStream":
      return bucket(fault.bucket).loseStream
    case "RecreateStream":
      return bucket(fault.bucket).recreateStream
    case "RollBack":
      return bucket(fault.bucket).rollBack(fault.messages)
  }
}

const decodeFaults = Schema.decodeUnknownResult(Schema.Array(Fault))

/**
 * Injects each fault at its time, counted from the call. Returns when the last fault
 * has ended. If one of the faults is invalid, fails with `InvalidConfig` and injects
 * none of them.
 *
 * **Example** (A crash in a simulation)
 *
 * ```ts
 * import * as assert from "node:assert/strict"
 * import * as Effect from "effect/Effect"
 * import { Faults, Simulation } from "effect-aegis/testing"
 *
 * const program = Effect.gen(function*() {
 *   const { bucket, facts, node, pauseServer } = yield* Simulation.Simulation
 *   const a = yield* node("a")
 *   yield* Faults.injectAll(
 *     [{ _tag: "Crash", at: 2_000, node: "a", for: 5_000 }],
 *     { node: () => a, bucket, pauseServer }
 *   )
 *   return (yield* facts).crashes
 * })
 *
 * const run = await Effect.runPromise(Simulation.run(program))
 * assert.deepEqual(run.value, [{ node: "a", at: 2_000 }])
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const injectAll = (
  faults: ReadonlyArray<Fault>,
  targets: Targets
): Effect.Effect<void, InvalidConfig> =>
  Effect.suspend(() => {
    const problem = problemOf(decodeFaults(faults))
    return problem === undefined
      ? Effect.forEach(
        faults,
        (fault) => Effect.andThen(Effect.sleep(fault.at), inject(fault, targets)),
        { concurrency: "unbounded", discard: true }
      )
      : Effect.fail(options.invalidConfig(`faults: ${problem}`))
  })

/**
 * Encodes a plan as JSON, as in `ScenarioFailed.replay`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const encode = (plan: Plan): string => JSON.stringify(plan)

/**
 * Decodes a plan from the JSON that `encode` returns. Returns `Option.none` if the text
 * is not a valid plan.
 *
 * @category formatting
 * @since 0.1.0
 */
export const decode: (text: string) => Option.Option<Plan> = Schema.decodeOption(Schema.fromJsonString(Plan))

const seconds = (millis: number): string => `${millis / 1000} s`

/** The parameters that are times. */
const times: ReadonlySet<string> = new Set(["for", "by", "maxDelay", "down", "up"])

/**
 * Formats a fault as one line: its time, its kind, its target and its parameters.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (fault: Fault): string => {
  const { at, _tag, ...rest } = fault
  const targets = [..."node" in rest ? [rest.node] : [], ..."bucket" in rest ? [rest.bucket] : []]
  const where = targets.length === 0 ? "the server" : targets.join("  ")
  const details = Object.entries(rest)
    .filter(([name]) => name !== "node" && name !== "bucket")
    .map(([name, value]) =>
      times.has(name)
        ? `${name} ${seconds(Number(value))}`
        : name === "bandwidth"
        ? `${name} ${Number(value) / 1000} kB/s`
        : name === "loss" || name === "reordering"
        ? `${name} ${String(value)} %`
        : `${name} ${String(value)}`
    )
  return [`at ${seconds(at)}`.padEnd(14), _tag.padEnd(13), where, ...details].join("  ").trimEnd()
}
