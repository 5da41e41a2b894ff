/**
 * Converts the history of one key into the input of the search: answered
 * operations in the order of invocation, and groups of equivalent unanswered
 * writes, which may or may not have been applied. Operations that cannot affect
 * the result are left out. Pure.
 *
 * Revisions determine most of the order: they increase with each write of a key.
 * An operation that wrote or read a revision therefore precedes every operation
 * that wrote or read a greater one.
 */
import { countPassing } from "../../../internal/binarySearch.ts"
import type { Initial, Operation } from "../../Linearizability.ts"
import { anything, type KeyState, type KeyWrite, nothing, type Revision, type Step } from "./keyState.ts"

/** An operation that every order must contain. */
export interface KeyTask {
  readonly operation: Operation
  readonly step: Step
  readonly invoked: number
  readonly returned: number
  /** Tasks with a smaller rank come first; undefined if the task has no known revision. */
  readonly rank: number | undefined
}

/** A write that was applied at some time after its invocation, or never. */
interface Maybe {
  readonly operation: Operation
  readonly step: KeyWrite
  readonly invoked: number
}

export interface Problem {
  readonly initial: KeyState
  /** Sorted by invocation. */
  readonly tasks: ReadonlyArray<KeyTask>
  /** The number of tasks of each rank. */
  readonly ranks: ReadonlyArray<number>
  /** Each list has writes that differ only in their invocation, sorted by it. */
  readonly maybes: ReadonlyArray<ReadonlyArray<Maybe>>
}

const never: Step = { _tag: "Never" }

export const isUnanswered = (operation: Operation): boolean =>
  operation.returned === undefined || operation.outcome._tag === "Unknown"

/** Sorts by the time of invocation, then by the time of the answer. */
const inOrder = (operations: ReadonlyArray<Operation>): ReadonlyArray<Operation> =>
  operations.toSorted((a, b) => a.invoked - b.invoked || (a.returned ?? Infinity) - (b.returned ?? Infinity))

/** The shared number of all values that no get returned: the search need not distinguish them. */
const unseen = -1

/** Assigns a number to each value in the answer of a get. */
const valuesSeen = (operations: ReadonlyArray<Operation>) => {
  const numbers = new Map<string, number>()
  for (const { outcome } of operations) {
    if (outcome._tag === "Found" && !numbers.has(outcome.value)) numbers.set(outcome.value, numbers.size)
  }
  return (value: string) => numbers.get(value) ?? unseen
}

/** Facts about the whole history, needed to convert a single operation. */
interface OperationNames {
  readonly numberOf: (value: string) => number
  readonly revision: (revision: number) => Revision
}

type Asked = "live" | "dead" | number

/**
 * The condition of an operation on its own key. A condition on another key is ignored: the answer shows whether it
 * held.
 */
const askedBy = ({ input }: Operation): Asked | undefined => {
  if (input._tag === "Get") return undefined
  if (input._tag === "Remove") return input.revision
  const { createOnly, revision, updateOnly } = input.options ?? {}
  return createOnly ? "dead" : updateOnly ? "live" : revision
}

const writing = (operation: Operation, revision: number | undefined, names: OperationNames): KeyWrite => {
  const asked = askedBy(operation)
  return {
    _tag: "Write",
    condition: typeof asked === "number" ? names.revision(asked) : asked,
    value: operation.input._tag === "Put" ? names.numberOf(operation.input.value) : undefined,
    revision
  }
}

/** Returns what a refusal implies for the state. */
const refusal = (asked: Asked | undefined, reason: string, { revision }: OperationNames): Step => {
  if (asked === "dead") return reason === "KeyNotFound" ? never : { _tag: "Live" }
  if (asked === "live") return reason === "KeyAlreadyExists" ? never : { _tag: "Dead" }
  return asked === undefined || reason !== "RevisionMismatch" ? never : { _tag: "IsNot", ...revision(asked) }
}

const stepOf = (operation: Operation, names: OperationNames): Step => {
  const { input, outcome } = operation
  switch (outcome._tag) {
    case "None":
      return input._tag === "Get" ? { _tag: "Dead" } : never
    case "Found":
      return input._tag === "Get"
        ? { _tag: "Holds", value: names.numberOf(outcome.value), ...names.revision(outcome.revision) }
        : never
    case "Written":
      return input._tag === "Put" ? writing(operation, outcome.revision, names) : never
    case "Removed":
      return input._tag === "Remove" ? writing(operation, undefined, names) : never
    default:
      return outcome._tag === "Refused" ? refusal(askedBy(operation), outcome.reason, names) : never
  }
}

