/**
 * The term of one nonce as a state machine (docs/protocols/election.md, E10 to
 * E20). Pure: each function is an event. It takes the state and the readings
 * that it decides by, and gives the next state, and what to do where there is a
 * choice. `Tenure` keeps the state and does it.
 *
 *     Watching --> Standing --> Leading --> Releasing --> Ended
 *                      |                        ^
 *                      +----> Withdrawing ------+
 *
 * Every state may go to `Ended`, and none leads out of it. Times are elapsed
 * milliseconds (`ElapsedTime`).
 */
import type * as DateTime from "effect/DateTime"
import type { LossReason } from "../../ElectionError.ts"
import { electedRevisionOf, type Held, type Seen } from "./record.ts"

// -----------------------------------------------------------------------------
// states
// -----------------------------------------------------------------------------

/** Every write of a nonce is an attempt, and takes the next number, from 1. */
export interface Attempts {
  /** The number of the last one. */
  readonly last: number
  /** When each attempt that may still land was SENT. */
  readonly sentAt: ReadonlyMap<number, number>
}

/** What an attempt to win asks for. */
export interface Bid {
  /** Its condition: a compare-and-set on this revision, or `createOnly`. */
  readonly on: number | "nothing"
  readonly term: number
  readonly electedAt: DateTime.Utc
}

/** The write that won the term. */
export interface Elected {
  readonly term: number
  readonly electedAt: DateTime.Utc
  /** The fencing token's. */
  readonly revision: number
}

export interface Lease {
  /** The last revision known to be ours. */
  readonly revision: number
  /** When the attempt that landed last was SENT. */
  readonly sentAt: number
}

/** The knowledge of a candidate once an attempt has won. */
export interface Holding {
  readonly elected: Elected
  readonly lease: Lease
  readonly attempts: Attempts
}

/** Nothing was sent. */
interface Watching {
  readonly _tag: "Watching"
}

/** Attempts were sent, and none is known to have landed. */
interface Standing {
  readonly _tag: "Standing"
  /** The last of them. */
  readonly bid: Bid
  readonly attempts: Attempts
}

/** The campaign was given up while an attempt may still land: leadership that it wins is handed back. */
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

/** The work is being stopped, or `vacant` is being written (E19). Renewals continue. */
interface Releasing {
  readonly _tag: "Releasing"
  readonly holding: Holding
}

/** Final (E17). An attempt that lands later moves the end of the lease, which others wait for, and nothing else. */
interface Ended {
  readonly _tag: "Ended"
  readonly reason: LossReason
  /** Undefined where no attempt is known to have won. */
  readonly holding: Holding | undefined
}

export type Term = Watching | Standing | Withdrawing | Leading | Releasing | Ended

export const watching: Term = { _tag: "Watching" }

/** The next state, and what to do. */
export type Step<Answer> = readonly [next: Term, answer: Answer]

/** Undefined where no attempt is known to have won. */
export const holdingOf = (state: Term): Holding | undefined => "holding" in state ? state.holding : undefined

/** The first reason stays. */
const end = (state: Leading | Releasing | Ended, reason: LossReason): Term =>
  state._tag === "Ended" ? state : { _tag: "Ended", reason, holding: state.holding }

// -----------------------------------------------------------------------------
// an attempt is sent
// -----------------------------------------------------------------------------

/** Send this. */
export interface Write {
  readonly _tag: "Write"
  readonly attempt: number
  readonly on: number | "nothing"
  readonly term: number
  readonly electedAt: DateTime.Utc
  /** Undefined in an attempt to win, which does not know its own revision. */
  readonly electedRevision: number | undefined
  /** Whether it hands over. */
  readonly vacant: boolean
}

/** Send nothing: this state has no such write. */
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

