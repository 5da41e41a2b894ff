/** The promises of a `KVStore`, kept in memory under the TestClock. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KVStore from "../src/KVStore.ts"
import { Buckets, suite } from "./KVStoreSuite.ts"

const buckets = Layer.succeed(Buckets)({
  layer: KVStore.layerMemory,
  // Every build of the layer is a new bucket.
  drop: () => Effect.void
})

suite("KVStore in memory", { kind: "memory", virtual: true, markers: true, buckets })
