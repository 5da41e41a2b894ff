/**
 * What a leader knows of its own lease, as election.md has it under "A leader".
 * Pure.
 */
import type { LossReason } from "../../ElectionError.ts"
import type { Seen } from "./record.ts"

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
