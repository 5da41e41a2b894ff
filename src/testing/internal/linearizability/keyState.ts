/**
 * The knowledge about the last message of a key, and how each operation changes
 * it. Pure.
 *
 * The answer of a removal does not contain its revision, and an unanswered write
 * has no revision either. The revision is then a set of possible values: every
 * integer from `least` on, except those in `not`. The set is exact: each member
 * is possible, given the operations applied so far.
 */

export interface KeyState {
  /** Whether the key has a value; undefined if unknown. A message with a value has a revision of at least 1. */
  readonly live: boolean | undefined
  /** The number of the value; undefined if the key is not live, or if the value is unknown. */
  readonly value: number | undefined
  /** The revision, or the lowest possible revision; never in `not`. 0: the key has no message. */
  readonly least: number
  readonly known: boolean
  /** Excluded revisions above `least`. */
  readonly not: ReadonlyArray<number>
}

/** A revision, and whether it is known to belong to a certain write of the key (so that no other write can have it). */
export interface Revision {
  readonly revision: number
  readonly isTaken: boolean
}

/** A condition under which a write is applied. */
type KeyCondition = "live" | "dead" | Revision

/** The effect of an operation: its requirement on the state, and the state after it. */
export type Step =
  | { readonly _tag: "Dead" }
  | { readonly _tag: "Live" }
  | { readonly _tag: "Holds"; readonly value: number } & Revision
  | { readonly _tag: "IsNot" } & Revision
  | {
    readonly _tag: "Write"
    readonly condition: KeyCondition | undefined
    /** Undefined for a removal. */
    readonly value: number | undefined
    /** Undefined if the answer does not contain the revision. */
    readonly revision: number | undefined
  }
  /** Impossible: the outcome does not fit the operation. */
  | { readonly _tag: "Never" }

export type KeyWrite = Extract<Step, { readonly _tag: "Write" }>

export const nothing: KeyState = { live: false, value: undefined, least: 0, known: true, not: [] }

export const anything: KeyState = { live: undefined, value: undefined, least: 0, known: false, not: [] }

/** Restricts the state to revisions of at least `least`; undefined if none is possible. */
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

/** Restricts the state to this revision; undefined if impossible. */
const at = (state: KeyState, { isTaken, revision }: Revision): KeyState | undefined => {
  if (state.known) return state.least === revision ? state : undefined
  if (isTaken || revision < state.least || state.not.includes(revision)) return undefined
  return { ...state, live: revision === 0 ? false : state.live, least: revision, known: true, not: [] }
}

/** Excludes this revision from the state; undefined if it is the only possible one. */
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
  // The lowest revision that this write can have replaced gives the largest set of possible revisions.
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
 * Returns the state after a step; undefined if the step is impossible in this
 * state. Returns the same object if the step changes nothing and adds no
 * knowledge.
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

/** Whether the step is possible for every revision and value that the state allows. */
export const surelyAllows = (state: KeyState, step: Step): boolean =>
  step._tag === "Write" ? allows(state, step.condition) === state : apply(state, step) === state

/** Whether every possibility of `other` is also one of `state`. Conservative: can return false although it holds. */
export const includes = (state: KeyState, other: KeyState): boolean =>
  state.live === other.live && state.value === other.value && state.known === other.known &&
  (state.known
    ? state.least === other.least
    : state.least <= other.least && !state.not.includes(other.least) &&
      state.not.every((revision) => revision < other.least || other.not.includes(revision)))
