/**
 * Scenarios of registry and election together. Each of five machines registers an instance, campaigns, runs the cleanup
 * and looks up the other instances; the leader writes to guarded resources. The faults are those that a lease and a
 * registry must tolerate.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Election from "../../src/Election.ts"
import * as FencingToken from "../../src/FencingToken.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"
import * as Checks from "../../src/testing/Checks.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as History from "../../src/testing/History.ts"
import type * as Scenario from "../../src/testing/Scenario.ts"
import { type Facts, type SimulatedNode, Simulation } from "../../src/testing/Simulation.ts"
import { drift, registryTimes } from "./clocks.ts"

const registryBucket = "registry"
const electionBucket = "election"
const service = "orders"
const election = "job"
const ids = ["a", "b", "c", "d", "e"]

/** The timings of a fleet. */
interface Pace {
  readonly maxAge: Duration.Duration
  readonly heartbeat: Duration.Duration
  readonly timings: Election.Timings
  /** Replicas of the election's bucket. */
  readonly replicas: number
}

const defaults: Pace = {
  maxAge: Duration.seconds(30),
  heartbeat: Duration.seconds(10),
  timings: Election.resilient,
  replicas: 1
}

/** Shorter intervals, and a replicated election bucket: spurious conflicts, and reads that lag behind. */
const quick: Pace = {
  maxAge: Duration.seconds(12),
  heartbeat: Duration.seconds(4),
  timings: Election.balanced,
  replicas: 3
}

/** Intervals so short that a cleanup often meets an instance that has just returned. */
const hasty: Pace = {
  maxAge: Duration.seconds(6),
  heartbeat: Duration.seconds(2),
  timings: Election.balanced,
  replicas: 1
}

/** The seed chooses one of these. Fast fleets are rarer, as they take longer to simulate. */
const paces: ReadonlyArray<Pace> = [defaults, defaults, defaults, quick, quick, hasty]

/** Milliseconds without faults at the end of a run. */
const settleTime = 30_000

/** Milliseconds. The leader's work stops well within `leaseDuration - renewDeadline`, even by the slowest clock. */
const longestGoodbye = 1500

/**
 * Milliseconds from the end of a lease until there must be a new leader: time to replace a lost watch, half a second
 * (both as in `Checks.leaderWithin`), the end of the former leader's work, clock drift, and the pause of a candidate
 * that has resigned.
 */
const takeover = 12_000

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

/** Shorter than `maxAge` in a hasty fleet, so that cleanups meet returning instances. */
const cleanupInterval = (pace: Pace) => pace === hasty ? Duration.divideUnsafe(pace.maxAge, 2) : pace.maxAge

const services = (node: SimulatedNode, { heartbeat, maxAge, replicas, timings }: Pace) =>
  Layer.mergeAll(
    Registry.layer({ maxAge, heartbeat }).pipe(
      Layer.provide(
        NatsKVStore.layer({
          bucket: registryBucket,
          streamMaxAge: Duration.times(maxAge, 2),
          expiryMarkers: "1 minute"
        })
      )
    ),
    Election.layer({ timings }).pipe(Layer.provide(NatsKVStore.layer({ bucket: electionBucket, replicas })))
  ).pipe(Layer.provide(node.client))

/** Writes while the node leads. If `mayResign`, it resigns at random. */
const work = (history: History.History, node: string, leadership: Election.Leadership, mayResign: boolean) =>
  history.term(
    node,
    leadership,
    Effect.gen(function*() {
      yield* Effect.addFinalizer(() => pause(0, longestGoodbye))
      while (true) {
        yield* pause(100, 4000)
        yield* history.write(node, "fenced", leadership.token)
        if (yield* leadership.isValid) yield* history.write(node, "trusting", leadership.token, { fence: false })
        if (mayResign && (yield* Random.next) < 0.06) yield* leadership.resign
      }
    }).pipe(Effect.scoped)
  )

const looks = (history: History.History, node: string) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const list = Effect.map(registry.list(service), (all) => all.map((one) => `${service}/${one.instanceId}`))
    return yield* Effect.forever(
      Effect.andThen(pause(5000, 20_000), Effect.ignore(history.lookup(node, service, list)))
    )
  })

