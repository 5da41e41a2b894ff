/**
 * A `KVStore` on a NATS server: a JetStream KV bucket that every NATS client can
 * read and write too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as config from "./internal/kv/config.ts"
import { countActive } from "./internal/kv/metrics.ts"
import { make as makeStore } from "./internal/kv/store.ts"
import * as bucket from "./internal/nats/bucket/bucket.ts"
import { requesterOf } from "./internal/nats/service.ts"
import { KVStore } from "./KVStore.ts"
import type { BucketOptions } from "./KVStoreConfig.ts"
import { InvalidConfig, KVStoreError } from "./KVStoreError.ts"
import { NatsClient } from "./NatsClient.ts"

const noClient = new InvalidConfig({
  problem: "NatsClient: expected a client of this package, from NatsClient.make, NatsClient.layer or one of the " +
    "layerFromConnection, got another object"
})

/**
 * Opens the bucket for as long as the scope is open, or creates it where it does
 * not exist and `create` is not false. One that exists is compared with what is
 * asked for (`onMismatch`).
 *
 * **Details**
 *
 * Fails with `InvalidConfig`, before anything is sent, where an option is not
 * valid or the `NatsClient` was not made by this package; with `ConfigMismatch`
 * and `BucketNotFound` where the bucket is another one or is missing; and as every
 * operation does where the server cannot be reached or refuses.
 *
 * **Example** (A bucket that a program opens while it runs)
 *
 * ```ts
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const store = yield* NatsKVStore.make({ bucket: "settings" })
 *   return yield* store.get("colour")
 * }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: BucketOptions
): Effect.fn.Return<KVStore["Service"], KVStoreError, NatsClient | Scope.Scope> {
  const settings = yield* config.make(options)
  const requester = requesterOf(yield* NatsClient)
  const opened = requester === undefined ? Effect.fail(noClient) : bucket.make(requester, settings)
  const backend = yield* Effect.mapError(
    opened,
    (reason) => new KVStoreError({ bucket: settings.bucket, operation: "open", key: undefined, reason })
  )
  yield* countActive
  return KVStore.of(makeStore(backend))
})

/**
 * The same as a layer: see `make`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: BucketOptions): Layer.Layer<KVStore, KVStoreError, NatsClient> =>
  Layer.effect(KVStore, make(options))
