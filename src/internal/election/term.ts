/**
 * The term of one nonce as a state machine (docs/protocols/election.md, E10 to E20, E28). Pure: each function is an event.
 * It takes the state and the readings that the decision needs, and returns the next state, and an action if there is
 * a choice. `Tenure` stores the state and runs the actions.
 *
 *     Watching --> Standing --> Leading --> Releasing --> Ended
 *                      |                        ^
 *                      +----> Withdrawing ------+
 *
 * Each state except `Standing` can change to `Ended`, which is final. Times are elapsed milliseconds (`ElapsedTime`).
 */
import type * as DateTime from "effect/DateTime"
import type { LossReason } from "../../ElectionError.ts"
import { electedRevisionOf, type Held, type Seen } from "./record.ts"

// -----------------------------------------------------------------------------
// states
// -----------------------------------------------------------------------------

/** The attempts of a nonce. Each of its writes is an attempt with its own number, from 1. */
export interface Attempts {
  /** The number of the last attempt. */
  readonly last: number
  /** When each attempt that may still land was SENT. */
  readonly sentAt: ReadonlyMap<number, number>
}

/** The content of an attempt to win. */
export interface Bid {
  /** The condition of the write: a compare-and-set on this revision, or `createOnly`. */
  readonly on: number | "nothing"
  readonly term: number
  readonly electedAt: DateTime.Utc
}

/** The write that won the term. */
export interface Elected {
  readonly term: number
  readonly electedAt: DateTime.Utc
  /** The revision in the fencing token. */
  readonly revision: number
}

export interface Lease {
  /** The last revision known to be ours. */
  readonly revision: number
  /** When the attempt that landed last was SENT. */
  readonly sentAt: number
}

/** The knowledge of a candidate after an attempt has won. */
export interface Holding {
  readonly elected: Elected
  /** When the attempt that won was SENT: leadership is announced within `renewDeadline` of it (E11). */
  readonly wonAt: number
  /** Whether leadership was announced: only then the candidate has led. */
  readonly hasLed: boolean
  readonly lease: Lease
  readonly attempts: Attempts
}

/** No attempt was sent. */
interface Watching {
  readonly _tag: "Watching"
}

/** Attempts were sent, and none is known to have landed. */
interface Standing {
  readonly _tag: "Standing"
  /** The last attempt to win. */
  readonly bid: Bid
  readonly attempts: Attempts
}

/** The campaign was given up while an attempt may still land. If it wins, leadership is released. */
interface Withdrawing {
  readonly _tag: "Withdrawing"
  readonly bid: Bid
  readonly attempts: Attempts
}

/** The only state in which leadership is valid, until its deadline. */
interface Leading {
  readonly _tag: "Leading"
  readonly holding: Holding
}

/** The work is being stopped, or the vacant record is being written (E19). */
interface Releasing {
  readonly _tag: "Releasing"
  readonly holding: Holding
  /** Renewals continue until this time (E23). */
  readonly stopBy: number
}

/** Attempts that may have landed, or may still land, on one condition. */
interface Unresolved {
  readonly on: number | "nothing"
  readonly attempts: Attempts
}

/** Final (E17). An attempt that lands later moves only the end of the lease, which other candidates wait for. */
interface Ended {
  readonly _tag: "Ended"
  readonly reason: LossReason
  /** Undefined if no attempt is known to have won. */
  readonly holding: Holding | undefined
  /** The attempts of a campaign that was given up without their outcome. */
  readonly unresolved?: Unresolved
}

export type Term = Watching | Standing | Withdrawing | Leading | Releasing | Ended

export const watching: Term = { _tag: "Watching" }

/** The next state, and the answer of the event. */
export type Step<Answer> = readonly [next: Term, answer: Answer]

/** Undefined if no attempt is known to have won. */
export const holdingOf = (state: Term): Holding | undefined => "holding" in state ? state.holding : undefined

/** Ends the term. The first reason is kept. */
const end = (state: Leading | Releasing | Ended, reason: LossReason): Term =>
  state._tag === "Ended" ? state : { _tag: "Ended", reason, holding: state.holding }

// -----------------------------------------------------------------------------
// an attempt is sent
// -----------------------------------------------------------------------------

