/**
 * Whether a history is one: with times that go back, or that are no numbers, every
 * order would seem to be right, or none. Pure.
 */
import { kindOf } from "../../../internal/options.ts"
import type { Input, Malformed, Operation, Outcome } from "../../Linearizability.ts"

const inputs: ReadonlyArray<string> = ["Get", "Put", "Remove"] satisfies ReadonlyArray<Input["_tag"]>

/** An answer that its question cannot have is no mistake of the history, but one that the store made. */
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
  // The outcome of what was not answered is not looked at.
  if (returned === undefined) return undefined
  if (!(Number.isFinite(returned) && returned >= invoked)) {
    return `returned: expected a time from ${invoked} on, when it was invoked, got ${returned}`
  }
  return answerProblem(outcome)
}

export const malformed = (explanation: string, operation?: Operation): Malformed => ({
  _tag: "Malformed",
  operation,
  explanation
})

export const malformedIn = (history: ReadonlyArray<Operation>): Malformed | undefined => {
  if (!Array.isArray(history)) return malformed(`history: expected a list of operations, got ${kindOf(history)}`)
  for (const [index, operation] of history.entries()) {
    const problem = problemOf(operation)
    if (problem !== undefined) return malformed(`operation ${index}: ${problem}`, operation)
  }
  return undefined
}
