/**
 * The interface of a backend: an append-only log per bucket that keeps the last
 * messages of each key, checks the condition of a write, and can be followed.
 * `store.ts` builds `KVStore` on it (docs/protocols/kv.md, K1 and K4).
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { KVStatus } from "../../KVStore.ts"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import type { KVStoreReason } from "../../KVStoreError.ts"
import type { Filters } from "../filters.ts"
import type { Reachability } from "../reachability.ts"

/** The kind of a message. `put` is a value, the others are markers; `expire` is the marker of an expired value. */
export type MessageOperation = "put" | "delete" | "purge" | "expire"

/** A message of the log. `value` is empty unless the operation is `put`. */
export interface StoredMessage {
  readonly key: string
  readonly revision: number
  /** Unix milliseconds by the store's clock. */
  readonly created: number
  readonly operation: MessageOperation
  readonly value: Uint8Array
}

/** The last message of `key` must have this revision. 0: the key must have no message. */
export interface Condition {
  readonly key: string
  readonly revision: number
}

export interface Append {
  readonly key: string
  readonly operation: Exclude<MessageOperation, "expire">
  readonly value: Uint8Array
  readonly condition: Condition | undefined
}

export type Follow = "snapshot" | "updates" | { readonly revision: number }

/** Why a key lost its last message without leaving a marker: by age, or by a purge of the stream. */
export type SilentRemoval = "expire" | "purge"

export type BackendEvent =
  /** A value or a marker. A snapshot has markers only of keys whose value was emitted before. */
  | { readonly _tag: "Message"; readonly message: StoredMessage }
  /** A value that was emitted was removed without a marker. `created` is when the removal was noticed. */
  | {
    readonly _tag: "Gone"
    readonly key: string
    readonly revision: number
    readonly created: number
    readonly reason: SilentRemoval | "reset"
  }
  | { readonly _tag: "Ready" }

/**
 * How current a read is (K13). `seen`: sees all acknowledged writes of this connection, if the last STREAM.INFO is still
 * right; a bucket that has got replicas since may return an older message. `decides`: always sees all acknowledged writes.
 */
export type Currency = "seen" | "decides"

export interface Backend {
  readonly config: KVStoreConfig
  readonly clock: Clock.Clock
  /** The last message of a key. */
  readonly last: (key: string, currency: Currency) => Effect.Effect<Option.Option<StoredMessage>, KVStoreReason>
  /** The message with this revision, if it is one of this key and is kept. */
  readonly at: (key: string, revision: number) => Effect.Effect<Option.Option<StoredMessage>, KVStoreReason>
  /** Appends a message and returns its revision. Fails with `RevisionMismatch` if the condition does not hold. */
  readonly append: (message: Append) => Effect.Effect<number, KVStoreReason>
  /** The kept messages of a key, oldest first. `currency` applies to the last one. */
  readonly history: (key: string, currency: Currency) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
  /** The last message of each key that matches, in order of revisions. With `"names"` the values may be empty. */
  readonly lastOfEach: (
    filters: Filters,
    want: "values" | "names"
  ) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
  /** The last message of each key that matches, each key once, in any order. Reads ahead a limited number of bytes. */
  readonly streamOfEach: (filters: Filters) => Stream.Stream<StoredMessage, KVStoreReason>
  /** The last message of each of these keys that has a message. */
  readonly lastOf: (keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
  /** The messages that match, from `from` on. `Ready` follows the existing ones, again if the log was recreated. */
  readonly follow: (filters: Filters, from: Follow) => Stream.Stream<BackendEvent, KVStoreReason>
  /** Removes the messages of a key up to a revision, and leaves no marker. */
  readonly removeUpTo: (key: string, revision: number) => Effect.Effect<void, KVStoreReason>
  readonly status: Effect.Effect<KVStatus, KVStoreReason>
  /** The current reachability, then each change. */
  readonly reachability: Stream.Stream<Reachability>
  /** The largest value that can be sent with a condition on its own key, in bytes. The connected server decides. */
  readonly valueLimit: () => number
}
