/**
 * A bucket of keys and values with revisions, compare-and-set and watches.
 *
 * `KVStore` guarantees the same on every backend: here in memory (`layerMemory`),
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
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as config from "./internal/kv/config.ts"
import { getUnexpired as readUnexpired } from "./internal/kv/expireOnRead.ts"
import * as memory from "./internal/kv/memory.ts"
import { countActive } from "./internal/kv/metrics.ts"
import { make as makeStore } from "./internal/kv/store.ts"
import { makeTyped } from "./internal/kv/typed.ts"
import { fromUtf8, toUtf8 } from "./internal/utf8.ts"
import type { BucketOptions, KVStoreConfig } from "./KVStoreConfig.ts"
import type { KVStoreError } from "./KVStoreError.ts"

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
  readonly config: KVStoreConfig
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
 * One live value. `created` is the time at which the STORE accepted it:
 * compare it with `KVStore.clock` and with nothing else.
 *
 * @category models
 * @since 0.1.0
 */
export interface KVEntry<A = Uint8Array> {
  readonly key: string
  readonly value: A
  /** Sequence that the store gave this write; grows over the whole bucket. */
  readonly revision: number
  readonly created: DateTime.Utc
}

/**
 * A key that has a value.
 *
 * @category models
 * @since 0.1.0
 */
export interface Put<A = Uint8Array> {
  readonly _tag: "Put"
  readonly entry: KVEntry<A>
}

/**
 * A key that has lost its value: by `delete`, by `purge`, by its age, or
 * because the bucket was recreated or rolled back (`reset`).
 *
 * **Details**
 *
 * Where it went without a message that is still there (a gap in a watch, a
 * reset), `revision` is the one that was seen last, and `created` is when the
 * store was found without it. Such a key is `expire` in a bucket with an age
 * limit or markers, and `purge` in another.
 *
 * @category models
 * @since 0.1.0
 */
export interface Removed {
  readonly _tag: "Removed"
  readonly key: string
  readonly revision: number
  readonly created: DateTime.Utc
  readonly reason: "delete" | "purge" | "expire" | "reset"
}

/**
 * Typed views only: the value does not decode. The stream goes on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undecodable {
  readonly _tag: "Undecodable"
  readonly key: string
  readonly revision: number
  readonly cause: unknown
}

/**
 * The snapshot is complete; it comes once, also when there was nothing, and
 * again after the snapshot of a bucket that was recreated.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ready {
  readonly _tag: "Ready"
}

/**
 * What a watcher sees.
 *
 * @category models
 * @since 0.1.0
 */
export type KVEvent<A = Uint8Array> = Put<A> | Removed | Undecodable | Ready

/**
 * What the history of a key holds, newest first.
 *
 * @category models
 * @since 0.1.0
 */
export type KVHistoryEvent<A = Uint8Array> = Put<A> | Removed | Undecodable

/**
 * How a `put` may write: one condition at most, because the server checks one
 * number only. There is no ttl here, on purpose: a plain write after a timed
 * one makes a key immortal.
 *
 * @category models
 * @since 0.1.0
 */
export type KVOptions =
  | {
    /** Only where there is no live value: absent, deleted, purged or expired. */
    readonly createOnly: true
    readonly updateOnly?: never
    readonly revision?: never
    readonly whenKey?: never
  }
  | {
    readonly createOnly?: never
    /** Only over a live value. */
    readonly updateOnly: true
    readonly revision?: never
    readonly whenKey?: never
  }
  | {
    readonly createOnly?: never
    readonly updateOnly?: never
    /** Only while the last message of this key has this revision; 0: no message of this key at all. */
    readonly revision: number
    readonly whenKey?: never
  }
  | {
    readonly createOnly?: never
    readonly updateOnly?: never
    readonly revision?: never
    /** Only while ANOTHER key's last message has this revision. Memory, and servers from 2.11 on. */
    readonly whenKey: { readonly key: string; readonly revision: number }
  }

/**
 * A condition for `delete` and `purge`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RemoveOptions {
  /** Only while the last message of the key has this revision. */
  readonly revision?: number | undefined
  readonly createOnly?: never
  readonly updateOnly?: never
  readonly whenKey?: never
}

/**
 * Where a watch begins.
 *
 * @category models
 * @since 0.1.0
 */
export interface WatchOptions {
  /**
   * `"snapshot"` (default): live values first, then `Ready`, then changes.
   * `"updates"`: `Ready`, then changes only. `{ revision }`: what is still
   * there from this revision on (itself included), then `Ready`, then changes;
   * one that is still to come is waited for.
   */
  readonly from?: "snapshot" | "updates" | { readonly revision: number } | undefined
}

