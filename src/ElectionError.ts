/**
 * What can go wrong with an election, and what to do about it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidName, InvalidValue, ValueTooLarge } from "./AegisError.ts"
import { KVStoreError } from "./KVStoreError.ts"

export { InvalidConfig, InvalidName, InvalidValue, ValueTooLarge } from "./AegisError.ts"

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
export class LeadershipLost extends Schema.TaggedError<LeadershipLost>("effect-aegis/ElectionError/LeadershipLost")(
  "LeadershipLost",
  { reason: LossReason }
) {
  override get message(): string {
    return `this candidate no longer leads (${this.reason}): campaign again`
  }

  /**
   * False: this term is over. Campaign again for another.
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
export const ElectionReason = Schema.Union([
  InvalidName,
  InvalidConfig,
  InvalidValue,
  ValueTooLarge,
  LeadershipLost,
  KVStoreError
])

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
    return this.reason.isRetryable
  }
}
