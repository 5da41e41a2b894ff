/** Rollouts on real servers of both lines, and of `replicas` on a cluster. */
import { assert, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { layerNats } from "../../src/Buckets.ts"
import { lines } from "../../tools/natsServer/binaries.ts"
import { openOnCluster } from "../../tools/natsServer/cluster.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { layerOwnNatsBuckets } from "../support/natsClient.ts"
import { names, rollouts, start } from "./rollouts/suite.ts"

for (const line of lines) {
  const buckets = Layer.provide(layerOwnNatsBuckets, layerNatsServer(line))
  layer(buckets, { excludeTestServices: true, timeout: "30 seconds" })(`rollouts, ${line}`, (it) => {
    rollouts((title, body) => it.effect(title, () => Effect.scoped(body())))
  })
}

it.live(
  "rollouts on a cluster: replicas change, every process starts, and update applies the change",
  () =>
    Effect.gen(function*() {
      const { client } = yield* openOnCluster(["2.15", "2.15", "2.15"])
      const { election, registry } = names()
      const at = (replicas: number, onMismatch?: "update") =>
        start({ registry: { bucket: registry }, election: { bucket: election }, replicas, onMismatch })
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* at(1), [])
        assert.strictEqual((yield* at(3)).length, 2)
        assert.deepStrictEqual(yield* at(1), [])
        yield* at(3, "update")
        assert.deepStrictEqual(yield* at(3), [])
        assert.match((yield* at(1)).join(), /replicas is 3, not 1/)
      }).pipe(Effect.provide(Layer.provide(layerNats, Layer.succeedContext(client))))
    }),
  60_000
)
