/**
 * A `KVStore` on a NATS server: a JetStream KV bucket that every NATS client can
 * read and write too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as config from "./internal/kv/config.ts"
import { countActive } from "./internal/kv/metrics.ts"
import { make as makeStore } from "./internal/kv/store.ts"
import * as bucket from "./internal/nats/bucket.ts"
import { KVStore } from "./KVStore.ts"
import type { BucketOptions } from "./KVStoreConfig.ts"
import { KVStoreError } from "./KVStoreError.ts"
import { NatsClient } from "./NatsClient.ts"

/**
 * Opens the bucket, or makes it where it is not there and `create` is not
 * false. One that exists is compared with what is asked for (`onMismatch`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: BucketOptions): Layer.Layer<KVStore, KVStoreError, NatsClient> =>
  Layer.effect(
    KVStore,
    Effect.gen(function*() {
      const settings = yield* config.make(options)
      const { requester } = yield* NatsClient
      const backend = yield* Effect.mapError(
        bucket.make(requester, settings),
        (reason) => new KVStoreError({ bucket: settings.bucket, operation: "open", key: undefined, reason })
      )
      yield* countActive
      return KVStore.of(makeStore(backend))
    })
  )
