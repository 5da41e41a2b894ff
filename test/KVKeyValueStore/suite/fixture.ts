/** Fixtures of the suite. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as KVKeyValueStore from "../../../src/KVKeyValueStore.ts"
import * as KVStore from "../../../src/KVStore.ts"
import { openBucket, type Store } from "../../support/suite.ts"

/** The `KeyValueStore` on a store, from the layer. */
export const over = (store: Store) =>
  Effect.map(
    Layer.build(Layer.provide(KVKeyValueStore.layer, Layer.succeed(KVStore.KVStore, store))),
    (context) => Context.get(context, KeyValueStore.KeyValueStore)
  )

/** A new bucket, as a `KVStore` and as a `KeyValueStore`. */
export const opened = Effect.fnUntraced(function*(options: Partial<KVStore.BucketOptions> = {}) {
  const store = yield* openBucket(options)
  return { store, kv: yield* over(store) }
})