/** The write to send. */
export interface Write {
  readonly _tag: "Write"
  readonly attempt: number
  readonly on: number | "nothing"
  readonly term: number
  readonly electedAt: DateTime.Utc
  /** Undefined in an attempt to win, whose own revision is not known yet. */
  readonly electedRevision: number | undefined
  /** Whether this write hands leadership over. */
  readonly vacant: boolean
}

/** Send nothing: the state allows no write of this kind. */
export interface Nothing {
  readonly _tag: "Nothing"
}

const nothing: Nothing = { _tag: "Nothing" }

const noAttempts: Attempts = { last: 0, sentAt: new Map() }

const nextAttempt = ({ last, sentAt }: Attempts, now: number): Attempts => ({
  last: last + 1,
  sentAt: new Map(sentAt).set(last + 1, now)
})

/** An attempt to win. */
export const stand = (state: Term, bid: Bid, now: number): Step<Write | Nothing> => {
  if (state._tag !== "Watching" && state._tag !== "Standing") return [state, nothing]
  const attempts = nextAttempt(state._tag === "Watching" ? noAttempts : state.attempts, now)
  return [
    { _tag: "Standing", bid, attempts },
    { _tag: "Write", attempt: attempts.last, ...bid, electedRevision: undefined, vacant: false }
  ]
}

/** Writes on the known revision: of several attempts on one revision at most one can land. */
const writeOn = (state: Leading | Releasing, now: number, vacant: boolean): Step<Write> => {
  const { elected, lease } = state.holding
  const attempts = nextAttempt(state.holding.attempts, now)
  return [
    { ...state, holding: { ...state.holding, attempts } },
    {
      _tag: "Write",
      attempt: attempts.last,
      on: lease.revision,
      term: elected.term,
      electedAt: elected.electedAt,
      electedRevision: elected.revision,
      vacant
    }
  ]
}

/** A renewal is due. None is sent after the deadline: it would keep other candidates out (E14). */
export const renew = (state: Term, now: number, renewDeadline: number): Step<Write | Nothing> => {
  const [next] = tick(state, now, renewDeadline)
  return next._tag === "Leading" || (next._tag === "Releasing" && now < next.stopBy)
    ? writeOn(next, now, false)
    : [next, nothing]
}

/** A renewal with other metadata was requested. */
export const proclaim = (state: Term, now: number, renewDeadline: number): Step<Write | Nothing> => {
  const [next] = tick(state, now, renewDeadline)
  return next._tag === "Leading" ? writeOn(next, now, false) : [next, nothing]
}

/** The work has stopped: the vacant record is written, until the deadline (E20). */
export const vacate = (state: Term, now: number, renewDeadline: number): Step<Write | Nothing> => {
  const [next] = tick(state, now, renewDeadline)
  return next._tag === "Releasing" ? writeOn(next, now, true) : [next, nothing]
}

// -----------------------------------------------------------------------------
// an attempt has landed
// -----------------------------------------------------------------------------

/** An attempt that this process did not send moves no deadline. */
const neverSent = Number.NEGATIVE_INFINITY

/** The lease counts from the sending of the attempt (E15), and never ends earlier than was known before. */
const leaseOf = (known: Lease | undefined, attempts: Attempts, revision: number, attempt: number): Lease => ({
  revision,
  sentAt: Math.max(known?.sentAt ?? neverSent, attempts.sentAt.get(attempt) ?? neverSent)
})

/** Of several attempts on one revision at most one lands, and earlier attempts can no longer land (E14). */
const stillOpen = ({ last, sentAt }: Attempts, attempt: number): Attempts => ({
  last,
  sentAt: new Map(Array.from(sentAt).filter(([number]) => number > attempt))
})

/** An attempt after the win has landed. One that lands after the end stays open, because its record is handed back (E28). */
const move = (state: Term, holding: Holding, revision: number, attempt: number): Holding => ({
  ...holding,
  lease: leaseOf(holding.lease, holding.attempts, revision, attempt),
  attempts: state._tag === "Ended" ? holding.attempts : stillOpen(holding.attempts, attempt)
})

