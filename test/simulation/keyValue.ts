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
import * as KVStore from "../../src/KVStore.ts"
import { NatsClient } from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as Linearizability from "../../src/testing/Linearizability.ts"
import type * as Scenario from "../../src/testing/Scenario.ts"
import { Simulation, type SimulatedNode } from "../../src/testing/Simulation.ts"

type Store = KVStore.KVStore["Service"]

/** What a watch has shown: values by key. */
type Shown = Map<string, string>

const bucket = "settings"
const keys = ["k.0", "k.1", "k.2"]

/** Keys that only they write who send message ids: what they are told is no answer of `KVStore`. */
const foreignKey = "foreign"

/** True time, in milliseconds, at which the last write is begun. */
const lastWrite = 70_000

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** One operation at random, its outcome left to the recorder. */
const operate = (store: Store, value: () => string, seen: Map<string, number>) =>
  Effect.gen(function*() {
    const key = yield* Random.choice(keys)
    const written = encoder.encode(value())
    const revision = seen.get(key) ?? 0
    const operations: ReadonlyArray<Effect.Effect<unknown, KVStore.KVStoreError>> = [
      Effect.tap(store.get(key), (entry) =>
        Effect.sync(() => seen.set(key, Option.match(entry, { onNone: () => 0, onSome: (one) => one.revision })))),
      store.put(key, written),
      store.put(key, written, { createOnly: true }),
      store.put(key, written, { updateOnly: true }),
      store.put(key, written, { revision }),
      store.put(key, written, { revision }),
      store.delete(key),
      store.delete(key, { revision }),
      store.purge(key, { revision }),
      store.entries(),
      store.getMany(keys)
    ]
    yield* Effect.ignore(yield* Random.choice(operations))
  })

/** Keeps what the watch shows, for as long as it lives. */
const follow = (store: Store, shown: Shown) =>
  Effect.suspend(() => {
    shown.clear()
    return Stream.runForEach(store.watch(), (event) =>
      Effect.sync(() => {
        if (event._tag === "Put") shown.set(event.entry.key, decoder.decode(event.entry.value))
        if (event._tag === "Removed") shown.delete(event.key)
      }))
  }).pipe(Effect.retry(Schedule.spaced("1 second")))

/** Writes as other clients may: with a message id, and again with the same where no answer came, or one time in two. */
const writeWithIds = (count: () => number, goesOn: Effect.Effect<boolean>) =>
  Effect.gen(function*() {
    const { requester } = yield* NatsClient
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
      const chosen = (yield* Random.nextBoolean) ? write : free
      yield* Effect.ignore(Effect.andThen(Effect.ignore(chosen), write))
    }
  })

/** What a watch shows that the store has not, or has otherwise. */
const differences = (node: string, shown: Shown, entries: ReadonlyArray<KVStore.KVEntry>): ReadonlyArray<string> => {
  const has = new Map(entries.map((entry) => [entry.key, decoder.decode(entry.value)]))
  return [...new Set([...has.keys(), ...shown.keys()])]
    .filter((key) => has.get(key) !== shown.get(key))
    .map((key) => {
      const [wrong = "nothing", right = "nothing"] = [shown.get(key), has.get(key)]
      return `the watch on ${node} shows ${wrong} for "${key}", and the store has ${right}`
    })
}

interface Options {
  readonly replicas: number
  readonly faults: Scenario.Scenario["faults"]
  /** Nothing that was written is lost in it: every answer must fit into one story. */
  readonly isOneStory: boolean
}

const scenario = ({ faults, isOneStory, replicas }: Options): Scenario.Scenario => ({
  nodes: ["a", "b", "c", "d"],
  lasting: "70 seconds",
  settling: "30 seconds",
  buckets: [bucket],
  faults,
  simulation: { bucket: { bucket, replicas } },
  parts: Effect.gen(function*() {
    const simulation = yield* Simulation
    const clock = yield* Clock.Clock
    const history: Array<Linearizability.Operation> = []
    const watches = new Map<string, Shown>()
    let written = 0
    const now = () => Number(clock.monotonicTimeNanosUnsafe())
    // A roll-back that writes have made good again before a watch asks shows in nothing that a server tells.
    const goesOn = Effect.zipWith(simulation.now, simulation.facts, (time, { losses }) =>
      time < lastWrite && !losses.some(({ how }) => how === "rolled back"))
    const services = (node: SimulatedNode) => Layer.provideMerge(NatsKVStore.layer({ bucket, replicas }), node.client)

    const process = (node: SimulatedNode) =>
      Effect.gen(function*() {
        const plain = yield* KVStore.KVStore
        const store = Linearizability.recorder({ process: node.id, history, now })(plain)
        const shown: Shown = new Map()
        watches.set(node.id, shown)
        yield* Effect.forkScoped(follow(plain, shown))
        if (node.id === "d") yield* Effect.forkScoped(writeWithIds(() => written++, goesOn))
        const seen = new Map<string, number>()
        while (yield* goesOn) {
          yield* pause(10, 400)
          yield* operate(store, () => `${node.id}-${written++}`, seen)
        }
        yield* Effect.never
      }).pipe(Effect.scoped, Effect.provide(services(node)), Effect.retry(Schedule.spaced("1 second")))

    const atLast = Effect.gen(function*() {
      const judge = yield* simulation.node("judge")
      const entries = yield* judge.run(
        Effect.provide(Effect.flatMap(KVStore.KVStore, (store) => store.entries()), services(judge))
      )
      return [...watches].flatMap(([node, shown]) => differences(node, shown, entries))
    })

    const verdict = Effect.gen(function*() {
      const story = isOneStory ? Linearizability.check(history) : undefined
      return [
        ...(story === undefined || story._tag === "Linearizable" ? [] : [Linearizability.format(story)]),
        ...(yield* atLast)
      ]
    })
    return { process, verdict }
  })
})

/** One copy: what is answered by the server is what it has. */
export const single = scenario({ replicas: 1, faults: Faults.survivable, isOneStory: true })

/** Three copies: listings lag behind, and conflicts are told of writes that are only under way. */
export const replicated = scenario({ replicas: 3, faults: Faults.survivable, isOneStory: true })

/** Buckets are lost, made anew by others, and rolled back: no story is left, but watches must come to show what there is. */
export const losing = scenario({
  replicas: 1,
  faults: [...Faults.survivable, "LoseStream", "RemakeStream", "RollBack"],
  isOneStory: false
})
