/**
 * A bucket of keys and values with revisions, compare-and-set and watches.
 *
 * `KVStore` promises the same on every backend: here in memory (`layerMemory`),
 * or on a NATS server (`NatsKVStore.layer`). Keys are tokens separated by dots;
 * every write takes the next number of ONE sequence over the whole bucket, its
 * revision, and may be conditioned on what the key held before. Values are
 * bytes; `typed` gives a view through a Schema, as JSON text, and `typedWith` one
 * through a codec of one's own.
 *
 * Nothing but "there is no value" is ever reported as none: an outage, a missing
 * bucket or a denied permission is a `KVStoreError`. A write that was sent and
 * not answered is `OutcomeUnknown`: neither failed nor done.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import { getUnexpired as readUnexpired } from "./internal/kv/expireOnRead.ts"
import * as memory from "./internal/kv/memory.ts"
import { countActive } from "./internal/kv/metrics.ts"
import { make as makeStore } from "./internal/kv/store.ts"
import { makeTyped } from "./internal/kv/typed.ts"
import type { KVEntry, KVEvent, KVHistoryEvent, KVOptions, KVStatus, RemoveOptions, WatchOptions } from "./KVEntry.ts"
import * as Config from "./KVStoreConfig.ts"
import type { KVStoreError } from "./KVStoreError.ts"
import { type ExpireOptions, StringFromUtf8, type TypedKVStore } from "./TypedKVStore.ts"

export * from "./KVEntry.ts"
export { type BucketOptions, KVStoreConfig } from "./KVStoreConfig.ts"
export * from "./KVStoreError.ts"
export * from "./TypedKVStore.ts"

/**
 * A bucket, opened.
 *
 * @category services
 * @since 0.1.0
 */
export class KVStore extends Context.Service<KVStore, {
  /** The bucket as it was opened: as it is where it was taken as it is, defaults filled in. */
  readonly config: Config.KVStoreConfig
  /** The live value; none where it is absent, deleted, purged or expired. Reads its own writes. */
  readonly get: (key: string) => Effect.Effect<Option.Option<KVEntry>, KVStoreError>
  /** Writes, and returns the revision that this write got. */
  readonly put: (key: string, value: Uint8Array, options?: KVOptions) => Effect.Effect<number, KVStoreError>
  /** Leaves a tombstone, also where there was nothing. */
  readonly delete: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Leaves a tombstone, and removes the key's history. */
  readonly purge: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Newest first, tombstones included as `Removed`. */
  readonly history: (key: string) => Effect.Effect<ReadonlyArray<KVHistoryEvent>, KVStoreError>
  /**
   * Keys that have a value, in revision order. `filter` is a NATS subject filter
   * over keys: `orders.*`, `orders.>`; all keys where it is left out. May lag
   * behind on a replicated bucket.
   */
  readonly keys: (filter?: string) => Effect.Effect<ReadonlyArray<string>, KVStoreError>
  /** The live values of those keys. May lag behind on a replicated bucket. */
  readonly entries: (filter?: string) => Effect.Effect<ReadonlyArray<KVEntry>, KVStoreError>
  /** The live values of several keys, by key; in one request where the server can. May lag behind like `entries`. */
  readonly getMany: (keys: Iterable<string>) => Effect.Effect<ReadonlyMap<string, KVEntry>, KVStoreError>
  /**
   * Live values, then `Ready`, then every change in order: the latest state, not
   * a log. It lives through outages, and tells of what went meanwhile.
   */
  readonly watch: (filter?: string, options?: WatchOptions) => Stream.Stream<KVEvent, KVStoreError>
  /** The state of the bucket. */
  readonly status: Effect.Effect<KVStatus, KVStoreError>
  /** A clock that reads the STORE's wall time; compare `created` with nothing else. */
  readonly clock: Clock.Clock
}>()("effect-aegis/KVStore") {}

