/**
 * Opens a bucket on any backend: checks the options, adds the bucket to an error, and
 * counts the store until its scope closes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { KVStore } from "../../KVStore.ts"
import type { BucketOptions, KVStoreConfig } from "../../KVStoreConfig.ts"
import { KVStoreError, type KVStoreReason } from "../../KVStoreError.ts"
import type { Backend } from "./backend.ts"
import * as config from "./config.ts"
import { countActive } from "./metrics.ts"
import { make } from "./store.ts"

export const open = Effect.fnUntraced(function*<R>(
  options: BucketOptions,
  openBackend: (config: KVStoreConfig) => Effect.Effect<Backend, KVStoreReason, R>
): Effect.fn.Return<KVStore["Service"], KVStoreError, R | Scope.Scope> {
  const settings = yield* config.make(options)
  const backend = yield* Effect.mapError(
    openBackend(settings),
    (reason) => new KVStoreError({ bucket: settings.bucket, operation: "open", key: undefined, reason })
  )
  yield* countActive
  return make(backend)
})
