/**
 * The leader of an election, as observers read it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { FencingToken } from "./FencingToken.ts"
import { Metadata } from "./ServiceInstance.ts"

/**
 * The leader of an election, as `Election.leader` and `Election.observe` return
 * it.
 *
 * **Details**
 *
 * Renewals change nothing in it: two records of one term are equal unless the
 * leader has changed its metadata with `proclaim`.
 *
 * @category models
 * @since 0.1.0
 */
export class LeaderRecord extends Schema.Class<LeaderRecord>("effect-aegis/LeaderRecord")({
  /** The name of the election. */
  election: Schema.String,
  /** The leader's `candidateId`. */
  candidateId: Schema.String,
  /** How many times this election has been won, this term included: the first term is 1. */
  term: Schema.Int,
  /** The token of this term: the same that the leader has as `Leadership.token`. */
  token: FencingToken,
  /** The time of the win by the leader's own clock. For display only: clocks of two hosts cannot be compared. */
  electedAt: Schema.DateTimeUtc,
  /** The metadata that the leader campaigned with, or proclaimed since. */
  metadata: Metadata
}) {}
