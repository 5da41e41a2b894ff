/**
 * The errors of a `KVStore`.
 *
 * All operations fail with one error, `KVStoreError`. It has the bucket, the
 * operation, the key, and a tagged `reason`. Handle one reason with
 * `Effect.catchReason("KVStoreError", "KeyAlreadyExists", (reason) => ...)`.
 * Errors of a server are classified by their error code, never by their text.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"

export { InvalidConfig, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"

/**
 * A key or a filter is not valid. Nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidKey extends Schema.TaggedError<InvalidKey>("effect-aegis/KVStoreError/InvalidKey")("InvalidKey", {
  /** The form of a valid key or filter. */
  expected: Schema.String,
  /** Whether a key or a filter is not valid. */
  kind: Schema.Literals(["key", "filter"])
}) {
  /** What failed, why, and what to do. */
  override get message(): string {
    return `the ${this.kind} is not valid: use ${this.expected}`
  }

  /**
   * False: the key stays invalid.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/** The codes of a server that cannot reserve the maximum size of a new bucket, in memory or in files. */
const reservations = new Set([10_028, 10_047])

/**
 * The storage limit of the bucket (`maxBytes`), the account or the server is
 * reached, or the disk of the server is full. Nothing was stored.
 *
 * **Details**
 *
 * A write that does not fit into the free space may only replace a message that is at
 * least as large, if the key has `historySize` messages. `delete` and `purge` store a
 * marker of some 80 bytes and the key: so in a full bucket they are refused for a
 * smaller value, and with a history for most keys.
 *
 * @category errors
 * @since 0.1.0
 */
export class StorageFull extends Schema.TaggedError<StorageFull>("effect-aegis/KVStoreError/StorageFull")(
  "StorageFull",
  {
    /** The owner of the limit. */
    scope: Schema.Literals(["bucket", "account", "server"]),
    /** The JetStream error code of the server. */
    code: Schema.Finite,
    /** The error text of the server. */
    description: Schema.String
  }
) {
  /** What failed, why, and what to do. */
  override get message(): string {
    const what = {
      bucket: "the bucket is full",
      account: "the account's storage limit is reached",
      server: "the server's storage is full"
    }
    const freed = this.scope === "account" ? "of this account" : "on the server"
    if (reservations.has(this.code)) {
      return `the ${this.scope} has not enough space left for the maxBytes of a new bucket (${this.description}, code ` +
        `${this.code}): choose a smaller maxBytes, remove streams ${freed} that have a size limit, or raise the limit ` +
        (this.scope === "account" ? "of the account" : "of the server")
    }
    const remedy = {
      bucket:
        "raise maxBytes, or max_msgs of another client's bucket (open it with onMismatch: \"update\"), call purgeTombstones (it removes those older than " +
        "an hour), or replace large values with smaller ones; a delete stores a marker, which has to fit, too",
      account:
        "remove streams of this account, delete values (a delete stores a marker, which has to fit, too), or raise " +
        "the account's limit",
      server:
        "remove streams on the server, or give it more storage (a larger disk, max_file_store or max_memory_store); " +
        "a delete stores a marker, which has to fit, too"
    }
    return `${what[this.scope]} (${this.description}, code ${this.code}): ${remedy[this.scope]}`
  }

  /**
   * False: the storage stays full until data is removed or the limit is raised.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The bucket does not exist, or was deleted. A store fails with this only with
 * `create: false`.
 *
 * @category errors
 * @since 0.1.0
 */
export class BucketNotFound extends Schema.TaggedError<BucketNotFound>("effect-aegis/KVStoreError/BucketNotFound")(
  "BucketNotFound",
  {}
) {
  /** What failed, why, and what to do. */
  override get message(): string {
    return "the bucket does not exist: a store creates it, unless it is opened with create: false"
  }

  /**
   * False: the bucket must be created first.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/** Settings with which a stream is no bucket for this library. */
const unusable = new Set([
  "subjects",
  "no_ack",
  "persist_mode",
  "mirror and sources",
  "retention",
  "discard_new_per_subject",
  "subject_transform",
  "allow_msg_counter"
])

/** Settings that no update changes. */
const fixed = new Set(["storage"])

/**
 * The bucket exists with another configuration.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigMismatch extends Schema.TaggedError<ConfigMismatch>("effect-aegis/KVStoreError/ConfigMismatch")(
  "ConfigMismatch",
  {
    /** The settings that differ. */
    differences: Schema.Array(Schema.Struct({
      /** The name of the setting. */
      setting: Schema.String,
      /** The value in the options. */
      expected: Schema.String,
      /** The value of the existing bucket. */
      actual: Schema.String
    }))
  }
) {
  /** What failed, why, and what to do. */
  override get message(): string {
    const list = this.differences.map((d) => `${d.setting} is ${d.actual}, not ${d.expected}`).join("; ")
    const differs = (settings: ReadonlySet<string>) => this.differences.some((d) => settings.has(d.setting))
    const remedy = differs(unusable)
      ? "no option can accept that: use another bucket, or change or recreate the stream"
      : differs(fixed)
      ? `storage cannot be changed: use the existing values, set onMismatch: "accept", or destroy the bucket`
      : `use the existing values, or set onMismatch: "update" or "accept"`
    return `the bucket exists with another configuration (${list}): ${remedy}`
  }

  /**
   * False: the configurations stay different.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/** What to do about a refusal. A subject has no spaces, the description of a refused connection has. */
const remedyFor = (subject: string): string => {
  if (subject.includes(" ")) return "correct the login or the client certificate, or the users of the server"
  return subject.startsWith("$")
    ? "grant it to this user, or connect as another user"
    : "set inboxPrefix to a prefix of inboxes that this user may subscribe to, or grant the subscription"
}

/**
 * The user of the connection has no permission for a request, or the server
 * refused the credentials or the client certificate.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermissionDenied
  extends Schema.TaggedError<PermissionDenied>("effect-aegis/KVStoreError/PermissionDenied")(
    "PermissionDenied",
    {
      /** The NATS subject of the refused request, or a description of the refused connection. */
      subject: Schema.String,
      /** The error of the NATS client or the system, if there is one. */
      cause: Schema.optional(Schema.Defect())
    }
  )
{
  /** What failed, why, and what to do. */
  override get message(): string {
    return `permission denied for ${this.subject}: ${remedyFor(this.subject)}`
  }

  /**
   * False: the permissions of the user must be changed first.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A `put` with `createOnly` failed because the key has a value.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyAlreadyExists
  extends Schema.TaggedError<KeyAlreadyExists>("effect-aegis/KVStoreError/KeyAlreadyExists")(
    "KeyAlreadyExists",
    {
      /** The revision of the existing value, if known. */
      revision: Schema.optional(Schema.Finite)
    }
  )
{
  /** What failed, why, and what to do. */
  override get message(): string {
    return "the key already has a value: read it before the next attempt"
  }

  /**
   * False: the condition did not hold. Read the key before the next attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A `put` with `updateOnly` failed because the key has no value.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyNotFound
  extends Schema.TaggedError<KeyNotFound>("effect-aegis/KVStoreError/KeyNotFound")("KeyNotFound", {})
{
  /** What failed, why, and what to do. */
  override get message(): string {
    return "the key has no value: create it, or omit updateOnly"
  }

  /**
   * False: the condition did not hold. Read the key before the next attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The last message of the key does not have the revision that the write was
 * conditioned on. A write with `whenKey` is conditioned on the last message of
 * another key: it fails if that message has another revision.
 *
 * @category errors
 * @since 0.1.0
 */
export class RevisionMismatch
  extends Schema.TaggedError<RevisionMismatch>("effect-aegis/KVStoreError/RevisionMismatch")(
    "RevisionMismatch",
    {
      /** The revision in the condition of the write. */
      expected: Schema.Finite,
      /** The revision of the last message, if known. May be outdated: use it in messages only. */
      actual: Schema.optional(Schema.Finite)
    }
  )
{
  /** What failed, why, and what to do. */
  override get message(): string {
    const actual = this.actual === undefined ? "another revision" : String(this.actual)
    return `expected revision ${this.expected}, found ${actual}: read the key again before the next attempt`
  }

  /**
   * False: the condition did not hold. Read the key before the next attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The store cannot be reached: the connection is down, the stream has no leader, no
 * server with JetStream answers, or a read got no answer in time. While the connection
 * is down, `problem` has the last failure of each server. Also the error of `createOnly`, `updateOnly` and
 * `modify` if conflicts with other writers last until the `timeout`. Nothing was
 * written, so the operation can be retried safely.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable
  extends Schema.TaggedError<Unavailable>("effect-aegis/KVStoreError/Unavailable")("Unavailable", {
    /** Why the store cannot be reached. */
    problem: Schema.String,
    /**
     * The error of the NATS client or the system, if there is one. After a refused connection it is an error of the
     * client, whose `cause` is the error of the system with the code `ECONNREFUSED`.
     */
    cause: Schema.optional(Schema.Defect()),
    /** True if the program has closed the connection: it does not reconnect. */
    isClosed: Schema.optional(Schema.Boolean)
  })
{
  /** What failed, why, and what to do. */
  override get message(): string {
    const remedy = this.isRetryable ? "try again" : "open a new connection"
    return `the store cannot be reached (${this.problem}): ${remedy}`
  }

  /**
   * Whether the next attempt can succeed: true, unless the connection is closed. Nothing was written.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.isClosed !== true
  }
}

/**
 * A write was sent and no answer arrived. The write may have been stored, may be
 * stored later, or may be lost. Read the key before writing again.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("effect-aegis/KVStoreError/OutcomeUnknown")(
  "OutcomeUnknown",
  {
    /** Why no answer arrived. */
    problem: Schema.String,
    /** The error of the NATS client or the system, if there is one. */
    cause: Schema.optional(Schema.Defect())
  }
) {
  /** What failed, why, and what to do. */
  override get message(): string {
    return `a write was sent and not answered (${this.problem}): it may have been stored, read before writing again`
  }

  /**
   * False: the write may have been stored. Read the key before the next attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server refused the request with another JetStream error code.
 *
 * @category errors
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>("effect-aegis/KVStoreError/Rejected")("Rejected", {
  /** The JetStream error code of the server. */
  code: Schema.Finite,
  /** The error text of the server. */
  description: Schema.String
}) {
  /** What failed, why, and what to do. */
  override get message(): string {
    return `the server refused the request: ${this.description} (code ${this.code})`
  }

  /**
   * False: the server refuses the same request again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Schema of the reasons of a `KVStoreError`.
 *
 * @category models
 * @since 0.1.0
 */
export const KVStoreReason = Schema.Union([
  InvalidKey,
  InvalidValue,
  InvalidConfig,
  UndecodableValue,
  ValueTooLarge,
  StorageFull,
  BucketNotFound,
  ConfigMismatch,
  PermissionDenied,
  KeyAlreadyExists,
  KeyNotFound,
  RevisionMismatch,
  Unavailable,
  OutcomeUnknown,
  Rejected
])

/**
 * A reason of a `KVStoreError`.
 *
 * @category models
 * @since 0.1.0
 */
export type KVStoreReason = typeof KVStoreReason.Type

const writes: ReadonlySet<string> = new Set(["put", "delete", "purge", "modify", "modifyEffect"])

/**
 * The error of all operations of a store.
 *
 * @category errors
 * @since 0.1.0
 */
export class KVStoreError extends Schema.TaggedError<KVStoreError>("effect-aegis/KVStoreError")("KVStoreError", {
  /** The name of the bucket; undefined if the operation has no bucket, such as connecting. */
  bucket: Schema.UndefinedOr(Schema.String),
  /** The operation that failed, such as `"put"`. */
  operation: Schema.String,
  /** The key or the filter of the operation; undefined if it has neither. */
  key: Schema.UndefinedOr(Schema.String),
  /** Why the operation failed. */
  reason: KVStoreReason
}) {
  /** What failed, why, and what to do. */
  override get message(): string {
    const key = this.key === undefined ? "" : ` "${this.key}"`
    const bucket = this.bucket === undefined ? "" : ` in bucket "${this.bucket}"`
    // Only for writes, and never for an unknown outcome: that write may have been stored.
    const unwritten = this.reason._tag === "Unavailable" && writes.has(this.operation) ? "; nothing was written" : ""
    return `${this.operation}${key}${bucket}: ${this.reason.message}${unwritten}`
  }

  /**
   * True if the operation can be retried safely. False after an unknown outcome
   * and after a condition that did not hold: read the key first.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
