/**
 * The smallest thing a backend must be: an append-only log per bucket that
 * keeps the last messages of each key, refuses a write whose condition does not
 * hold, and can be followed. What users see of a store is built on it once, in
 * `store.ts` (docs/protocols/kv.md, K1 and K4).
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { KVStatus } from "../../KVStore.ts"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import type { KVStoreReason } from "../../KVStoreError.ts"

/** What a message says of its key. `expire` is the marker that an aged value leaves. */
export type MessageOperation = "put" | "delete" | "purge" | "expire"

/** One message of the log; only a `put` has a value. */
export interface StoredMessage {
  readonly key: string
  readonly revision: number
  /** Unix milliseconds, by the store. */
  readonly created: number
  readonly operation: MessageOperation
  readonly value: Uint8Array
}

/** The last message of `key` must have this revision; 0: there is none. */
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

/** What a key has died of whose last message is gone without another: of its age, or purged without a trace. */
export type SilentRemoval = "expire" | "purge"

export type BackendEvent =
  /** A value; or the end of one that a watch has given, or, where it began without a snapshot, of any. */
  | { readonly _tag: "Message"; readonly message: StoredMessage }
  /** A value that a watch has given is gone without a message; `created` is when that was found. */
  | {
    readonly _tag: "Gone"
    readonly key: string
    readonly revision: number
    readonly created: number
    readonly reason: SilentRemoval | "reset"
  }
  | { readonly _tag: "Ready" }

export interface Backend {
  readonly config: KVStoreConfig
  readonly clock: Clock.Clock
  /** The last message of a key, reading this connection's own writes. */
  readonly last: (key: string) => Effect.Effect<Option.Option<StoredMessage>, KVStoreReason>
  /** Writes; a condition that does not hold is `RevisionMismatch`. */
  readonly append: (message: Append) => Effect.Effect<number, KVStoreReason>
  /** What is kept of a key, oldest first. */
  readonly history: (key: string) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
  /** The last message of each key that matches, in revision order; without the values where they are not wanted. */
  readonly lastOfEach: (
    filter: string,
    want: "values" | "names"
  ) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
  /** The last messages of those keys, of those that have one. */
  readonly lastOf: (keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
  /** What matches, from there on; `Ready` when all that was there has been given, and again where the log was recreated. */
  readonly follow: (filter: string, from: Follow) => Stream.Stream<BackendEvent, KVStoreReason>
  readonly status: Effect.Effect<KVStatus, KVStoreReason>
}
