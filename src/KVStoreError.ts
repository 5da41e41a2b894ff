/**
 * What can go wrong with a store, and what to do about it.
 *
 * There is one error, `KVStoreError`, which says where it happened (bucket,
 * operation, key) and carries a tagged `reason`. Reasons are decided by error
 * code and class, never by message text. Handle one with
 * `Effect.catchReason("KVStoreError", "KeyAlreadyExists", ...)`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"

export { InvalidConfig, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"

/**
 * The caller's key or filter is not one that NATS can store; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidKey extends Schema.TaggedError<InvalidKey>("effect-aegis/KVStoreError/InvalidKey")("InvalidKey", {
  expected: Schema.String
}) {
  override get message(): string {
    return `the key is not valid: use ${this.expected}`
  }

  /**
   * False: the same key is refused again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is no room: in the bucket (`maxBytes`), for the account, or on the server.
 *
 * @category errors
 * @since 0.1.0
 */
export class StorageFull extends Schema.TaggedError<StorageFull>("effect-aegis/KVStoreError/StorageFull")(
  "StorageFull",
  {
    scope: Schema.Literals(["bucket", "account", "server"]),
    /** The server's error code. */
    code: Schema.Finite,
    description: Schema.String
  }
) {
  override get message(): string {
    const what = {
      bucket: "the bucket is full",
      account: "the account's storage limit is reached",
      server: "the server's storage is full"
    }
    const remedy = {
      bucket: "purge keys, or raise maxBytes",
      account: "remove streams or data of this account, or raise its limit",
      server: "remove streams or data on the server, or give it more storage"
    }
    return `${what[this.scope]} (${this.description}, code ${this.code}): ${remedy[this.scope]}`
  }

  /**
   * False: it stays full until something is removed, or the limit is raised.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is no such bucket, or there is none any more, and `create: false` forbids
 * to make it.
 *
 * @category errors
 * @since 0.1.0
 */
export class BucketNotFound extends Schema.TaggedError<BucketNotFound>("effect-aegis/KVStoreError/BucketNotFound")(
  "BucketNotFound",
  {}
) {
  override get message(): string {
    return "the bucket does not exist: create it, or allow the store to (create: true)"
  }

  /**
   * False: the bucket stays away until somebody creates it.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The bucket exists with another configuration. Each difference names the
 * setting, what was asked for, and what the bucket has.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigMismatch extends Schema.TaggedError<ConfigMismatch>("effect-aegis/KVStoreError/ConfigMismatch")(
  "ConfigMismatch",
  {
    differences: Schema.Array(Schema.Struct({
      setting: Schema.String,
      expected: Schema.String,
      actual: Schema.String
    }))
  }
) {
  override get message(): string {
    const list = this.differences.map((d) => `${d.setting} is ${d.actual}, not ${d.expected}`).join("; ")
    return `the bucket exists with another configuration (${list}): ask for what it has, or set onMismatch`
  }

  /**
   * False: the same configuration is refused again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server does not let this user do that.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermissionDenied
  extends Schema.TaggedError<PermissionDenied>("effect-aegis/KVStoreError/PermissionDenied")(
    "PermissionDenied",
    {
      /** The subject that the server refused, or the connection that it refused. */
      subject: Schema.String,
      /** What the client or the system reported, where it did. */
      cause: Schema.optional(Schema.Defect())
    }
  )
{
  override get message(): string {
    return `permission denied for ${this.subject}: grant it to this user, or log in as another`
  }

  /**
   * False: the same user is refused again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * `createOnly` met a live value.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyAlreadyExists
  extends Schema.TaggedError<KeyAlreadyExists>("effect-aegis/KVStoreError/KeyAlreadyExists")(
    "KeyAlreadyExists",
    { revision: Schema.optional(Schema.Finite) }
  )
{
  override get message(): string {
    return "the key already has a value: read it before another attempt"
  }

  /**
   * False: the condition did not hold. Read before another attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * `updateOnly` met no live value.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyNotFound
  extends Schema.TaggedError<KeyNotFound>("effect-aegis/KVStoreError/KeyNotFound")("KeyNotFound", {})
{
  override get message(): string {
    return "the key has no value: create it, or leave updateOnly out"
  }

  /**
   * False: the condition did not hold. Read before another attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The last message of the key (or of the guarding key) is not the one that the
 * write was conditioned on. `actual` is there only where the server says it;
 * decide nothing by it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RevisionMismatch
  extends Schema.TaggedError<RevisionMismatch>("effect-aegis/KVStoreError/RevisionMismatch")(
    "RevisionMismatch",
    { expected: Schema.Finite, actual: Schema.optional(Schema.Finite) }
  )
{
  override get message(): string {
    const actual = this.actual === undefined ? "another one" : String(this.actual)
    return `expected revision ${this.expected}, found ${actual}: read it again before another attempt`
  }

  /**
   * False: the condition did not hold. Read before another attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The store could not be reached: not connected, nobody answered, or a read that
 * got no answer in time. Nothing was written; doing it again is safe.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable
  extends Schema.TaggedError<Unavailable>("effect-aegis/KVStoreError/Unavailable")("Unavailable", {
    problem: Schema.String,
    /** What the client or the system reported, where it did. */
    cause: Schema.optional(Schema.Defect())
  })
{
  override get message(): string {
    return `the store cannot be reached (${this.problem}): try again`
  }

  /**
   * True: nothing was written, and another attempt can help.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return true
  }
}

/**
 * A write was sent and its answer did not come: it may have landed, may land
 * later, or never. Read before writing again.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("effect-aegis/KVStoreError/OutcomeUnknown")(
  "OutcomeUnknown",
  {
    problem: Schema.String,
    /** What the client or the system reported, where it did. */
    cause: Schema.optional(Schema.Defect())
  }
) {
  override get message(): string {
    return `a write was sent and not answered (${this.problem}): it may have landed, read before writing again`
  }

  /**
   * False: the write may have landed. Read before another attempt.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server's final word with a code that has no reason of its own here.
 *
 * @category errors
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>("effect-aegis/KVStoreError/Rejected")("Rejected", {
  code: Schema.Finite,
  description: Schema.String
}) {
  override get message(): string {
    return `the server refused: ${this.description} (code ${this.code})`
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
 * Why an operation failed.
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
 * Why an operation failed.
 *
 * @category models
 * @since 0.1.0
 */
export type KVStoreReason = typeof KVStoreReason.Type

const writes: ReadonlySet<string> = new Set(["put", "delete", "purge", "modify"])

/**
 * An operation on a store that failed: where, and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class KVStoreError extends Schema.TaggedError<KVStoreError>("effect-aegis/KVStoreError")("KVStoreError", {
  /** Undefined: the connection itself. */
  bucket: Schema.UndefinedOr(Schema.String),
  operation: Schema.String,
  key: Schema.UndefinedOr(Schema.String),
  reason: KVStoreReason
}) {
  override get message(): string {
    const key = this.key === undefined ? "" : ` "${this.key}"`
    const bucket = this.bucket === undefined ? "" : ` in bucket "${this.bucket}"`
    // Of a read it would be no news, and of what has an unknown outcome it would be wrong.
    const unwritten = this.reason._tag === "Unavailable" && writes.has(this.operation) ? "; nothing was written" : ""
    return `${this.operation}${key}${bucket}: ${this.reason.message}${unwritten}`
  }

  /**
   * True where doing it again can help and cannot harm. An unknown outcome and
   * a condition that did not hold want a read first, and are not.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