/** Deregisters a random instance from time to time, as an operator may do by hand. */
const meddle = (history: History.History, nodes: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    while (true) {
      yield* pause(10_000, 200_000)
      const id = yield* Random.choice(nodes)
      yield* Effect.ignore(
        history.deregistered(`${service}/${id}`, registry.deregister({ serviceName: service, instanceId: id }))
      )
    }
  })

/** Registers a random instance's id from a second process for a while. The first process must report the loss. */
const impersonate = (history: History.History, node: string, nodes: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    while (true) {
      yield* pause(30_000, 500_000)
      const id = yield* Random.choice(nodes)
      const register = registry.register(
        { serviceName: service, instanceId: id, version: "1.0.0" },
        { onDuplicate: "replace" }
      )
      yield* Effect.andThen(history.registered(node, `${service}/${id}`, register), pause(3000, 30_000)).pipe(
        Effect.scoped,
        Effect.ignore
      )
    }
  })

/**
 * One lifetime of a process: it ends at random, or when the instance is deregistered. Its successor starts without
 * state.
 */
const life = (history: History.History, node: SimulatedNode, pace: Pace, isRestless: boolean) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const election_ = yield* Election.Election
    const { id } = node
    const register = registry.register({ serviceName: service, instanceId: id, version: "1.0.0" })
    const { lost } = yield* history.registered(id, `${service}/${id}`, register)
    const candidate = election_.whileLeader(
      election,
      (leadership) => work(history, id, leadership, isRestless),
      { candidateId: id }
    )
    // The first of these to end ends the lifetime; a defect ends the whole run.
    const always = [candidate, looks(history, id)]
    if (!isRestless) return yield* Effect.raceAllFirst(always)
    const others = ids.filter((other) => other !== id)
    const restless = [meddle(history, ids), impersonate(history, id, others), pause(20_000, 300_000), lost]
    return yield* Effect.raceAllFirst<Effect.Effect<unknown, unknown, Registry.Registry>>([...always, ...restless])
  }).pipe(
    // The scope is closed before the services: its finalizers use them.
    Effect.scoped,
    Effect.provide(Layer.provideMerge(Registry.layerCleanup({ schedule: cleanupInterval(pace) }), services(node, pace)))
  )

/**
 * Reports a run that proves nothing: no lookup returned in the last 30 s, which have no faults, or no instance
 * registered.
 */
const seesNothing = ({ end, lifetimes, lookups }: Checks.RegistryHistory): ReadonlyArray<string> => [
  ...lookups.some(({ from }) => from > end - settleTime)
    ? []
    : ["no lookup has returned since the last fault"],
  ...lifetimes.some(({ from, until }) => from < (until ?? end)) ? [] : ["no instance was ever registered"]
]

const decoder = new TextDecoder()

/** The fields of an election record that the checks use. */
interface Held {
  readonly candidateId: string
  readonly nonce: string
  readonly term: number
}

const recordOf = ({ value }: Facts["stored"][number]): Held => JSON.parse(decoder.decode(value))

const records = ({ stored }: Facts) => stored.filter((one) => one.bucket === electionBucket && one.operation === "put")

const inSeconds = (millis: number): string => `${(millis / 1000).toFixed(3)} s`

/** The candidate of the last record that the store had at a time. */
const holderAt = (facts: Facts, at: number): string | undefined => {
  const last = records(facts).findLast((one) => one.at <= at)
  return last === undefined ? undefined : recordOf(last).candidateId
}

/** Reports losses of leadership that nothing explains: the leader did not resign, and no disruption affected it. */
const unexplained = (losses: ReadonlyArray<History.TermLoss>, facts: Facts, lease: number): ReadonlyArray<string> => {
  const isExplained = ({ at, node, reason }: History.TermLoss): boolean => {
    // No process removes the record in these scenarios.
    if (reason === "removed") return false
    if (reason === "superseded") return holderAt(facts, at) !== node
    return reason === "resigned" ||
      facts.disruptions.some((trouble) =>
        (trouble.node === undefined || trouble.node === node) && trouble.bucket !== registryBucket &&
        trouble.from <= at && trouble.until >= at - lease
      )
  }
  return losses.filter((loss) => !isExplained(loss)).map(({ at, node, reason }) =>
    `${node} lost "${election}" at ${inSeconds(at)} with the reason ${reason}, but no disruption explains it`
  )
}

