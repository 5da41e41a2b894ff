/**
 * Everything at once: five machines, each registered, each a candidate, each with a cleanup, each looking at the others;
 * a leader's work writes to what it guards. All that a lease and a registry must survive happens to them.
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

const registryBucket = "registry"
const electionBucket = "election"
const service = "orders"
const election = "job"
const ids = ["a", "b", "c", "d", "e"]

/** The times of a fleet. */
interface Pace {
  readonly maxAge: Duration.Duration
  readonly heartbeat: Duration.Duration
  readonly timings: Election.Timings
  /** Copies of the election's bucket. */
  readonly replicas: number
}

const defaults: Pace = {
  maxAge: Duration.seconds(30),
  heartbeat: Duration.seconds(10),
  timings: Election.resilient,
  replicas: 1
}

/** More happens, and the election's bucket has copies: conflicts without anybody's write, and answers that lag. */
const quick: Pace = {
  maxAge: Duration.seconds(12),
  heartbeat: Duration.seconds(4),
  timings: Election.balanced,
  replicas: 3
}

/** Instances die and come back so often that cleanups meet them. */
const hasty: Pace = {
  maxAge: Duration.seconds(6),
  heartbeat: Duration.seconds(2),
  timings: Election.balanced,
  replicas: 1
}

/** Of six fleets: the more happens in one, the longer it takes. */
const paces: ReadonlyArray<Pace> = [defaults, defaults, defaults, quick, quick, hasty]

/** The store's time is asked for once a minute: what clocks run apart by meanwhile counts as tolerance. */
const drift = 0.01

/** A clock reading is off by half a round trip of the poorest link; the store's leaders differ by half a second. */
const tolerance = Duration.seconds(3)

/** Milliseconds in which all is well at the end. */
const settleTime = 30_000

/** Stops well within `leaseDuration - renewDeadline`, by the slowest clock. */
const longestGoodbye = 1500

/**
 * After a lease: what a watch needs that died with its leader, half a second, the work's goodbye, what clocks run apart
 * by, and the time that whoever has resigned sits out.
 */
const takeover = 12_000

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

/** In a hasty fleet often enough for cleanups to meet those who come back. */
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

/** Writes while it leads, and resigns now and then where it may. */
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

/** Somebody with a tool: now and then an instance is deregistered that did not ask for it. */
const meddle = (history: History.History, nodes: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    while (true) {
      yield* pause(10_000, 200_000)
      const id = yield* Random.choice(nodes)
      yield* Effect.ignore(history.deregistered(`${service}/${id}`, registry.deregister(service, id)))
    }
  })

/** A second process with another's id, for a while: it takes the id over, and the other must report the loss. */
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

/** From its start until it has had enough, or was deregistered; whoever starts again is another, and knows nothing. */
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
    // Each for itself may end the lifetime, and by a defect the whole run.
    const always = [candidate, looks(history, id)]
    if (!isRestless) return yield* Effect.raceAllFirst(always)
    const others = ids.filter((other) => other !== id)
    const restless = [meddle(history, ids), impersonate(history, id, others), pause(20_000, 300_000), lost]
    return yield* Effect.raceAllFirst<Effect.Effect<unknown, unknown, Registry.Registry>>([...always, ...restless])
  }).pipe(
    // In this order: who leaves needs what it leaves.
    Effect.scoped,
    Effect.provide(Layer.provideMerge(Registry.layerCleanup({ schedule: cleanupInterval(pace) }), services(node, pace)))
  )

/** Of five who look every few seconds somebody has been answered in the last half minute, in which all is well. */
const seesNothing = ({ end, lifetimes, lookups }: Checks.RegistryHistory): ReadonlyArray<string> => [
  ...lookups.some(({ from }) => from > end - settleTime)
    ? []
    : ["no lookup has returned since the last fault"],
  ...lifetimes.some(({ from, until }) => from < (until ?? end)) ? [] : ["nobody was ever registered"]
]

const decoder = new TextDecoder()

