/**
 * Errors of elections: one `ElectionError`, with the operation, the election and
 * a tagged `reason`. `Effect.catchReason("ElectionError", "LeadershipLost",
 * handler)` handles one reason.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidName, InvalidValue, ValueTooLarge } from "./AegisError.ts"
import { quoted } from "./internal/texts.ts"
import { KVStoreError } from "./KVStoreError.ts"

export { InvalidConfig, InvalidName, InvalidValue, ValueTooLarge } from "./AegisError.ts"

/**
 * Schema of the reason why leadership ended.
 *
 * **Details**
 *
 * - `resigned`: the leader handed leadership over
 * - `superseded`: another candidate won
 * - `expired`: no renewal succeeded within `renewDeadline`
 * - `removed`: the record was removed from the bucket
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
 * The term of this candidate has ended. Campaign again for a new term.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeadershipLost extends Schema.TaggedError<LeadershipLost>("effect-aegis/ElectionError/LeadershipLost")(
  "LeadershipLost",
  {
    /** Why leadership ended. */
    reason: LossReason
  }
) {
  /**
   * What failed, why, and what to do.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `this candidate is no longer the leader (${this.reason}): campaign again`
  }

  /**
   * False: the term has ended. Campaign again for a new term.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The leader has not handed over within the time of `stepDown`.
 *
 * @category errors
 * @since 0.1.0
 */
export class StepDownTimeout extends Schema.TaggedError<StepDownTimeout>("effect-aegis/ElectionError/StepDownTimeout")(
  "StepDownTimeout",
  {
    /** The leader that was asked. Undefined if its record cannot be decoded. */
    candidateId: Schema.UndefinedOr(Schema.String),
    /** How long this process waited, in milliseconds. */
    timeoutMillis: Schema.Finite,
    /** For how long this process has observed the record of the leader unchanged, in milliseconds. */
    unchangedMillis: Schema.Finite
  }
) {
  /**
   * What failed, why, and what to do.
   *
   * @since 0.1.0
   */
  override get message(): string {
    const who = this.candidateId === undefined ? "the leader, whose record does not decode," : quoted(this.candidateId)
    return `${who} has not handed over within ${this.timeoutMillis} ms, and its record has been unchanged for ` +
      `${this.unchangedMillis} ms: if it renews, its work may be slow to stop: wait for its stopTimeout, or end that ` +
      "process; if it does not, a further call frees the election once its lease has ended. Do not purge the record"
  }

  /**
   * True: a further call asks again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return true
  }
}

/**
 * Schema of the reason why an operation of an election failed.
 *
 * **Details**
 *
 * A `KVStoreError` is the error of the store. Its own `reason` says what failed.
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
  StepDownTimeout,
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
 * The error of all operations of an election.
 *
 * @category errors
 * @since 0.1.0
 */
export class ElectionError extends Schema.TaggedError<ElectionError>("effect-aegis/ElectionError")("ElectionError", {
  /** The operation that failed: a member of `Election` or of `Leadership`, or `Election.layer` or `Election.make`. */
  operation: Schema.String,
  /** The name of the election. Undefined if the service could not be created. */
  election: Schema.UndefinedOr(Schema.String),
  /** Why the operation failed. */
  reason: ElectionReason
}) {
  /**
   * The operation, the election, and the message of the reason.
   *
   * @since 0.1.0
   */
  override get message(): string {
    const election = this.election === undefined ? "" : ` "${this.election}"`
    return `${this.operation}${election}: ${this.reason.message}`
  }

  /**
   * Whether repeating the operation is safe and may succeed later.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
