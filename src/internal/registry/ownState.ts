/**
 * State machine of a process's own record, from the first read of its key until the
 * process leaves (docs/protocols/registry.md, R7 to R18, R35). Pure: `transition` maps a
 * state and an event to the next state and a command. `ownRecord.ts` holds the state
 * and executes the commands.
 */
import { afterLostHeartbeat, beforeRegistering, type Beside, type LastSeen, whileLeaving } from "./decisions.ts"
import type { InstanceRecord } from "./record.ts"

/** Number of reads, one conflict pause apart, that wait for a late write while the process leaves. */
const leaveLooks = 5

/** Number of further reads after a conflict, one conflict pause apart, if the answer is older than what is known. */
const staleLooks = 3

// -----------------------------------------------------------------------------
// states
// -----------------------------------------------------------------------------

interface Known {
  /** The record as this process knows it: stored, or to be stored first. */
  readonly record: InstanceRecord
  /** When the last write known to have landed was sent, in monotonic milliseconds; minus infinity before the first. */
  readonly landedAt: number
}

/** Nothing has been written yet, or the first write lost its compare-and-set. */
interface Enrolling extends Known {
  readonly _tag: "Enrolling"
}

/** The next write is conditioned on `revision`: that of the own record or of its removal, or 0 without a message. */
interface Registered extends Known {
  readonly _tag: "Registered"
  readonly revision: number
}

/**
 * A write has no answer: it is in flight, or it failed with an unknown outcome. It can
 * land while `on` is the last revision of the key, so the next write has the same
 * condition.
 */
interface Unanswered extends Known {
  readonly _tag: "Unanswered"
  readonly on: number
}

/** The process leaves: it writes nothing more and removes its record. */
interface Leaving extends Known {
  readonly _tag: "Leaving"
  /** Condition of the write that was unanswered when the process began to leave. */
  readonly mayLandOn: number | undefined
}

/** Another process took the id or deregistered this instance: the process writes nothing more. */
interface Ended extends Known {
  readonly _tag: "Ended"
  readonly reason: EndReason
}

export type State = Enrolling | Registered | Unanswered | Leaving | Ended

export type EndReason = "Deregistered" | "DuplicateInstance"

export const enrolling = (record: InstanceRecord): State => ({
  _tag: "Enrolling",
  record,
  landedAt: Number.NEGATIVE_INFINITY
})

/** Whether the process has stopped writing its record. */
export const isOver = (state: State): state is Leaving | Ended => state._tag === "Leaving" || state._tag === "Ended"

// -----------------------------------------------------------------------------
// events and commands
// -----------------------------------------------------------------------------

/** Behaviour of an enrolment if a live record of another process has the id. */
export type OnDuplicate = "wait" | "fail" | "replace"

/** `first`: on a free key or an expired record; `replacement`: over a live record of another process. */
export type WriteKind = "first" | "replacement" | "heartbeat"

export type Event =
  /** The caller asks for a heartbeat or an update. */
  | { readonly _tag: "Asked" }
  /** An enrolment has read the key. */
  | {
    readonly _tag: "Found"
    readonly seen: LastSeen
    /** Milliseconds since the heartbeat that was read. */
    readonly silentFor: number
    /** The age at which it is expired, in milliseconds. */
    readonly maxAge: number
    /** The record of AegisSDK for the same instance, under another key; undefined for none. */
    readonly beside: Beside | undefined
    /** Monotonic milliseconds. */
    readonly now: number
    readonly onDuplicate: OnDuplicate
  }
  /** A write, conditioned on the revision `on`, is about to be sent. */
  | { readonly _tag: "Sent"; readonly on: number }
  /**
   * A write succeeded. `at`: when it was sent, in monotonic milliseconds. The answer can be late: another write may have been
   * sent since.
   */
  | { readonly _tag: "Landed"; readonly record: InstanceRecord; readonly revision: number; readonly at: number }
  /** A write on the revision `on` lost its compare-and-set. */
  | { readonly _tag: "Conflict"; readonly as: WriteKind; readonly on: number }
  /** After a heartbeat lost its compare-and-set, the key was read. */
  | {
    readonly _tag: "ReadBack"
    readonly seen: LastSeen
    /** When the message that was read was stored, in monotonic milliseconds. */
    readonly at: number
    /** Number of reads left, if this one is stale. */
    readonly looks: number
  }
  /** The process is to leave. */
  | { readonly _tag: "LeaveAsked" }
  /** A removal has read the key. `looks`: number of reads left to wait for a late write. */
  | { readonly _tag: "Looked"; readonly seen: LastSeen; readonly looks: number }

