/**
 * Scenarios of the key-value store. Four processes write, read and watch a few keys of one bucket; one of them also
 * writes with message ids, as other clients may. The recorded history must be linearizable. After the last fault, every
 * watch must show the contents of the bucket.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { requesterOf } from "../../src/internal/nats/service.ts"
import * as KVStore from "../../src/KVStore.ts"
import { NatsClient } from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as Linearizability from "../../src/testing/Linearizability.ts"
import type * as Scenario from "../../src/testing/Scenario.ts"
import { type Facts, type SimulatedNode, Simulation } from "../../src/testing/Simulation.ts"

type Store = KVStore.KVStore["Service"]

/** The state built from the events of a watch: values by key, and the last revision. */
interface Shown {
  readonly values: Map<string, string>
  last: number
}

const bucket = "settings"
const keys = ["k.0", "k.1", "k.2"]

/** Only written with message ids. These writes bypass `KVStore`, so the history does not contain this key. */
const foreignKey = "foreign"

/** Simulated time in milliseconds at which the processes stop writing. The last write may begin up to 3 s later. */
const lastWrite = 70_000

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Checks entries that were read. `askedAt` is the simulated time of the request, in milliseconds since 1970. */
type Judge = (entries: Iterable<KVStore.KVEntry>, askedAt: number) => void

/** Matches every value that the processes write. */
const valueForm = /^(?:[abcd]|id)-\d+$/

/** Milliseconds. The clocks of store leaders differ by up to 500 ms, and values expire up to 300 ms late. */
const longestLateness = 1000

/** A read of a value that was older than `maxAge`. Times are milliseconds since 1970. */
interface LateRead {
  readonly key: string
  readonly created: number
  readonly askedAt: number
}

/** Reports values that no process wrote, and records reads of entries that should have expired. */
const judgeFor = (problems: Array<string>, late: Array<LateRead>, maxAge: number): Judge => (entries, askedAt) => {
  for (const { created, key, value } of entries) {
    const text = decoder.decode(value)
    if (!valueForm.test(text)) problems.push(`"${key}" was read as "${text}", which no process wrote`)
    if (askedAt - created.epochMilliseconds > maxAge) late.push({ key, created: created.epochMilliseconds, askedAt })
  }
}

/**
 * Reports reads of values that had expired. No value expires while the storage is full, because its marker needs space, or while
 * the server is paused.
 */
const tooLate = (
  late: ReadonlyArray<LateRead>,
  { disruptions }: Facts,
  { epoch, maxAge }: { readonly maxAge: number; readonly epoch: number }
): ReadonlyArray<string> => {
  const ofStore = disruptions.filter(({ node }) => node === undefined).toSorted((one, two) => one.from - two.from)
  return late.flatMap(({ askedAt, created, key }) => {
    let due = created - epoch + maxAge + longestLateness
    for (const { from, until } of ofStore) if (from <= due) due = Math.max(due, until + longestLateness)
    return askedAt - epoch <= due ? [] : [`"${key}" was read after ${askedAt - created} ms, but had expired`]
  })
}

/** Records a listing as one read of each key: each takes effect at some moment between request and response. */
const recordListing = <A, E>(
  recording: {
    readonly process: string
    readonly now: () => number
    readonly history: Array<Linearizability.Operation>
  },
  listing: Effect.Effect<A, E>,
  entriesOf: (found: A) => Iterable<KVStore.KVEntry>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const { history, now, process } = recording
    const invoked = now()
    return Effect.tap(listing, (found) =>
      Effect.sync(() => {
        const byKey = new Map(Array.from(entriesOf(found), (entry) => [entry.key, entry]))
        for (const key of keys) {
          const entry = byKey.get(key)
          const outcome: Linearizability.Outcome = entry === undefined
            ? { _tag: "None" }
            : { _tag: "Found", value: decoder.decode(entry.value), revision: entry.revision }
          history.push({ process, key, invoked, returned: now(), input: { _tag: "Get" }, outcome })
        }
      }))
  })

/** Returns a store that records its operations. Listings are recorded only if they cannot lag behind. */
const recorded = (
  store: Store,
  recording: Parameters<typeof recordListing>[0],
  areListingsTrue: boolean
): Store => {
  const own = Linearizability.recorder(recording)(store)
  if (!areListingsTrue) return own
  return {
    ...own,
    entries: (filter) => recordListing(recording, own.entries(filter), (entries) => entries),
    getMany: (asked) => recordListing(recording, own.getMany(asked), (found) => found.values())
  }
}

