/**
 * When a candidate may try to win: docs/protocols/election.md, E7 to E9. Pure:
 * times are milliseconds of this process's monotonic clock, and no other.
 */
import type { Held, Seen } from "./record.ts"

/** What this process has seen of an election. */
export interface Observation {
  readonly seen: Seen
  /** When it first saw exactly this. */
  readonly since: number
  /** The last live record it saw, while that may still be believed in by its holder. Cleared by a hand-over. */
  readonly lastHeld: { readonly leaseMillis: number | undefined; readonly since: number } | undefined
  /** The highest term it has seen. */
  readonly term: number
}

export const isSame = (a: Seen, b: Seen): boolean => {
  if (a._tag !== b._tag) return false
  if (a._tag === "Absent" || b._tag === "Absent") return true
  if (a.revision !== b.revision) return false
  if (a._tag === "Undecodable" || b._tag === "Undecodable") return true
  return a.record.nonce === b.record.nonce && a.record.attempt === b.record.attempt
}

/**
 * A second look at the same record changes nothing, also after a reconnect;
 * anything else starts the time again, also a lower revision (E7).
 */
export const nextObservation = (known: Observation | undefined, seen: Seen, now: number): Observation => {
  if (known !== undefined && isSame(known.seen, seen)) return known
  const term = Math.max(known?.term ?? 0, "record" in seen ? seen.record.term : 0)
  switch (seen._tag) {
    case "Held":
      return { seen, since: now, lastHeld: { leaseMillis: seen.record.leaseMillis, since: now }, term }
    case "Undecodable":
      return { seen, since: now, lastHeld: { leaseMillis: undefined, since: now }, term }
    case "Vacant":
      return { seen, since: now, lastHeld: undefined, term }
    case "Absent":
      // A record that disappears is not a hand-over (E8).
      return { seen, since: now, lastHeld: known?.lastHeld, term }
  }
}

export interface Challenger {
  /** Milliseconds. */
  readonly leaseDuration: number
  /** Milliseconds. */
  readonly renewInterval: number
  /** Lower goes first where a seat is free. */
  readonly priority: number
}

/** When to stand, and on which write: a compare-and-set on exactly the revision that was watched, or `createOnly` (E9). */
export interface Stand {
  readonly at: number
  readonly on: number | "nothing"
}

export const standing = (observation: Observation, candidate: Challenger): Stand => {
  const { lastHeld, seen, since } = observation
  const inTurn = since + candidate.priority * candidate.renewInterval
  switch (seen._tag) {
    case "Vacant":
      return { at: inTurn, on: seen.revision }
    case "Held":
      return { at: since + seen.record.leaseMillis, on: seen.revision }
    case "Undecodable":
      return { at: since + candidate.leaseDuration, on: seen.revision }
    case "Absent":
      return {
        at: lastHeld === undefined ? inTurn : lastHeld.since + (lastHeld.leaseMillis ?? candidate.leaseDuration),
        on: "nothing"
      }
  }
}

/**
 * Milliseconds until another candidate may win over a live record: none at the
 * very end of its lease. The lease runs from when the store took the record by
 * the store's own time, and is over in any case once this process has observed
 * the record for so long (0 where it has only just read it): E24.
 */
export const remainingLease = (seen: Held, storeNow: number, observed: number): number =>
  seen.record.leaseMillis - Math.max(storeNow - seen.created.epochMilliseconds, observed)
