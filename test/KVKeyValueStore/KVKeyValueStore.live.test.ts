/** Effect's `KeyValueStore` over a bucket on real servers of both lines: the suite that memory passes. */
import * as Layer from "effect/Layer"
import { lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { layerOwnNatsBuckets } from "../support/natsClient.ts"
import { suite } from "./suite/index.ts"

for (const line of lines) {
  suite(`KVKeyValueStore on a server of the line ${line}`, {
    kind: "nats",
    virtual: false,
    buckets: Layer.provide(layerOwnNatsBuckets, layerNatsServer(line))
  })
}