export type Command =
  /** The operation has succeeded; after `Sent`: send the write. */
  | { readonly _tag: "Done" }
  /** Fail the operation with `reason`. */
  | { readonly _tag: "Refuse"; readonly reason: EndReason }
  /** Read the key; next event: `Found`. */
  | { readonly _tag: "Enroll" }
  /** Pause, then as `Enroll`. */
  | { readonly _tag: "EnrollAgain" }
  /**
   * End the operation, wait until the record of another process expires, and enrol again.
   * Fail if that record is written. `isLegacy`: it is one of AegisSDK, under its key.
   */
  | {
    readonly _tag: "Wait"
    readonly revision: number
    readonly silentFor: number
    readonly maxAge: number
    readonly isLegacy: boolean
  }
  /** The own record is already stored: write only the change of the operation, if it has one. */
  | { readonly _tag: "Enrolled" }
  /**
   * Write on the condition of the revision `on`; next events: `Sent`, then `Landed`,
   * `Conflict`, or none if there is no answer.
   */
  | { readonly _tag: "Write"; readonly on: number; readonly as: WriteKind }
  /** Read the key; next event: `ReadBack`. */
  | { readonly _tag: "ReadBack"; readonly looks: number }
  /** Pause, then as `ReadBack`: the answer was older than what is known to be stored. */
  | { readonly _tag: "ReadBackAgain"; readonly looks: number }
  /** Pause; next event: `Asked`. */
  | { readonly _tag: "WriteAgain" }
  /** Log that the record is missing (removed by age, by a cleanup, or with the bucket); next event: `Asked`. */
  | { readonly _tag: "RegisterAgain" }
  /** Read the key after all other operations have ended; next event: `Looked`. */
  | { readonly _tag: "Remove"; readonly looks: number }
  /** Pause, then read the key; next event: `Looked`. */
  | { readonly _tag: "LookAgain"; readonly looks: number }
  /** Delete on the condition of `revision`. After a conflict or an unknown outcome, read the key again: `Looked`. */
  | { readonly _tag: "Delete"; readonly revision: number; readonly looks: number }

export interface Transition {
  readonly next: State
  readonly command: Command
}

type EventOf<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

// -----------------------------------------------------------------------------
// transitions
// -----------------------------------------------------------------------------

const done: Command = { _tag: "Done" }

const refuse = (next: State, reason: EndReason): Transition => ({ next, command: { _tag: "Refuse", reason } })

const refuseOver = (state: Leaving | Ended): Transition =>
  refuse(state, state._tag === "Ended" ? state.reason : "Deregistered")

const registered = (record: InstanceRecord, landedAt: number, revision: number): State => ({
  _tag: "Registered",
  record,
  landedAt,
  revision
})

const onAsked = (state: Enrolling | Registered | Unanswered): Transition => {
  switch (state._tag) {
    case "Enrolling":
      return { next: state, command: { _tag: "Enroll" } }
    case "Registered":
      return { next: state, command: { _tag: "Write", on: state.revision, as: "heartbeat" } }
    case "Unanswered":
      return { next: state, command: { _tag: "Write", on: state.on, as: "heartbeat" } }
  }
}

/**
 * A live record of AegisSDK has the id, under another key: with `replace` the process registers beside it, because the owner
 * would write it again (R35).
 */
const besideAnother = (
  state: State,
  { maxAge, revision, silentFor }: Beside,
  onDuplicate: Exclude<OnDuplicate, "replace">
): Transition =>
  onDuplicate === "fail"
    ? refuse(state, "DuplicateInstance")
    : { next: state, command: { _tag: "Wait", revision, silentFor, maxAge, isLegacy: true } }

const onFound = (
  nonce: string,
  state: State,
  { beside, maxAge, now, onDuplicate, seen, silentFor }: EventOf<"Found">
): Transition => {
  const decision = beforeRegistering(nonce, seen, silentFor > maxAge)
  const { revision } = decision
  switch (decision._tag) {
    case "Own":
      // A negative silence means that the clocks differ: the heartbeat counts as sent now.
      return {
        next: registered(decision.record, now - Math.max(0, silentFor), revision),
        command: { _tag: "Enrolled" }
      }
    case "Write":
      return beside !== undefined && beside.silentFor <= beside.maxAge && onDuplicate !== "replace"
        ? besideAnother(state, beside, onDuplicate)
        : { next: state, command: { _tag: "Write", on: revision, as: "first" } }
    case "Occupied":
      if (onDuplicate === "fail") return refuse(state, "DuplicateInstance")
      return {
        next: state,
        command: onDuplicate === "wait"
          ? { _tag: "Wait", revision, silentFor, maxAge, isLegacy: false }
          : { _tag: "Write", on: revision, as: "replacement" }
      }
  }
}

/** The highest revision that this process knows to be stored. */
const knownRevision = (state: State): number =>
  state._tag === "Registered" ? state.revision : state._tag === "Unanswered" ? state.on : -1