/**
 * The state of a bucket.
 *
 * @category models
 * @since 0.1.0
 */
export interface KVStatus {
  readonly bucket: string
  readonly backend: "memory" | "nats"
  /** Messages held: values, kept history, and tombstones. */
  readonly messages: number
  readonly bytes: number
  readonly lastRevision: number
  /** When the bucket was made: the epoch of fencing tokens. */
  readonly created: DateTime.Utc
  readonly serverVersion?: string | undefined
  /** Whether the server behind it can expire single keys and tell watchers so. */
  readonly supportsExpiryMarkers: boolean
}

/**
 * A view of a store through a codec.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedKVStore<A> {
  /** Fails with `UndecodableValue` where what is stored does not decode. */
  readonly get: (key: string) => Effect.Effect<Option.Option<KVEntry<A>>, KVStoreError>
  /** The value, unless it is older than `maxAge`: see `KVStore.getUnexpired`. What is too old need not decode. */
  readonly getUnexpired: (key: string, options: ExpireOptions) => Effect.Effect<Option.Option<KVEntry<A>>, KVStoreError>
  /** Fails with `InvalidValue` where the value does not encode; nothing is written then. */
  readonly put: (key: string, value: A, options?: KVOptions) => Effect.Effect<number, KVStoreError>
  readonly delete: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Fails with `UndecodableValue`, which names the key, where one of them does not decode. */
  readonly entries: (filter?: string) => Effect.Effect<ReadonlyArray<KVEntry<A>>, KVStoreError>
  /**
   * Reads, applies `f`, and writes back by compare-and-set until nobody came
   * between, for the store's timeout at most. `none` in: there is no value.
   * `none` out: delete. Returns the revision of the value that it wrote, or 0
   * where it leaves none. `f` may run several times. A write that was sent and
   * not answered is `OutcomeUnknown`, and is not done again.
   */
  readonly modify: (
    key: string,
    f: (current: Option.Option<A>) => Option.Option<A>
  ) => Effect.Effect<number, KVStoreError>
  /** What does not decode is an `Undecodable` event; the stream goes on. */
  readonly watch: (filter?: string, options?: WatchOptions) => Stream.Stream<KVEvent<A>, KVStoreError>
}

/**
 * When a value is too old to be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExpireOptions {
  /** A positive time: a number is milliseconds. A value that is exactly this old is read. */
  readonly maxAge: Duration.Input
}

/**
 * The conditions by name.
 *
 * @category constructors
 * @since 0.1.0
 */
export const KVOptions: {
  readonly createOnly: KVOptions
  readonly updateOnly: KVOptions
  readonly atRevision: (revision: number) => KVOptions
  readonly whenKey: (key: string, revision: number) => KVOptions
} = {
  createOnly: { createOnly: true },
  updateOnly: { updateOnly: true },
  atRevision: (revision) => ({ revision }),
  whenKey: (key, revision) => ({ whenKey: { key, revision } })
}

/**
 * Creates a store in this process, new each time. Its time is the `Clock` that it
 * is created with, so that a TestClock ages its values.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` where an option is not valid.
 *
 * **Example** (A store for as long as the scope is open)
 *
 * ```ts
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const store = yield* KVStore.makeMemory({ bucket: "orders" })
 *   yield* store.put("a", new TextEncoder().encode("1"))
 *   return yield* store.keys()
 * }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (
  options: BucketOptions
): Effect.Effect<KVStore["Service"], KVStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const backend = yield* memory.make(yield* config.make(options))
    yield* countActive
    return KVStore.of(makeStore(backend))
  })

/**
 * Text as UTF-8, for `typedWith`. Codecs whose encoded side is text are built
 * on it.
 *
 * **Example** (Text of several kinds)
 *
 * ```ts
 * const names = KVStore.typedWith(KVStore.StringFromUtf8)
 * const counts = KVStore.typedWith(KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.FiniteFromString)))
 * const keys = KVStore.typedWith(KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.Uint8ArrayFromBase64)))
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const StringFromUtf8: Schema.Codec<string, Uint8Array> = Schema.Uint8Array.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transformEffect<string, Uint8Array>({
      decode: (bytes, options) => orInvalid(fromUtf8(bytes), "UTF-8", bytes, options),
      encode: (text, options) => orInvalid(toUtf8(text), "text without halves of surrogate pairs", text, options)
    })
  )
)

const orInvalid = <A>(
  value: A | undefined,
  expected: string,
  ...[input, options]: [unknown, ConstructorParameters<typeof SchemaIssue.InvalidValue>[2]]
): Effect.Effect<A, SchemaIssue.Issue> =>
  value === undefined ? Effect.fail(new SchemaIssue.InvalidValue({ expected }, input, options)) : Effect.succeed(value)

/**
 * The same as a layer: each build of it is a store of its own. See `makeMemory`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options: BucketOptions): Layer.Layer<KVStore, KVStoreError> =>
  Layer.effect(KVStore, makeMemory(options))

/** Whether a first argument is the store, which is left out in the form that takes it last. */
const isStore = ({ 0: first }: IArguments): boolean =>
  Predicate.hasProperty(first, "config") && Predicate.hasProperty(first, "watch")

