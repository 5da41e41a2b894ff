/**
 * Where buckets are: in the memory of this process, or on a NATS server.
 *
 * A program chooses `Buckets` once, at its edge. Everything else opens buckets by name
 * (`KVStore.layer`, `KVStore.Service`, `Aegis.layer`) and is the same on each backend.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { type Access, readAccess, readName } from "./internal/kv/config.ts"
import * as memory from "./internal/kv/memory.ts"
import { open } from "./internal/kv/open.ts"
import * as bucket from "./internal/nats/bucket/bucket.ts"
import * as catalog from "./internal/nats/bucket/catalog.ts"
import { findRequester } from "./internal/nats/service.ts"
import type { KVStore } from "./KVStore.ts"
import type { BucketOptions } from "./KVStoreConfig.ts"
import { KVStoreError, type KVStoreReason } from "./KVStoreError.ts"
import { NatsClient } from "./NatsClient.ts"

/**
 * The buckets of one backend.
 *
 * **Example** (Opening, listing and destroying buckets)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Buckets } from "effect-aegis"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const buckets = yield* Buckets.Buckets
 *   const orders = yield* buckets.open({ bucket: "orders" })
 *   yield* orders.put("42", new TextEncoder().encode("new"))
 *   // The same bucket, with its key.
 *   const again = yield* buckets.open({ bucket: "orders" })
 *   const keys = yield* again.keys()
 *   const before = yield* buckets.list()
 *   yield* buckets.destroy("orders")
 *   return `keys: ${keys}; buckets: ${before}, then ${(yield* buckets.list()).length}`
 * }))
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Buckets.layerMemory)))
 * // => keys: 42; buckets: orders, then 0
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class Buckets extends Context.Service<Buckets, {
  /**
   * Opens a bucket. The store is usable until the scope closes.
   *
   * **Details**
   *
   * A missing bucket is created, unless `create` is false. An existing bucket is
   * compared with the options, and `onMismatch` decides what happens if they differ.
   * Several parts of a program can open the same bucket.
   *
   * Fails with
   *
   * - `InvalidConfig` if an option is invalid; on a server also if the `NatsClient` was
   *   not created by this package (nothing has been sent then), or if the server is
   *   older than 2.10 (with `expiryMarkers`: older than 2.11)
   * - `BucketNotFound` if the bucket is missing and `create` is false
   * - `ConfigMismatch` if the bucket exists with another configuration
   * - on a server, the errors of any operation if it cannot be reached or refuses the
   *   request
   */
  readonly open: (options: BucketOptions) => Effect.Effect<KVStore["Service"], KVStoreError, Scope.Scope>
  /**
   * Lists the names of all buckets, sorted: on a server those of the account, also of
   * other clients.
   */
  readonly list: (options?: AccountOptions) => Effect.Effect<ReadonlyArray<string>, KVStoreError>
  /**
   * Destroys a bucket with all its keys. Fails with `BucketNotFound` if it does not exist.
   *
   * **Gotchas**
   *
   * A store that is still open on the bucket recreates it with its next operation, and
   * a watch does so at once, unless it was opened with `create: false`.
   */
  readonly destroy: (bucket: string, options?: AccountOptions) => Effect.Effect<void, KVStoreError>
}>()("effect-aegis/Buckets") {}

/**
 * Options of `list` and `destroy`. They are those of `BucketOptions`, and are ignored by
 * the memory backend.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccountOptions {
  /** The JetStream domain of the buckets. Not together with `apiPrefix`. Default: that of the connected server. */
  readonly domain?: string | undefined
  /** The prefix of the JetStream API of another account. Default `$JS.API`, the own account. */
  readonly apiPrefix?: string | undefined
  /** Timeout of each request. 1 ms to 1 hour. Default 5 s. */
  readonly timeout?: Duration.Input | undefined
}

/** What a backend does with a checked name, and with checked options. */
interface Catalog {
  readonly open: Buckets["Service"]["open"]
  readonly list: (access: Access) => Effect.Effect<ReadonlyArray<string>, KVStoreReason>
  readonly destroy: (bucket: string, access: Access) => Effect.Effect<void, KVStoreReason>
}

const make = ({ destroy, list, open }: Catalog): Buckets["Service"] => ({
  open,
  list: (options) =>
    Effect.suspend(() => Effect.fromResult(readAccess(options))).pipe(
      Effect.flatMap(list),
      Effect.mapError((reason) => new KVStoreError({ bucket: undefined, operation: "list", key: undefined, reason }))
    ),
  destroy: (bucket, options) =>
    Effect.suspend(() => Effect.fromResult(Result.all([readName(bucket), readAccess(options)]))).pipe(
      Effect.flatMap(([name, access]) => destroy(name, access)),
      Effect.mapError((reason) =>
        new KVStoreError({
          bucket: typeof bucket === "string" ? bucket : undefined,
          operation: "destroy",
          key: undefined,
          reason
        })
      )
    )
})

/**
 * Buckets in the memory of this process, for tests and for programs of one process.
 *
 * **Details**
 *
 * One name is one bucket for as long as the layer lives: it keeps its keys while no
 * store is open, and is compared with the options when it is opened again. Each build
 * of the layer begins without buckets.
 *
 * A bucket takes its time from the `Clock` of the fiber that opens it first, so a
 * `TestClock` controls the age of its values.
 *
 * **Example** (An expired value in a test)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { TestClock } from "effect/testing"
 * import { Buckets, KVStore } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const sessions = yield* KVStore.make({ bucket: "sessions", streamMaxAge: "30 minutes" })
 *   yield* sessions.put("42", new TextEncoder().encode("ann"))
 *   yield* TestClock.adjust("31 minutes")
 *   return Option.isNone(yield* sessions.get("42")) ? "expired" : "valid"
 * }).pipe(Effect.scoped, Effect.provide(Buckets.layerMemory))
 *
 * console.log(await Effect.runPromise(Effect.provide(program, TestClock.layer())))
 * // => expired
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<Buckets> = /* @__PURE__ */ Layer.effect(
  Buckets,
  /* @__PURE__ */ Effect.map(
    memory.make,
    ({ destroy, list, open: openBackend }) =>
      make({ open: (options) => open(options, openBackend), list: () => list, destroy })
  )
)

/**
 * The buckets of a NATS server: JetStream KV buckets, which other NATS clients can read
 * and write too. All stores share the connection of `NatsClient`.
 *
 * **Example** (Two buckets on one connection)
 *
 * ```ts
 * import { Layer, Schema } from "effect"
 * import { Buckets, KVStore, NatsClient } from "effect-aegis"
 *
 * class Orders extends KVStore.Service<Orders>()("app/Orders", { bucket: "orders" }) {}
 * class Stock extends KVStore.TypedService<Stock>()("app/Stock", { bucket: "stock", schema: Schema.Int }) {}
 *
 * export const Stores = Layer.merge(Orders.layer, Stock.layer).pipe(
 *   Layer.provide(Buckets.layerNats),
 *   Layer.provide(NatsClient.layer({ servers: "nats://localhost:4222" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNats: Layer.Layer<Buckets, never, NatsClient> = /* @__PURE__ */ Layer.effect(
  Buckets,
  /* @__PURE__ */ Effect.map(NatsClient, (client) => {
    const requester = findRequester(client)
    return make({
      open: (options) => open(options, (config) => Effect.flatMap(requester, (one) => bucket.make(one, config))),
      list: (access) => Effect.flatMap(requester, (one) => catalog.list(one, access)),
      destroy: (name, access) => Effect.flatMap(requester, (one) => catalog.destroy(one, name, access))
    })
  })
)
