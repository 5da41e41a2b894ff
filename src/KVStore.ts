/**
 * Key-value store with revisions, conditional writes and watches.
 *
 * A `KVStore` is one bucket. It gives the same guarantees on every backend: in
 * memory (`layerMemory`) and on a NATS server (`NatsKVStore.layer`). A key is a
 * text of tokens separated by dots, such as `orders.42`. Each write takes the
 * next number of one sequence for the whole bucket as its revision, and can be
 * conditioned on the last revision of the key (compare-and-set). Values are
 * bytes. `typed` stores values of a Schema as JSON text; `typedWith` uses any
 * codec between values and bytes.
 *
 * A read returns `Option.none` only if the key has no value. An outage, a missing
 * bucket or a denied permission is a `KVStoreError`. A write that was sent and
 * not answered fails with `OutcomeUnknown`: it may or may not have been stored.
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
import { Buckets } from "./Buckets.ts"
import { getUnexpired as readUnexpired } from "./internal/kv/expireOnRead.ts"
import * as memory from "./internal/kv/memory.ts"
import { open } from "./internal/kv/open.ts"
import { makeTyped } from "./internal/kv/typed.ts"
import { kindOf } from "./internal/options.ts"
import { isDeeperThan, mostLevels } from "./internal/storedJson.ts"
import { checkKey } from "./internal/subjects.ts"
import { fromUtf8, toUtf8 } from "./internal/utf8.ts"
import type { BucketOptions, KVStoreConfig } from "./KVStoreConfig.ts"
import { InvalidConfig, KVStoreError } from "./KVStoreError.ts"

export { type BucketOptions, KVStoreConfig } from "./KVStoreConfig.ts"
export * from "./KVStoreError.ts"

/**
 * An open bucket.
 *
 * @category services
 * @since 0.1.0
 */
