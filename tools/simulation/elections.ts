/**
 * The scenario of elections. Five machines campaign with different timings, priorities, health checks and stop timeouts. The
 * work of three of them stops late, hangs, cannot be interrupted, or ends while it is told to stop; two behave. The faults
 * are those that a lease must tolerate, a full store, missing rights, and roll-backs, against which no lease holds.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Election from "../../src/Election.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Faults from "../../src/testing/Faults.ts"
import type * as Scenario from "../../src/testing/Scenario.ts"
import { type SimulatedNode, Simulation } from "../../src/testing/Simulation.ts"
import { drift } from "./clocks.ts"
import { all } from "./electionChecks.ts"
import {
  type Call,
  type Candidate,
  type ElectionHistory,
  type HealthCheck,
  kindOf,
  type Life
} from "./electionHistory.ts"
import { type Recorded, type Recorder, recorderOf } from "./electionRecorder.ts"

const bucket = "election"
const ids = ["a", "b", "c", "d", "e"]

/** The machines whose work and health checks behave. */
const behaving: ReadonlySet<string> = new Set(["d", "e"])

/** The timings from which the machines of a run choose. The seed chooses one of these. Fast timings take long to simulate. */
const palettes: ReadonlyArray<ReadonlyArray<Election.Timings>> = [
  [Election.balanced],
  [Election.balanced],
  [Election.resilient],
  [Election.resilient],
  [Election.fast],
  [Election.balanced, Election.fast, Election.resilient]
]

/** How the work of a term ends. */
type Manner =
  /** When it is told to stop. */
  | "promptly"
  /** When it is told to stop, after a finalizer that takes less than `leaseDuration - renewDeadline`. */
  | "slowly"
  /** After a finalizer that takes up to three leases. */
  | "late"
  /** Never: a finalizer hangs. */
  | "never"
  /** After work that cannot be interrupted for up to a minute. */
  | "unwillingly"
  /** By itself, with a success or a failure. */
  | "byItself"
  /** By itself, with a success or a failure, once it has learned that it has to stop. */
  | "whenTold"

type Condition = "none" | "healthy" | "failing" | "hanging" | "stuck" | "stuckInAcquire" | "slow"

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

/** One of several values, of which there is at least one. */
const oneOf = <A>(values: ReadonlyArray<A>): Effect.Effect<A> => Effect.orDie(Random.choice(values))

class WorkFailed extends Data.TaggedError("WorkFailed") {}

const succeedOrFail = Effect.flatMap(Random.nextBoolean, (fails) => fails ? Effect.fail(new WorkFailed()) : Effect.void)

// ------------------------------------------------------------ work

/** Proclaims, and resigns at random, without end. */
const acting = (leadership: Election.Leadership, life: Life) =>
  Effect.gen(function*() {
    for (let count = 0;; count++) {
      yield* pause(100, 4000)
      if ((yield* Random.next) < 0.2) yield* Effect.ignore(leadership.proclaim({ life: life.number, count }))
      if ((yield* Random.next) < 0.04) yield* leadership.resign
    }
  })

const isTold = (leadership: Election.Leadership) => Effect.map(leadership.lossReason, Option.isSome)

/** Waits until the work is told to stop, and ends by itself then. */
const untilTold = (leadership: Election.Leadership) =>
  Effect.gen(function*() {
    // With `lost` the work ends with the term; without it, it fails in a region that cannot be interrupted.
    if (yield* Random.nextBoolean) return yield* Effect.andThen(leadership.lost, succeedOrFail)
    const polling = Effect.gen(function*() {
      while (!(yield* isTold(leadership))) yield* Effect.sleep("100 millis")
      yield* pause(0, 3000)
      return yield* new WorkFailed()
    })
    return yield* Effect.uninterruptible(polling)
  })

const finalizer = (manner: Manner, { leaseDuration, renewDeadline }: Candidate): Effect.Effect<void> => {
  switch (manner) {
    case "slowly":
    case "byItself":
      return pause(0, Math.floor(0.8 * (leaseDuration - renewDeadline)))
    case "late":
      return pause(0, 3 * leaseDuration)
    case "never":
      return Effect.never
    case "promptly":
    case "unwillingly":
    case "whenTold":
      return Effect.void
  }
}

const body = (manner: Manner, leadership: Election.Leadership, candidate: Candidate) =>
  Effect.gen(function*() {
    yield* Effect.addFinalizer(() => finalizer(manner, candidate))
    const act = acting(leadership, candidate.life)
    switch (manner) {
      case "byItself":
        return yield* Effect.andThen(Effect.raceFirst(act, pause(500, 20_000)), succeedOrFail)
      case "whenTold":
        return yield* Effect.raceFirst(untilTold(leadership), Effect.never)
      case "unwillingly":
        return yield* Effect.forever(Effect.andThen(pause(100, 5000), Effect.uninterruptible(pause(1000, 60_000))))
      default:
        return yield* act
    }
  })