/** On the revision that is known: of several attempts on one revision at most one can land. */
const writeOn = (state: Leading | Releasing, now: number, vacant: boolean): Step<Write> => {
  const { elected, lease } = state.holding
  const attempts = nextAttempt(state.holding.attempts, now)
  return [
    { ...state, holding: { elected, lease, attempts } },
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

/** A renewal is due. */
export const renew = (state: Term, now: number): Step<Write | Nothing> =>
  state._tag === "Leading" || state._tag === "Releasing" ? writeOn(state, now, false) : [state, nothing]

/** A renewal with other metadata is asked for. */
export const proclaim = (state: Term, now: number): Step<Write | Nothing> =>
  state._tag === "Leading" ? writeOn(state, now, false) : [state, nothing]

/** The work has stopped: `vacant` is written until the deadline (E20). */
export const vacate = (state: Term, now: number, renewDeadline: number): Step<Write | Nothing> => {
  const [next] = tick(state, now, renewDeadline)
  return next._tag === "Releasing" ? writeOn(next, now, true) : [next, nothing]
}

// -----------------------------------------------------------------------------
// an attempt has landed
// -----------------------------------------------------------------------------

/** An attempt that was not sent by this process moves no deadline. */
const neverSent = Number.NEGATIVE_INFINITY

/** The lease runs from the sending of the attempt (E15), and never ends earlier than was known. */
const leaseOf = (known: Lease | undefined, attempts: Attempts, revision: number, attempt: number): Lease => ({
  revision,
  sentAt: Math.max(known?.sentAt ?? neverSent, attempts.sentAt.get(attempt) ?? neverSent)
})

/** Of several on one revision at most one lands, and those before it cannot land any more (E14). */
const stillOpen = ({ last, sentAt }: Attempts, attempt: number): Attempts => ({
  last,
  sentAt: new Map(Array.from(sentAt).filter(([number]) => number > attempt))
})

/** An attempt of a holder has landed. */
const move = ({ attempts, elected, lease }: Holding, revision: number, attempt: number): Holding => ({
  elected,
  lease: leaseOf(lease, attempts, revision, attempt),
  attempts: stillOpen(attempts, attempt)
})

/** An attempt has won. A campaign that was given up hands it back, without ever having led. */
const win = (
  state: Watching | Standing | Withdrawing,
  elected: Elected,
  revision: number,
  attempt: number
): Leading | Releasing => {
  const attempts = state._tag === "Watching" ? noAttempts : state.attempts
  const lease = leaseOf(undefined, attempts, revision, attempt)
  const holding = { elected, lease, attempts: stillOpen(attempts, attempt) }
  return { _tag: state._tag === "Withdrawing" ? "Releasing" : "Leading", holding }
}

/** The store has answered that a write is under `revision`. */
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
      const next = { ...state, holding: move(state.holding, revision, attempt) }
      return vacant ? end(next, "resigned") : next
    }
  }
}

// -----------------------------------------------------------------------------
// the key was read
// -----------------------------------------------------------------------------

/** What a record that was read back means to the holder of a lease (E14). */
type Meaning =
  /** An attempt of ours is the newest that landed. */
  | { readonly _tag: "Ours"; readonly revision: number; readonly attempt: number }
  /** Older than the last write known to have landed. */
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

/** Our nonce in a live record: an attempt has won, whatever was answered (E10). */
const isOurs = (nonce: string, seen: Seen): seen is Held => seen._tag === "Held" && seen.record.nonce === nonce

const winByRecord = (state: Watching | Standing | Withdrawing, seen: Held): Term => {
  const { attempt, electedAt, term } = seen.record
  return win(state, { term, electedAt, revision: electedRevisionOf(seen) }, seen.revision, attempt)
}

/** An attempt lands only on the revision that it was sent for. */
const mayLand = ({ on }: Bid, seen: Seen): boolean => on === (seen._tag === "Absent" ? "nothing" : seen.revision)

/**
 * The key was read after an attempt whose outcome is not known. `settled`: what
 * became of it is known now; `retry`: it is not, or nothing has landed.
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
      // The revision that was known: not every conflict means that a write has landed.
      const answer = meaning.revision === holding.lease.revision ? "retry" : "settled"
      return [{ ...state, holding: move(holding, meaning.revision, meaning.attempt) }, answer]
    }
    case "Stale":
      return [state, "retry"]
    case "Over":
      return [end(state, meaning.reason), "settled"]
  }
}

/** Whether a winner may be announced. */
export type Confirmation =
  | { readonly _tag: "Confirmed"; readonly elected: Elected }
  /** The answer was stale. */
  | { readonly _tag: "ReadAgain" }
  | { readonly _tag: "Over" }

/** The key was read after winning, and before leadership is announced (E11). Only renewals move the lease. */
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

// -----------------------------------------------------------------------------
// time has passed
// -----------------------------------------------------------------------------

/** The leader's own end, whatever anybody answers: counted from the sending, not from the answer (E15). */
const deadline = ({ sentAt }: Lease, renewDeadline: number): number => sentAt + renewDeadline

/** The clocks were read. Answers the milliseconds to the deadline; 0 where nothing is held, or it has passed. */
export const tick = (state: Term, now: number, renewDeadline: number): Step<number> => {
  if (state._tag !== "Leading" && state._tag !== "Releasing") return [state, 0]
  const left = deadline(state.holding.lease, renewDeadline) - now
  return left > 0 ? [state, left] : [end(state, "expired"), 0]
}

/** Milliseconds until others may win, also after the end; 0 where nothing was won. */
export const untilLeaseEnds = (state: Term, now: number, leaseDuration: number): number => {
  const holding = holdingOf(state)
  return holding === undefined ? 0 : holding.lease.sentAt + leaseDuration - now
}

// -----------------------------------------------------------------------------
// it is given up
// -----------------------------------------------------------------------------

const withdrawn: Term = { _tag: "Ended", reason: "resigned", holding: undefined }

/** Leadership, or the campaign for it, is given up. */
export const release = (state: Term): Term => {
  switch (state._tag) {
    case "Watching":
      return withdrawn
    case "Standing":
      return { ...state, _tag: "Withdrawing" }
    case "Leading":
      return { ...state, _tag: "Releasing" }
    case "Withdrawing":
    case "Releasing":
    case "Ended":
      return state
  }
}

/** The outcome of a campaign that was given up could not be read. If an attempt lands later, its lease runs out. */
export const abandon = (state: Term): Term => state._tag === "Withdrawing" ? withdrawn : state
