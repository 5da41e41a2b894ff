/**
 * A process that receives the heartbeats of a registry, by a view of this library or by a raw consumer that counts them,
 * and measures the processor time that it uses. Needs `--expose-gc`.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import type { ObserverTask } from "../registry.ts"
import { consumeRaw, openRegistry } from "./registryRecords.ts"
import { connection } from "./store.ts"

const task: ObserverTask = JSON.parse(process.argv[2]!)

const watchView = Effect.gen(function*() {
  const registry = yield* openRegistry(task.url, task.bucket)
  const ready = yield* Deferred.make<void>()
  yield* registry.watch().pipe(
    Stream.runForEach((event) => event._tag === "Ready" ? Deferred.succeed(ready, undefined) : Effect.void),
    Effect.forkScoped
  )
  yield* Deferred.await(ready)
})

const countRaw = Effect.gen(function*() {
  const read = yield* Deferred.make<void>()
  let count = 0
  yield* consumeRaw(yield* connection(task.url), task.bucket, () => {
    if (++count === task.instances) Deferred.doneUnsafe(read, Effect.void)
  })
  yield* Deferred.await(read)
})

const main = Effect.gen(function*() {
  yield* task.by === "view" ? watchView : countRaw
  // Code is compiled, and the garbage of the snapshot is collected, before the measurement.
  yield* Effect.sleep(task.warmUpMillis)
  globalThis.gc?.()
  const before = process.cpuUsage()
  const begun = performance.now()
  yield* Effect.sleep(task.measuredMillis)
  const { system, user } = process.cpuUsage(before)
  // Processor milliseconds for each second.
  return (system + user) / (performance.now() - begun)
})

const quietly = Effect.provideService(References.MinimumLogLevel, "Error")

process.send!(await Effect.runPromise(quietly(Effect.scoped(main))))
process.exit(0)
