/**
 * A process that measures a registry: the time of a snapshot beside that of a raw consumer, the memory of a view and of
 * registrations, or the time of `list` without and with a view. Needs `--expose-gc`.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Registry } from "../../src/Registry.ts"
import type { CostTask } from "../registry.ts"
import { inTurn, millisOf } from "./measure.ts"
import { consumeRaw, fill, openRegistry, perService } from "./registryRecords.ts"
import { connection } from "./store.ts"

const task: CostTask = JSON.parse(process.argv[2]!)

const { gc } = globalThis
if (gc === undefined) throw new Error("expected node --expose-gc")

/** Time for finalizers and for buffers of the connection to be released between two collections. */
const rest = Effect.sleep("200 millis")
const collectOnce = Effect.sync(() => void gc())
const collect = collectOnce.pipe(Effect.andThen(rest), Effect.andThen(collectOnce))

type Size = CostTask["buckets"][number]

/** Bytes in use: of the heap, and of the array buffers, which the heap does not contain. */
const memory = Effect.map(collect, () => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
})

/** Watches all services until the scope closes. Returns at `Ready`, with the number of instances. */
const watchAll = Effect.fnUntraced(function*(registry: Registry["Service"]) {
  const ready = yield* Deferred.make<number>()
  let instances = 0
  yield* registry.watch().pipe(
    Stream.runForEach((event) =>
      Effect.suspend(() => {
        if (event._tag === "Up") instances++
        return event._tag === "Ready" ? Deferred.succeed(ready, instances) : Effect.void
      })
    ),
    Effect.forkScoped
  )
  return yield* Deferred.await(ready)
})

const complete = (count: number, expected: number) => {
  if (count !== expected) throw new Error(`the snapshot has ${count} of ${expected} instances`)
}

/** Milliseconds until a view and a raw consumer have read the same records, in turn. */
const snapshots = Effect.fnUntraced(function*(url: string, bucket: string, instances: number, rounds: number) {
  const registry = yield* openRegistry(url, bucket)
  const raw = yield* connection(url)
  const readRaw = Effect.gen(function*() {
    const read = yield* Deferred.make<void>()
    let count = 0
    yield* consumeRaw(raw, bucket, () => {
      if (++count === instances) Deferred.doneUnsafe(read, Effect.void)
    })
    yield* Deferred.await(read)
  })
  const readView = Effect.map(watchAll(registry), (count) => complete(count, instances))
  // The view is closed, and the garbage of a round is collected, outside of the measured time.
  const timeOf = <E>(read: Effect.Effect<void, E, Scope.Scope>) =>
    Effect.andThen(
      collect,
      Effect.acquireUseRelease(
        Scope.make(),
        (scope) => millisOf(Scope.provide(read, scope)),
        (scope, exit) => Scope.close(scope, exit)
      )
    )
  return yield* inTurn({ view: timeOf(readView), raw: timeOf(readRaw) }, rounds)
})

/** Sends a heartbeat of each instance, and waits until the view has received all of them. */
const beatAll = Effect.fnUntraced(function*(registry: Registry["Service"], url: string, { bucket, instances }: Size) {
  yield* fill(yield* connection(url), bucket, instances)
  // Stored after them, so the view receives it after them.
  yield* registry.register({ serviceName: "last", version: "1.0.0" })
  yield* Stream.runHead(Stream.filter(registry.watch("last"), ({ _tag }) => _tag === "Up"))
}, Effect.scoped)

/** Bytes for each instance of a view that has received heartbeats: the difference between a large and a small one. */
const viewHeap = Effect.fnUntraced(function*(url: string, buckets: CostTask["buckets"]) {
  const bytesOf = (size: Size) =>
    Effect.scoped(Effect.gen(function*() {
      const registry = yield* openRegistry(url, size.bucket)
      complete(yield* watchAll(registry), size.instances)
      yield* beatAll(registry, url, size)
      return yield* memory
    }))
  const [small, large] = [buckets[0]!, buckets[1]!]
  // Once before, so that compiled code is not counted as memory of the view.
  yield* bytesOf(large)
  yield* bytesOf(small)
  return ((yield* bytesOf(large)) - (yield* bytesOf(small))) / (large.instances - small.instances)
})

const registered = { few: 100, many: 500 }

/** After this time the code of heartbeats is compiled. */
const warmedUp = Effect.sleep("8 seconds")

/** Bytes for each registration: the difference between many and few. */
const registrationHeap = Effect.fnUntraced(function*(url: string) {
  const registry = yield* openRegistry(url, "own-registrations")
  const registerUpTo = (from: number, to: number) =>
    Effect.forEach(
      Array.from({ length: to - from }, (_, n) => from + n),
      (index) =>
        registry.register({
          serviceName: "orders",
          instanceId: `instance-${index}`,
          version: "1.24.3",
          metadata: { host: "10.0.0.7", port: 8080 + index }
        }, { heartbeat: "1 second" }),
      { concurrency: 16, discard: true }
    )
  // With heartbeats of each: what the first one allocates belongs to a registration.
  const beaten = Effect.sleep("3 seconds")
  // Once before, so that compiled code is not counted as memory of a registration.
  yield* Effect.scoped(Effect.andThen(registerUpTo(registered.many, registered.many * 2), warmedUp))
  yield* registerUpTo(0, registered.few)
  yield* beaten
  const few = yield* memory
  yield* registerUpTo(registered.few, registered.many)
  yield* beaten
  return ((yield* memory) - few) / (registered.many - registered.few)
})

/** Milliseconds of `list` of one service, without and with an open view. */
const lists = Effect.fnUntraced(function*(url: string, bucket: string, rounds: number) {
  const [without, withView] = [yield* openRegistry(url, bucket), yield* openRegistry(url, bucket)]
  yield* watchAll(withView)
  const listOf = (registry: Registry["Service"]) =>
    millisOf(Effect.map(registry.list("service-3"), ({ length }) => complete(length, perService)))
  return yield* inTurn({ without: listOf(without), withView: listOf(withView) }, rounds)
})

const { buckets, rounds, url, what } = task
const large = buckets.at(-1)!

const tasks = {
  snapshots: snapshots(url, large.bucket, large.instances, rounds),
  viewHeap: viewHeap(url, buckets),
  registrationHeap: registrationHeap(url),
  lists: lists(url, large.bucket, rounds)
} as const

// The lines about each registration would hide the table.
const quietly = Effect.provideService(References.MinimumLogLevel, "Error")

process.send!(await Effect.runPromise(quietly(Effect.scoped<unknown, unknown, Scope.Scope>(tasks[what]))))
process.exit(0)