/** Reports records that do not continue the one before: each must have the same term and nonce, or the next term. */
const undone = (facts: Facts): ReadonlyArray<string> => {
  let before: Held = { candidateId: "none", nonce: "", term: 0 }
  return records(facts).flatMap((one) => {
    const former = before
    before = recordOf(one)
    const { candidateId, nonce, term } = before
    return term === former.term + 1 || (term === former.term && nonce === former.nonce)
      ? []
      : [`${candidateId} wrote term ${term} over term ${former.term} of ${former.candidateId} at ${inSeconds(one.at)}`]
  })
}

/** Reports work that began with an invalid leadership, because the leader observed its election too late. */
const belated = (terms: ReadonlyArray<Checks.Term>): ReadonlyArray<string> =>
  terms.filter(({ since, validAt }) => !validAt.includes(since)).map(({ node, since }) =>
    `${node} began its work at ${inSeconds(since)}, when its leadership was no longer valid`
  )

/** Milliseconds until every watch has emitted a new leader, including the time to replace a lost consumer. */
const unseenFor = 5000

/**
 * Whether the record of a term may have been lost before every candidate had seen it. No lease can protect such a term.
 */
const isUnseen = ({ losses }: Facts) => ({ since }: Checks.Term): boolean =>
  losses.some(({ at, bucket }) => bucket === electionBucket && at >= since && at <= since + unseenFor)

/** The differences between the scenarios. */
interface Options {
  readonly faults: Scenario.Scenario["faults"]
  /** Whether the election's bucket keeps its records. If not, processes neither restart nor resign. */
  readonly keepsRecord: boolean
}

const scenario = ({ faults, keepsRecord }: Options): Scenario.Scenario => ({
  nodes: ids,
  warmUp: keepsRecord ? 0 : "5 seconds",
  duration: keepsRecord ? "90 seconds" : "85 seconds",
  settleTime,
  buckets: [registryBucket, electionBucket],
  drift,
  faults,
  setup: Effect.gen(function*() {
    const simulation = yield* Simulation
    const history = yield* History.make
    const pace = paces[Number(simulation.seed) % paces.length]!
    const lease = Duration.toMillis(Duration.fromInputUnsafe(pace.timings.leaseDuration))
    return {
      // Retried, as the store may be unavailable when the process starts.
      process: (node) =>
        Effect.andThen(
          Effect.retry(life(history, node, pace, keepsRecord), Schedule.spaced("1 second")),
          pause(100, 5000)
        ).pipe(Effect.forever),
      violations: Effect.gen(function*() {
        const facts = yield* simulation.facts
        const leaders = yield* history.leaders
        const recorded = yield* history.registry(registryBucket)
        const writes = yield* history.writes
        const unseen = leaders.terms.filter(isUnseen(facts))
        const seen = leaders.terms.filter((term) => !unseen.includes(term))
        const isOfUnseen = ({ token }: Checks.GuardedWrite) =>
          unseen.some((term) => FencingToken.Order(term.token, token) === 0)
        return [
          ...Checks.atMostOneLeader({ ...leaders, terms: seen }),
          ...Checks.leaderWithin(leaders, { elections: [election], within: lease + takeover }),
          ...seesNothing(recorded),
          ...belated(leaders.terms),
          ...keepsRecord ? unexplained(yield* history.losses, facts, lease) : [],
          ...keepsRecord ? undone(facts) : [],
          ...Checks.noStaleWrite(writes.filter((write) => !isOfUnseen(write))),
          ...Checks.registryAccuracy(recorded, registryTimes(pace))
        ]
      })
    }
  })
})

export const mixed = scenario({
  faults: [
    ...Faults.survivable,
    ["LoseStream", [registryBucket]],
    ["RecreateStream", [registryBucket]],
    ["RollBack", [registryBucket]]
  ],
  keepsRecord: true
})

/**
 * The election's bucket is lost. A candidate that has seen the leader's record still waits for its lease to expire. A
 * candidate that has not seen the record (it started later, or its watch had not delivered the record yet) cannot know
 * of the leader, and no lease can prevent a second one. So in this scenario all processes start 5 s before the first
 * fault, no other fault ends a leadership, and the checks exclude terms whose record was lost before all candidates had
 * seen it.
 */
export const bereft = scenario({
  faults: [
    "DropConsumers",
    "Disconnect",
    "Lag",
    ["LoseStream", [electionBucket]],
    ["RecreateStream", [electionBucket]]
  ],
  keepsRecord: false
})
