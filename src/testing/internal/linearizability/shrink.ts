/**
 * A smaller history that cannot be explained either. Pure.
 *
 * Every step takes something from the history that cannot make a history wrong by
 * being taken: what has an order before has one after. So whatever still has none
 * was wrong before.
 *
 * - **The end.** Of an order of the whole, take the operations that have their
 *   place by some time: they are an order of what was answered by then, together
 *   with some of what was under way, which counts as unanswered.
 * - **The start.** Of an order of the whole, take what comes after the last
 *   operation that was answered before some time, beginning with whatever the key
 *   holds there. All that began after that time is in it; what was under way may
 *   be or not, and counts as unanswered.
 * - **One operation.** A get and a refusal leave the key as it was: an order
 *   without it is an order. A write counts as unanswered, which forgets something
 *   and asks for nothing; it goes if nothing can need it (`needed` in
 *   `problem.ts`).
 *
 * Refusals that another write under way is reason enough for are gone before any
 * of this, or the reason might be taken away first.
 */
import { countPassing } from "../../../internal/binarySearch.ts"
import type { Initial, Operation } from "../../Linearizability.ts"
import { isUnanswered, make, withoutEmptyRefusals } from "./problem.ts"
import { search, type SearchResult } from "./search.ts"

export interface Rules {
  readonly conflictsInFlight: boolean
  readonly maxSteps: number
}

/** Looks for an order of the operations of one key. */
export const attempt = (
  operations: ReadonlyArray<Operation>,
  initial: Initial,
  rules: Rules,
  explains = false
): SearchResult =>
  search(make(withoutEmptyRefusals(operations, rules.conflictsInFlight), initial), rules.maxSteps, explains)

/** An attempt to shrink that takes longer is not worth it: another one may be quick. */
const mostSteps = 100_000

export interface Shrunk {
  readonly operations: ReadonlyArray<Operation>
  readonly initial: Initial
}

/** Whether an operation may have its place after that time although it began before. */
const isUnderWay = (operation: Operation, time: number) => isUnanswered(operation) || operation.returned! > time

/** Reads and refusals say nothing any more. */
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

/** The last of a list that passes, if those that pass come first. */
const lastThat = <A>(list: ReadonlyArray<A>, passes: (item: A) => boolean): A | undefined =>
  list[countPassing(list, passes) - 1]

const answers = (operations: ReadonlyArray<Operation>) =>
  [...new Set(operations.flatMap((operation) => isUnanswered(operation) ? [] : operation.returned!))]
    .toSorted((a, b) => a - b)

/** What matters of a history, in the order in which it began. */
const simplified = ({ initial, operations }: Shrunk, { conflictsInFlight }: Rules): Shrunk => {
  const { maybes, tasks } = make(withoutEmptyRefusals(operations, conflictsInFlight), initial)
  const kept = new Set([...tasks, ...maybes.flat()].map(({ operation }) => operation))
  return { initial, operations: operations.filter((operation) => kept.has(operation)) }
}

/** Takes away as many at once as can be, and fewer and fewer, down to single ones. */
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

/** The smallest wrong history that can be found in one. */
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
