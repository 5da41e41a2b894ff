/**
 * A bucket of keys and values with revisions, compare-and-set and watches.
 *
 * `KVStore` promises the same on every backend: here in memory (`layerMemory`),
 * or on a NATS server (`NatsKVStore.layer`). Keys are tokens separated by dots;
 * every write takes the next number of ONE sequence over the whole bucket, its
 * revision, and may be conditioned on what the key held before. Values are
 * bytes; `typed` gives a view through a Schema.
 *
 * Nothing but "there is no value" is ever reported as none: an outage, a missing
 * bucket or a denied permission is a `KVStoreError`. A write that was sent and
 * not answered is `OutcomeUnknown`: neither failed nor done.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { backoff } from "./internal/backoff.ts"
import * as memory from "./internal/kv/memory.ts"
import { make as makeStore } from "./internal/kv/store.ts"
import type { KVEntry, KVEvent, KVHistoryEvent, KVOptions, KVStatus, RemoveOptions, WatchOptions } from "./KVEntry.ts"
import * as Config from "./KVStoreConfig.ts"
import { InvalidValue, KVStoreError, type KVStoreReason, UndecodableValue } from "./KVStoreError.ts"

export * from "./KVEntry.ts"
export { type BucketOptions, KVStoreConfig } from "./KVStoreConfig.ts"
export * from "./KVStoreError.ts"

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
  /** Live values, then `Ready`, then every change in order: the latest state, not a log. */
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
    Effect.map(Effect.flatMap(Config.make(config), memory.make), (backend) => KVStore.of(makeStore(backend)))
  )

/**
 * A view of a store through a codec.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedKVStore<A> {
  /** Fails with `UndecodableValue` where what is stored does not decode. */
  readonly get: (key: string) => Effect.Effect<Option.Option<KVEntry<A>>, KVStoreError>
  readonly put: (key: string, value: A, options?: KVOptions) => Effect.Effect<number, KVStoreError>
  readonly delete: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Fails with `UndecodableValue`, which names the key, where one of them does not decode. */
  readonly entries: (filter?: string) => Effect.Effect<ReadonlyArray<KVEntry<A>>, KVStoreError>
  /**
   * Reads, applies `f`, and writes back by compare-and-set until nobody came
   * between, for the store's timeout at most. `none` in: there is no value.
   * `none` out: delete. Returns the revision of the value that it wrote, or 0
   * where it leaves none.
   */
  readonly modify: (
    key: string,
    f: (current: Option.Option<A>) => Option.Option<A>
  ) => Effect.Effect<number, KVStoreError>
  /** What does not decode is an `Invalid` event; the stream goes on. */
  readonly watch: (filter?: string, options?: WatchOptions) => Stream.Stream<KVEvent<A>, KVStoreError>
}

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
  Effect.map(KVStore, (store) => makeTyped(store, schema))

const makeTyped = <A, I>(store: KVStore["Service"], schema: Schema.Codec<A, I>): TypedKVStore<A> => {
  const json = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encodeText = Schema.encodeEffect(json)
  const decodeText = Schema.decodeUnknownEffect(json)

  const failure = (operation: string, key: string, reason: KVStoreReason) =>
    new KVStoreError({ bucket: store.config.bucket, operation, key, reason })

  const encode = (operation: string, key: string, value: A) =>
    encodeText(value).pipe(
      Effect.map((text) => new TextEncoder().encode(text)),
      Effect.mapError((error) => failure(operation, key, new InvalidValue({ problem: error.message })))
    )

  const decode = (entry: KVEntry): Effect.Effect<KVEntry<A>, Undecodable> =>
    Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(entry.value),
      catch: (cause) => new Undecodable(entry, cause)
    }).pipe(
      Effect.flatMap((text) => Effect.mapError(decodeText(text), (cause) => new Undecodable(entry, cause))),
      Effect.map((value) => ({ ...entry, value }))
    )

  const decodeOrFail = (operation: string) => (entry: KVEntry) =>
    Effect.mapError(
      decode(entry),
      ({ cause }) => failure(operation, entry.key, new UndecodableValue({ revision: entry.revision, cause }))
    )

  const get = (operation: string, key: string) =>
    Effect.flatMap(store.get(key), (entry) => Effect.transposeOption(Option.map(entry, decodeOrFail(operation))))

  const put = (operation: string, key: string, value: A, options?: KVOptions) =>
    Effect.flatMap(encode(operation, key, value), (bytes) => store.put(key, bytes, options))

  const modify: TypedKVStore<A>["modify"] = (key, f) =>
    Effect.gen(function*() {
      const current = yield* get("modify", key)
      const next = f(Option.map(current, (entry) => entry.value))
      if (Option.isSome(next)) {
        const condition: KVOptions = Option.isSome(current)
          ? { revision: current.value.revision }
          : { createOnly: true }
        return yield* put("modify", key, next.value, condition)
      }
      if (Option.isSome(current)) yield* store.delete(key, { revision: current.value.revision })
      return 0
    }).pipe(
      Effect.retry({
        while: (error) => error.reason._tag === "RevisionMismatch" || error.reason._tag === "KeyAlreadyExists",
        schedule: Schedule.upTo(backoff(modifyPause, modifyPause), { duration: store.config.timeout })
      })
    )

  return {
    get: (key) => get("get", key),
    put: (key, value, options) => put("put", key, value, options),
    delete: store.delete,
    entries: (filter) =>
      Effect.flatMap(store.entries(filter), (entries) => Effect.forEach(entries, decodeOrFail("entries"))),
    modify,
    watch: (filter, options) =>
      Stream.mapEffect(store.watch(filter, options), (event): Effect.Effect<KVEvent<A>> =>
        event._tag === "Put"
          ? Effect.match(decode(event.entry), {
            onFailure: ({ cause, entry }) => ({ _tag: "Invalid", key: entry.key, revision: entry.revision, cause }),
            onSuccess: (entry) => ({ _tag: "Put", entry })
          })
          : Effect.succeed(event))
  }
}

/** Two who modify one key at once meet again after this long, give or take a fifth. */
const modifyPause = Duration.millis(10)

class Undecodable extends Data.Error<{ readonly entry: KVEntry; readonly cause: unknown }> {
  constructor(entry: KVEntry, cause: unknown) {
    super({ entry, cause })
  }
}

/** How many reads `getMany`, and deletes `clear`, keep under way at once. */
const manyAtOnce = 16

/**
 * Reads several keys, with bounded concurrency. What has no value is left out.
 *
 * @category combinators
 * @since 0.1.0
 */
export const getMany = Effect.fnUntraced(function*(
  keys: Iterable<string>
): Effect.fn.Return<ReadonlyMap<string, KVEntry>, KVStoreError, KVStore> {
  const store = yield* KVStore
  const found = yield* Effect.forEach(new Set(keys), store.get, { concurrency: manyAtOnce })
  return new Map(found.flatMap(Option.toArray).map((entry) => [entry.key, entry]))
})

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
  yield* Effect.forEach(keys, (key) => store.delete(key), { concurrency: manyAtOnce, discard: true })
  return keys.length
})
