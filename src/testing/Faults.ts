/**
 * Faults of a fleet, as data: a plan has each fault with its time, so that it can be
 * generated, shrunk, printed and run again.
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

const on = <Fields extends Schema.Struct.Fields>(fields: Fields) => ({
  at: whole([0, longestPlan]),
  node: Schema.String,
  ...fields
})

const inBucket = <Fields extends Schema.Struct.Fields>(fields: Fields) => ({
  at: whole([0, longestPlan]),
  bucket: Schema.String,
  ...fields
})

/** Both ends included. */
type Bounds = readonly [minimum: number, maximum: number]

/** The bounds of each field. Milliseconds, but for `messages`. */
interface Ranges {
  readonly for: Bounds
  readonly gap: Bounds
  readonly pause: Bounds
  readonly delay: Bounds
  readonly lag: Bounds
  readonly messages: Bounds
}

/** The bounds of a plan that is written by hand. */
const possible: Ranges = {
  for: [1, longestPlan],
  gap: [1, longestPlan],
  pause: [1, longestPlan],
  delay: [1, longestPlan],
  lag: [0, longestPlan],
  messages: [0, Number.MAX_SAFE_INTEGER]
}

/** The bounds of a plan that is generated: half a minute outlasts any default lease, and most ages; a cluster elects in 4 to 9 s (measured). */
const drawn: Ranges = {
  for: [1, 30_000],
  gap: [4000, 9000],
  pause: [1, 20_000],
  delay: [1, 5000],
  lag: [0, 2000],
  messages: [20, 100]
}

const whole = ([minimum, maximum]: Bounds) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const percent = whole([0, 50])

/** Each kind, with its fields. Times are milliseconds. */
const schemasIn = (ranges: Ranges) =>
  ({
    /** A machine's process crashes, and is started again after `for`. */
    Crash: Schema.TaggedStruct("Crash", on({ for: whole(ranges.for) })),
    /** A process is paused, as by SIGSTOP. */
    Pause: Schema.TaggedStruct("Pause", on({ for: whole(ranges.for) })),
    /** A machine is suspended. */
    Suspend: Schema.TaggedStruct("Suspend", on({ for: whole(ranges.for) })),
    /** A wall clock is set forward, or back where `by` is negative. */
    StepClock: Schema.TaggedStruct("StepClock", on({ by: whole([-longestPlan, longestPlan]) })),
    /** A link is cut. */
    Cut: Schema.TaggedStruct(
      "Cut",
      on({ for: whole(ranges.for), direction: Schema.Literals(["requests", "replies", "both"]) })
    ),
    /** Messages take up to `maxDelay`; `loss` and `reordering` are percent of messages. */
    DegradedLink: Schema.TaggedStruct(
      "DegradedLink",
      on({ for: whole(ranges.for), maxDelay: whole(ranges.delay), loss: percent, reordering: percent })
    ),
    /** A machine's connections break. */
    Disconnect: Schema.TaggedStruct("Disconnect", on({})),
    /** A bucket's stream has no leader. */
    NoStoreLeader: Schema.TaggedStruct("NoStoreLeader", inBucket({ for: whole(ranges.gap) })),
    /** The server is paused. */
    PauseServer: Schema.TaggedStruct("PauseServer", { at: whole([0, longestPlan]), for: whole(ranges.pause) }),
    /** Every consumer of a bucket is deleted, and so every watch. */
    DropConsumers: Schema.TaggedStruct("DropConsumers", inBucket({})),
    /** The copies of a replicated bucket lag behind from then on. */
    Lag: Schema.TaggedStruct("Lag", inBucket({ by: whole(ranges.lag) })),
    /** A bucket's stream is deleted. */
    LoseStream: Schema.TaggedStruct("LoseStream", inBucket({})),
    /** A bucket's stream is deleted, and created again by others: its revisions begin at 1. */
    RecreateStream: Schema.TaggedStruct("RecreateStream", inBucket({})),
    /** A bucket's last messages are removed, as by a restored backup. */
    RollBack: Schema.TaggedStruct("RollBack", inBucket({ messages: whole(ranges.messages) }))
  }) as const

const schemas = schemasIn(possible)

const drawnSchemas = schemasIn(drawn)

/**
 * A fault. Times are whole milliseconds of true time.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Fault = Schema.Union(Object.values(schemas))

/**
 * A fault.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = typeof Fault.Type

/**
 * The name of a kind of fault.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = Fault["_tag"]

/**
 * The names of all kinds.
 *
 * @category constants
 * @since 0.1.0
 */
export const kinds = Object.keys(schemas) as ReadonlyArray<Kind>

