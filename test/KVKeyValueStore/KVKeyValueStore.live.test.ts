/** `KVKeyValueStore` on nats-server of both lines: the same suite as in memory. */
import * as Layer from "effect/Layer"
import { lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { layerOwnNatsBuckets } from "../support/natsClient.ts"
import { suite } from "./suite/index.ts"

for (const line of lines) {
  suite(`KVKeyValueStore on nats-server ${line}`, {
    kind: "nats",
    virtual: false,
    buckets: Layer.provide(layerOwnNatsBuckets, layerNatsServer(line))
  })
}