// ------------------------------------------------------------ health checks

/** How long an answer of a check that does not behave takes: milliseconds. */
const longestCheck = 30_000

/** One run of a health check in a condition. */
const checking = (condition: Condition, check: HealthCheck): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const isTroubled = (yield* Random.next) < 0.3
    switch (condition) {
      case "failing":
        return (yield* Random.next) < 0.6
      case "slow":
        return yield* Effect.as(pause(0, 1300), true)
      case "hanging":
        return yield* isTroubled ? Effect.never : Effect.succeed(true)
      case "stuck":
        return yield* isTroubled
          ? Effect.as(Effect.uninterruptible(pause(0, longestCheck)), true)
          : Effect.succeed(true)
      case "stuckInAcquire":
        return yield* isTroubled
          ? Effect.scoped(Effect.as(Effect.acquireRelease(pause(0, longestCheck), () => Effect.void), true))
          : Effect.succeed(true)
      case "none":
      case "healthy":
        return true
    }
  }).pipe(Effect.tap((answer) =>
    Effect.sync(() => {
      check.answer = answer
    })
  ))

const isStuck = (condition: Condition): boolean => condition === "stuck" || condition === "stuckInAcquire"

// ------------------------------------------------------------ processes

/** The options of a scenario. */
interface Options {
  readonly faults: Scenario.Scenario["faults"]
  /** What the work of the machines that do not behave does. */
  readonly manners: ReadonlyArray<Manner>
  readonly conditions: ReadonlyArray<Condition>
  /** Whether the server is paused for 40 s in some runs. */
  readonly hasLongPauses: boolean
}

interface Run extends Options {
  readonly recorder: Recorder
  readonly elections: ReadonlyArray<string>
  readonly timings: ReadonlyArray<Election.Timings>
}

interface Chosen {
  readonly candidate: Candidate
  readonly condition: Condition
  readonly options: Election.CandidateOptions
}

const millis = (input: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(input))

/** Chooses the options of a candidate. */
const choose = (run: Run, life: Life, election: string): Effect.Effect<Chosen> =>
  Effect.gen(function*() {
    const behaves = behaving.has(life.node)
    const timings = yield* oneOf(run.timings)
    const condition = yield* oneOf<Condition>(behaves ? ["none", "healthy"] : run.conditions)
    const leaseDuration = millis(timings.leaseDuration)
    const stopTimeout = yield* oneOf([undefined, undefined, 0, 1000, 5000, 2 * leaseDuration])
    const priority = behaves || (yield* Random.nextBoolean) ? 0 : yield* Random.nextIntBetween(0, 10)
    const healthFailures = yield* Random.nextIntBetween(1, 3)
    const candidate: Candidate = {
      life,
      election,
      leaseDuration,
      renewDeadline: millis(timings.renewDeadline),
      renewInterval: millis(timings.renewInterval),
      stopTimeout: stopTimeout ?? leaseDuration,
      priority,
      healthFailures,
      isHealthy: condition === "none" || condition === "healthy"
    }
    const options = {
      candidateId: life.node,
      metadata: { life: life.number },
      timings,
      priority,
      healthFailures,
      ...stopTimeout === undefined ? {} : { stopTimeout }
    }
    return { candidate, condition, options }
  })

/** Campaigns once, and records how the call has ended. */
const campaigning = (run: Run, { candidate, condition, options }: Chosen) =>
  Effect.gen(function*() {
    const { recorder } = run
    const { election, life } = candidate
    const service = yield* Election.Election
    const call: Call = yield* recorder.call(candidate)
    const manners: ReadonlyArray<Manner> = behaving.has(life.node)
      ? ["promptly", "promptly", "slowly", "byItself"]
      : run.manners
    const work = (leadership: Election.Leadership) =>
      Effect.flatMap(
        oneOf(manners),
        (manner) => recorder.work(call, leadership, manner, body(manner, leadership, candidate))
      )
    const healthCheck = condition === "none" ? {} : {
      healthCheck: recorder.healthCheck(call, !isStuck(condition), (check) => checking(condition, check))
    }
    const exit = yield* Effect.exit(service.whileLeader(election, work, { ...options, ...healthCheck }))
    const isOwn = Exit.isSuccess(exit) ||
      exit.cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof WorkFailed)
    yield* recorder.called(
      call,
      isOwn ? "finished" : { failure: Cause.pretty((exit as Exit.Failure<unknown, unknown>).cause) }
    )
  })