/** Runs a random operation. The recorder notes its outcome, and `judge` checks the entries that it returns. */
const operate = (store: Store, value: () => string, seen: Map<string, number>, judge: Judge, askedAt: number) =>
  Effect.gen(function*() {
    const judged = (entries: Iterable<KVStore.KVEntry>) => Effect.sync(() => judge(entries, askedAt))
    const key = yield* Random.choice(keys)
    const written = encoder.encode(value())
    const revision = seen.get(key) ?? 0
    const operations: ReadonlyArray<Effect.Effect<unknown, KVStore.KVStoreError>> = [
      Effect.tap(store.get(key), (entry) => {
        seen.set(key, Option.match(entry, { onNone: () => 0, onSome: (one) => one.revision }))
        return judged(Option.toArray(entry))
      }),
      store.put(key, written),
      store.put(key, written, { createOnly: true }),
      store.put(key, written, { updateOnly: true }),
      store.put(key, written, { revision }),
      store.put(key, written, { revision }),
      store.delete(key),
      store.delete(key, { revision }),
      store.purge(key, { revision }),
      Effect.tap(store.entries(), judged),
      Effect.tap(store.getMany(keys), (found) => judged(found.values()))
    ]
    yield* Effect.ignore(yield* Random.choice(operations))
  })

/** Applies the events of a watch to `shown`. If `isInOrder`, revisions must increase. */
const follow = (store: Store, shown: Shown, isInOrder: boolean, problems: Array<string>) =>
  Effect.suspend(() => {
    shown.values.clear()
    shown.last = 0
    return Stream.runForEach(store.watch(), (event) =>
      Effect.sync(() => {
        if (event._tag === "Put") {
          const { key, revision, value } = event.entry
          const text = decoder.decode(value)
          if (isInOrder && revision <= shown.last) {
            problems.push(`a watch emitted revision ${revision} of "${key}" after revision ${shown.last}`)
          }
          if (!valueForm.test(text)) problems.push(`a watch emitted "${key}" as "${text}", which no process wrote`)
          shown.last = revision
          shown.values.set(key, text)
        }
        if (event._tag === "Removed") shown.values.delete(event.key)
      }))
  }).pipe(Effect.retry(Schedule.spaced("1 second")))

/**
 * Writes each message twice with the same message id, as a client that retries; each time conditioned or not, at
 * random.
 */
const writeWithIds = (count: () => number, goesOn: Effect.Effect<boolean>) =>
  Effect.gen(function*() {
    const requester = requesterOf(yield* NatsClient)!
    while (yield* goesOn) {
      yield* pause(300, 3000)
      const id = `id-${count()}`
      const write = requester.request(
        `$KV.${bucket}.${foreignKey}`,
        encoder.encode(id),
        [["Nats-Msg-Id", id], ["Nats-Expected-Last-Subject-Sequence", "0"]],
        1000
      )
      const free = requester.request(`$KV.${bucket}.${foreignKey}`, encoder.encode(id), [["Nats-Msg-Id", id]], 1000)
      const either = Effect.flatMap(Random.nextBoolean, (conditioned) => Effect.ignore(conditioned ? write : free))
      yield* Effect.andThen(either, either)
    }
  })

interface Difference {
  readonly key: string
  readonly message: string
}

/** The keys for which a watch and the store show different values. */
const differences = (
  node: string,
  { values }: Shown,
  entries: ReadonlyArray<KVStore.KVEntry>
): ReadonlyArray<Difference> => {
  const has = new Map(entries.map((entry) => [entry.key, decoder.decode(entry.value)]))
  return [...new Set([...has.keys(), ...values.keys()])]
    .filter((key) => has.get(key) !== values.get(key))
    .map((key) => {
      const [wrong = "nothing", right = "nothing"] = [values.get(key), has.get(key)]
      return { key, message: `the watch on ${node} shows ${wrong} for "${key}", but the store has ${right}` }
    })
}

