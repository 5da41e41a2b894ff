/**
 * What an election is asked, and what it gives. Exported by Election.ts.
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ElectionError, LossReason } from "../../ElectionError.ts"
import { FencingToken } from "../../FencingToken.ts"
import { Metadata } from "../../ServiceInstance.ts"

/**
 * How long leadership lasts: `leaseDuration > renewDeadline >= 2 x renewInterval`.
 *
 * **Details**
 *
 * A leader renews every `renewInterval`, and stops `renewDeadline` after it SENT
 * the last renewal that landed. Others wait until they have watched its record
 * unchanged for `lease`. What lies between the two is the time that its work has
 * to stop. A NATS cluster that loses a node may take no writes for 4 to 9
 * seconds: below 12 seconds of `renewDeadline` that costs leadership.
 *
 * @category models
 * @since 0.1.0
 */
export interface Timings {
  readonly leaseDuration: Duration.Input
  readonly renewDeadline: Duration.Input
  readonly renewInterval: Duration.Input
}

/**
 * Who leads.
 *
 * @category models
 * @since 0.1.0
 */
export class LeaderRecord extends Schema.Class<LeaderRecord>("effect-aegis/LeaderRecord")({
  election: Schema.String,
  candidateId: Schema.String,
  /** How often this election has been won. */
  term: Schema.Int,
  token: FencingToken,
  /** By the winner's own clock: for people, compare it with nothing. */
  electedAt: Schema.DateTimeUtc,
  metadata: Metadata
}) {}

/**
 * Leadership, for as long as it lasts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Leadership {
  readonly election: string
  readonly candidateId: string
  readonly term: number
  /** For resources that can refuse a leader which has been replaced without knowing it. */
  readonly token: FencingToken
  readonly electedAt: DateTime.Utc
  readonly metadata: Metadata
  /** Reads the clocks each time: false as soon as the lease could have been taken, also after a pause; false for good then. */
  readonly isValid: Effect.Effect<boolean>
  /** Succeeds, once, with the reason. */
  readonly lost: Effect.Effect<LossReason>
  /** Changes what others read of this leader. One that fails may still be written, with the next renewal. */
  readonly proclaim: (metadata: Metadata) => Effect.Effect<void, ElectionError>
  /** Hands over. In `whileLeader` the work is interrupted and awaited first. */
  readonly resign: Effect.Effect<void>
}

/**
 * How to stand.
 *
 * @category models
 * @since 0.1.0
 */
export interface CandidateOptions {
  /** Default: host name, process id and 8 random characters. */
  readonly candidateId?: string | undefined
  /** Default: the layer's, `resilient`. */
  readonly timings?: Timings | undefined
  /** Shown to who asks for the leader. Default: none. */
  readonly metadata?: Metadata | undefined
  /** Lower goes first when a seat is free: this many steps of `renewInterval` later. A whole number from 0, the default. */
  readonly priority?: number | undefined
  /** Unhealthy candidates do not stand, and an unhealthy leader resigns. A hang or a defect is unhealthy. */
  readonly healthCheck?: Effect.Effect<boolean> | undefined
}

/**
 * How elections in a bucket are held.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Default: `resilient`. */
  readonly timings?: Timings | undefined
}
