/**
 * What is known of the last message of a key, and what each operation makes of
 * it. Pure.
 *
 * A removal is not told its revision, nor is a write without an answer: the
 * revision is then a set, every whole number from `least` on but for some that
 * it has turned out not to be. Such a set is exact: whatever is in it can have
 * been the revision, given the operations that led here.
 */

export interface KeyState {
  /** Undefined: nobody knows. A message with a value has a revision of at least 1. */
  readonly live: boolean | undefined
  /** The number of the value; undefined where it is not live, and where nobody knows. */
  readonly value: number | undefined
  /** The revision, or the least that it can be: never one of `not`. 0: no message at all. */
  readonly least: number
  readonly known: boolean
  /** Revisions above `least` that it is not. */
  readonly not: ReadonlyArray<number>
}

/** A revision, and whether a write of the key is known to have it: then no other one has. */
export interface Revision {
  readonly revision: number
  readonly isTaken: boolean
}

/** What must hold for a write to be done. */
type KeyCondition = "live" | "dead" | Revision

/** What an operation asks of the state, and what it leaves. */
export type Step =
  | { readonly _tag: "Dead" }
  | { readonly _tag: "Live" }
  | { readonly _tag: "Holds"; readonly value: number } & Revision
  | { readonly _tag: "IsNot" } & Revision
  | {
    readonly _tag: "Write"
    readonly condition: KeyCondition | undefined
    /** Undefined: a tombstone. */
    readonly value: number | undefined
    /** Undefined: not told. */
    readonly revision: number | undefined
  }
  /** An answer that the operation cannot have. */
  | { readonly _tag: "Never" }

export type KeyWrite = Extract<Step, { readonly _tag: "Write" }>

export const nothing: KeyState = { live: false, value: undefined, least: 0, known: true, not: [] }

export const anything: KeyState = { live: undefined, value: undefined, least: 0, known: false, not: [] }

/** The state if its revision is at least that. */
const from = (state: KeyState, least: number): KeyState | undefined => {
  if (state.least >= least) return state
  if (state.known) return undefined
  let first = least
  while (state.not.includes(first)) first++
  return { ...state, least: first, not: state.not.filter((revision) => revision > first) }
}

const dead = (state: KeyState): KeyState | undefined =>
  state.live === false ? state : state.live === true ? undefined : { ...state, live: false }

const live = (state: KeyState): KeyState | undefined => {
  if (state.live !== undefined) return state.live ? state : undefined
  const there = from(state, 1)
  return there && { ...there, live: true }
}

/** The state if that is its revision. */
const at = (state: KeyState, { isTaken, revision }: Revision): KeyState | undefined => {
  if (state.known) return state.least === revision ? state : undefined
  if (isTaken || revision < state.least || state.not.includes(revision)) return undefined
  return { ...state, live: revision === 0 ? false : state.live, least: revision, known: true, not: [] }
}

/** The state if that is not its revision. */
const isNot = (state: KeyState, { isTaken, revision }: Revision): KeyState | undefined => {
  if (state.known) return revision === state.least ? undefined : state
  if (isTaken || revision < state.least || state.not.includes(revision)) return state
  return revision === state.least ? from(state, revision + 1) : { ...state, not: [...state.not, revision] }
}

const holds = (state: KeyState, value: number, revision: Revision): KeyState | undefined => {
  const there = live(state)
  if (there === undefined || (there.value !== undefined && there.value !== value)) return undefined
  const bound = at(there, revision)
  return bound === undefined || bound.value === value ? bound : { ...bound, value }
}

const allows = (state: KeyState, condition: KeyCondition | undefined): KeyState | undefined =>
  condition === undefined
    ? state
    : condition === "live"
    ? live(state)
    : condition === "dead"
    ? dead(state)
    : at(state, condition)

const write = (state: KeyState, { condition, revision, value }: KeyWrite): KeyState | undefined => {
  const allowed = allows(state, condition)
  // Of the revisions that this one may have replaced, the least leaves the most room.
  if (allowed === undefined || (revision !== undefined && allowed.least >= revision)) return undefined
  return {
    live: value !== undefined,
    value,
    least: revision ?? allowed.least + 1,
    known: revision !== undefined,
    not: []
  }
}

/**
 * The state after a step; undefined where the step cannot have been taken here.
 * A step that neither changes the state nor tells more of it gives the very same
 * one.
 */
export const apply = (state: KeyState, step: Step): KeyState | undefined => {
  switch (step._tag) {
    case "Dead":
      return dead(state)
    case "Live":
      return live(state)
    case "Holds":
      return holds(state, step.value, step)
    case "IsNot":
      return isNot(state, step)
    case "Write":
      return write(state, step)
    case "Never":
      return undefined
  }
}

/** Whether the step can be taken here whichever of its possible revisions and values the state has. */
export const surelyAllows = (state: KeyState, step: Step): boolean =>
  step._tag === "Write" ? allows(state, step.condition) === state : apply(state, step) === state

/** Whether whatever the second may be, the first may be as well; false too where that is hard to say. */
export const includes = (state: KeyState, other: KeyState): boolean =>
  state.live === other.live && state.value === other.value && state.known === other.known &&
  (state.known
    ? state.least === other.least
    : state.least <= other.least && !state.not.includes(other.least) &&
      state.not.every((revision) => revision < other.least || other.not.includes(revision)))