/** Keys that were written after a roll-back with a revision that had been assigned before it. */
const givenTwice = ({ losses, stored }: Facts): ReadonlySet<string> => {
  const keys = new Set<string>()
  for (const { at } of losses.filter(({ how }) => how === "rolled back")) {
    const before = stored.reduce((most, one) => one.at <= at ? Math.max(most, one.revision) : most, 0)
    for (const one of stored) if (one.at > at && one.revision <= before) keys.add(one.key)
  }
  return keys
}

/** Large values in a separate bucket, which every process watches over the same connection. */
const ballastBucket = "ballast"
const ballastKeys = Array.from({ length: 60 }, (_, index) => `large.${index}`)
const largestBallast = 64 * 1024

/**
 * The limit of the server for what waits to be sent: less than the driver asks for at first, so that the server cuts some
 * connections.
 */
const ballastPending = 150_000

/** Writes all large values, then one of them at random from time to time. */
const writeBallast = (store: Store, goesOn: Effect.Effect<boolean>) =>
  Effect.gen(function*() {
    const write = (key: string) =>
      Effect.flatMap(
        Random.nextIntBetween(1, largestBallast),
        (size) => Effect.ignore(store.put(key, new Uint8Array(size)))
      )
    yield* Effect.forEach(ballastKeys, write)
    while (yield* goesOn) {
      yield* pause(10, 1000)
      yield* Effect.flatMap(Random.choice(ballastKeys), write)
    }
  })

/** The last revision of each large value that a watch has emitted. */
type Weights = Map<string, number>

const followBallast = (store: Store, weights: Weights) =>
  Stream.runForEach(store.watch(), (event) =>
    Effect.sync(() => {
      if (event._tag === "Put") weights.set(event.entry.key, event.entry.revision)
    })).pipe(Effect.retry(Schedule.spaced("1 second")))

/** Reports watches that have not emitted the last revision of each large value. */
const ballastMissing = ({ stored }: Facts, watches: ReadonlyMap<string, Weights>): ReadonlyArray<string> => {
  const last = new Map<string, number>()
  for (const { bucket, key, revision } of stored) if (bucket === ballastBucket) last.set(key, revision)
  if (last.size === 0) return ["no large value was written"]
  return [...watches].flatMap(([node, weights]) =>
    [...last].filter(([key, revision]) => weights.get(key) !== revision).map(([key, revision]) =>
      `the watch on ${node} shows revision ${weights.get(key)} of "${key}", but the last one is ${revision}`
    )
  )
}

interface Options {
  readonly replicas: number
  /** The number of values that the bucket keeps of each key. */
  readonly historySize?: number
  readonly faults: Scenario.Scenario["faults"]
  /** Whether writes are lost only by expiry. */
  readonly keepsAll: boolean
  /** Milliseconds. The bucket then has expiry markers, which are kept for one second. */
  readonly maxAge?: number
  /** Whether the processes also watch large values. */
  readonly hasBallast?: boolean
}

