/**
 * A process that takes snapshots of one bucket: by a watch of this library until `Ready`, and by the watch of
 * `@nats-io/kv` until its last current value, in turn. Both readers drop the entries. Needs `--expose-gc`.
 *
 * It is a separate process: the delays of the event loop and the size of the heap are then those of the watches alone.
 */
import { type KV, Kvm } from "@nats-io/kv"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type * as KVStore from "../../src/KVStore.ts"
import type { Measured, Task } from "../snapshot.ts"
import { median, rounded } from "./measure.ts"
import { connection, openStore } from "./store.ts"

type Store = KVStore.KVStore["Service"]

const task: Task = JSON.parse(process.argv[2]!)

/** Time for the server to remove the consumer of the last watch, and for the event loop to become idle. */
const rest = Effect.sleep("100 millis")

/** The interval of the timer that measures the delays of the event loop, in milliseconds. */
const resolution = 1

const { gc } = globalThis
if (gc === undefined) throw new Error("expected node --expose-gc")

/** The second collection also frees what finalizers of the first one have released. */
const collectOnce = Effect.sync(() => void gc())
const collect = collectOnce.pipe(Effect.andThen(rest), Effect.andThen(collectOnce))

const complete = (entries: number, expected: number) => {
  if (entries !== expected) throw new Error(`the snapshot has ${entries} of ${expected} entries`)
}

/** Returns the time until `Ready`, in milliseconds. */
const ours = (store: Store, expected: number) =>
  Effect.suspend(() => {
    const begun = performance.now()
    let [entries, ready] = [0, 0]
    return store.watch().pipe(
      Stream.takeUntil((event) => {
        if (event._tag === "Put") entries++
        if (event._tag === "Ready") ready = performance.now()
        return event._tag === "Ready"
      }),
      Stream.runDrain,
      Effect.map(() => {
        complete(entries, expected)
        return ready - begun
      })
    )
  })

/** Returns the time until the last current value, in milliseconds. */
const theirs = (kv: KV, expected: number) =>
  Effect.promise(async () => {
    const begun = performance.now()
    const watch = await kv.watch()
    let entries = 0
    for await (const { isUpdate } of watch) {
      entries++
      if (isUpdate) break
    }
    const ready = performance.now()
    watch.stop()
    complete(entries, expected)
    return ready - begun
  })

interface Snapshot {
  readonly millis: number
  /** The longest time for which the event loop was blocked, in milliseconds. */
  readonly blocked: number
}

/** Takes a snapshot after a garbage collection, so that it is not charged for the garbage of the former one. */
const measured = <E>(snapshot: Effect.Effect<number, E>): Effect.Effect<Snapshot, E> =>
  Effect.gen(function*() {
    yield* collect
    const delays = monitorEventLoopDelay({ resolution })
    delays.enable()
    yield* rest
    delays.reset()
    // The first tick of the timer after the reset is not recorded.
    yield* Effect.sleep(5 * resolution)
    const millis = yield* snapshot
    yield* rest
    delays.disable()
    return { millis, blocked: delays.max / 1e6 - resolution }
  })

const summary = (snapshots: ReadonlyArray<Snapshot>) => ({
  millis: rounded(median(snapshots.map(({ millis }) => millis))),
  blockedMillis: rounded(Math.max(...snapshots.map(({ blocked }) => blocked))),
  blockedMedian: rounded(median(snapshots.map(({ blocked }) => blocked)))
})

/** Measures in turn: one round to warm up, then `rounds` rounds. */
const times = Effect.fnUntraced(function*(store: Store, kv: KV, entries: number, rounds: number) {
  const measuredOurs: Array<Snapshot> = []
  const measuredTheirs: Array<Snapshot> = []
  for (let round = 0; round <= rounds; round++) {
    const [our, their] = [yield* measured(ours(store, entries)), yield* measured(theirs(kv, entries))]
    if (round === 0) continue
    measuredOurs.push(our)
    measuredTheirs.push(their)
  }
  return { ours: summary(measuredOurs), theirs: summary(measuredTheirs) }
})

/** Bytes in use: of the heap, and of the array buffers, which the heap does not contain. */
const memory = Effect.map(collect, () => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return { heap: heapUsed, buffers: arrayBuffers }
})

/** Opens a watch whose reader drops the events, and waits for `Ready`. The watch stays open until the scope closes. */
const keepOurs = Effect.fnUntraced(function*(store: Store) {
  const ready = yield* Deferred.make<void, KVStore.KVStoreError>()
  yield* store.watch().pipe(
    Stream.runForEach((event) => event._tag === "Ready" ? Deferred.succeed(ready, undefined) : Effect.void),
    Effect.onError((cause) => Deferred.failCause(ready, cause)),
    Effect.forkScoped
  )
  yield* Deferred.await(ready)
})

const keepTheirs = (kv: KV) =>
  Effect.gen(function*() {
    const watch = yield* Effect.acquireRelease(
      Effect.promise(() => kv.watch()),
      (watch) => Effect.sync(() => watch.stop())
    )
    const ready = yield* Deferred.make<void>()
    const read = async () => {
      for await (const { isUpdate } of watch) if (isUpdate) Deferred.doneUnsafe(ready, Effect.void)
    }
    yield* Effect.forkScoped(Effect.promise(read))
    yield* Deferred.await(ready)
  })

/** A collection may also free memory that was used before the watch. */
const perKey = (bytes: number, entries: number) => Math.max(0, Math.round(bytes / entries))

/** What one open watch keeps for each key, in bytes. */
const kept = Effect.fnUntraced(function*<E, R>(open: Effect.Effect<void, E, R>, entries: number) {
  const before = yield* memory
  yield* open
  const after = yield* memory
  return {
    heapPerKey: perKey(after.heap - before.heap, entries),
    buffersPerKey: perKey(after.buffers - before.buffers, entries)
  }
}, Effect.scoped)

const main = Effect.gen(function*() {
  const { bucket, entries, rounds, url } = task
  const store = yield* openStore(url, bucket)
  const other = yield* connection(url)
  const kv = yield* Effect.promise(() => new Kvm(other).open(bucket))
  // The rounds run first: code that is compiled during a watch would count as memory of the watch.
  const inTurn = yield* times(store, kv, entries, rounds)
  const result: Measured = {
    ours: { ...inTurn.ours, ...(yield* kept(keepOurs(store), entries)) },
    theirs: { ...inTurn.theirs, ...(yield* kept(keepTheirs(kv), entries)) }
  }
  return result
}).pipe(Effect.scoped)

process.send!(await Effect.runPromise(main))