/** Of an election's record, what is asked of it here. */
interface Held {
  readonly candidateId: string
  readonly nonce: string
  readonly term: number
}

const recordOf = ({ value }: Facts["stored"][number]): Held => JSON.parse(decoder.decode(value))

const records = ({ stored }: Facts) => stored.filter((one) => one.bucket === electionBucket && one.operation === "put")

const inSeconds = (millis: number): string => `${(millis / 1000).toFixed(3)} s`

/** Whose record the store took last before a time. */
const holderAt = (facts: Facts, at: number): string | undefined => {
  const last = records(facts).findLast((one) => one.at <= at)
  return last === undefined ? undefined : recordOf(last).candidateId
}

/** Leadership goes by resigning; any other way needs something that explains it. */
const unexplained = (losses: ReadonlyArray<History.TermLoss>, facts: Facts, lease: number): ReadonlyArray<string> => {
  const isExplained = ({ at, node, reason }: History.TermLoss): boolean => {
    // Nobody removes the record here.
    if (reason === "removed") return false
    if (reason === "superseded") return holderAt(facts, at) !== node
    return reason === "resigned" ||
      facts.disruptions.some((trouble) =>
        (trouble.node === undefined || trouble.node === node) && trouble.bucket !== registryBucket &&
        trouble.from <= at && trouble.until >= at - lease
      )
  }
  return losses.filter((loss) => !isExplained(loss)).map(({ at, node, reason }) =>
    `${node} lost "${election}" at ${inSeconds(at)}, with the reason ${reason}; nothing had happened to explain that`
  )
}

/** Each term has one winner, and follows upon the one before: who writes over what he has not seen undoes another's win. */
const undone = (facts: Facts): ReadonlyArray<string> => {
  let before: Held = { candidateId: "nobody", nonce: "", term: 0 }
  return records(facts).flatMap((one) => {
    const former = before
    before = recordOf(one)
    const { candidateId, nonce, term } = before
    return term === former.term + 1 || (term === former.term && nonce === former.nonce)
      ? []
      : [`${candidateId} wrote term ${term} over ${former.candidateId}'s ${former.term} at ${inSeconds(one.at)}`]
  })
}

/** Work begins with a leadership that is valid, however late its leader heard of it. */
const belated = (terms: ReadonlyArray<Checks.Term>): ReadonlyArray<string> =>
  terms.filter(({ since, validAt }) => !validAt.includes(since)).map(({ node, since }) =>
    `${node} observed at ${inSeconds(since)} that it leads, and did not any more`
  )

/** Milliseconds that a watch may take to tell of a winner: until a lost consumer is noticed, and another is there. */
const unseenFor = 5000

/** A winner whose record is lost before all have seen it: who has not cannot know, and no lease prevents that. */
const isUnseen = ({ losses }: Facts) => ({ since }: Checks.Term): boolean =>
  losses.some(({ at, bucket }) => bucket === electionBucket && at >= since && at <= since + unseenFor)

/** What is asked of the fleet beside everything else. */
interface Options {
  readonly faults: Scenario.Scenario["faults"]
  /** Whether the election's bucket keeps what it has; if not, no candidate restarts, or hands over, at a bad time. */
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
      // A store that is away when it starts is no reason to give up.
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
          ...Checks.registryAccuracy(recorded, {
            maxAge: Duration.toMillis(pace.maxAge),
            heartbeat: Duration.toMillis(pace.heartbeat),
            tolerance: Duration.toMillis(tolerance),
            // By the clock of whoever cleans up.
            confirmation: (1 - drift) * Duration.toMillis(pace.heartbeat)
          })
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
 * The election's bucket is lost. Whoever has seen a live record in it waits. Who has not (because he starts then, or was
 * told of the vacancy before it and of nothing since) cannot know of a leader that lives, and no lease can prevent that: so
 * here nobody starts then, nothing else unseats a leader, and a winner who was lost with the bucket before all had seen him
 * is not held against others.
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
