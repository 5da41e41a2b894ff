/** What the cases of the suite have in common. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as KVKeyValueStore from "../../../src/KVKeyValueStore.ts"
import * as KVStore from "../../../src/KVStore.ts"
import { openBucket, type Store } from "../../support/suite.ts"

/** What Effect's programs use, over a store. */
export const over = (store: Store) =>
  Effect.map(
    Layer.build(Layer.provide(KVKeyValueStore.layer, Layer.succeed(KVStore.KVStore, store))),
    (context) => Context.get(context, KeyValueStore.KeyValueStore)
  )

/** A bucket of the test's own, seen from both sides. */
export const opened = Effect.fnUntraced(function*(options: Partial<KVStore.BucketOptions> = {}) {
  const store = yield* openBucket(options)
  return { store, kv: yield* over(store) }
})
