/**
 * Shrinks a history that is not linearizable. Pure.
 *
 * Each step removes operations in a way that keeps a linearizable history
 * linearizable. So a shrunk history that has no order shows that the original has
 * none.
 *
 * - **Cutting the end** at a time t. Given an order of the whole history, its
 *   operations up to t are an order of everything answered by t, plus some
 *   operations in progress at t, which count as unanswered.
 * - **Cutting the start** at a time t. Given an order of the whole history, take
 *   the part after the last operation that was answered by t, starting from
 *   the value that the key has there. It contains everything invoked after t, and
 *   some of the operations in progress at t, which count as unanswered.
 * - **Removing single operations.** A get or a refusal does not change the key, so
 *   the order without it is valid. A write becomes unanswered, which removes a
 *   constraint and adds none; it is dropped if no operation can need it (`needed` in
 *   `problem.ts`).
 *
 * Refusals that a concurrent write explains are removed first: otherwise the
 * write that explains them could be removed before them.
 */
import { countPassing } from "../../../internal/binarySearch.ts"
import type { Initial, Operation } from "../../Linearizability.ts"
import { isUnanswered, make, withoutEmptyRefusals } from "./problem.ts"
import { search, type SearchResult } from "./search.ts"

export interface Rules {
  readonly conflictsInFlight: boolean
  readonly maxSteps: number
}

/** Searches for an order of the operations of one key. */
export const attempt = (
  operations: ReadonlyArray<Operation>,
  initial: Initial,
  rules: Rules,
  explains = false
): SearchResult =>
  search(make(withoutEmptyRefusals(operations, rules.conflictsInFlight), initial), rules.maxSteps, explains)

/** Limits one attempt to shrink: another attempt may be faster. */
const mostSteps = 100_000

export interface Shrunk {
  readonly operations: ReadonlyArray<Operation>
  readonly initial: Initial
}

/** Whether the operation can be placed after that time. */
const isUnderWay = (operation: Operation, time: number) => isUnanswered(operation) || operation.returned! > time

/** Drops the answer: a write becomes unanswered; a get or a refusal is removed. */
const forget = (operation: Operation): ReadonlyArray<Operation> =>
  operation.input._tag === "Get" || operation.outcome._tag === "Refused"
    ? []
    : [{ ...operation, returned: undefined, outcome: { _tag: "Unknown" } }]

const until = (operations: ReadonlyArray<Operation>, time: number) =>
  operations.filter(({ invoked }) => invoked <= time).flatMap((operation) =>
    isUnanswered(operation) || !isUnderWay(operation, time) ? operation : forget(operation)
  )

const from = (operations: ReadonlyArray<Operation>, time: number) =>
  operations.filter((operation) => isUnderWay(operation, time)).flatMap((operation) =>
    isUnanswered(operation) || operation.invoked > time ? operation : forget(operation)
  )

/** Returns the last item that passes; all items that pass must come first in the list. */
const lastThat = <A>(list: ReadonlyArray<A>, passes: (item: A) => boolean): A | undefined =>
  list[countPassing(list, passes) - 1]

const answers = (operations: ReadonlyArray<Operation>) =>
  [...new Set(operations.flatMap((operation) => isUnanswered(operation) ? [] : operation.returned!))]
    .toSorted((a, b) => a - b)

/** Removes the operations that the search ignores. Keeps the order of the others. */
const simplified = ({ initial, operations }: Shrunk, { conflictsInFlight }: Rules): Shrunk => {
  const { maybes, tasks } = make(withoutEmptyRefusals(operations, conflictsInFlight), initial)
  const kept = new Set([...tasks, ...maybes.flat()].map(({ operation }) => operation))
  return { initial, operations: operations.filter((operation) => kept.has(operation)) }
}

/** Removes operations in chunks: first all at once, then in halves, down to single operations. */
const withoutNeedless = (start: Shrunk, isWrong: (shrunk: Shrunk) => boolean, rules: Rules): Shrunk => {
  let best = start
  for (let size = best.operations.length; size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
    for (let index = 0; index < best.operations.length;) {
      const chosen = new Set(best.operations.slice(index, index + size))
      const forgotten = new Set<Operation>()
      const operations = best.operations.flatMap((operation) => {
        if (!chosen.has(operation)) return operation
        const rest = forget(operation)
        rest.forEach((one) => forgotten.add(one))
        return rest
      })
      const next = simplified({ ...best, operations }, rules)
      const isGone = next.operations.length < best.operations.length &&
        !next.operations.some((operation) => forgotten.has(operation))
      if (isGone && isWrong(next)) best = next
      else index += size
    }
  }
  return best
}

/** Returns the smallest part of a history that the steps above find and that has no order. */
export const shrink = (operations: ReadonlyArray<Operation>, initial: Initial, rules: Rules): Shrunk => {
  const quickly = { ...rules, maxSteps: Math.min(rules.maxSteps, mostSteps) }
  const isWrong = (shrunk: Shrunk) => attempt(shrunk.operations, shrunk.initial, quickly)._tag === "None"
  const whole = { operations: withoutEmptyRefusals(operations, rules.conflictsInFlight), initial }

  const lastRight = lastThat(
    answers(whole.operations),
    (time) => !isWrong({ initial, operations: until(whole.operations, time) })
  )
  const end = answers(whole.operations).find((time) => lastRight === undefined || time > lastRight)
  const begun = end === undefined ? whole : { initial, operations: until(whole.operations, end) }
  const first = isWrong(begun) ? begun : whole

  const cut = (time: number): Shrunk => ({ initial: "anything", operations: from(first.operations, time) })
  const start = lastThat([-Infinity, ...answers(first.operations)], (time) => isWrong(cut(time)))
  const second = start === undefined ? first : cut(start)

  const simple = simplified(second, rules)
  return withoutNeedless(isWrong(simple) ? simple : second, isWrong, rules)
}
