/**
 * The states of a process's own record, from the first look at its key until it
 * leaves (docs/protocols/registry.md, R7 to R18). Pure: a state and an event in,
 * the next state and a command out.
 * `ownRecord.ts` holds the state and carries the commands out.
 */
import { afterLostHeartbeat, beforeRegistering, type LastSeen, whileLeaving } from "./decisions.ts"
import type { InstanceRecord } from "./record.ts"

/** Looks after a process was asked to leave, a conflict's pause apart, for a write that may still land. */
const leaveLooks = 5

// -----------------------------------------------------------------------------
// states
// -----------------------------------------------------------------------------

interface Known {
  /** The record that is stored, or is to be stored, as far as this process knows. */
  readonly record: InstanceRecord
  /** Monotonic milliseconds at which the last write known to have landed was sent; minus infinity before the first. */
  readonly landedAt: number
}

/** No write of this process is known to have been sent, or the first one lost its compare-and-set. */
interface Enrolling extends Known {
  readonly _tag: "Enrolling"
}

/** The next write is a compare-and-set on `revision`: the own record's, or that of the message in its place. */
interface Registered extends Known {
  readonly _tag: "Registered"
  readonly revision: number
}

/** A write has no answer, yet or for good. It can land for as long as the key shows `on`, so the next one has the same condition. */
interface Unanswered extends Known {
  readonly _tag: "Unanswered"
  readonly on: number
}

/** The process was asked to leave: nothing is written, and the record is removed. */
interface Leaving extends Known {
  readonly _tag: "Leaving"
  /** The condition of a write that was unanswered when leave was asked. */
  readonly mayLandOn: number | undefined
}

/** Another process has the id, or has deregistered this one: nothing is written. */
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

/** Whether nothing is written any more. */
export const isOver = (state: State): state is Leaving | Ended => state._tag === "Leaving" || state._tag === "Ended"

// -----------------------------------------------------------------------------
// events and commands
// -----------------------------------------------------------------------------

/** What an enrolment does about a live record of another process. */
export type OnDuplicate = "wait" | "fail" | "replace"

/** `first`: over nothing, or over an expired record; `replacement`: over a live record of another process. */
export type WriteKind = "first" | "replacement" | "heartbeat"

export type Event =
  /** A heartbeat or an update is to be written. */
  | { readonly _tag: "Asked" }
  /** An enrolment has read the key. */
  | {
    readonly _tag: "Found"
    readonly seen: LastSeen
    /** Milliseconds since the heartbeat that was read. */
    readonly silentFor: number
    readonly isTooOld: boolean
    /** Monotonic milliseconds. */
    readonly now: number
    readonly onDuplicate: OnDuplicate
  }
  | { readonly _tag: "Sent"; readonly on: number }
  /** `at`: monotonic milliseconds at which it was sent. */
  | { readonly _tag: "Landed"; readonly record: InstanceRecord; readonly revision: number; readonly at: number }
  /** A write lost its compare-and-set. */
  | { readonly _tag: "Conflict"; readonly as: WriteKind }
  /** A heartbeat that lost its compare-and-set has read the key. */
  | { readonly _tag: "ReadBack"; readonly seen: LastSeen }
  | { readonly _tag: "LeaveAsked" }
  /** A removal has read the key, and has so many looks left. */
  | { readonly _tag: "Looked"; readonly seen: LastSeen; readonly looks: number }

export type Command =
  /** The operation has succeeded; of `Sent`: the write goes out. */
  | { readonly _tag: "Done" }
  /** The operation fails with that reason. */
  | { readonly _tag: "Refuse"; readonly reason: EndReason }
  /** Read the key: `Found`. */
  | { readonly _tag: "Enroll" }
  /** The same after a pause. */
  | { readonly _tag: "EnrollAgain" }
  /** The operation ends; wait until the record of another process is too old, and enroll again, or fail where it is written. */
  | { readonly _tag: "Wait"; readonly revision: number; readonly silentFor: number }
  /** The own record was there before it was written: a change is yet to be written. */
  | { readonly _tag: "Enrolled" }
  /** Write on the condition that the key shows `on`: `Sent`, then `Landed`, `Conflict`, or no answer. */
  | { readonly _tag: "Write"; readonly on: number; readonly as: WriteKind }
  /** Read the key: `ReadBack`. */
  | { readonly _tag: "ReadBack" }
  /** Pause, and ask again. */
  | { readonly _tag: "WriteAgain" }
  /** The same for a record that was forgotten. */
  | { readonly _tag: "RegisterAgain" }
  /** Read the key once every other operation has ended: `Looked`. */
  | { readonly _tag: "Remove"; readonly looks: number }
  /** Read the key after a pause: `Looked`. */
  | { readonly _tag: "LookAgain"; readonly looks: number }
  /** Delete on the condition that the key shows `revision`; read the key again where that is not known to have been done. */
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

const onFound = (
  nonce: string,
  state: State,
  { isTooOld, now, onDuplicate, seen, silentFor }: EventOf<"Found">
): Transition => {
  const decision = beforeRegistering(nonce, seen, isTooOld)
  const { revision } = decision
  switch (decision._tag) {
    case "Own":
      // A heartbeat that seems to come from the future is taken for one of now.
      return {
        next: registered(decision.record, now - Math.max(0, silentFor), revision),
        command: { _tag: "Enrolled" }
      }
    case "Write":
      return { next: state, command: { _tag: "Write", on: revision, as: "first" } }
    case "Occupied":
      if (onDuplicate === "fail") return refuse(state, "DuplicateInstance")
      return {
        next: state,
        command: onDuplicate === "wait"
          ? { _tag: "Wait", revision, silentFor }
          : { _tag: "Write", on: revision, as: "replacement" }
      }
  }
}

const onLanded = (state: State, { at, record, revision }: EventOf<"Landed">): Transition => ({
  next: state._tag === "Leaving"
    ? { _tag: "Leaving", record, landedAt: at, mayLandOn: undefined }
    : registered(record, at, revision),
  command: done
})

/** No write is unanswered any more. */
const answered = (state: State, as: WriteKind): State => {
  const { landedAt, record } = state
  if (state._tag === "Leaving") return { ...state, mayLandOn: undefined }
  if (state._tag !== "Unanswered") return state
  return as === "heartbeat" ? registered(record, landedAt, state.on) : { _tag: "Enrolling", record, landedAt }
}

const onConflict = (state: State, as: WriteKind): Transition => {
  const next = answered(state, as)
  switch (as) {
    case "heartbeat":
      return { next, command: { _tag: "ReadBack" } }
    case "first":
      return { next, command: { _tag: "EnrollAgain" } }
    case "replacement":
      // Replacing is done once: a process that comes between is not replaced as well (R9).
      return refuse(next, "DuplicateInstance")
  }
}

const onReadBack = (nonce: string, state: State, seen: LastSeen): Transition => {
  const { landedAt, record } = state
  const ended = (reason: EndReason): Transition =>
    refuse(isOver(state) ? state : { _tag: "Ended", record, landedAt, reason }, reason)
  const decision = afterLostHeartbeat(nonce, seen)
  switch (decision._tag) {
    case "Adopt":
      return {
        next: isOver(state)
          ? { ...state, record: decision.record }
          : registered(decision.record, landedAt, decision.revision),
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
  // Nothing is removed before leave was asked.
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

/** `nonce` tells this process from another under the same id. */
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
      return onConflict(state, event.as)
    case "ReadBack":
      return onReadBack(nonce, state, event.seen)
  }
}
