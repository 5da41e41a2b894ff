/**
 * The history of one key as a search wants it: operations that were answered, in
 * the order of their invocation, and writes that may or may not have landed,
 * alike ones together. What cannot matter is left out. Pure.
 *
 * Revisions say most of the order. Those of one key grow from write to write, so
 * an operation that is known to have written or seen one revision comes before
 * every operation that is known to have written or seen a greater one.
 */
import { countPassing } from "../../../internal/binarySearch.ts"
import type { Initial, Operation } from "../../Linearizability.ts"
import { anything, type KeyState, type KeyWrite, nothing, type Revision, type Step } from "./keyState.ts"

/** An operation that has its place in every order. */
export interface KeyTask {
  readonly operation: Operation
  readonly step: Step
  readonly invoked: number
  readonly returned: number
  /** All tasks of a smaller number go before; undefined where no revision says so. */
  readonly rank: number | undefined
}

/** A write that has landed at some time after its invocation, or never. */
interface Maybe {
  readonly operation: Operation
  readonly step: KeyWrite
  readonly invoked: number
}

export interface Problem {
  readonly initial: KeyState
  /** By invocation. */
  readonly tasks: ReadonlyArray<KeyTask>
  /** How many tasks each rank has. */
  readonly ranks: ReadonlyArray<number>
  /** Each a list of writes that differ in their invocation only, and are in its order. */
  readonly maybes: ReadonlyArray<ReadonlyArray<Maybe>>
}

const never: Step = { _tag: "Never" }

export const isUnanswered = (operation: Operation): boolean =>
  operation.returned === undefined || operation.outcome._tag === "Unknown"

/** By invocation; of those at one time, by answer. */
const inOrder = (operations: ReadonlyArray<Operation>): ReadonlyArray<Operation> =>
  operations.toSorted((a, b) => a.invoked - b.invoked || (a.returned ?? Infinity) - (b.returned ?? Infinity))

/** What no get has seen: all such values are alike. */
const unseen = -1

/** Numbers for the values that somebody got. */
const valuesSeen = (operations: ReadonlyArray<Operation>) => {
  const numbers = new Map<string, number>()
  for (const { outcome } of operations) {
    if (outcome._tag === "Found" && !numbers.has(outcome.value)) numbers.set(outcome.value, numbers.size)
  }
  return (value: string) => numbers.get(value) ?? unseen
}

/** What is known of a history before its operations are looked at one by one. */
interface OperationNames {
  readonly numberOf: (value: string) => number
  readonly revision: (revision: number) => Revision
}

type Asked = "live" | "dead" | number

/** A condition on another key is not looked at here: that it held is known where the write was done. */
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

/** What must be the case where a condition did not hold. */
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
 * Without the refusals that say nothing: of a condition on another key, and, of
 * those with a mismatch, the ones during which another write was under way where
 * such a one is reason enough. With `createOnly` and `updateOnly` it always is:
 * they are a read and a write, and somebody may have come between.
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

/** Whether another one of these was under way at some time between an operation's question and its answer. */
const overlapping = (writes: ReadonlyArray<Operation>): (operation: Operation) => boolean => {
  const sorted = inOrder(writes)
  const until = sorted.map((write) => isUnanswered(write) ? Infinity : write.returned!)
  // Of each and those before it, the one that takes longest, and the longest of the others.
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
 * The unanswered writes whose revision is told by those who read it: nothing
 * else can have written what they read. Such a one has landed, by the time at
 * which the first of them was answered.
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
  // What was there before can be what was seen with the first revision, and with no other.
  if (initial === "anything") seen.delete(first)
  const puts = Map.groupBy(unanswered, ({ input }) => input._tag === "Put" ? input.value : undefined)
  const found = new Map<Operation, { readonly revision: number; readonly by: number }>()
  for (const [revision, { by, value }] of seen) {
    const [put, ...more] = puts.get(value) ?? []
    // One that begins later than that, or is told two, is in no order with them all: the search finds none.
    if (put !== undefined && more.length === 0) found.set(put, { revision, by })
  }
  return found
}

/** What a step can need that an unanswered write gives; undefined where it needs none. */
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
 * Without the unanswered writes that no operation can need (see `search.ts`: one
 * is needed only just before an operation that would not be possible without
 * it, be it another such write that is needed).
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
 * Lists of writes that are alike, those on later revisions before those on
 * earlier ones: a write on a later one is tried on its own before it is tried
 * after another, and what was in vain without the other is not tried with it.
 */
const alike = (maybes: ReadonlyArray<Maybe>): ReadonlyArray<ReadonlyArray<Maybe>> => {
  const lists = Map.groupBy(maybes, ({ step }) => JSON.stringify([step.condition, step.value]))
  const revisionOf = ([first]: ReadonlyArray<Maybe>) =>
    typeof first?.step.condition === "object" ? first.step.condition.revision : Infinity
  return [...lists.values()].toSorted((a, b) => revisionOf(a) === revisionOf(b) ? 0 : revisionOf(b) - revisionOf(a))
}

const revisionOf = (step: Step): number | undefined =>
  step._tag === "Write" || step._tag === "Holds" ? step.revision : undefined

/** Ranks by revision; a write and those who saw it have the same. */
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
 * The problem of one key.
 *
 * The operations are those that constrain something: no `Failed`, no unanswered
 * get, and nothing of what `withoutEmptyRefusals` leaves out.
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