/**
 * A store in this process, made anew with every build of the layer. Its time is
 * the `Clock` that the layer is built with, so that a TestClock ages its values.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (config: Config.BucketOptions): Layer.Layer<KVStore, KVStoreError> =>
  Layer.effect(
    KVStore,
    Effect.map(
      Effect.tap(Effect.flatMap(Config.make(config), memory.make), () => countActive),
      (backend) => KVStore.of(makeStore(backend))
    )
  )

/**
 * A view through a Schema: values are JSON text in UTF-8.
 *
 * **Example** (A typed view)
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const prices = yield* KVStore.typed(Schema.Struct({ cents: Schema.Int }))
 *   yield* prices.put("apple", { cents: 120 })
 *   return yield* prices.get("apple")
 * })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const typed = <A, I>(schema: Schema.Codec<A, I>): Effect.Effect<TypedKVStore<A>, never, KVStore> =>
  typedWith(StringFromUtf8.pipe(Schema.decodeTo(Schema.fromJsonString(Schema.toCodecJson(schema)))))

/**
 * A view through a codec whose encoded side is what is stored: bytes of any
 * format, or text by way of `StringFromUtf8`.
 *
 * **Details**
 *
 * A codec that throws is taken for one that fails: `InvalidValue` on the way in,
 * `UndecodableValue` or `Undecodable` on the way out.
 *
 * **Example** (A binary format)
 *
 * ```ts
 * const Packed = Schema.Uint8Array.pipe(
 *   Schema.decodeTo(Price, SchemaTransformation.transform({ decode: msgpack.decode, encode: msgpack.encode }))
 * )
 * const prices = KVStore.typedWith(Packed)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const typedWith = <A>(codec: Schema.Codec<A, Uint8Array>): Effect.Effect<TypedKVStore<A>, never, KVStore> =>
  Effect.map(KVStore, (store) => makeTyped(store, codec))

/**
 * The value of a key, unless it is older than `maxAge`: then it is absent, and
 * is removed.
 *
 * **Details**
 *
 * Age is the time since the store took the value, by the store's own clock; no
 * host's clock is asked, and exactly `maxAge` is alive. The removal is a
 * compare-and-delete of the value that was judged. Where another write came
 * between, that write is kept and judged in its turn.
 *
 * A removal that fails (an outage, a permission, an unknown outcome) does not
 * change the answer: what the store has is too old, and the next reader finds it
 * so again. It is told to the log at level Debug. Use `delete` where the removal
 * itself matters.
 *
 * **Gotchas**
 *
 * Only reads through this function expire anything: a value that nobody reads
 * stays, and `get`, `entries` and watches give it. `streamMaxAge` bounds what a
 * bucket keeps.
 *
 * **Example** (A session that ends after half an hour)
 *
 * ```ts
 * const session = KVStore.getUnexpired("session.42", { maxAge: "30 minutes" })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const getUnexpired = (
  key: string,
  options: ExpireOptions
): Effect.Effect<Option.Option<KVEntry>, KVStoreError, KVStore> =>
  Effect.flatMap(KVStore, (store) => readUnexpired(store, key, options))

/** How many deletes `clear` keeps under way at once. */
const deletesAtOnce = 16

/**
 * Reads several keys at once, in one request where the server can. What has no
 * value is left out.
 *
 * @category combinators
 * @since 0.1.0
 */
export const getMany = (
  keys: Iterable<string>
): Effect.Effect<ReadonlyMap<string, KVEntry>, KVStoreError, KVStore> =>
  Effect.flatMap(KVStore, (store) => store.getMany(keys))

/**
 * Deletes every key that matches and has a value now. Returns how many.
 *
 * @category combinators
 * @since 0.1.0
 */
export const clear = Effect.fnUntraced(function*(
  filter?: string
): Effect.fn.Return<number, KVStoreError, KVStore> {
  const store = yield* KVStore
  const keys = yield* store.keys(filter)
  yield* Effect.forEach(keys, (key) => store.delete(key), { concurrency: deletesAtOnce, discard: true })
  return keys.length
})