/** An attempt has won. A campaign that was given up releases leadership without having led. */
const win = (
  state: Watching | Standing | Withdrawing,
  elected: Elected,
  revision: number,
  attempt: number
): Leading | Releasing => {
  const attempts = state._tag === "Watching" ? noAttempts : state.attempts
  const lease = leaseOf(undefined, attempts, revision, attempt)
  const holding = { elected, wonAt: lease.sentAt, hasLed: false, lease, attempts: stillOpen(attempts, attempt) }
  // There is no work to wait for.
  return state._tag === "Withdrawing" ? { _tag: "Releasing", holding, stopBy: neverSent } : { _tag: "Leading", holding }
}

/** The store has answered that a write has landed and has the revision `revision`. */
export const landed = (state: Term, { attempt, electedAt, term, vacant }: Write, revision: number): Term => {
  switch (state._tag) {
    case "Watching":
      return state
    case "Standing":
    case "Withdrawing":
      return win(state, { term, electedAt, revision }, revision, attempt)
    case "Leading":
    case "Releasing":
    case "Ended": {
      if (state.holding === undefined) return state
      const next = { ...state, holding: move(state, state.holding, revision, attempt) }
      return vacant ? end(next, "resigned") : next
    }
  }
}

/** The store has refused a write, or it was never sent: it can no longer land. */
export const refused = (state: Term, { attempt }: Write): Term => {
  const without = ({ last, sentAt }: Attempts): Attempts => ({
    last,
    sentAt: new Map(Array.from(sentAt).filter(([number]) => number !== attempt))
  })
  switch (state._tag) {
    case "Watching":
      return state
    case "Standing":
    case "Withdrawing":
      return { ...state, attempts: without(state.attempts) }
    case "Leading":
    case "Releasing":
    case "Ended":
      return state.holding === undefined
        ? state
        : { ...state, holding: { ...state.holding, attempts: without(state.holding.attempts) } }
  }
}

// -----------------------------------------------------------------------------
// the key was read
// -----------------------------------------------------------------------------

/** The meaning of a record that a winner has read back (E14). */
type Meaning =
  /** The newest attempt that landed is ours. */
  | { readonly _tag: "Ours"; readonly revision: number; readonly attempt: number }
  /** The record that was read has a lower revision than our last write known to have landed. */
  | { readonly _tag: "Stale" }
  | { readonly _tag: "Over"; readonly reason: LossReason }

const meaningOf = (nonce: string, lease: Lease, seen: Seen): Meaning => {
  if (seen._tag === "Absent") return { _tag: "Over", reason: "removed" }
  if (seen.revision < lease.revision) return { _tag: "Stale" }
  if (seen._tag === "Undecodable" || seen.record.nonce !== nonce) return { _tag: "Over", reason: "superseded" }
  return seen._tag === "Vacant"
    ? { _tag: "Over", reason: "resigned" }
    : { _tag: "Ours", revision: seen.revision, attempt: seen.record.attempt }
}

/** Our nonce in a held record: an attempt has won, whatever the answer was (E10). */
const isOurs = (nonce: string, seen: Seen): seen is Held => seen._tag === "Held" && seen.record.nonce === nonce

const winByRecord = (state: Watching | Standing | Withdrawing, seen: Held): Term => {
  const { attempt, electedAt, term } = seen.record
  return win(state, { term, electedAt, revision: electedRevisionOf(seen) }, seen.revision, attempt)
}

/** An attempt can land only on the revision in its condition. */
const mayLand = ({ on }: Bid, seen: Seen): boolean => on === (seen._tag === "Absent" ? "nothing" : seen.revision)

/**
 * The key was read after an attempt with an unknown outcome. `settled`: the outcome is now known. `retry`: the
 * outcome is still unknown, or no attempt has landed.
 */
export const readBack = (state: Term, nonce: string, seen: Seen): Step<"settled" | "retry"> => {
  switch (state._tag) {
    case "Watching":
    case "Standing":
      return isOurs(nonce, seen) ? [winByRecord(state, seen), "settled"] : [state, "retry"]
    case "Withdrawing":
      if (isOurs(nonce, seen)) return [winByRecord(state, seen), "settled"]
      return mayLand(state.bid, seen) ? [state, "retry"] : [withdrawn, "settled"]
    case "Leading":
    case "Releasing":
    case "Ended":
      return state.holding === undefined ? [state, "settled"] : readByHolder(state, state.holding, nonce, seen)
  }
}

