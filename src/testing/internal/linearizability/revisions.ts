/**
 * Checks the revisions of all keys of a bucket together. They are one sequence:
 * no revision is used twice, and a write's revision is greater than every
 * revision that was known before the write began. Pure.
 */
import type { Initial, Operation } from "../../Linearizability.ts"
import { isUnanswered } from "./problem.ts"

/** A revision, and the operations that show when it was assigned. */
interface RevisionUse {
  readonly revision: number
  readonly key: string
  /** The operation whose answer first contained the revision, and the time of that answer. */
  readonly known: Operation
  readonly knownAt: number
  /** The operations of which one wrote it; empty if it may stem from before the history. */
  readonly writers: ReadonlyArray<Operation>
}

export interface Contradiction {
  readonly operations: ReadonlyArray<Operation>
  readonly initial: Initial
  readonly explanation: string
}

const begun = ({ writers }: RevisionUse): number =>
  writers.length === 0 ? -Infinity : Math.min(...writers.map(({ invoked }) => invoked))

/**
 * Returns a function that finds the unanswered puts of a value. It finds none if the initial value is unknown: a value
 * that was read can then stem from before the history, with any revision.
 */
const unanswered = (operations: ReadonlyArray<Operation>, initial: Initial) => {
  if (initial === "anything") return () => []
  const puts = operations.filter((operation) => operation.input._tag === "Put" && isUnanswered(operation))
  const groups = Map.groupBy(puts, ({ input, key }) => JSON.stringify([key, input._tag === "Put" && input.value]))
  return (key: string, value: string) => groups.get(JSON.stringify([key, value])) ?? []
}

const contradiction = (
  operations: ReadonlyArray<Operation>,
  initial: Initial,
  explanation: string
): Contradiction => ({ operations: [...new Set(operations)], initial, explanation })

/** Collects all revisions in answers, or returns the first one that two keys have. */
const collect = (
  operations: ReadonlyArray<Operation>,
  initial: Initial
): ReadonlyArray<RevisionUse> | Contradiction => {
  const given = new Map<number, RevisionUse>()
  const putsOf = unanswered(operations, initial)
  for (const operation of operations) {
    const { key, outcome, returned } = operation
    if (isUnanswered(operation) || (outcome._tag !== "Written" && outcome._tag !== "Found")) continue
    const { revision } = outcome
    const other = given.get(revision)
    if (other !== undefined && other.key !== key) {
      return contradiction(
        [other.known, operation],
        "anything",
        `revision ${revision} was assigned to both "${other.key}" and "${key}"`
      )
    }
    const isFirst = other === undefined || returned! < other.knownAt
    given.set(revision, {
      revision,
      key,
      known: isFirst ? operation : other.known,
      knownAt: isFirst ? returned! : other.knownAt,
      writers: outcome._tag === "Written" ? [operation] : other?.writers ?? putsOf(key, outcome.value)
    })
  }
  return [...given.values()]
}

/** Finds operations of two keys whose revisions contradict each other. */
export const contradictionIn = (
  operations: ReadonlyArray<Operation>,
  initial: Initial
): Contradiction | undefined => {
  const all = collect(operations, initial)
  if (!("length" in all)) return all
  let greater: RevisionUse | undefined
  for (const given of all.toSorted((a, b) => b.revision - a.revision)) {
    if (greater !== undefined && greater.knownAt < begun(given)) {
      return contradiction(
        [greater.known, ...given.writers, given.known],
        given.writers.every(isUnanswered) ? initial : "anything",
        `revision ${given.revision} of "${given.key}" was written after ${greater.revision} of "${greater.key}" was known`
      )
    }
    if (greater === undefined || given.knownAt < greater.knownAt) greater = given
  }
  return undefined
}
