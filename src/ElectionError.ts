/**
 * What can go wrong with an election, and what to do about it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, KVStoreError } from "./KVStoreError.ts"

/**
 * A name that cannot be part of a key; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidName extends Schema.TaggedError<InvalidName>("effect-aegis/Election/InvalidName")("InvalidName", {
  value: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `the election's name "${this.value}" is not valid: use ${this.expected}`
  }
}

/**
 * Times with which a leader could not be told from a former one, or metadata
 * that JSON cannot say; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidCandidate extends Schema.TaggedError<InvalidCandidate>("effect-aegis/Election/InvalidCandidate")(
  "InvalidCandidate",
  { problem: Schema.String }
) {
  override get message(): string {
    return `the candidate is not valid: ${this.problem}`
  }
}

/**
 * How leadership ends.
 *
 * `resigned`: handed over by the leader. `superseded`: another candidate won.
 * `expired`: not renewed in time. `removed`: somebody deleted the record.
 *
 * @category models
 * @since 0.1.0
 */
export const LossReason = Schema.Literals(["resigned", "superseded", "expired", "removed"])

/**
 * How leadership ends.
 *
 * @category models
 * @since 0.1.0
 */
export type LossReason = typeof LossReason.Type

/**
 * The leadership is over.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeadershipLost extends Schema.TaggedError<LeadershipLost>("effect-aegis/Election/LeadershipLost")(
  "LeadershipLost",
  { reason: LossReason }
) {
  override get message(): string {
    return `this candidate no longer leads (${this.reason}): campaign again`
  }
}

/**
 * The store could not do it.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreFailed extends Schema.TaggedError<StoreFailed>("effect-aegis/Election/StoreFailed")("StoreFailed", {
  error: KVStoreError
}) {
  override get message(): string {
    return this.error.message
  }
}

/**
 * Why an operation failed.
 *
 * @category models
 * @since 0.1.0
 */
export const ElectionReason = Schema.Union([InvalidName, InvalidCandidate, InvalidConfig, LeadershipLost, StoreFailed])

/**
 * Why an operation failed.
 *
 * @category models
 * @since 0.1.0
 */
export type ElectionReason = typeof ElectionReason.Type

/**
 * An operation on an election that failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class ElectionError extends Schema.TaggedError<ElectionError>("effect-aegis/ElectionError")("ElectionError", {
  operation: Schema.String,
  /** Undefined: the layer itself. */
  election: Schema.UndefinedOr(Schema.String),
  reason: ElectionReason
}) {
  override get message(): string {
    const election = this.election === undefined ? "" : ` "${this.election}"`
    return `${this.operation}${election}: ${this.reason.message}`
  }

  /**
   * True where doing it again can help and cannot harm.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason._tag === "StoreFailed" && this.reason.error.isRetryable
  }
}
