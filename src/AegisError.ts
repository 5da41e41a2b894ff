/**
 * Reasons for a failure that several services share. Each service exports the
 * ones that its own errors carry.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A name that cannot be part of a key: `field` says which one. Nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidName extends Schema.TaggedError<InvalidName>("effect-aegis/AegisError/InvalidName")("InvalidName", {
  field: Schema.String,
  value: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `${this.field} "${this.value}" is not valid: expected ${this.expected}`
  }

  /**
   * False: the same name is refused again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * An option or a setting that cannot be used. `problem` names it, says what was
 * expected, and what was given. Nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>("effect-aegis/AegisError/InvalidConfig")(
  "InvalidConfig",
  { problem: Schema.String }
) {
  override get message(): string {
    return `the configuration is not valid: ${this.problem}`
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
 * A value, or metadata, that cannot be encoded. Nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidValue extends Schema.TaggedError<InvalidValue>("effect-aegis/AegisError/InvalidValue")(
  "InvalidValue",
  { problem: Schema.String }
) {
  override get message(): string {
    return `the value is not valid: ${this.problem}`
  }

  /**
   * False: the same value is refused again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A value that is larger than the bucket or the server takes. Sizes are bytes;
 * `limit` is absent where only the server knows it.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValueTooLarge extends Schema.TaggedError<ValueTooLarge>("effect-aegis/AegisError/ValueTooLarge")(
  "ValueTooLarge",
  { size: Schema.Finite, limit: Schema.optional(Schema.Finite) }
) {
  override get message(): string {
    return this.limit === undefined
      ? `the value of ${this.size} bytes is larger than the server takes`
      : `the value of ${this.size} bytes is larger than the limit of ${this.limit}`
  }

  /**
   * False: the same value is refused again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A stored value that does not decode: another writer's, not this caller's input.
 *
 * @category errors
 * @since 0.1.0
 */
export class UndecodableValue extends Schema.TaggedError<UndecodableValue>("effect-aegis/AegisError/UndecodableValue")(
  "UndecodableValue",
  { revision: Schema.Finite, cause: Schema.Defect() }
) {
  override get message(): string {
    return `the value stored at revision ${this.revision} does not decode: ${String(this.cause)}`
  }

  /**
   * False: the same revision does not decode the next time either.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}