const readByHolder = (
  state: Leading | Releasing | Ended,
  holding: Holding,
  nonce: string,
  seen: Seen
): Step<"settled" | "retry"> => {
  const meaning = meaningOf(nonce, holding.lease, seen)
  switch (meaning._tag) {
    case "Ours": {
      // `retry` for the known revision: a conflict does not always mean that a write has landed.
      const answer = meaning.revision === holding.lease.revision ? "retry" : "settled"
      return [{ ...state, holding: move(state, holding, meaning.revision, meaning.attempt) }, answer]
    }
    case "Stale":
      return [state, "retry"]
    case "Over":
      return [end(state, meaning.reason), "settled"]
  }
}

/** Whether a win can be announced. */
export type Confirmation =
  | { readonly _tag: "Confirmed"; readonly elected: Elected }
  /** The answer was stale. */
  | { readonly _tag: "ReadAgain" }
  | { readonly _tag: "Over" }

/** The key was read after the win and before leadership is announced (E11). Only renewals move the lease. */
export const confirm = (state: Term, nonce: string, seen: Seen): Step<Confirmation> => {
  const over = { _tag: "Over" } as const
  if (!("holding" in state) || state.holding === undefined) return [state, over]
  const meaning = meaningOf(nonce, state.holding.lease, seen)
  switch (meaning._tag) {
    case "Ours":
      return [state, { _tag: "Confirmed", elected: state.holding.elected }]
    case "Stale":
      return [state, { _tag: "ReadAgain" }]
    case "Over":
      return [end(state, meaning.reason), over]
  }
}

/** The attempts whose outcome the end of the term has left open. */
const leftOpen = (state: Term): Unresolved | undefined => {
  if (state._tag !== "Ended") return undefined
  const { holding, unresolved } = state
  return holding === undefined ? unresolved : { on: holding.lease.revision, attempts: holding.attempts }
}

/** Whether an attempt that was not answered has landed, or can still land. */
export type LateWrite = "landed" | "possible" | "impossible"

/**
 * The key was read after the end. An attempt with a higher number than any that was known to have landed keeps other
 * candidates waiting for its lease, so it is handed back (E28). The nonce alone does not show that: after a roll-back
 * of the stream, the record is an old one, whose term others have followed.
 */
export const lateWrite = (state: Term, nonce: string, seen: Seen): LateWrite => {
  const open = leftOpen(state)
  if (open === undefined || !mayLandLate(state)) return "impossible"
  if (isOurs(nonce, seen)) {
    // A win that was observed after its deadline.
    const isUnused = holdingOf(state)?.hasLed === false && typeof open.on === "number" && seen.revision >= open.on
    if (isUnused || open.attempts.sentAt.has(seen.record.attempt)) return "landed"
  }
  // A lower revision, or none, may be an old answer.
  return seen._tag !== "Absent" && (open.on === "nothing" || seen.revision > open.on) ? "impossible" : "possible"
}

/** Whether the outcome of an attempt was left open, or a term was won that never led and was not handed over. */
export const mayLandLate = (state: Term): boolean => {
  if (state._tag !== "Ended") return false
  const isUnused = state.reason !== "resigned" && state.holding?.hasLed === false
  return isUnused || (leftOpen(state)?.attempts.sentAt.size ?? 0) > 0
}

/** Makes the record of a late write vacant. */
export const handBack = (state: Term, { record, revision }: Held, now: number): Step<Write | Nothing> => {
  const open = leftOpen(state)
  if (open === undefined || state._tag !== "Ended") return [state, nothing]
  const attempts = nextAttempt(open.attempts, now)
  const { electedAt, term } = record
  const next: Term = state.holding === undefined
    ? { ...state, unresolved: { on: revision, attempts } }
    : { ...state, holding: { ...state.holding, attempts } }
  return [next, {
    _tag: "Write",
    attempt: attempts.last,
    on: revision,
    term,
    electedAt,
    electedRevision: record.electedRevision ?? revision,
    vacant: true
  }]
}