/**
 * Views a store through a Schema: values are JSON text in UTF-8.
 *
 * **Example** (A typed view)
 *
 * ```ts
 * const Price = Schema.Struct({ cents: Schema.Int })
 *
 * const program = Effect.gen(function*() {
 *   const prices = yield* Effect.map(KVStore.KVStore, KVStore.typed(Price))
 *   yield* prices.put("apple", { cents: 120 })
 *   return yield* prices.get("apple")
 * })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const typed: {
  <A, I>(schema: Schema.Codec<A, I>): (store: KVStore["Service"]) => TypedKVStore<A>
  <A, I>(store: KVStore["Service"], schema: Schema.Codec<A, I>): TypedKVStore<A>
} = dual(
  isStore,
  <A, I>(store: KVStore["Service"], schema: Schema.Codec<A, I>): TypedKVStore<A> =>
    makeTyped(store, StringFromUtf8.pipe(Schema.decodeTo(Schema.fromJsonString(Schema.toCodecJson(schema)))))
)

/**
 * Views a store through a codec whose encoded side is what is stored: bytes of any
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
 * const Cents = Schema.Uint8Array.pipe(
 *   Schema.decodeTo(
 *     Schema.Int,
 *     SchemaTransformation.transform({
 *       decode: (bytes: Uint8Array) => Buffer.from(bytes).readInt32BE(),
 *       encode: (cents: number): Uint8Array => {
 *         const bytes = Buffer.alloc(4)
 *         bytes.writeInt32BE(cents)
 *         return bytes
 *       }
 *     })
 *   )
 * )
 * const prices = Effect.map(KVStore.KVStore, KVStore.typedWith(Cents))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const typedWith: {
  <A>(codec: Schema.Codec<A, Uint8Array>): (store: KVStore["Service"]) => TypedKVStore<A>
  <A>(store: KVStore["Service"], codec: Schema.Codec<A, Uint8Array>): TypedKVStore<A>
} = dual(isStore, makeTyped)

/**
 * Reads the value of a key, unless it is older than `maxAge`: then it is absent,
 * and is removed.
 *
 * **Details**
 *
 * Age is the time since the store took the value, by the store's own clock; no
 * host's clock is asked, and a value that is exactly `maxAge` old is read. The removal is a
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
 * const session = Effect.flatMap(KVStore.KVStore, KVStore.getUnexpired("session.42", { maxAge: "30 minutes" }))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const getUnexpired: {
  (
    key: string,
    options: ExpireOptions
  ): (store: KVStore["Service"]) => Effect.Effect<Option.Option<KVEntry>, KVStoreError>
  (
    store: KVStore["Service"],
    key: string,
    options: ExpireOptions
  ): Effect.Effect<Option.Option<KVEntry>, KVStoreError>
} = dual(isStore, readUnexpired)

/** How many deletes `clear` keeps under way at once. */
const deletesAtOnce = 16

/**
 * Deletes every key that matches and has a value now. Returns how many.
 *
 * **Example** (A bucket, emptied)
 *
 * ```ts
 * const removed = Effect.flatMap(KVStore.KVStore, KVStore.clear("orders.>"))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const clear: {
  (filter?: string): (store: KVStore["Service"]) => Effect.Effect<number, KVStoreError>
  (store: KVStore["Service"], filter?: string): Effect.Effect<number, KVStoreError>
} = dual(
  isStore,
  Effect.fnUntraced(function*(
    store: KVStore["Service"],
    filter?: string
  ): Effect.fn.Return<number, KVStoreError> {
    const keys = yield* store.keys(filter)
    yield* Effect.forEach(keys, (key) => store.delete(key), { concurrency: deletesAtOnce, discard: true })
    return keys.length
  })
)
