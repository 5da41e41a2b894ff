/** A `KVStore` and `@nats-io/kv` on one bucket: each reads, watches and conditions on the writes of the other. */
import { layer } from "@effect/vitest"
import * as Layer from "effect/Layer"
import { lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { layerClient } from "../support/natsClient.ts"
import { conditions } from "./interop/conditions.ts"
import { expiries } from "./interop/expiries.ts"
import { mixtures } from "./interop/mixtures.ts"
import { openings } from "./interop/openings.ts"
import type { Test } from "./interop/sides.ts"
import { values } from "./interop/values.ts"
import { watches } from "./interop/watches.ts"

for (const line of lines) {
  const shared = layerClient.pipe(Layer.provideMerge(layerNatsServer(line)))
  layer(shared, { excludeTestServices: true, timeout: "30 seconds" })(`${line}: KVStore and @nats-io/kv`, (it) => {
    const test: Test = (title, body) => it.effect(title, body)
    conditions(test)
    values(test)
    watches(test)
    openings(test)
    expiries(test, line)
    mixtures(test)
  })
}