export class KVStore extends Context.Service<KVStore, {
  /**
   * The effective configuration of the bucket, with all defaults. With
   * `onMismatch: "accept"`, `historySize`, `streamMaxAge`, `expiryMarkers`,
   * `storage` and `replicas` are those of the existing bucket; the other fields
   * are those of the options.
   */
  readonly config: KVStoreConfig
  /**
   * Returns the value of a key; none if the key is absent, deleted, purged or
   * expired. Sees every write that this store has acknowledged to this process,
   * unless the replicas of the bucket were increased within the last minute: see
   * `ReadOptions`. Here and in `getMany` and `history`, the key may also be one of
   * another client that `put` would refuse, such as `größe`.
   */
  readonly get: (key: string, options?: GetOptions) => Effect.Effect<Option.Option<KVEntry>, KVStoreError>
  /** Writes a value, under a condition if `options` has one, and returns the revision of this write. */
  readonly put: (key: string, value: Uint8Array, options?: KVOptions) => Effect.Effect<number, KVStoreError>
  /** Removes the value of a key by writing a delete marker, also if the key has no value. */
  readonly delete: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Removes the value and the history of a key, and writes a purge marker. */
  readonly purge: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Returns the kept values and markers of a key, newest first. A marker is a `Removed` event. */
  readonly history: (
    key: string,
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyArray<KVHistoryEvent>, KVStoreError>
  /**
   * Lists the keys that have a value, in order of their revisions. `filter` selects
   * keys, such as `orders.*`, or `["orders.*", "customers.>"]`: see `Filter`. Default:
   * all keys. May lag behind on a replicated bucket.
   */
  readonly keys: (filter?: Filter) => Effect.Effect<ReadonlyArray<string>, KVStoreError>
  /** Lists the values of the keys that match, in order of their revisions. May lag behind on a replicated bucket. */
  readonly entries: (filter?: Filter) => Effect.Effect<ReadonlyArray<KVEntry>, KVStoreError>
  /**
   * Emits the values of the keys that match, each key once, in no particular order,
   * and ends. For buckets that do not fit into memory: it reads about 1,000 keys or
   * 1 MiB ahead, and only while the stream is consumed. A value that is written
   * during the listing may be emitted in its old or its new state. May lag behind
   * on a replicated bucket.
   */
  readonly stream: (filter?: Filter) => Stream.Stream<KVEntry, KVStoreError>
  /**
   * Returns the values of several keys, by key. Keys without a value are left
   * out. The list is read once, when `getMany` is called. On nats-server 2.11 and
   * later it takes one request for each 1,000 keys or 1 MiB, otherwise one for each
   * key. May lag behind on a replicated bucket.
   */
  readonly getMany: (keys: Iterable<string>) => Effect.Effect<ReadonlyMap<string, KVEntry>, KVStoreError>
  /**
   * Emits the current values, then `Ready`, then every change, in order.
   *
   * **Details**
   *
   * A watch reports the latest state of each key and is not a log: a value that
   * is overwritten during an outage may be missing. The stream survives outages,
   * and reports keys that were removed during an outage as `Removed`.
   *
   * **Example** (Watching keys)
   *
   * ```ts
   * import { Console, Effect, Stream } from "effect"
   * import { KVStore } from "effect-aegis"
   *
   * const print = (event: KVStore.KVEvent): Effect.Effect<void> => {
   *   switch (event._tag) {
   *     case "Put":
   *       return Console.log(`${event.entry.key} has a value`)
   *     case "Removed":
   *       return Console.log(`${event.key} was removed: ${event.reason}`)
   *     case "Ready":
   *       return Console.log("all current values have been emitted")
   *     case "Undecodable":
   *       return Effect.void
   *   }
   * }
   *
   * const program = Effect.scoped(Effect.gen(function*() {
   *   const store = yield* KVStore.makeMemory({ bucket: "orders" })
   *   yield* store.put("orders.1", new TextEncoder().encode("new"))
   *   yield* store.watch("orders.*").pipe(
   *     Stream.tap(print),
   *     Stream.tap((event) => event._tag === "Ready" ? store.delete("orders.1") : Effect.void),
   *     Stream.takeUntil((event) => event._tag === "Removed"),
   *     Stream.runDrain
   *   )
   * }))
   *
   * await Effect.runPromise(program)
   * // => orders.1 has a value
   * // => all current values have been emitted
   * // => orders.1 was removed: delete
   * ```
   */
  readonly watch: (filter?: Filter, options?: WatchOptions) => Stream.Stream<KVEvent, KVStoreError>
  /**
   * Removes the tombstones that are older than an hour, or than `olderThan`, with the
   * history of their keys, and returns their number.
   *
   * **When to use**
   *
   * In a bucket whose keys are created and deleted again, such as sessions. Each
   * deleted, purged or expired key leaves a marker, its tombstone: it takes space, and
   * a bucket can be full of them. `streamMaxAge` removes tombstones too, but also values.
   *
   * **Details**
   *
   * A key that has been written again keeps its messages, also if that happens during
   * the call. A failed call may have removed a part, and can be repeated. A write
   * conditioned on the revision of a removed tombstone is refused with
   * `RevisionMismatch`; `createOnly` succeeds.
   *
   * **Gotchas**
   *
   * In the bucket of a registry, the tombstone of a deregistered instance keeps a late
   * heartbeat from registering it again: use an `olderThan` of days there. A repeated
   * `delete` of a key without a value writes a new tombstone.
   *
   * **Example** (Removing the tombstones of ended sessions)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { TestClock } from "effect/testing"
   * import { KVStore } from "effect-aegis"
   *
   * const program = Effect.scoped(Effect.gen(function*() {
   *   const store = yield* KVStore.makeMemory({ bucket: "sessions" })
   *   yield* store.put("session.42", new TextEncoder().encode("ann"))
   *   yield* store.delete("session.42")
   *   yield* TestClock.adjust("2 hours")
   *   const removed = yield* store.purgeTombstones()
   *   return `${removed} removed, ${(yield* store.status).messages} messages left`
   * }))
   *
   * console.log(await Effect.runPromise(Effect.provide(program, TestClock.layer())))
   * // => 1 removed, 0 messages left
   * ```
   */
  readonly purgeTombstones: (options?: PurgeTombstonesOptions) => Effect.Effect<number, KVStoreError>
  /** The state of the bucket. */
  readonly status: Effect.Effect<KVStatus, KVStoreError>
  /** A clock that reads the store's time. Compare it with `created` only. */
  readonly clock: Clock.Clock
}>()("effect-aegis/KVStore") {}

/**
 * The value of a key.
 *
 * @category models
 * @since 0.1.0
 */
export interface KVEntry<A = Uint8Array> {
  /** The key. */
  readonly key: string
  /** The value: bytes, or the decoded value in a typed view. The `buffer` of bytes may hold other values, too. */
  readonly value: A
  /** The number of this write in the sequence of the bucket. */
  readonly revision: number
  /** When the store accepted the write, by the store's clock. Compare it with `KVStore.clock` only. */
  readonly created: DateTime.Utc
}

/**
 * A key has a value.
 *
 * @category models
 * @since 0.1.0
 */
export interface Put<A = Uint8Array> {
  /** Discriminator of `KVEvent`. */
  readonly _tag: "Put"
  /** The key, its value, and the revision of the write. */
  readonly entry: KVEntry<A>
}

/**
 * A key lost its value.
 *
 * **Details**
 *
 * A watch also reports keys that were removed and left no message in the bucket: after
 * an outage or a slow reader, and within a minute while it is connected. Then
 * `revision` is the last revision that the watch delivered for the key, and `created`
 * is the time at which the watch noticed the removal. The reason is `"reset"` if the bucket was recreated or
 * rolled back, `"expire"` in a bucket with an age limit or expiry markers, and
 * `"purge"` in other buckets.
 *
 * @category models
 * @since 0.1.0
 */
export interface Removed {
  /** Discriminator of `KVEvent`. */
  readonly _tag: "Removed"
  /** The key. */
  readonly key: string
  /** The revision of the marker, or the last revision delivered if there is no marker. */
  readonly revision: number
  /** When the store accepted the marker, or when the watch noticed the removal. By the store's clock. */
  readonly created: DateTime.Utc
  /**
   * Why the key has no value: `delete` or `purge` was called, the value reached
   * its maximum age (`"expire"`), or the bucket was recreated or rolled back
   * (`"reset"`).
   */
  readonly reason: "delete" | "purge" | "expire" | "reset"
}

/**
 * A stored value could not be decoded. Only typed views emit this event; the
 * stream continues.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undecodable {
  /** Discriminator of `KVEvent`. */
  readonly _tag: "Undecodable"
  /** The key of the value. */
  readonly key: string
  /** The revision of the value. */
  readonly revision: number
  /** The error of the codec. */
  readonly cause: unknown
}

