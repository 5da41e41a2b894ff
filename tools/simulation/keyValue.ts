/**
 * Four processes write to, read from and watch a few keys of one bucket, and one of them as other clients do: with message
 * ids. What each was told must be a story that one store could have told all of them, and once all is well every watch
 * must show what the store has.
 */
import * as Clock from "effect/Clock"
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

/** What a watch has shown: values by key, and how far it has come. */
interface Shown {
  readonly values: Map<string, string>
  last: number
}

const bucket = "settings"
const keys = ["k.0", "k.1", "k.2"]

/** Keys that only they write who send message ids: what they are told is no answer of `KVStore`. */
const foreignKey = "foreign"

/** True time, in milliseconds, at which the last write is begun. */
const lastWrite = 70_000

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What was given, and when it was asked for: milliseconds since 1970, of true time. */
type Judge = (entries: Iterable<KVStore.KVEntry>, askedAt: number) => void

/** The form of every value that is ever written. */
const valueForm = /^(?:[abcd]|id)-\d+$/

/** A server's leaders differ by half a second, and ages are late by up to 0.3 s on this line. */
const longestLateness = 1000

/** What no store may give: what nobody wrote, or what is too old. */
const judgeFor = (problems: Array<string>, maxAge: number): Judge => (entries, askedAt) => {
  for (const { created, key, value } of entries) {
    const text = decoder.decode(value)
    if (!valueForm.test(text)) problems.push(`"${key}" was given as "${text}", which nobody has written`)
    const age = askedAt - created.epochMilliseconds
    if (age > maxAge + longestLateness) problems.push(`"${key}" was given ${age} ms after it was written`)
  }
}

/** A listing is a read of each of the keys, at some moment between its question and its answer. */
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

/** The store as a process has it whose operations are recorded; listings only where they do not lag behind. */
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

/** One operation at random, its outcome left to the recorder, and what it gives to the judge. */
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

/** Keeps what the watch shows, for as long as it runs; in order, where the bucket stays the same. */
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
            problems.push(`a watch gave ${revision} of "${key}" after ${shown.last}`)
          }
          if (!valueForm.test(text)) problems.push(`a watch gave "${key}" as "${text}", which nobody has written`)
          shown.last = revision
          shown.values.set(key, text)
        }
        if (event._tag === "Removed") shown.values.delete(event.key)
      }))
  }).pipe(Effect.retry(Schedule.spaced("1 second")))

/** Writes as other clients may: with a message id, and again with the same where no answer came, or one time in two. */
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

/** What a watch shows that the store has not, or has otherwise. */
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
      return { key, message: `the watch on ${node} shows ${wrong} for "${key}", and the store has ${right}` }
    })
}

/** Keys of writes that were under way at a roll-back, and got a revision that had been given before. */
const givenTwice = ({ losses, stored }: Facts): ReadonlySet<string> => {
  const keys = new Set<string>()
  for (const { at } of losses.filter(({ how }) => how === "rolled back")) {
    const before = stored.reduce((most, one) => one.at <= at ? Math.max(most, one.revision) : most, 0)
    for (const one of stored) if (one.at > at && one.revision <= before) keys.add(one.key)
  }
  return keys
}

interface Options {
  readonly replicas: number
  readonly faults: Scenario.Scenario["faults"]
  /** Nothing that was written is lost but by age. */
  readonly keepsAll: boolean
  /** Milliseconds; watches are told of ends by markers that are kept for a second. */
  readonly maxAge?: number
}

const scenario = ({ faults, keepsAll, maxAge, replicas }: Options): Scenario.Scenario => ({
  nodes: ["a", "b", "c", "d"],
  duration: "70 seconds",
  settleTime: "30 seconds",
  buckets: [bucket],
  faults,
  setup: Effect.gen(function*() {
    const simulation = yield* Simulation
    const clock = yield* Clock.Clock
    const history: Array<Linearizability.Operation> = []
    const watches = new Map<string, Shown>()
    let written = 0
    const problems: Array<string> = []
    const judge = judgeFor(problems, maxAge ?? Number.POSITIVE_INFINITY)
    const ages = maxAge === undefined ? {} : { streamMaxAge: maxAge, expiryMarkers: 1000 }
    const options = { bucket, replicas, ...ages }
    const now = () => Number(clock.monotonicTimeNanosUnsafe())
    // A roll-back that writes have made good again before a watch asks shows in nothing that a server tells.
    const goesOn = Effect.zipWith(
      simulation.now,
      simulation.facts,
      (time, { losses }) => time < lastWrite && !losses.some(({ how }) => how === "rolled back")
    )
    const services = (node: SimulatedNode) => Layer.provideMerge(NatsKVStore.layer(options), node.client)

    const process = (node: SimulatedNode) =>
      Effect.gen(function*() {
        const plain = yield* KVStore.KVStore
        const store = recorded(plain, { process: node.id, history, now }, replicas === 1)
        const shown: Shown = { values: new Map(), last: 0 }
        watches.set(node.id, shown)
        yield* Effect.forkScoped(follow(plain, shown, keepsAll, problems))
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
        // A watch that had come no further than writes have come again cannot tell.
        const isCertain = (key: string) => shown.last > last || !twice.has(key)
        return differences(node, shown, entries).filter(({ key }) => isCertain(key)).map(({ message }) => message)
      })
    })

    const violations = Effect.gen(function*() {
      // What goes by itself is in no model of who wrote what.
      const story = keepsAll && maxAge === undefined ? Linearizability.check(history) : undefined
      return [
        ...problems,
        ...(story === undefined || story._tag === "Linearizable" ? [] : [Linearizability.format(story)]),
        ...(yield* atLast)
      ]
    })
    return { process, violations }
  })
})

/** One copy: what is answered by the server is what it has. */
export const single = scenario({ replicas: 1, faults: Faults.survivable, keepsAll: true })

/**
 * Three copies: listings lag behind, and conflicts are told of writes that are only under way. They have elections more
 * often than anything else, so that some begin while a write is under way.
 */
export const replicated = scenario({
  replicas: 3,
  faults: [...Faults.survivable, "NoStoreLeader", "NoStoreLeader", "NoStoreLeader"],
  keepsAll: true
})

/** Buckets are lost, recreated by others, and rolled back: histories are not linearizable then, but watches must come to show what there is. */
export const losing = scenario({
  replicas: 1,
  faults: [...Faults.survivable, "LoseStream", "RecreateStream", "RollBack"],
  keepsAll: false
})

/** Values live for five seconds: none may be seen that is older, and what is left of them is taken for no value. */
export const aging = scenario({ replicas: 1, faults: Faults.survivable, keepsAll: true, maxAge: 5000 })
