/** Effect's `KeyValueStore` over a store in memory. */
import * as Layer from "effect/Layer"
import * as KVStore from "../../src/KVStore.ts"
import { Buckets } from "./suite/fixture.ts"
import { suite } from "./suite/index.ts"

suite("KVKeyValueStore in memory", {
  virtual: true,
  buckets: Layer.succeed(Buckets)({ open: KVStore.layerMemory })
})
