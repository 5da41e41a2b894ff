/**
 * Whether a history is one: with times that go back, or that are no numbers, every
 * order would seem to be right, or none. Pure.
 */
import type { CheckOptions, Input, Malformed, Operation, Outcome } from "./history.ts"

const inputs: ReadonlySet<string> = new Set<Input["_tag"]>(["Get", "Put", "Remove"])

const outcomes: ReadonlySet<string> = new Set<Outcome["_tag"]>([
  "None",
  "Found",
  "Written",
  "Removed",
  "Refused",
  "Unknown",
  "Failed"
])

const problemOf = ({ input, invoked, outcome, returned }: Operation): string | undefined => {
  if (!Number.isFinite(invoked)) return `invoked: expected a time, got ${invoked}`
  if (returned !== undefined && !(returned >= invoked)) {
    return `returned: expected a time from ${invoked} on, when it was invoked, got ${returned}`
  }
  if (!inputs.has(input._tag)) return `input: expected one of ${[...inputs].join(", ")}, got ${input._tag}`
  if (!outcomes.has(outcome._tag)) return `outcome: expected one of ${[...outcomes].join(", ")}, got ${outcome._tag}`
  return "revision" in outcome && !Number.isSafeInteger(outcome.revision)
    ? `outcome.revision: expected a whole number, got ${outcome.revision}`
    : undefined
}

export const malformedIn = (
  history: ReadonlyArray<Operation>,
  maxSteps: NonNullable<CheckOptions["maxSteps"]>
): Malformed | undefined => {
  if (!(maxSteps > 0)) {
    return {
      _tag: "Malformed",
      operation: undefined,
      explanation: `maxSteps: expected a number above 0, got ${maxSteps}`
    }
  }
  for (const [index, operation] of history.entries()) {
    const problem = problemOf(operation)
    if (problem !== undefined) return { _tag: "Malformed", operation, explanation: `operation ${index}: ${problem}` }
  }
  return undefined
}