/** Asks the leader to step down from time to time. */
const asking = (elections: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const service = yield* Election.Election
    while (true) {
      yield* pause(10_000, 200_000)
      yield* Effect.ignore(service.stepDown(yield* oneOf(elections)))
    }
  })

const logging = (recorder: Recorder, life: Life) =>
  Logger.layer([
    Logger.make(({ message }) => {
      const text = Array.isArray(message) ? String(message[0]) : String(message)
      const known = kindOf(text)
      if (known !== undefined) recorder.line(life, known)
    })
  ], { mergeWithExisting: true })

/** One lifetime of a process. */
const living = (run: Run, node: SimulatedNode) =>
  Effect.gen(function*() {
    const { recorder } = run
    const life = yield* recorder.life(node.id)
    const services = Election.layer().pipe(
      Layer.provide(NatsKVStore.layer({ bucket })),
      Layer.provideMerge(Layer.provideMerge(logging(recorder, life), node.client))
    )
    const process = Effect.gen(function*() {
      const candidates = yield* Effect.forEach(run.elections, (election) => choose(run, life, election))
      for (const { candidate } of candidates) recorder.candidate(candidate)
      const always = candidates.map((chosen) =>
        Effect.forever(Effect.andThen(campaigning(run, chosen), pause(100, 3000)))
      )
      const ending = Effect.andThen(pause(20_000, 300_000), recorder.closing(life))
      return yield* Effect.raceAllFirst<Effect.Effect<unknown, unknown, Election.Election>>([
        ...always,
        asking(run.elections),
        ending
      ])
    })
    return yield* Effect.ensuring(Effect.provide(Effect.scoped(process), services), recorder.ended(life))
  })

/** Pauses the server for 40 s, in one run of ten. */
const longPause = Effect.gen(function*() {
  const { pauseServer } = yield* Simulation
  if ((yield* Random.next) > 0.1) return
  yield* pause(0, 45_000)
  yield* pauseServer("40 seconds")
}).pipe(Effect.orDie)

const scenario = (options: Options): Scenario.Scenario => ({
  nodes: ids,
  duration: "45 seconds",
  settleTime: "25 seconds",
  buckets: [bucket],
  drift,
  faults: options.faults,
  setup: Effect.gen(function*() {
    const simulation = yield* Simulation
    const recorder = recorderOf(simulation)
    const seed = Number(simulation.seed)
    const elections = seed % 4 === 0 ? ["job", "mail"] : ["job"]
    const run: Run = { ...options, recorder, elections, timings: palettes[seed % palettes.length]! }
    if (options.hasLongPauses) yield* Effect.forkDetach(longPause)
    return {
      // Retried, as the store may be unavailable when the process starts.
      process: (node) =>
        Effect.forever(
          Effect.andThen(Effect.retry(living(run, node), Schedule.spaced("1 second")), pause(100, 5000))
        ),
      violations: Effect.gen(function*() {
        const facts = yield* simulation.facts
        const recorded: Recorded = yield* recorder.recorded(facts.crashes)
        const history: ElectionHistory = { ...recorded, facts, bucket, elections, drift }
        return all(history)
      })
    }
  })
})

const manners: ReadonlyArray<Manner> = [
  "promptly",
  "slowly",
  "slowly",
  "late",
  "never",
  "unwillingly",
  "byItself",
  "whenTold"
]

const conditions: ReadonlyArray<Condition> = [
  "none",
  "none",
  "healthy",
  "failing",
  "hanging",
  "stuck",
  "stuckInAcquire",
  "slow"
]

const faults: ReadonlyArray<Faults.Kind> = [...Faults.survivable, "FullStore", "RevokedRights", "RollBack"]

export const elections = scenario({ faults, manners, conditions, hasLongPauses: true })

/** Scenarios with many faults and kinds of work of one sort. */
export const special: Readonly<Record<string, Scenario.Scenario>> = {
  hungFinalizers: scenario({ faults, manners: ["never", "late"], conditions, hasLongPauses: false }),
  uninterruptibleWork: scenario({ faults, manners: ["unwillingly", "whenTold"], conditions, hasLongPauses: false }),
  hungHealthChecks: scenario({
    faults,
    manners,
    conditions: ["hanging", "stuck", "stuckInAcquire"],
    hasLongPauses: false
  }),
  fullStore: scenario({
    faults: ["FullStore", "FullStore", "Cut", "Crash"],
    manners,
    conditions,
    hasLongPauses: false
  }),
  revokedRights: scenario({
    faults: ["RevokedRights", "RevokedRights", "RevokedRights", "Cut", "Crash"],
    manners,
    conditions,
    hasLongPauses: false
  }),
  rolledBack: scenario({
    faults: ["RollBack", "RollBack", "Cut", "Cut", "PauseServer", "Crash"],
    manners,
    conditions,
    hasLongPauses: false
  })
}