/**
 * The snapshot of a watch is complete.
 *
 * **Details**
 *
 * Emitted once, also for an empty bucket, and again after the snapshot of a
 * bucket that was recreated or rolled back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ready {
  /** Discriminator of `KVEvent`. */
  readonly _tag: "Ready"
}

/**
 * An event of a watch.
 *
 * @category models
 * @since 0.1.0
 */
export type KVEvent<A = Uint8Array> = Put<A> | Removed | Undecodable | Ready

/**
 * A message in the history of a key.
 *
 * @category models
 * @since 0.1.0
 */
export type KVHistoryEvent<A = Uint8Array> = Put<A> | Removed | Undecodable

/**
 * The condition of a `put`.
 *
 * **Details**
 *
 * A `put` takes at most one condition, because the server checks one number per
 * write. There is no TTL per key: a later `put` without a TTL would silently
 * remove the expiry. Use `streamMaxAge` or `getUnexpired` instead.
 *
 * @category models
 * @since 0.1.0
 */
export type KVOptions =
  | {
    /** Writes only if the key has no value: it is absent, deleted, purged or expired. Else `KeyAlreadyExists`. */
    readonly createOnly: true
    /** Not allowed together with `createOnly`. */
    readonly updateOnly?: never
    /** Not allowed together with `createOnly`. */
    readonly revision?: never
    /** Not allowed together with `createOnly`. */
    readonly whenKey?: never
  }
  | {
    /** Not allowed together with `updateOnly`. */
    readonly createOnly?: never
    /** Writes only if the key has a value. Else `KeyNotFound`. */
    readonly updateOnly: true
    /** Not allowed together with `updateOnly`. */
    readonly revision?: never
    /** Not allowed together with `updateOnly`. */
    readonly whenKey?: never
  }
  | {
    /** Not allowed together with `revision`. */
    readonly createOnly?: never
    /** Not allowed together with `revision`. */
    readonly updateOnly?: never
    /**
     * Writes only if the last message of the key has this revision. 0 means that
     * the bucket has no message of the key, not even a marker. Else
     * `RevisionMismatch`.
     */
    readonly revision: number
    /** Not allowed together with `revision`. */
    readonly whenKey?: never
  }
  | {
    /** Not allowed together with `whenKey`. */
    readonly createOnly?: never
    /** Not allowed together with `whenKey`. */
    readonly updateOnly?: never
    /** Not allowed together with `whenKey`. */
    readonly revision?: never
    /**
     * Writes only if the last message of ANOTHER key has this revision. Else
     * `RevisionMismatch`. The written key is not checked. Needs the memory backend
     * or nats-server 2.11 or later, and `guardedWrites: true` if the bucket has
     * several replicas. Else `InvalidConfig`.
     */
    readonly whenKey: {
      /** The other key. */
      readonly key: string
      /** The expected revision of the other key; 0 if the bucket has no message of it. */
      readonly revision: number
    }
  }

/**
 * Options of `get`.
 *
 * @category models
 * @since 0.1.0
 */
export interface GetOptions extends ReadOptions {
  /**
   * Returns the value that the write with this revision has stored under the key, also
   * if the key was overwritten or deleted since; none if the revision is a marker, belongs to another key, or is not kept any more: a
   * bucket keeps the last `historySize` messages of each key. Such a read always asks
   * the leader of the bucket's stream. Default: the last revision of the key.
   */
  readonly revision?: number | undefined
}

/**
 * Options of `get` and `history`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadOptions {
  /**
   * Reads the last message of the key from the leader of the bucket's stream. Default
   * false: with one replica the nearest server answers. The two differ only in the
   * minute after the replicas were increased, when a replica may not have the last
   * write yet. Use it for a read that decides, such as the read after
   * `OutcomeUnknown`. Ignored by the memory backend.
   */
  readonly fromLeader?: boolean | undefined
}

/**
 * The condition of a `delete` or `purge`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RemoveOptions {
  /** Removes only if the last message of the key has this revision. Else `RevisionMismatch`. */
  readonly revision?: number | undefined
  /** A condition of `put` only. */
  readonly createOnly?: never
  /** A condition of `put` only. */
  readonly updateOnly?: never
  /** A condition of `put` only. */
  readonly whenKey?: never
}

/**
 * Options of `purgeTombstones`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PurgeTombstonesOptions {
  /**
   * A tombstone that is older, by the store's clock, is removed. 1 hour to 366 days.
   * Default 1 hour: a write that was sent before the deletion could still arrive after
   * a shorter time, and would create the key again.
   */
  readonly olderThan?: Duration.Input | undefined
  /** The keys, as in `keys`. Default: all keys. */
  readonly filter?: Filter | undefined
}