/**
 * Removes refusals that imply nothing for the state: those of a condition on
 * another key, and mismatches that a concurrent write explains. A concurrent
 * write explains every mismatch of `createOnly` and `updateOnly`, which are a
 * read followed by a write, and those of a revision if `conflictsInFlight`.
 */
export const withoutEmptyRefusals = (
  operations: ReadonlyArray<Operation>,
  conflictsInFlight: boolean
): ReadonlyArray<Operation> => {
  const mismatch = (operation: Operation) =>
    !isUnanswered(operation) && operation.outcome._tag === "Refused" && operation.outcome.reason === "RevisionMismatch"
  if (!operations.some(mismatch)) return operations
  const overlaps = overlapping(operations.filter(({ input }) => input._tag !== "Get"))
  return operations.filter((operation) => {
    if (!mismatch(operation)) return true
    const { input } = operation
    if (input._tag === "Put" && input.options?.whenKey !== undefined) return false
    const asked = askedBy(operation)
    const mayMeet = typeof asked === "string" || (conflictsInFlight && asked !== undefined)
    return !(mayMeet && overlaps(operation))
  })
}

/** Returns a function that reports whether an operation overlaps one of these writes other than itself. */
const overlapping = (writes: ReadonlyArray<Operation>): (operation: Operation) => boolean => {
  const sorted = inOrder(writes)
  const until = sorted.map((write) => isUnanswered(write) ? Infinity : write.returned!)
  // For each prefix: the write that ends last, and the latest end among the others.
  const longest: Array<number> = []
  const others: Array<number> = []
  until.forEach((time, index) => {
    const before = longest[index - 1]
    const most = before === undefined ? -Infinity : until[before]!
    longest.push(before === undefined || time > most ? index : before)
    others.push(Math.max(others[index - 1] ?? -Infinity, Math.min(time, most)))
  })
  return (operation) => {
    const returned = operation.returned!
    const last = countPassing(sorted, ({ invoked }) => invoked <= returned) - 1
    if (last < 0) return false
    const most = sorted[longest[last]!] === operation ? others[last]! : until[longest[last]!]!
    return most >= operation.invoked
  }
}

/**
 * Returns the unanswered puts whose revision is known from reads: only this put
 * can have written the value that was read. It was applied before the first of
 * these reads was answered.
 */
const revealed = (
  answered: ReadonlyArray<Operation>,
  unanswered: ReadonlyArray<Operation>,
  told: ReadonlySet<number>,
  initial: Initial
) => {
  const seen = new Map<number, { readonly value: string; readonly by: number }>()
  let first = Infinity
  for (const { outcome, returned } of answered) {
    if (outcome._tag !== "Found") continue
    first = Math.min(first, outcome.revision)
    if (told.has(outcome.revision)) continue
    const by = Math.min(returned!, seen.get(outcome.revision)?.by ?? Infinity)
    seen.set(outcome.revision, { value: outcome.value, by })
  }
  // The value from before the history can have been read only with the lowest revision of all reads.
  if (initial === "anything") seen.delete(first)
  const puts = Map.groupBy(unanswered, ({ input }) => input._tag === "Put" ? input.value : undefined)
  const found = new Map<Operation, { readonly revision: number; readonly by: number }>()
  for (const [revision, { by, value }] of seen) {
    const [put, ...more] = puts.get(value) ?? []
    // A put that begins after the read, or that is found for two revisions, makes every order impossible:
    // the search reports that.
    if (put !== undefined && more.length === 0) found.set(put, { revision, by })
  }
  return found
}

/** Returns what a step requires that an unanswered write can provide; undefined if it requires nothing. */
const needOf = (step: Step): string | undefined => {
  switch (step._tag) {
    case "Dead":
      return "dead"
    case "Live":
      return "live"
    case "Holds":
      return `value ${step.value}`
    case "IsNot":
      return "revision"
    case "Write":
      return typeof step.condition !== "object" ? step.condition : step.condition.isTaken ? undefined : "revision"
    case "Never":
      return undefined
  }
}

const givenBy = ({ value }: KeyWrite): ReadonlyArray<string> =>
  value === undefined ? ["dead", "revision"] : ["live", "revision", `value ${value}`]

