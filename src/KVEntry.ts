/**
 * What a store holds and tells: entries, watch events, the conditions that a
 * write may bear, and the state of a bucket.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"

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
 * because the bucket was made anew or rolled back (`reset`).
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
 * again after the snapshot of a bucket that was made anew.
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