/**
 * Selects keys: a NATS subject filter, or a list of up to 1,000 filters. A key matches
 * the list if it matches one of them.
 *
 * **Details**
 *
 * A filter is a key in which `*` matches one token, and `>` at the end one or
 * more: `orders.42`, `orders.*`, `orders.>`. Filters may overlap: each key is listed or
 * watched once. An empty list is refused with `InvalidKey`.
 *
 * A watch with several filters has one consumer. On a server before 2.15, with several
 * replicas, or with more than 16 filters, the consumer has one filter that matches them all, and the others
 * are applied by the client: `orders.1` and `orders.2` are read as `orders.*`, but
 * `orders.1` and `customers.2` as `*.*`.
 *
 * @category models
 * @since 0.1.0
 */
export type Filter = string | ReadonlyArray<string>

/**
 * Options of `watch`.
 *
 * @category models
 * @since 0.1.0
 */
export interface WatchOptions {
  /**
   * Where the watch starts. Default `"snapshot"`.
   *
   * - `"snapshot"`: the current values, then `Ready`, then changes
   * - `"updates"`: `Ready`, then changes only
   * - `{ revision }`: the kept messages from this revision on, then `Ready`, then
   *   changes. A revision in the future is allowed: the watch waits for it
   */
  readonly from?: "snapshot" | "updates" | {
    /** The first revision to emit. */
    readonly revision: number
  } | undefined
}

/**
 * The state of a bucket.
 *
 * @category models
 * @since 0.1.0
 */
export interface KVStatus {
  /** The name of the bucket. */
  readonly bucket: string
  /** The backend of the store. */
  readonly backend: "memory" | "nats"
  /** Number of messages in the bucket: values, kept history, and markers. */
  readonly messages: number
  /** Size of the messages, in bytes. */
  readonly bytes: number
  /** Revision of the last write to the bucket. Without a leader it can be outdated. */
  readonly lastRevision: number
  /** Whether the stream of the bucket has a leader. Without one it accepts no writes. Always true in memory. */
  readonly hasLeader: boolean
  /** When the bucket was created. Fencing tokens use this time as their epoch. */
  readonly created: DateTime.Utc
  /** Version of the connected server. Undefined for the memory backend. */
  readonly serverVersion?: string | undefined
  /** Whether the server of the bucket, the leader of its stream, supports `expiryMarkers`. */
  readonly supportsExpiryMarkers: boolean
}

