/**
 * Decides when a candidate may try to win (docs/protocols/election.md, E7 to E9). Pure. All times are milliseconds of
 * this process's monotonic clock, except the store's time in `remainingLease`, by which no candidate decides.
 */
import type { Held, Seen } from "./record.ts"

/** What this process knows of an election. */
export interface Observation {
  readonly seen: Seen
  /** When this process first observed exactly this state. */
  readonly since: number
  /**
   * The last held record that was observed, because its leader may be valid after the record has disappeared.
   * `leaseMillis` is undefined if the record could not be decoded. A hand-over clears it.
   */
  readonly lastHeld: { readonly leaseMillis: number | undefined } | undefined
  /** The highest term that was observed. */
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
 * Observing the same record again changes nothing, also after a reconnect. Any other state restarts the wait, also
 * one with a lower revision (E7).
 */
export const nextObservation = (known: Observation | undefined, seen: Seen, now: number): Observation => {
  if (known !== undefined && isSame(known.seen, seen)) return known
  const term = Math.max(known?.term ?? 0, "record" in seen ? seen.record.term : 0)
  switch (seen._tag) {
    case "Held":
      return { seen, since: now, lastHeld: { leaseMillis: seen.record.leaseMillis }, term }
    case "Undecodable":
      return { seen, since: now, lastHeld: { leaseMillis: undefined }, term }
    case "Vacant":
      return { seen, since: now, lastHeld: undefined, term }
    case "Absent":
      // A record that disappears is not a hand-over (E8).
      return { seen, since: now, lastHeld: known?.lastHeld, term }
  }
}

export interface Challenger {
  /** In milliseconds. */
  readonly leaseDuration: number
  /** In milliseconds. */
  readonly renewInterval: number
  /** Candidates with a lower value try earlier. 0 to `largestPriority`. */
  readonly priority: number
}

/** With this value a candidate tries three leases after a crash. */
export const largestPriority = 10

/** By how much one step of `priority` delays a candidate after a lease, in milliseconds. The lease is the holder's. */
export const leaseStep = (leaseMillis: number): number => leaseMillis / 5

/** When to try to win, and the condition of the write: exactly the revision that was watched, or `createOnly` (E9). */
export interface Stand {
  readonly at: number
  readonly on: number | "nothing"
}

export const standing = (observation: Observation, candidate: Challenger): Stand => {
  const { lastHeld, seen, since } = observation
  const inTurn = since + candidate.priority * candidate.renewInterval
  const afterLease = (leaseMillis: number) => since + leaseMillis + candidate.priority * leaseStep(leaseMillis)
  switch (seen._tag) {
    case "Vacant":
      return { at: inTurn, on: seen.revision }
    case "Held":
      return { at: afterLease(seen.record.leaseMillis), on: seen.revision }
    case "Undecodable":
      return { at: afterLease(candidate.leaseDuration), on: seen.revision }
    case "Absent":
      // The leader may have renewed its lease after the last observation, until the record disappeared.
      return {
        at: lastHeld === undefined ? inTurn : afterLease(lastHeld.leaseMillis ?? candidate.leaseDuration),
        on: "nothing"
      }
  }
}

/**
 * The milliseconds until another candidate may win over a held record, 0 or less after the lease. The lease counts
 * from the time at which the store wrote the record, by the store's clock. It also ends when this process has observed
 * the record for a whole lease: `observed` is 0 if the record was only just read (E24).
 */
export const remainingLease = (seen: Held, storeNow: number, observed: number): number =>
  seen.record.leaseMillis - Math.max(storeNow - seen.created.epochMilliseconds, observed)
