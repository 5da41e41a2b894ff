/**
 * A `KVStore` on a NATS server: a JetStream KV bucket that every NATS client can
 * read and write too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { countActive } from "./internal/kv/metrics.ts"
import { make as makeStore } from "./internal/kv/store.ts"
import * as bucket from "./internal/nats/bucket.ts"
import { KVStore } from "./KVStore.ts"
import * as Config from "./KVStoreConfig.ts"
import { KVStoreError } from "./KVStoreError.ts"
import { NatsClient } from "./NatsClient.ts"

/**
 * Opens the bucket, or makes it where it is not there and `create` is not
 * false. One that exists is compared with what is asked for (`onMismatch`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Config.BucketOptions): Layer.Layer<KVStore, KVStoreError, NatsClient> =>
  Layer.effect(
    KVStore,
    Effect.gen(function*() {
      const config = yield* Config.make(options)
      const { requester } = yield* NatsClient
      const backend = yield* Effect.mapError(
        bucket.make(requester, config),
        (reason) => new KVStoreError({ bucket: config.bucket, operation: "open", key: undefined, reason })
      )
      yield* countActive
      return KVStore.of(makeStore(backend))
    })
  )