/**
 * Removes the unanswered writes that no operation can need. As `search.ts`
 * explains, an unanswered write is needed only directly before an operation that
 * is impossible without it; that operation may be another needed unanswered write.
 */
const needed = (maybes: ReadonlyArray<Maybe>, tasks: ReadonlyArray<KeyTask>): ReadonlyArray<Maybe> => {
  const until = new Map<string, number>()
  const isNew = (step: Step, time: number): boolean => {
    const need = needOf(step)
    if (need === undefined || time <= (until.get(need) ?? -Infinity)) return false
    until.set(need, time)
    return true
  }
  for (const { returned, step } of tasks) isNew(step, returned)
  for (let found = true; found;) {
    found = false
    for (const { invoked, step } of maybes) {
      const isNeeded = givenBy(step).some((need) => (until.get(need) ?? -Infinity) >= invoked)
      if (isNeeded && isNew(step, Infinity)) found = true
    }
  }
  return maybes.filter(({ invoked, step }) => givenBy(step).some((need) => (until.get(need) ?? -Infinity) >= invoked))
}

/**
 * Groups equivalent writes. Writes conditioned on later revisions come first: a
 * write on a later revision is then tried alone before it is tried after another
 * write, and a dead end found without the other write is not searched again with it.
 */
const alike = (maybes: ReadonlyArray<Maybe>): ReadonlyArray<ReadonlyArray<Maybe>> => {
  const lists = Map.groupBy(maybes, ({ step }) => JSON.stringify([step.condition, step.value]))
  const revisionOf = ([first]: ReadonlyArray<Maybe>) =>
    typeof first?.step.condition === "object" ? first.step.condition.revision : Infinity
  return [...lists.values()].toSorted((a, b) => revisionOf(a) === revisionOf(b) ? 0 : revisionOf(b) - revisionOf(a))
}

const revisionOf = (step: Step): number | undefined =>
  step._tag === "Write" || step._tag === "Holds" ? step.revision : undefined

/** Ranks tasks by revision; a write and its readers have the same rank. */
const ranking = (steps: ReadonlyArray<Step>) => {
  const revisions = [...new Set(steps.flatMap((step) => revisionOf(step) ?? []))].toSorted((a, b) => a - b)
  const ranks = new Map(revisions.map((revision, rank) => [revision, rank]))
  const counts = revisions.map(() => 0)
  const rankOf = (step: Step) => {
    const revision = revisionOf(step)
    const rank = revision === undefined ? undefined : ranks.get(revision)!
    if (rank !== undefined) counts[rank] = counts[rank]! + 1
    return rank
  }
  return { counts, rankOf }
}

/**
 * Creates the search problem of one key.
 *
 * The operations must be those that constrain the order: without `Failed`,
 * unanswered gets, and the refusals that `withoutEmptyRefusals` removes.
 */
export const make = (operations: ReadonlyArray<Operation>, initial: Initial): Problem => {
  const sorted = inOrder(operations)
  const unanswered = sorted.filter(isUnanswered)
  const answered = sorted.filter((operation) => !isUnanswered(operation))
  const told = new Set(answered.flatMap(({ outcome }) => outcome._tag === "Written" ? [outcome.revision] : []))
  const landed = revealed(answered, unanswered, told, initial)
  landed.forEach(({ revision }) => told.add(revision))
  const names: OperationNames = {
    numberOf: valuesSeen(operations),
    revision: (revision) => ({ revision, isTaken: told.has(revision) })
  }
  const steps = sorted.flatMap((operation) => {
    if (!isUnanswered(operation)) return { operation, step: stepOf(operation, names), returned: operation.returned! }
    const found = landed.get(operation)
    return found === undefined
      ? []
      : { operation, step: writing(operation, found.revision, names), returned: found.by }
  })
  const { counts, rankOf } = ranking(steps.map(({ step }) => step))
  const tasks = steps.map(({ operation, returned, step }): KeyTask => ({
    operation,
    step,
    invoked: operation.invoked,
    returned,
    rank: rankOf(step)
  }))
  const maybes = unanswered.filter((operation) => !landed.has(operation)).map((operation): Maybe => ({
    operation,
    step: writing(operation, undefined, names),
    invoked: operation.invoked
  }))
  return {
    initial: initial === "nothing" ? nothing : anything,
    tasks,
    ranks: counts,
    maybes: alike(needed(maybes, tasks))
  }
}