/**
 * A view of a store through a codec. See `typed` and `typedWith`.
 *
 * **Details**
 *
 * The view has the operations on keys and values. For `status` and `purgeTombstones`,
 * use the store itself: it has the same keys, and values as bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedKVStore<A> {
  /** Returns the value of a key. Fails with `UndecodableValue` if the stored bytes do not decode. */
  readonly get: (key: string, options?: GetOptions) => Effect.Effect<Option.Option<KVEntry<A>>, KVStoreError>
  /**
   * Returns the value of a key unless it is older than `maxAge`: see
   * `KVStore.getUnexpired`. An expired value is not decoded.
   */
  readonly getUnexpired: (key: string, options: ExpireOptions) => Effect.Effect<Option.Option<KVEntry<A>>, KVStoreError>
  /** Encodes and writes a value. Fails with `InvalidValue` if the value does not encode; then nothing is written. */
  readonly put: (key: string, value: A, options?: KVOptions) => Effect.Effect<number, KVStoreError>
  /** Removes the value of a key: see `KVStore.delete`. */
  readonly delete: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Removes the value and the history of a key: see `KVStore.purge`. */
  readonly purge: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Returns the kept values and markers of a key, newest first. A value that does not decode is an `Undecodable` event. */
  readonly history: (
    key: string,
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyArray<KVHistoryEvent<A>>, KVStoreError>
  /** Lists the keys that have a value, whether or not it decodes: see `KVStore.keys`. */
  readonly keys: (filter?: Filter) => Effect.Effect<ReadonlyArray<string>, KVStoreError>
  /** Returns the values of several keys: see `KVStore.getMany`. Fails with `UndecodableValue` and the key if one does not decode. */
  readonly getMany: (keys: Iterable<string>) => Effect.Effect<ReadonlyMap<string, KVEntry<A>>, KVStoreError>
  /** Lists the values of the keys that match. Fails with `UndecodableValue` and the key if a value does not decode. */
  readonly entries: (filter?: Filter) => Effect.Effect<ReadonlyArray<KVEntry<A>>, KVStoreError>
  /** Emits decoded values: see `KVStore.stream`. Fails with `UndecodableValue` if a value does not decode. */
  readonly stream: (filter?: Filter) => Stream.Stream<KVEntry<A>, KVStoreError>
  /**
   * Changes the value of a key atomically: reads the value, applies `f`, and
   * writes the result by compare-and-set. Returns the revision of the write.
   *
   * **Details**
   *
   * `f` receives `none` if the key has no value. If `f` returns `none`, `modify`
   * DELETES the key if it has a value, and returns 0. To keep the value unchanged,
   * return it: `modify` then writes it again. If `f` throws, `modify` dies with that
   * error and writes nothing.
   *
   * If the new value needs an effect, or if a writer may have to give up, use
   * `modifyEffect`.
   *
   * After a conflict with another writer, `modify` reads again and calls `f` again,
   * until the store's `timeout`: then it fails with `Unavailable`, or with
   * `OutcomeUnknown` if a write is in progress. A write that was sent and not answered
   * fails with `OutcomeUnknown` and is not repeated.
   */
  readonly modify: (
    key: string,
    f: (current: Option.Option<A>) => Option.Option<A>
  ) => Effect.Effect<number, KVStoreError>
  /**
   * Changes the value of a key atomically, with an effect: reads the value, runs the
   * effect, and writes the second element of its result by compare-and-set. Returns the
   * first element, and the revision of the write.
   *
   * **Details**
   *
   * As with `modify`, `f` receives `none` if the key has no value, and `none` as the
   * second element DELETES the key if it has a value; the revision is then 0. If the
   * effect fails, dies or is interrupted, nothing is written.
   *
   * After a conflict with another writer, `modifyEffect` reads again and runs the effect
   * again, for the store's `timeout` from the first conflict: then it fails with
   * `Unavailable`. It does not interrupt the effect. A write that was sent and not
   * answered fails with `OutcomeUnknown` and is not repeated.
   *
   * **Gotchas**
   *
   * The effect runs once for each attempt: its other actions, such as requests, may be
   * repeated. Of several writers of a key at once, one succeeds per
   * attempt, so their `timeout` has to be as long as all of their effects together.
   *
   * **Example** (Taking from a stock)
   *
   * ```ts
   * import { Data, Effect, Option, Schema } from "effect"
   * import { KVStore } from "effect-aegis"
   *
   * class OutOfStock extends Data.TaggedError("OutOfStock")<{}> {}
   *
   * const program = Effect.gen(function*() {
   *   const stock = KVStore.typed(yield* KVStore.KVStore, Schema.Int)
   *   yield* stock.put("apples", 1)
   *   const take = stock.modifyEffect("apples", (current) => {
   *     const left = Option.getOrElse(current, () => 0)
   *     return left === 0 ? Effect.fail(new OutOfStock()) : Effect.succeed([left, Option.some(left - 1)])
   *   })
   *   const { value } = yield* take
   *   return yield* take.pipe(
   *     Effect.as("another apple"),
   *     Effect.catchTag("OutOfStock", () => Effect.succeed(`apple ${value} was the last one`))
   *   )
   * })
   *
   * console.log(await Effect.runPromise(Effect.provide(program, KVStore.layerMemory({ bucket: "stock" }))))
   * // => apple 1 was the last one
   * ```
   */
  readonly modifyEffect: <B, E = never, R = never>(
    key: string,
    f: (current: Option.Option<A>) => Effect.Effect<readonly [result: B, next: Option.Option<A>], E, R>
  ) => Effect.Effect<Modified<B>, KVStoreError | E, R>
  /** Emits decoded values: see `KVStore.watch`. A value that does not decode is an `Undecodable` event. */
  readonly watch: (filter?: Filter, options?: WatchOptions) => Stream.Stream<KVEvent<A>, KVStoreError>
}

/**
 * The result of `modifyEffect`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Modified<B> {
  /** The revision of the write; 0 if the key was deleted, or had no value and got none. */
  readonly revision: number
  /** The first element of the result of the effect whose value was written. */
  readonly value: B
}

/**
 * Options of `getUnexpired`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExpireOptions {
  /** The maximum age of a value that is returned. Positive and finite; a number is milliseconds. */
  readonly maxAge: Duration.Input
}

/**
 * Constructors for the conditions of a `put`.
 *
 * **Example** (Conditioned writes)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KVStore } from "effect-aegis"
 *
 * const { atRevision, createOnly, whenKey } = KVStore.KVOptions
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const store = yield* KVStore.makeMemory({ bucket: "jobs" })
 *   const put = (key: string, text: string, condition: KVStore.KVOptions) =>
 *     store.put(key, new TextEncoder().encode(text), condition)
 *
 *   const created = yield* put("job.1", "new", createOnly)
 *   const started = yield* put("job.1", "started", atRevision(created))
 *   // Stored only while job.1 has not changed since it was started.
 *   yield* put("result.1", "42", whenKey("job.1", started))
 *   // job.1 has a later revision than `created`: this write is refused.
 *   return yield* put("job.1", "cancelled", atRevision(created)).pipe(
 *     Effect.as("cancelled"),
 *     Effect.catchReason("KVStoreError", "RevisionMismatch", () => Effect.succeed("another writer was first"))
 *   )
 * }))
 *
 * console.log(await Effect.runPromise(program))
 * // => another writer was first
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const KVOptions: {
  /** Writes only if the key has no value. Else `KeyAlreadyExists`. */
  readonly createOnly: KVOptions
  /** Writes only if the key has a value. Else `KeyNotFound`. */
  readonly updateOnly: KVOptions
  /** Writes only if the last message of the key has this revision. Else `RevisionMismatch`. */
  readonly atRevision: (revision: number) => KVOptions
  /** Writes only if the last message of another key has this revision. Else `RevisionMismatch`. */
  readonly whenKey: (key: string, revision: number) => KVOptions
} = {
  createOnly: { createOnly: true },
  updateOnly: { updateOnly: true },
  atRevision: (revision) => ({ revision }),
  whenKey: (key, revision) => ({ whenKey: { key, revision } })
}

