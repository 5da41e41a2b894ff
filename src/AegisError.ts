/**
 * Reasons of errors that several services share. Each service exports the
 * reasons that its own error can have.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * An invalid name. No request was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidName extends Schema.TaggedError<InvalidName>("effect-aegis/AegisError/InvalidName")("InvalidName", {
  /** Which name is invalid, such as `election`. */
  field: Schema.String,
  /** The name that was passed. */
  value: Schema.String,
  /** The rule for valid names. */
  expected: Schema.String
}) {
  /**
   * Which name is invalid, and which names are valid.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `${this.field} "${this.value}" is not valid: expected ${this.expected}`
  }

  /**
   * False: the name stays invalid.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * An option or setting that is invalid, or that the connected server does not
 * support.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>("effect-aegis/AegisError/InvalidConfig")(
  "InvalidConfig",
  {
    /** The name of the option or setting and why it is invalid: in general the expected values and the given value. */
    problem: Schema.String
  }
) {
  /**
   * Which option or setting is invalid, and why.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `the configuration is not valid: ${this.problem}`
  }

  /**
   * False: the configuration stays invalid.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A value, or metadata, that cannot be encoded. Nothing was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidValue extends Schema.TaggedError<InvalidValue>("effect-aegis/AegisError/InvalidValue")(
  "InvalidValue",
  {
    /** Why the value cannot be encoded. */
    problem: Schema.String
  }
) {
  /**
   * Why the value cannot be encoded.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `the value is not valid: ${this.problem}`
  }

  /**
   * False: the value stays invalid.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A value that exceeds the size limit of the bucket or of the server.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValueTooLarge extends Schema.TaggedError<ValueTooLarge>("effect-aegis/AegisError/ValueTooLarge")(
  "ValueTooLarge",
  {
    /** The size of the value in bytes. */
    size: Schema.Finite,
    /** The limit in bytes. Undefined if only the server knows the limit. */
    limit: Schema.optional(Schema.Finite)
  }
) {
  /**
   * The size of the value and the limit.
   *
   * @since 0.1.0
   */
  override get message(): string {
    const limit = this.limit === undefined ? "the limit of the server" : `the limit of ${this.limit} bytes`
    return `the value of ${this.size} bytes exceeds ${limit}: store a smaller one, or raise the limit (maxValueSize of the ` +
      "bucket, max_payload of the server)"
  }

  /**
   * False: the value stays too large.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A stored value that cannot be decoded. Another client wrote it, or it was
 * written with another schema. Overwrite or delete it.
 *
 * @category errors
 * @since 0.1.0
 */
export class UndecodableValue extends Schema.TaggedError<UndecodableValue>("effect-aegis/AegisError/UndecodableValue")(
  "UndecodableValue",
  {
    /** The revision of the stored value. */
    revision: Schema.Finite,
    /** The error of the decoder. */
    cause: Schema.Defect()
  }
) {
  /**
   * The revision of the stored value, what to do, and the error of the decoder.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `the value stored at revision ${this.revision} cannot be decoded ` +
      `(another client or another schema wrote it: overwrite or delete it): ${String(this.cause)}`
  }

  /**
   * False: the value at this revision does not change.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}
