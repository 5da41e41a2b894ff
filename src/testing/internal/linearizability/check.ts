/**
 * Checks a history: first the operations of each key, then the revisions of all
 * keys together. Pure.
 */
import * as Result from "effect/Result"
import { flag, integer, kindOf, oneOf, read, withDefault } from "../../../internal/options.ts"
import type {
  Initial,
  Input,
  Malformed,
  NotLinearizable,
  Operation,
  Options,
  Outcome,
  Verdict
} from "../../Linearizability.ts"
import { explain } from "./describe.ts"
import { isUnanswered, withoutEmptyRefusals } from "./problem.ts"
import { contradictionIn } from "./revisions.ts"
import { attempt, type Rules, shrink } from "./shrink.ts"

// -----------------------------------------------------------------------------
// invalid histories
// -----------------------------------------------------------------------------

const inputs: ReadonlyArray<string> = ["Get", "Put", "Remove"] satisfies ReadonlyArray<Input["_tag"]>

/**
 * All valid outcomes. An outcome that does not fit its input (`Written` for a get) is still a valid history: it is an
 * error of the store, and the search rejects it.
 */
const outcomes: ReadonlyArray<string> = [
  "None",
  "Found",
  "Written",
  "Removed",
  "Refused",
  "Unknown",
  "Failed"
] satisfies ReadonlyArray<Outcome["_tag"]>

const answerProblem = (outcome: Outcome | undefined): string | undefined => {
  if (!isObject(outcome) || outcome === undefined || !outcomes.includes(outcome._tag)) {
    return `outcome: expected one of ${outcomes.join(", ")}, got ${outcome?._tag ?? "none"}`
  }
  if (outcome._tag !== "Found" && outcome._tag !== "Written") return undefined
  return Number.isSafeInteger(outcome.revision)
    ? undefined
    : `outcome.revision: expected a whole number, got ${outcome.revision}`
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null

const problemOf = (operation: Operation): string | undefined => {
  if (!isObject(operation)) return `expected an operation, got ${kindOf(operation)}`
  const { input, invoked, outcome, returned } = operation
  if (!Number.isFinite(invoked)) return `invoked: expected a time, got ${invoked}`
  if (!isObject(input) || !inputs.includes(input._tag)) {
    return `input: expected one of ${inputs.join(", ")}, got ${input?._tag ?? "none"}`
  }
  // The outcome of an unanswered operation is ignored.
  if (returned === undefined) return undefined
  if (!(Number.isFinite(returned) && returned >= invoked)) {
    return `returned: expected a time of at least ${invoked} (invoked), got ${returned}`
  }
  return answerProblem(outcome)
}

const malformed = (explanation: string, operation?: Operation): Malformed => ({
  _tag: "Malformed",
  operation,
  explanation
})

const malformedIn = (history: ReadonlyArray<Operation>): Malformed | undefined => {
  if (!Array.isArray(history)) return malformed(`history: expected a list of operations, got ${kindOf(history)}`)
  for (const [index, operation] of history.entries()) {
    const problem = problemOf(operation)
    if (problem !== undefined) return malformed(`operation ${index}: ${problem}`, operation)
  }
  return undefined
}

// -----------------------------------------------------------------------------
// the verdict
// -----------------------------------------------------------------------------

/** This many steps take a few seconds. A linearizable history needs about as many steps per key as it has writes. */
const usualMaxSteps = 2_000_000

/** A failed operation and an unanswered get do not constrain the order. */
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
    explanation: `the search stopped after ${maxSteps} steps without a result for these keys: ${names}`
  }
}
