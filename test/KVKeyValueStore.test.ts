/** Effect's `KeyValueStore` over a store in memory. */
import * as Layer from "effect/Layer"
import * as KVStore from "../src/KVStore.ts"
import { Buckets } from "./KVKeyValueStoreSuite/fixture.ts"
import { suite } from "./KVKeyValueStoreSuite/index.ts"

suite("KVKeyValueStore in memory", {
  virtual: true,
  buckets: Layer.succeed(Buckets)({ open: KVStore.layerMemory })
})