const onLanded = (state: State, { at, record, revision }: EventOf<"Landed">): Transition => {
  const landedAt = Math.max(at, state.landedAt)
  if (state._tag === "Leaving") {
    return { next: { _tag: "Leaving", record, landedAt, mayLandOn: undefined }, command: done }
  }
  // A late answer, after that of a later write.
  if (revision <= knownRevision(state)) return { next: state, command: done }
  return { next: registered(record, landedAt, revision), command: done }
}

/** The state after the unanswered write got its answer. */
const answered = (state: State, as: WriteKind): State => {
  const { landedAt, record } = state
  if (state._tag === "Leaving") return { ...state, mayLandOn: undefined }
  if (state._tag !== "Unanswered") return state
  return as === "heartbeat" ? registered(record, landedAt, state.on) : { _tag: "Enrolling", record, landedAt }
}

const onConflict = (state: State, { as, on }: EventOf<"Conflict">): Transition => {
  const next = answered(state, as)
  switch (as) {
    case "heartbeat":
      // The late answer of an earlier write has shown what is stored.
      return state._tag === "Registered" && state.revision > on
        ? { next, command: { _tag: "WriteAgain" } }
        : { next, command: { _tag: "ReadBack", looks: staleLooks } }
    case "first":
      return { next, command: { _tag: "EnrollAgain" } }
    case "replacement":
      // Only one replacement: a process that registered in between is not replaced (R9).
      return refuse(next, "DuplicateInstance")
  }
}

const onReadBack = (nonce: string, state: State, { at, looks, seen }: EventOf<"ReadBack">): Transition => {
  const { landedAt, record } = state
  // A stream that was rolled back has lower revisions, too: the last look counts.
  if (seen._tag !== "Nothing" && seen.revision < knownRevision(state) && looks > 0) {
    return { next: state, command: { _tag: "ReadBackAgain", looks: looks - 1 } }
  }
  const ended = (reason: EndReason): Transition =>
    refuse(isOver(state) ? state : { _tag: "Ended", record, landedAt, reason }, reason)
  const decision = afterLostHeartbeat(nonce, seen)
  switch (decision._tag) {
    case "Adopt":
      return {
        next: isOver(state)
          ? { ...state, record: decision.record }
          : registered(decision.record, Math.max(landedAt, at), decision.revision),
        command: { _tag: "WriteAgain" }
      }
    case "RegisterAgain":
      return isOver(state)
        ? { next: state, command: { _tag: "WriteAgain" } }
        : { next: registered(record, landedAt, decision.revision), command: { _tag: "RegisterAgain" } }
    case "Taken":
      return ended("DuplicateInstance")
    case "Deregistered":
      return ended("Deregistered")
  }
}

const onLeaveAsked = (state: State): Transition => {
  const { landedAt, record } = state
  const mayLandOn = state._tag === "Unanswered" ? state.on : undefined
  return {
    next: isOver(state) ? state : { _tag: "Leaving", record, landedAt, mayLandOn },
    command: { _tag: "Remove", looks: leaveLooks }
  }
}

const onLooked = (nonce: string, state: State, { looks, seen }: EventOf<"Looked">): Transition => {
  // Before LeaveAsked nothing is removed.
  if (!isOver(state)) return { next: state, command: done }
  const decision = whileLeaving(nonce, seen, state._tag === "Leaving" ? state.mayLandOn : undefined)
  switch (decision._tag) {
    case "Delete":
      return { next: state, command: { _tag: "Delete", revision: decision.revision, looks } }
    case "MayLand":
      return { next: state, command: looks > 0 ? { _tag: "LookAgain", looks: looks - 1 } : done }
    case "Gone":
      return { next: state, command: done }
  }
}

/** Returns the next state and the command. `nonce` identifies the records of this process. */
export const transition = (nonce: string, state: State, event: Event): Transition => {
  if (event._tag === "LeaveAsked") return onLeaveAsked(state)
  if (event._tag === "Looked") return onLooked(nonce, state, event)
  if (state._tag === "Ended") return refuseOver(state)
  switch (event._tag) {
    case "Asked":
      return isOver(state) ? refuseOver(state) : onAsked(state)
    case "Found":
      return isOver(state) ? refuseOver(state) : onFound(nonce, state, event)
    case "Sent": {
      if (isOver(state)) return refuseOver(state)
      const { landedAt, record } = state
      return { next: { _tag: "Unanswered", record, landedAt, on: event.on }, command: done }
    }
    case "Landed":
      return onLanded(state, event)
    case "Conflict":
      return onConflict(state, event)
    case "ReadBack":
      return onReadBack(nonce, state, event)
  }
}
