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
 * Renewals do not change a record: two records of one term are equal unless the
 * leader has changed its metadata with `proclaim`, or its work is stopping.
 *
 * @category models
 * @since 0.1.0
 */
export class LeaderRecord extends Schema.Class<LeaderRecord>("effect-aegis/LeaderRecord")({
  /** The name of the election. */
  election: Schema.String,
  /** The `candidateId` of the leader. */
  candidateId: Schema.String,
  /** The number of this term: how many times the election has been won. The first term is 1. */
  term: Schema.Int,
  /** The fencing token of this term, equal to `Leadership.token` of the leader. */
  token: FencingToken,
  /** When the leader sent the write that won, by its wall clock. For display: clocks of two hosts can differ. */
  electedAt: Schema.DateTimeUtc,
  /**
   * - `Leading`: the leader leads
   * - `Releasing`: its work is stopping, and leadership is handed over when it has stopped. It comes with the next
   *   renewal, so observers do not see it if the work stops within one `renewInterval`
   */
  state: Schema.Literals(["Leading", "Releasing"]),
  /** The metadata that the leader campaigned with or has proclaimed since. */
  metadata: Metadata
}) {}