/**
 * Opens a bucket of `Buckets`. The store is usable until the scope closes.
 *
 * **Details**
 *
 * A missing bucket is created, unless `create` is false. An existing bucket is
 * compared with the options, and `onMismatch` decides what happens if they differ.
 * Fails as `Buckets.open` does.
 *
 * **Example** (A bucket whose name is known at run time)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Buckets, KVStore } from "effect-aegis"
 *
 * const colourOf = (tenant: string) =>
 *   Effect.scoped(Effect.gen(function*() {
 *     const store = yield* KVStore.make({ bucket: `settings_${tenant}` })
 *     const colour = yield* store.get("colour")
 *     return Option.isSome(colour) ? "has a colour" : "has no colour"
 *   }))
 *
 * console.log(await Effect.runPromise(Effect.provide(colourOf("ann"), Buckets.layerMemory)))
 * // => has no colour
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: BucketOptions
): Effect.Effect<KVStore["Service"], KVStoreError, Buckets | Scope.Scope> =>
  Buckets.use((buckets) => buckets.open(options))

/**
 * Creates an empty store in the memory of this process.
 *
 * **Details**
 *
 * Each call creates a separate store. The store takes its time from the `Clock`
 * of the fiber that creates it, so a `TestClock` controls the age of its values.
 * Fails with `InvalidConfig` if an option is not valid.
 *
 * **Example** (Creating a store in memory)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KVStore } from "effect-aegis"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const store = yield* KVStore.makeMemory({ bucket: "orders" })
 *   yield* store.put("orders.1", new TextEncoder().encode("new"))
 *   return yield* store.keys()
 * }))
 *
 * console.log(await Effect.runPromise(program))
 * // => orders.1
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (
  options: BucketOptions
): Effect.Effect<KVStore["Service"], KVStoreError, Scope.Scope> =>
  Effect.flatMap(memory.make, (buckets) => open(options, buckets.open))

/**
 * Codec between text and its UTF-8 bytes, for `typedWith`. Compose it with other
 * codecs whose encoded side is text.
 *
 * **Example** (Storing text and numbers)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { KVStore } from "effect-aegis"
 *
 * const NumberFromUtf8 = KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.FiniteFromString))
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const store = yield* KVStore.makeMemory({ bucket: "settings" })
 *   const names = KVStore.typedWith(store, KVStore.StringFromUtf8)
 *   const counts = KVStore.typedWith(store, NumberFromUtf8)
 *   yield* names.put("name", "orders")
 *   yield* counts.put("count", 3)
 *   const entries = yield* names.entries()
 *   return entries.map(({ key, value }) => `${key}=${value}`)
 * }))
 *
 * console.log((await Effect.runPromise(program)).join(" "))
 * // => name=orders count=3
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
      encode: (text, options) => orInvalid(toUtf8(text), "well-formed text (no unpaired surrogates)", text, options)
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
 * A layer that opens a bucket of `Buckets`: see `make`. The same layer works in memory
 * and on a NATS server.
 *
 * **Gotchas**
 *
 * A program has one `KVStore`. If two layers of it are merged, both parts of the
 * program use the bucket of the one that was merged last. A program with several
 * buckets gives each a service of its own: `KVStore.Service`, `KVStore.TypedService`.
 *
 * **Example** (The same program in memory and on a server)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Buckets, KVStore, NatsClient } from "effect-aegis"
 *
 * const Store = KVStore.layer({ bucket: "settings", historySize: 5 })
 *
 * const InProduction = Store.pipe(
 *   Layer.provide(Buckets.layerNats),
 *   Layer.provide(NatsClient.layer({ servers: "nats://localhost:4222" }))
 * )
 *
 * const InTests = Layer.provide(Store, Buckets.layerMemory)
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* KVStore.KVStore
 *   yield* store.put("colour", new TextEncoder().encode("blue"))
 *   return yield* store.keys()
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, InTests)))
 * // => colour
 *
 * export const run = Effect.provide(program, InProduction)
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: BucketOptions): Layer.Layer<KVStore, KVStoreError, Buckets> =>
  Layer.effect(KVStore, make(options))

/**
 * Provides an empty store in the memory of this process. Each build of the layer
 * creates a separate store: see `makeMemory`. A shortcut for `KVStore.layer` with a
 * `Buckets.layerMemory` of its own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options: BucketOptions): Layer.Layer<KVStore, KVStoreError> =>
  Layer.effect(KVStore, makeMemory(options))

/**
 * The class of a bucket that is a service of its own: see `Service`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, KVStore["Service"]> {
  /** Opens the bucket: see `KVStore.make`. */
  readonly make: Effect.Effect<KVStore["Service"], KVStoreError, Buckets | Scope.Scope>
  /** A layer that opens the bucket. */
  readonly layer: Layer.Layer<Self, KVStoreError, Buckets>
}