const scenario = (
  { faults, hasBallast = false, historySize = 1, keepsAll, maxAge, replicas }: Options
): Scenario.Scenario => ({
  nodes: ["a", "b", "c", "d"],
  duration: "70 seconds",
  settleTime: "30 seconds",
  buckets: hasBallast ? [bucket, ballastBucket] : [bucket],
  ...(hasBallast ? { simulation: { maxPending: ballastPending } } : {}),
  faults,
  setup: Effect.gen(function*() {
    const simulation = yield* Simulation
    const clock = yield* Clock.Clock
    const history: Array<Linearizability.Operation> = []
    const watches = new Map<string, Shown>()
    const ballast = new Map<string, Weights>()
    let written = 0
    const problems: Array<string> = []
    const late: Array<LateRead> = []
    const judge = judgeFor(problems, late, maxAge ?? Number.POSITIVE_INFINITY)
    const ages = maxAge === undefined ? {} : { streamMaxAge: maxAge, expiryMarkers: 1000 }
    const options = { bucket, replicas, historySize, ...ages }
    const now = () => Number(clock.monotonicTimeNanosUnsafe())
    // After a roll-back nothing is written: once new writes have reached the last revision that a watch has seen, the
    // watch cannot detect the roll-back.
    const goesOn = Effect.zipWith(
      simulation.now,
      simulation.facts,
      (time, { losses }) => time < lastWrite && !losses.some(({ how }) => how === "rolled back")
    )
    const services = (node: SimulatedNode) => Layer.provideMerge(NatsKVStore.layer(options), node.client)

    const watchBallast = Effect.fnUntraced(function*(node: SimulatedNode) {
      const context = yield* Layer.build(NatsKVStore.layer({ bucket: ballastBucket, historySize: 2 }))
      const store = Context.get(context, KVStore.KVStore)
      const weights: Weights = new Map()
      ballast.set(node.id, weights)
      yield* Effect.forkScoped(followBallast(store, weights))
      if (node.id === "a") yield* Effect.forkScoped(writeBallast(store, goesOn))
    })

    const process = (node: SimulatedNode) =>
      Effect.gen(function*() {
        const plain = yield* KVStore.KVStore
        const store = recorded(plain, { process: node.id, history, now }, replicas === 1)
        const shown: Shown = { values: new Map(), last: 0 }
        watches.set(node.id, shown)
        yield* Effect.forkScoped(follow(plain, shown, keepsAll, problems))
        if (hasBallast) yield* watchBallast(node)
        if (node.id === "d") yield* Effect.forkScoped(writeWithIds(() => written++, goesOn))
        const seen = new Map<string, number>()
        while (yield* goesOn) {
          yield* pause(10, 400)
          yield* operate(store, () => `${node.id}-${written++}`, seen, judge, clock.currentTimeMillisUnsafe())
        }
        return yield* Effect.never
      }).pipe(Effect.scoped, Effect.provide(services(node)), Effect.retry(Schedule.spaced("1 second")))

    const atLast = Effect.gen(function*() {
      const judge = yield* simulation.node("judge")
      const entries = yield* judge.run(
        Effect.provide(Effect.flatMap(KVStore.KVStore, (store) => store.entries()), services(judge))
      )
      const facts = yield* simulation.facts
      const twice = givenTwice(facts)
      const last = facts.stored.at(-1)?.revision ?? 0
      return [...watches].flatMap(([node, shown]) => {
        // A watch cannot detect the roll-back if writes have since reached its last revision.
        const isCertain = (key: string) => shown.last > last || !twice.has(key)
        return differences(node, shown, entries).filter(({ key }) => isCertain(key)).map(({ message }) => message)
      })
    })

    const violations = Effect.gen(function*() {
      // The checker's model has neither losses nor expiry.
      const facts = yield* simulation.facts
      const epoch = clock.currentTimeMillisUnsafe() - (yield* simulation.now)
      const story = keepsAll && maxAge === undefined ? Linearizability.check(history) : undefined
      return [
        ...problems,
        ...(maxAge === undefined ? [] : tooLate(late, facts, { epoch, maxAge })),
        ...(story === undefined || story._tag === "Linearizable" ? [] : [Linearizability.format(story)]),
        ...(yield* atLast),
        ...(hasBallast ? ballastMissing(facts, ballast) : [])
      ]
    })
    return { process, violations }
  })
})

/** One replica: no read lags behind the writes. */
export const single = scenario({ replicas: 1, faults: Faults.survivable, keepsAll: true })

/**
 * Three replicas: listings lag behind, and writes conflict with writes that are still in flight. The store loses its
 * leader more often than any other fault occurs, so that some elections begin while a write is in flight.
 */
export const replicated = scenario({
  replicas: 3,
  faults: [...Faults.survivable, "NoStoreLeader", "NoStoreLeader", "NoStoreLeader"],
  keepsAll: true
})

/**
 * Buckets are lost, recreated by other clients, and rolled back. The history is then not linearizable, but in the end
 * every watch must show the contents of the bucket.
 */
export const losing = scenario({
  replicas: 1,
  faults: [...Faults.survivable, "LoseStream", "RecreateStream", "RollBack"],
  keepsAll: false
})

/** Values expire after five seconds: no read returns an older value, and expiry markers are not read as values. */
export const aging = scenario({ replicas: 1, faults: Faults.survivable, keepsAll: true, maxAge: 5000 })

/**
 * Every process also watches large values over its connection. Links often have little bandwidth, and the server cuts
 * connections for which too much waits. The buckets keep two values of each key.
 */
export const narrow = scenario({
  replicas: 1,
  historySize: 2,
  faults: [...Faults.survivable, "NarrowLink", "NarrowLink", "NarrowLink", "NarrowLink"],
  keepsAll: true,
  hasBallast: true
})
