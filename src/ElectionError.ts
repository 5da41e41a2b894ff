/**
 * The error of elections, and its reasons.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidName, InvalidValue, ValueTooLarge } from "./AegisError.ts"
import { KVStoreError } from "./KVStoreError.ts"

export { InvalidConfig, InvalidName, InvalidValue, ValueTooLarge } from "./AegisError.ts"

/**
 * Why leadership ended.
 *
 * **Details**
 *
 * - `resigned`: the leader handed it over
 * - `superseded`: another candidate won
 * - `expired`: no renewal was written within `renewDeadline`
 * - `removed`: the record was deleted from the bucket
 *
 * @category models
 * @since 0.1.0
 */
export const LossReason = Schema.Literals(["resigned", "superseded", "expired", "removed"])

/**
 * Why leadership ended.
 *
 * @category models
 * @since 0.1.0
 */
export type LossReason = typeof LossReason.Type

/**
 * This candidate no longer leads: `reason` says why. Campaign again for another
 * term.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeadershipLost extends Schema.TaggedError<LeadershipLost>("effect-aegis/ElectionError/LeadershipLost")(
  "LeadershipLost",
  { reason: LossReason }
) {
  override get message(): string {
    return `this candidate no longer leads (${this.reason}): campaign again`
  }

  /**
   * False: this term has ended. Campaign again for another.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Why an operation of an election failed.
 *
 * **Details**
 *
 * A `KVStoreError` is the store's own: its `reason` says what failed.
 *
 * @category models
 * @since 0.1.0
 */
export const ElectionReason = Schema.Union([
  InvalidName,
  InvalidConfig,
  InvalidValue,
  ValueTooLarge,
  LeadershipLost,
  KVStoreError
])

/**
 * Why an operation of an election failed.
 *
 * @category models
 * @since 0.1.0
 */
export type ElectionReason = typeof ElectionReason.Type

/**
 * The error of every operation of an election: which operation, in which
 * election, and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class ElectionError extends Schema.TaggedError<ElectionError>("effect-aegis/ElectionError")("ElectionError", {
  /** The member of the service, of `Leadership`, or `Election.layer` and `Election.make`. */
  operation: Schema.String,
  /** The name of the election; undefined where the service could not be created. */
  election: Schema.UndefinedOr(Schema.String),
  /** What failed. */
  reason: ElectionReason
}) {
  override get message(): string {
    const election = this.election === undefined ? "" : ` "${this.election}"`
    return `${this.operation}${election}: ${this.reason.message}`
  }

  /**
   * Whether the same operation may succeed later, and can be repeated without harm.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