/**
 * The class of a typed bucket that is a service of its own: see `TypedService`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedServiceClass<Self, Id extends string, A> extends Context.ServiceClass<Self, Id, TypedKVStore<A>> {
  /** Opens the bucket, and returns its typed view: see `KVStore.make`. */
  readonly make: Effect.Effect<TypedKVStore<A>, KVStoreError, Buckets | Scope.Scope>
  /** A layer that opens the bucket. */
  readonly layer: Layer.Layer<Self, KVStoreError, Buckets>
}

/**
 * Creates a service for one bucket, so that a program can have several.
 *
 * **Details**
 *
 * The class has the layer of the bucket: `Orders.layer`. It needs `Buckets`, which the
 * program chooses once: `Buckets.layerMemory`, `Buckets.layerNats`, or a layer of
 * `Aegis`. With options that are known at run time only, use
 * `Layer.effect(Orders, KVStore.make(options))`.
 *
 * **Example** (Two buckets in one program)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Buckets, KVStore } from "effect-aegis"
 *
 * class Orders extends KVStore.Service<Orders>()("app/Orders", { bucket: "orders" }) {}
 * class Carts extends KVStore.Service<Carts>()("app/Carts", { bucket: "carts", streamMaxAge: "1 day" }) {}
 *
 * const program = Effect.gen(function*() {
 *   const orders = yield* Orders
 *   const carts = yield* Carts
 *   yield* carts.put("ann", new TextEncoder().encode("an apple"))
 *   return `orders: ${(yield* orders.keys()).length}, carts: ${(yield* carts.keys()).length}`
 * })
 *
 * const Stores = Layer.merge(Orders.layer, Carts.layer).pipe(Layer.provide(Buckets.layerMemory))
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Stores)))
 * // => orders: 0, carts: 1
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service =
  <Self>() => <const Id extends string>(id: Id, options: BucketOptions): ServiceClass<Self, Id> => {
    const service = Context.Service<Self, KVStore["Service"]>()(id)
    const opened = make(options)
    return Object.assign(service, { make: opened, layer: Layer.effect(service, opened) })
  }

/**
 * Creates a service for the typed view of one bucket: see `Service` and `typed`.
 *
 * **Example** (A bucket of prices)
 *
 * ```ts
 * import { Effect, Layer, Option, Schema } from "effect"
 * import { Buckets, KVStore } from "effect-aegis"
 *
 * const Price = Schema.Struct({ cents: Schema.Int })
 *
 * class Prices extends KVStore.TypedService<Prices>()("app/Prices", { bucket: "prices", schema: Price }) {}
 *
 * const program = Effect.gen(function*() {
 *   const prices = yield* Prices
 *   yield* prices.put("apple", { cents: 120 })
 *   const price = yield* prices.get("apple")
 *   return Option.match(price, { onNone: () => "no price", onSome: ({ value }) => `${value.cents} cents` })
 * })
 *
 * const Stores = Layer.provide(Prices.layer, Buckets.layerMemory)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Stores)))
 * // => 120 cents
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const TypedService = <Self>() =>
<const Id extends string, A, I>(
  id: Id,
  options: BucketOptions & {
    /** The schema of the values, which are stored as JSON text. */
    readonly schema: Schema.Codec<A, I>
  }
): TypedServiceClass<Self, Id, A> => {
  const service = Context.Service<Self, TypedKVStore<A>>()(id)
  const opened = Effect.suspend(() => {
    // Untyped callers can omit it: the options are checked when the bucket is opened.
    const { schema, ...bucket } = Object(options) as typeof options
    return Schema.isSchema(schema)
      ? Effect.map(make(bucket), (store) => typed(store, schema))
      : Effect.fail(noSchema(bucket, schema))
  })
  return Object.assign(service, { make: opened, layer: Layer.effect(service, opened) })
}

const noSchema = ({ bucket }: Partial<BucketOptions>, given: unknown): KVStoreError => {
  const reason = new InvalidConfig({ problem: `schema: expected a Schema, got ${kindOf(given)}` })
  return new KVStoreError({ bucket, operation: "configure", key: undefined, reason })
}

/** Whether the first argument is a store. In the data-last form it is not. */
const isStore = ({ 0: first }: IArguments): boolean =>
  Predicate.hasProperty(first, "config") && Predicate.hasProperty(first, "watch")

/** JSON text of any schema. A deeper value could be stored by one function and make another one throw. */
const JsonText = StringFromUtf8.check(
  Schema.makeFilter((text) =>
    isDeeperThan(mostLevels, text) ? `expected JSON of at most ${mostLevels} levels of objects and arrays` : undefined
  )
)

