/** What the cases of the suite have in common. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import type * as Scope from "effect/Scope"
import * as KVKeyValueStore from "../../../src/KVKeyValueStore.ts"
import * as KVStore from "../../../src/KVStore.ts"
import type * as Config from "../../../src/KVStoreConfig.ts"
import { freshName, type Store } from "../../KVStore/suite/fixture.ts"

/** The backend that a case runs on. */
export class Buckets extends Context.Service<Buckets, {
  readonly open: (options: Config.BucketOptions) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>
}>()("effect-aegis/test/KeyValueBuckets") {}

export type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

/** What Effect's programs use, over a store. */
export const over = (store: Store) =>
  Effect.map(
    Layer.build(Layer.provide(KVKeyValueStore.layer, Layer.succeed(KVStore.KVStore, store))),
    (context) => Context.get(context, KeyValueStore.KeyValueStore)
  )

/** A bucket of the test's own, seen from both sides. */
export const opened = Effect.fnUntraced(function*(options: Partial<Config.BucketOptions> = {}) {
  const context = yield* Layer.build((yield* Buckets).open({ bucket: freshName(), ...options }))
  const store = Context.get(context, KVStore.KVStore)
  return { store, kv: yield* over(store) }
})