// -----------------------------------------------------------------------------
// time has passed
// -----------------------------------------------------------------------------

/** The end of a term without a renewal: counted from the sending, not from the answer (E15). */
const deadline = ({ sentAt }: Lease, renewDeadline: number): number => sentAt + renewDeadline

/** The clocks were read. Returns the milliseconds until the deadline. 0 outside of a term and after the deadline. */
export const tick = (state: Term, now: number, renewDeadline: number): Step<number> => {
  if (state._tag !== "Leading" && state._tag !== "Releasing") return [state, 0]
  const left = deadline(state.holding.lease, renewDeadline) - now
  return left > 0 ? [state, left] : [end(state, "expired"), 0]
}

/**
 * The milliseconds until another candidate may win, also after the end of the term. Negative after the lease, and 0 if
 * no attempt is known to have won.
 */
export const untilLeaseEnds = (state: Term, now: number, leaseDuration: number): number => {
  const holding = holdingOf(state)
  return holding === undefined ? 0 : holding.lease.sentAt + leaseDuration - now
}

// -----------------------------------------------------------------------------
// leadership is announced
// -----------------------------------------------------------------------------

/** The end of the time in which a winner can announce its leadership: renewals do not extend it (E11). */
const announceBy = ({ wonAt }: Holding, renewDeadline: number): number => wonAt + renewDeadline

/** Whether a winner can still announce its leadership. It may have lost its term meanwhile. */
export const canAnnounce = (state: Term, now: number, renewDeadline: number): Step<boolean> => {
  const [next, left] = tick(state, now, renewDeadline)
  return [next, left > 0 && next._tag === "Leading" && announceBy(next.holding, renewDeadline) > now]
}

/** Whether leadership was announced. */
export const hasLed = (state: Term): boolean => holdingOf(state)?.hasLed === true

/** Leadership is announced, unless it is too late. */
export const announce = (state: Term, now: number, renewDeadline: number): Step<boolean> => {
  const [next, can] = canAnnounce(state, now, renewDeadline)
  return can && next._tag === "Leading"
    ? [{ ...next, holding: { ...next.holding, hasLed: true } }, true]
    : [next, false]
}

/** Whether this candidate has won, and not another one since, and the time for the announcement has passed without one. */
export const couldNotAnnounce = (state: Term, now: number, renewDeadline: number): boolean => {
  const holding = holdingOf(state)
  const isOurs = state._tag !== "Ended" || state.reason === "expired" || state.reason === "resigned"
  return holding !== undefined && !holding.hasLed && isOurs && announceBy(holding, renewDeadline) <= now
}

/** Whether a term was lost before it was announced, or before its first renewal landed. */
export const wasInVain = (state: Term): boolean => {
  if (state._tag !== "Ended" || state.reason === "resigned" || state.holding === undefined) return false
  const { elected, hasLed, lease } = state.holding
  return !hasLed || lease.revision === elected.revision
}

// -----------------------------------------------------------------------------
// leadership is given up
// -----------------------------------------------------------------------------

const withdrawn: Term = { _tag: "Ended", reason: "resigned", holding: undefined }

/** Leadership, or the campaign, was given up. The work stops until `stopBy`; after it, nothing is renewed. */
export const release = (state: Term, stopBy: number): Term => {
  switch (state._tag) {
    case "Watching":
      return withdrawn
    case "Standing":
      return state.attempts.sentAt.size === 0 ? withdrawn : { ...state, _tag: "Withdrawing" }
    case "Leading":
      return { ...state, _tag: "Releasing", stopBy }
    case "Withdrawing":
    case "Releasing":
    case "Ended":
      return state
  }
}

/**
 * Leadership was not handed over, or the outcome of an interrupted campaign is unknown: the store is away, or refuses for
 * good. If there is a lease, other candidates wait until it ends, so nothing may extend it.
 */
export const giveUp = (state: Term): Term => {
  switch (state._tag) {
    case "Releasing":
      return end(state, "resigned")
    case "Withdrawing":
      return {
        _tag: "Ended",
        reason: "resigned",
        holding: undefined,
        unresolved: { on: state.bid.on, attempts: state.attempts }
      }
    default:
      return state
  }
}