/**
 * The default of `maxFaults`.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxFaults = 12

/**
 * A run, as data: the seed decides every choice that the list of faults does not.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Plan = Schema.Struct({ seed: Schema.Int, faults: Schema.Array(Fault) })

/**
 * A run, as data.
 *
 * @category models
 * @since 0.1.0
 */
export type Plan = typeof Plan.Type

/**
 * The kinds of faults that leases and registries survive: every guarantee holds. The
 * default of a scenario.
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
  "Disconnect",
  "NoStoreLeader",
  "PauseServer",
  "DropConsumers",
  "Lag"
]

/**
 * The options of generated plans.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlanOptions {
  /** The ids of machines. */
  readonly nodes: ReadonlyArray<string>
  /** `"*"` stands for every bucket that was created, `"#1"` for the second one of them. */
  readonly buckets: ReadonlyArray<string>
  /** Faults begin within this time. */
  readonly duration: Duration.Input
  /** Kinds, or kinds with the only buckets that they are injected into. Default: `survivable`. */
  readonly kinds?: ReadonlyArray<Kind | readonly [kind: Kind, buckets: ReadonlyArray<string>]> | undefined
  /** The most faults of a plan. Default 12. */
  readonly maxFaults?: number | undefined
}

/** A whole number from 0 to below the limit, uniformly distributed; it does not shrink. */
const anyBelow = (limit: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Literals(Array.from({ length: limit }, (_, value) => value)), { shrink: () => [] })

/** Seven hexadecimal digits. */
const digits = 7

/**
 * Uniformly distributed: numbers that are made to begin small would come again and again. It does not shrink: two plans of
 * one seed go the same way until the first fault that differs, and another seed would be another run.
 */
const seeds = Arbitrary.map(
  Arbitrary.all(Array.from({ length: digits }, () => anyBelow(16))),
  (values) => values.reduce((seed, value) => seed * 16 + value, 0)
)

/** Lists begin small, and often empty: several of them seldom are. */
const lists = 3

/** Faults of a kind, with the nodes and buckets of this fleet. */
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

/** An Arbitrary has no error channel: the test that draws from it fails with the error, and the module that makes it loads. */
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
 * Generates plans for a fleet, and shrinks them by leaving faults out and
 * shortening them.
 *
 * **Gotchas**
 *
 * Options that are not valid do not throw here: the Arbitrary throws `InvalidConfig`
 * where a plan is drawn from it, so that the test that uses it fails.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const plans = (planOptions: PlanOptions): Arbitrary.Arbitrary<Plan> =>
  Result.match(options.read("options", planOptions, planSettings), { onFailure: failing, onSuccess: plansOf })

/**
 * The nodes and buckets that a plan names, and the server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Targets {
  readonly node: (id: string) => SimulatedNode
  readonly bucket: (name: string) => SimulatedStore
  readonly pauseServer: (duration: Duration.Input) => Effect.Effect<void, InvalidConfig>
}

/** Injects a fault, and waits until it is over. */
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
    case "Disconnect":
      return node(fault.node).disconnect
    case "NoStoreLeader":
      return Effect.andThen(bucket(fault.bucket).loseLeader(fault.for), until(fault.for))
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
 * Injects each fault of a plan at its time; ends when the last of them is over.
 * Faults that are not valid are `InvalidConfig`, and none is injected then.
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
 * Writes a plan as text, as the `replay` of a failure.
 *
 * @category formatting
 * @since 0.1.0
 */
export const encode = (plan: Plan): string => JSON.stringify(plan)

/**
 * Reads a plan from the text that `encode` writes; none where the text is no plan.
 *
 * @category formatting
 * @since 0.1.0
 */
export const decode: (text: string) => Option.Option<Plan> = Schema.decodeOption(Schema.fromJsonString(Plan))

const seconds = (millis: number): string => `${millis / 1000} s`

/**
 * Writes a fault in a line.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (fault: Fault): string => {
  const { at, _tag, ...rest } = fault
  const where = "node" in rest ? rest.node : "bucket" in rest ? rest.bucket : "the server"
  const details = Object.entries(rest)
    .filter(([name]) => name !== "node" && name !== "bucket")
    .map(([name, value]) =>
      name === "for" || name === "by" || name === "maxDelay"
        ? `${name} ${seconds(Number(value))}`
        : name === "loss" || name === "reordering"
        ? `${name} ${String(value)} %`
        : `${name} ${String(value)}`
    )
  return [`at ${seconds(at)}`.padEnd(14), _tag.padEnd(13), where, ...details].join("  ").trimEnd()
}
