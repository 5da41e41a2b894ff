/**
 * What a leader knows of its own lease, as election.md has it under "A leader".
 * Pure but for `ElapsedTime`, which reads the two clocks of this host.
 */
import type * as Clock from "effect/Clock"
import type { LossReason } from "../../ElectionError.ts"
import { monotonicMillis } from "../time.ts"
import type { Seen } from "./record.ts"

/**
 * A wall clock tells whole milliseconds. What it differs by within one of them
 * is no time that the monotonic clock has missed: summed over many samples, it
 * would make time run up to twice as fast.
 */
const tick = 1

/**
 * Time that has passed for this process, in milliseconds, summed over samples:
 * each adds the larger of the monotonic and the wall difference. A suspended
 * machine's monotonic clock stands still, and a wall clock may be set back.
 */
export class ElapsedTime {
  private readonly clock: Clock.Clock
  private monotonic: number
  /** How far the wall clock is ahead of the monotonic one, as far as that has been counted. */
  private ahead: number
  private elapsed = 0

  constructor(clock: Clock.Clock) {
    this.clock = clock
    this.monotonic = monotonicMillis(clock)
    this.ahead = clock.currentTimeMillisUnsafe() - this.monotonic
  }

  sample(): number {
    const monotonic = monotonicMillis(this.clock)
    const missed = this.clock.currentTimeMillisUnsafe() - monotonic - this.ahead
    this.elapsed += Math.max(0, monotonic - this.monotonic)
    this.monotonic = monotonic
    if (Math.abs(missed) > tick) {
      this.elapsed += Math.max(0, missed)
      this.ahead += missed
    }
    return this.elapsed
  }
}

/** What is known of the writes of one nonce. Times are elapsed milliseconds. */
export interface Lease {
  /** The last revision known to be ours. */
  readonly revision: number
  /** When the attempt that landed last was SENT. */
  readonly sentAt: number
}

/** The leader's own end, whatever anybody answers: counted from the sending, not from the answer. */
export const deadline = (lease: Lease, renewDeadline: number): number => lease.sentAt + renewDeadline

/** An attempt that is known to have landed. One that was not sent by us (its time is not known) moves no deadline. */
export const landed = (known: Lease | undefined, revision: number, sentAt: number | undefined): Lease => ({
  revision,
  sentAt: Math.max(known?.sentAt ?? Number.NEGATIVE_INFINITY, sentAt ?? Number.NEGATIVE_INFINITY)
})

/** What a record that was read back after a lost compare-and-set means. */
export type ReadBack =
  /** One of our own attempts landed: go on from there, with the time at which that one was sent. */
  | { readonly _tag: "Adopt"; readonly revision: number; readonly attempt: number }
  /** Older than what is known to have landed: a stale answer. */
  | { readonly _tag: "ReadAgain" }
  | { readonly _tag: "Over"; readonly reason: LossReason }

export const sortOut = (nonce: string, lease: Lease, seen: Seen): ReadBack => {
  if (seen._tag === "Absent") return { _tag: "Over", reason: "removed" }
  if (seen.revision < lease.revision) return { _tag: "ReadAgain" }
  if (seen._tag === "Undecodable" || seen.record.nonce !== nonce) return { _tag: "Over", reason: "superseded" }
  return seen._tag === "Vacant"
    ? { _tag: "Over", reason: "resigned" }
    : { _tag: "Adopt", revision: seen.revision, attempt: seen.record.attempt }
}
