/**
 * Decides when a candidate may try to win (docs/protocols/election.md, E7 to E9). Pure. All times are milliseconds of
 * this process's monotonic clock, except the store's time in `remainingLease`, by which no candidate decides.
 */
import { type Held, largestCounter, leaseFor, longestLease, type Seen } from "./record.ts"

/** The lease of a held record. `Guessed` if the record cannot be decoded: the value in its text, if any. */
export type HeldLease =
  | { readonly _tag: "Known"; readonly leaseMillis: number }
  | { readonly _tag: "Guessed"; readonly leaseMillis: number | undefined }

/** What this process knows of an election. */
export interface Observation {
  readonly seen: Seen
  /** When this process first observed exactly this state. */
  readonly since: number
  /**
   * The lease of the last held record that was observed, because its leader may be valid after the record has
   * disappeared. A hand-over clears it.
   */
  readonly lastHeld: HeldLease | undefined
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

/** A term from another writer that cannot grow is forgotten with the next record: tokens order the terms (E25). */
const termOf = (known: Observation | undefined): number =>
  known === undefined || known.term >= largestCounter ? 0 : known.term

/** The term that a candidate writes: the highest term that was observed, plus 1, if the record can still be decoded. */
export const nextTerm = (known: Observation): number => termOf(known) + 1

/**
 * Observing the same record again changes nothing, also after a reconnect. Any other state restarts the wait, also
 * one with a lower revision (E7).
 */
export const nextObservation = (known: Observation | undefined, seen: Seen, now: number): Observation => {
  if (known !== undefined && isSame(known.seen, seen)) return known
  const term = Math.max(termOf(known), "record" in seen ? seen.record.term : 0)
  switch (seen._tag) {
    case "Held":
      return { seen, since: now, lastHeld: { _tag: "Known", leaseMillis: seen.record.leaseMillis }, term }
    case "Undecodable":
      return { seen, since: now, lastHeld: { _tag: "Guessed", leaseMillis: seen.leaseMillis }, term }
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

/**
 * In milliseconds. A candidate with short timings must not take over from a leader with the default timings whose record
 * it cannot decode.
 */
const shortestGuess = 20_000

/** How long a candidate waits for a lease, in milliseconds (E5). */
const waitFor = ({ _tag, leaseMillis = 0 }: HeldLease, { leaseDuration }: Challenger): number =>
  leaseFor(_tag === "Known" ? leaseMillis : Math.max(leaseMillis, leaseDuration, shortestGuess))

/**
 * The longest wait of any candidate for a lease, in milliseconds: a candidate with the longest `leaseDuration` waits as
 * long for a record that it cannot decode.
 */
export const longestWaitFor = ({ _tag, leaseMillis = 0 }: HeldLease): number =>
  _tag === "Known" ? leaseFor(leaseMillis) : longestLease

/**
 * Whether an election can be forgotten: its key has been absent for the whole lease of the last leader, or had none.
 * Sooner, a candidate could win while that leader is valid, after an operator has purged its record (E8).
 */
export const isForgettable = ({ lastHeld, seen, since }: Observation, now: number): boolean =>
  seen._tag === "Absent" && (lastHeld === undefined || now - since >= longestWaitFor(lastHeld))

export const standing = (observation: Observation, candidate: Challenger): Stand => {
  const { lastHeld, seen, since } = observation
  const inTurn = since + candidate.priority * candidate.renewInterval
  const afterLease = (leaseMillis: number) => since + leaseMillis + candidate.priority * leaseStep(leaseMillis)
  switch (seen._tag) {
    case "Vacant":
      return { at: inTurn, on: seen.revision }
    case "Held":
      return { at: afterLease(leaseFor(seen.record.leaseMillis)), on: seen.revision }
    case "Undecodable":
      return {
        at: afterLease(waitFor({ _tag: "Guessed", leaseMillis: seen.leaseMillis }, candidate)),
        on: seen.revision
      }
    case "Absent":
      // The leader may have renewed its lease after the last observation, until the record disappeared.
      return {
        at: lastHeld === undefined ? inTurn : afterLease(waitFor(lastHeld, candidate)),
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
  leaseFor(seen.record.leaseMillis) - Math.max(storeNow - seen.created.epochMilliseconds, observed)
