/**
 * The verdict on a history: each key on its own, then all revisions together.
 * Pure.
 */
import * as Result from "effect/Result"
import { flag, integer, oneOf, read, withDefault } from "../../../internal/options.ts"
import type { Initial, NotLinearizable, Operation, Options, Verdict } from "../../Linearizability.ts"
import { explain } from "./describe.ts"
import { malformed, malformedIn } from "./malformed.ts"
import { isUnanswered, withoutEmptyRefusals } from "./problem.ts"
import { contradictionIn } from "./revisions.ts"
import { attempt, type Rules, shrink } from "./shrink.ts"

/** Some seconds with one key. A history that is right takes hardly more steps than it has writes. */
const usualMaxSteps = 2_000_000

/** Neither a failure nor a get without an answer says anything. */
const constrains = (operation: Operation): boolean =>
  operation.outcome._tag !== "Failed" && !(operation.input._tag === "Get" && isUnanswered(operation))

const refuse = (
  key: string,
  operations: ReadonlyArray<Operation>,
  initial: Initial,
  rules: Rules
): NotLinearizable => {
  const shrunk = shrink(operations, initial, rules)
  const found = attempt(shrunk.operations, shrunk.initial, rules, true)
  return {
    _tag: "NotLinearizable",
    key,
    shortest: shrunk.operations,
    initial: shrunk.initial,
    explanation: found._tag === "None" && found.furthest !== undefined
      ? explain(shrunk.operations, found.furthest)
      : "no order explains all answers"
  }
}

const settings = {
  initial: withDefault(oneOf(["nothing", "anything"]), "nothing"),
  conflictsInFlight: withDefault(flag, true),
  maxSteps: withDefault(integer(1), usualMaxSteps)
}

export const check = (history: ReadonlyArray<Operation>, options?: Options): Verdict => {
  const asked = read("options", options, settings)
  if (Result.isFailure(asked)) return malformed(asked.failure.problem)
  const problem = malformedIn(history)
  if (problem !== undefined) return problem
  const { conflictsInFlight, initial, maxSteps } = asked.success
  const rules = { conflictsInFlight, maxSteps }
  const keys = Map.groupBy(history, ({ key }) => key)
  const undecided: Array<string> = []
  for (const [key, all] of keys) {
    const operations = withoutEmptyRefusals(all, conflictsInFlight).filter(constrains)
    const found = attempt(operations, initial, rules)
    if (found._tag === "None") return refuse(key, operations, initial, rules)
    if (found._tag === "GaveUp") undecided.push(key)
  }
  const contradiction = contradictionIn(history.filter(constrains), initial)
  if (contradiction !== undefined) {
    return {
      _tag: "NotLinearizable",
      key: undefined,
      shortest: contradiction.operations,
      initial: contradiction.initial,
      explanation: contradiction.explanation
    }
  }
  if (undecided.length === 0) return { _tag: "Linearizable", keys: keys.size, operations: history.length }
  const names = undecided.map((key) => JSON.stringify(key)).join(", ")
  return {
    _tag: "Undecided",
    keys: undecided,
    operations: history.length,
    explanation: `no order was found in ${maxSteps} steps, and not all were tried, of key ${names}`
  }
}
