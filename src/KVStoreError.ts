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

/**
 * The caller's key or filter is not one that NATS can store; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidKey extends Schema.TaggedError<InvalidKey>("effect-aegis/InvalidKey")("InvalidKey", {
  expected: Schema.String
}) {
  override get message(): string {
    return `the key is not valid: use ${this.expected}`
  }
}

/**
 * The caller's value cannot be encoded; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidValue extends Schema.TaggedError<InvalidValue>("effect-aegis/InvalidValue")("InvalidValue", {
  problem: Schema.String
}) {
  override get message(): string {
    return `the value is not valid: ${this.problem}`
  }
}

/**
 * A setting or an option that cannot be had; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>("effect-aegis/InvalidConfig")("InvalidConfig", {
  problem: Schema.String
}) {
  override get message(): string {
    return `the configuration is not valid: ${this.problem}`
  }
}

/**
 * What is stored does not decode. It was somebody's write, not this caller's
 * input.
 *
 * @category errors
 * @since 0.1.0
 */
export class UndecodableValue extends Schema.TaggedError<UndecodableValue>("effect-aegis/UndecodableValue")(
  "UndecodableValue",
  { revision: Schema.Finite, cause: Schema.Defect() }
) {
  override get message(): string {
    return `the value stored at revision ${this.revision} does not decode: ${String(this.cause)}`
  }
}

/**
 * The value is larger than the bucket or the server takes. Sizes are bytes.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValueTooLarge extends Schema.TaggedError<ValueTooLarge>("effect-aegis/ValueTooLarge")("ValueTooLarge", {
  size: Schema.Finite,
  limit: Schema.optional(Schema.Finite)
}) {
  override get message(): string {
    return this.limit === undefined
      ? `the value of ${this.size} bytes is larger than the server takes`
      : `the value of ${this.size} bytes is larger than the limit of ${this.limit}`
  }
}

/**
 * The bucket holds as much as its `maxBytes`, or its account, allows.
 *
 * @category errors
 * @since 0.1.0
 */
export class StorageFull extends Schema.TaggedError<StorageFull>("effect-aegis/StorageFull")("StorageFull", {
  code: Schema.Finite,
  description: Schema.String
}) {
  override get message(): string {
    return `the bucket is full (${this.description}, code ${this.code}): delete keys, or raise maxBytes`
  }
}

/**
 * There is no such bucket, or there is none any more, and `create: false` forbids
 * to make it.
 *
 * @category errors
 * @since 0.1.0
 */
export class BucketNotFound extends Schema.TaggedError<BucketNotFound>("effect-aegis/BucketNotFound")(
  "BucketNotFound",
  {}
) {
  override get message(): string {
    return "the bucket does not exist: make it, or allow the store to (create: true)"
  }
}

/**
 * The bucket exists with another configuration. Each difference names the
 * setting, what was asked for, and what the bucket has.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigMismatch extends Schema.TaggedError<ConfigMismatch>("effect-aegis/ConfigMismatch")(
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
}

/**
 * The server does not let this user do that.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied>("effect-aegis/PermissionDenied")(
  "PermissionDenied",
  { subject: Schema.String }
) {
  override get message(): string {
    return `permission denied for ${this.subject}`
  }
}

/**
 * `createOnly` met a live value.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyAlreadyExists extends Schema.TaggedError<KeyAlreadyExists>("effect-aegis/KeyAlreadyExists")(
  "KeyAlreadyExists",
  { revision: Schema.optional(Schema.Finite) }
) {
  override get message(): string {
    return "the key already has a value"
  }
}

/**
 * `updateOnly` met no live value.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyNotFound extends Schema.TaggedError<KeyNotFound>("effect-aegis/KeyNotFound")("KeyNotFound", {}) {
  override get message(): string {
    return "the key has no value"
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
export class RevisionMismatch extends Schema.TaggedError<RevisionMismatch>("effect-aegis/RevisionMismatch")(
  "RevisionMismatch",
  { expected: Schema.Finite, actual: Schema.optional(Schema.Finite) }
) {
  override get message(): string {
    const actual = this.actual === undefined ? "another one" : String(this.actual)
    return `expected revision ${this.expected}, found ${actual}: read it again before another attempt`
  }
}

/**
 * Not connected, nobody answered, or a read that got no answer in time.
 * Nothing was written; doing it again is safe.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable extends Schema.TaggedError<Unavailable>("effect-aegis/Unavailable")("Unavailable", {
  problem: Schema.String
}) {
  override get message(): string {
    return `the store cannot be reached (${this.problem}): nothing was written, try again`
  }
}

/**
 * A write was sent and its answer did not come: it may have landed, may land
 * later, or never. Read before writing again.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("effect-aegis/OutcomeUnknown")(
  "OutcomeUnknown",
  { problem: Schema.String }
) {
  override get message(): string {
    return `a write was sent and not answered (${this.problem}): it may have landed, read before writing again`
  }
}

/**
 * The server's final word with a code that has no reason of its own here.
 *
 * @category errors
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>("effect-aegis/Rejected")("Rejected", {
  code: Schema.Finite,
  description: Schema.String
}) {
  override get message(): string {
    return `the server refused: ${this.description} (code ${this.code})`
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
    return `${this.operation}${key}${bucket}: ${this.reason.message}`
  }

  /**
   * True where doing it again can help and cannot harm. An unknown outcome and
   * a condition that did not hold want a read first, and are not.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason._tag === "Unavailable"
  }
}
