/**
 * A `KVStore` on a NATS server: a JetStream KV bucket, which other NATS clients can
 * read and write too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { open } from "./internal/kv/open.ts"
import * as bucket from "./internal/nats/bucket/bucket.ts"
import { findRequester } from "./internal/nats/service.ts"
import { KVStore } from "./KVStore.ts"
import type { BucketOptions } from "./KVStoreConfig.ts"
import type { KVStoreError } from "./KVStoreError.ts"
import { NatsClient } from "./NatsClient.ts"

/**
 * Opens a bucket. The store is usable until the scope closes.
 *
 * **Details**
 *
 * A missing bucket is created, unless `create` is false. An existing bucket is
 * compared with the options, and `onMismatch` decides what happens if they differ.
 *
 * Fails with
 *
 * - `InvalidConfig` if an option is invalid or the `NatsClient` was not created by
 *   this package (nothing has been sent then), or if the server is older than 2.10
 *   (with `expiryMarkers`: older than 2.11)
 * - `BucketNotFound` if the bucket is missing and `create` is false
 * - `ConfigMismatch` if the bucket exists with another configuration
 * - the errors of any operation if the server cannot be reached or refuses the
 *   request
 *
 * **Example** (A bucket whose name is known at run time)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsKVStore } from "effect-aegis"
 *
 * export const colourOf = (tenant: string) =>
 *   Effect.scoped(Effect.gen(function*() {
 *     const store = yield* NatsKVStore.make({ bucket: `settings_${tenant}` })
 *     return yield* store.get("colour")
 *   }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: BucketOptions
): Effect.Effect<KVStore["Service"], KVStoreError, NatsClient | Scope.Scope> =>
  Effect.flatMap(
    NatsClient,
    (client) =>
      open(options, (config) => Effect.flatMap(findRequester(client), (requester) => bucket.make(requester, config)))
  )

/**
 * A layer that opens a bucket: see `make`. A shortcut for `KVStore.layer` with
 * `Buckets.layerNats`.
 *
 * **Example** (A store on a local server)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { NatsClient, NatsKVStore } from "effect-aegis"
 *
 * export const Store = NatsKVStore.layer({ bucket: "settings", historySize: 5 }).pipe(
 *   Layer.provide(NatsClient.layer({ servers: "nats://localhost:4222" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: BucketOptions): Layer.Layer<KVStore, KVStoreError, NatsClient> =>
  Layer.effect(KVStore, make(options))
