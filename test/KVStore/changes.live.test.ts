/** The settings of a bucket's stream change while a store is open, on real servers and clusters. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { openOnCluster } from "../../tools/natsServer/cluster.ts"
import { bytes } from "../../tools/values.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, numbers, reasonOf } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"
import { change, changes, outdatedReads, type World } from "./changes/index.ts"

const { whenKey } = KVStore.KVOptions

const dropConsumers = (bucket: string) =>
  Effect.flatMap(Raw, ({ manager: { consumers } }) =>
    Effect.promise(async () => {
      const stream = `KV_${bucket}`
      for (const { name } of await consumers.list(stream).next()) await consumers.delete(stream, name)
    }))

for (const place of worlds) {
  layer(layerWorld(place), { excludeTestServices: true, timeout: "30 seconds" })(
    `${nameOf(place)}: a bucket that changes`,
    (it) => {
      changes((title, body) =>
        it.effect(title, () =>
          Effect.gen(function*() {
            const raw = yield* Raw
            const world: World = {
              isOld: place.line === "2.10",
              dropConsumers: (bucket) => Effect.provideService(dropConsumers(bucket), Raw, raw)
            }
            yield* body(world)
          }))
      )
    }
  )
}

const onCluster = 120_000

describe.concurrent("clusters", () => {
  it.live(
    "reads that decide are current when a bucket gets replicas, others and whenKey after STREAM.INFO",
    () =>
      Effect.gen(function*() {
        const { client } = yield* openOnCluster(["2.15", "2.15", "2.15"])
        yield* Effect.provideContext(
          Effect.gen(function*() {
            const store = yield* NatsKVStore.make({ bucket: freshName(), timeout: "500 millis" })
            const guard = yield* store.put("guard", bytes("1"))
            yield* store.put("guarded", bytes("1"), whenKey("guard", guard))
            yield* change(store.config.bucket, { num_replicas: 3 })
            assert.strictEqual(yield* outdatedReads(store, 500, { fromLeader: true }), 0)
            // Number 0 requests the present settings.
            const reason = yield* reasonOf(store.put("guarded", bytes("2"), whenKey("none", 0)), "InvalidConfig")
            assert.match(reason.problem, /guardedWrites: true.*3 replicas/)
            yield* reasonOf(store.put("guarded", bytes("2"), whenKey("guard", guard)), "InvalidConfig")
            assert.strictEqual(yield* outdatedReads(store, 500), 0)
            const guarded = yield* NatsKVStore.make({ bucket: store.config.bucket, replicas: 3, guardedWrites: true })
            yield* guarded.put("guarded", bytes("3"), whenKey("guard", guard))
            yield* reasonOf(guarded.put("guarded", bytes("4"), whenKey("guard", guard - 1)), "RevisionMismatch")
          }),
          client
        )
      }),
    onCluster
  )

  it.live(
    "in a cluster with a server before 2.11 listings are complete, and whenKey is refused",
    () =>
      Effect.gen(function*() {
        const { store } = yield* openOnCluster(["2.15", "2.15", "2.10"])
        const keys = numbers(20).map((n) => `k${n}`)
        yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)))
        // Each server answers about a third of the requests.
        for (let round = 0; round < 20; round++) {
          assert.deepStrictEqual((yield* store.entries()).map(({ key }) => key), keys)
          assert.deepStrictEqual(yield* store.keys(), keys)
          assert.strictEqual((yield* store.getMany(keys)).size, keys.length)
        }
        for (const n of [0, 1]) yield* reasonOf(store.put("a", bytes("1"), whenKey("b", n)), "InvalidConfig")
      }),
    onCluster
  )
})