/**
 * Returns a view of a store whose values are encoded by a Schema, as JSON text in
 * UTF-8.
 *
 * **Details**
 *
 * JSON of more than 256 levels of objects and arrays is neither stored
 * (`InvalidValue`) nor decoded (`UndecodableValue`, or an `Undecodable` event).
 *
 * **Example** (Storing values of a Schema)
 *
 * ```ts
 * import { Effect, Option, Schema } from "effect"
 * import { KVStore } from "effect-aegis"
 *
 * const Price = Schema.Struct({ cents: Schema.Int })
 *
 * const program = Effect.gen(function*() {
 *   const prices = KVStore.typed(yield* KVStore.KVStore, Price)
 *   yield* prices.put("apple", { cents: 120 })
 *   yield* prices.modify("apple", Option.map(({ cents }) => ({ cents: cents + 10 })))
 *   const { value } = yield* Effect.fromOption(yield* prices.get("apple"))
 *   return `an apple costs ${value.cents} cents`
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, KVStore.layerMemory({ bucket: "prices" }))))
 * // => an apple costs 130 cents
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
    makeTyped(store, JsonText.pipe(Schema.decodeTo(Schema.fromJsonString(Schema.toCodecJson(schema)))))
)

/**
 * Returns a view of a store whose values are encoded by a codec into bytes. For
 * text, build the codec on `StringFromUtf8`.
 *
 * **Details**
 *
 * A codec that throws is treated like a codec that fails: encoding fails with
 * `InvalidValue`, decoding with `UndecodableValue` or an `Undecodable` event.
 *
 * **Example** (Storing a binary format)
 *
 * ```ts
 * import { Effect, Schema, SchemaTransformation } from "effect"
 * import { KVStore } from "effect-aegis"
 *
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
 *
 * const program = Effect.gen(function*() {
 *   const prices = KVStore.typedWith(yield* KVStore.KVStore, Cents)
 *   yield* prices.put("apple", 120)
 *   const { value } = yield* Effect.fromOption(yield* prices.get("apple"))
 *   return value
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, KVStore.layerMemory({ bucket: "prices" }))))
 * // => 120
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
 * Returns the value of a key unless it is older than `maxAge`. An older value is
 * treated as absent and deleted.
 *
 * **Details**
 *
 * The age is the store's clock minus `created`; the clocks of hosts are not used.
 * A value that is exactly `maxAge` old is returned. An expired value is deleted
 * on the condition that it has not changed. A value that another writer stored in
 * between is kept, and its age is checked next.
 *
 * If the deletion fails (an outage, a denied permission, an unknown outcome),
 * `getUnexpired` still returns none and logs the failure at level Debug. The next
 * reader finds the value expired again. Use `delete` if the deletion itself matters.
 *
 * **Gotchas**
 *
 * Only this function applies `maxAge`: `get`, `entries` and watches return
 * expired values, and a value that is never read through this function is never
 * deleted by it. Set `streamMaxAge` to limit the age of all values in the bucket.
 *
 * **Example** (A session that ends after half an hour)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { KVStore } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* KVStore.KVStore
 *   yield* store.put("session.42", new TextEncoder().encode("ann"))
 *   const session = yield* KVStore.getUnexpired(store, "session.42", { maxAge: "30 minutes" })
 *   return Option.isSome(session) ? "the session is valid" : "the session has ended"
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, KVStore.layerMemory({ bucket: "sessions" }))))
 * // => the session is valid
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

/** Number of concurrent deletes in `clear`. */
const deletesAtOnce = 16

/**
 * The result of `clear`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClearReport {
  /** The number of deleted keys. */
  readonly removed: number
  /** The number of keys of other clients that are not valid keys of this library, such as `größe`: they are kept. */
  readonly skipped: number
}

/**
 * Deletes all keys that match a filter, and returns how many. Default: all keys of
 * the bucket.
 *
 * **Details**
 *
 * Lists the keys once and deletes each without a condition. A key that is written
 * during the run may be deleted or kept. Each deleted key leaves a tombstone: see
 * `purgeTombstones`. If a deletion fails, so does `clear`: other keys may have been
 * deleted, and it can be repeated.
 *
 * **Example** (Emptying a part of a bucket)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KVStore } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* KVStore.KVStore
 *   yield* store.put("orders.1", new TextEncoder().encode("new"))
 *   yield* store.put("customers.1", new TextEncoder().encode("ann"))
 *   const { removed } = yield* KVStore.clear(store, "orders.>")
 *   return `${removed} removed, left: ${yield* store.keys()}`
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, KVStore.layerMemory({ bucket: "shop" }))))
 * // => 1 removed, left: customers.1
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const clear: {
  (filter?: Filter): (store: KVStore["Service"]) => Effect.Effect<ClearReport, KVStoreError>
  (store: KVStore["Service"], filter?: Filter): Effect.Effect<ClearReport, KVStoreError>
} = dual(
  isStore,
  Effect.fnUntraced(function*(
    store: KVStore["Service"],
    filter?: Filter
  ): Effect.fn.Return<ClearReport, KVStoreError> {
    const all = yield* store.keys(filter)
    const keys = all.filter((key) => checkKey(key) === undefined)
    yield* Effect.forEach(keys, (key) => store.delete(key), { concurrency: deletesAtOnce, discard: true })
    return { removed: keys.length, skipped: all.length - keys.length }
  })
)
