/** Effect's `KeyValueStore` over a bucket on real servers of both lines: the suite that memory passes. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { layerClient } from "../support/natsClient.ts"
import { Buckets } from "./suite/fixture.ts"
import { suite } from "./suite/index.ts"

const layerBuckets = Layer.effect(
  Buckets,
  Effect.map(NatsClient.NatsClient, (client) => ({
    open: (options) => Layer.provide(NatsKVStore.layer(options), Layer.succeed(NatsClient.NatsClient, client))
  }))
)

for (const line of lines) {
  suite(`KVKeyValueStore on a server of the line ${line}`, {
    virtual: false,
    buckets: layerBuckets.pipe(Layer.provide(layerClient), Layer.provide(layerNatsServer(line)))
  })
}
