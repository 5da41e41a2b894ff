/**
 * Whether a history is one: with times that go back, or that are no numbers, every
 * order would seem to be right, or none. Pure.
 */
import type { Initial, Input, Malformed, Operation, Outcome } from "../../../testing/Linearizability.ts"

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
  if (outcome === undefined || !outcomes.includes(outcome._tag)) {
    return `outcome: expected one of ${outcomes.join(", ")}, got ${outcome?._tag ?? "none"}`
  }
  if (outcome._tag !== "Found" && outcome._tag !== "Written") return undefined
  return Number.isSafeInteger(outcome.revision)
    ? undefined
    : `outcome.revision: expected a whole number, got ${outcome.revision}`
}

const problemOf = ({ input, invoked, outcome, returned }: Operation): string | undefined => {
  if (!Number.isFinite(invoked)) return `invoked: expected a time, got ${invoked}`
  if (!inputs.includes(input._tag)) return `input: expected one of ${inputs.join(", ")}, got ${input._tag}`
  // The outcome of what was not answered is not looked at.
  if (returned === undefined) return undefined
  if (!(Number.isFinite(returned) && returned >= invoked)) {
    return `returned: expected a time from ${invoked} on, when it was invoked, got ${returned}`
  }
  return answerProblem(outcome)
}

export const malformedIn = (
  history: ReadonlyArray<Operation>,
  { initial, maxSteps }: { readonly initial: Initial; readonly maxSteps: number }
): Malformed | undefined => {
  const malformed = (explanation: string): Malformed => ({ _tag: "Malformed", operation: undefined, explanation })
  if (!(maxSteps > 0)) return malformed(`maxSteps: expected a number above 0, got ${maxSteps}`)
  if (initial !== "nothing" && initial !== "anything") {
    return malformed(`initial: expected "nothing" or "anything", got ${String(initial)}`)
  }
  for (const [index, operation] of history.entries()) {
    const problem = problemOf(operation)
    if (problem !== undefined) return { _tag: "Malformed", operation, explanation: `operation ${index}: ${problem}` }
  }
  return undefined
}
