/**
 * Validates histories and options. A NaN time would make every comparison false, and a check would find no violation.
 */
import * as Result from "effect/Result"
import {
  kindOf,
  optional,
  read,
  refuse,
  type Setting,
  type Settings,
  shown,
  thatIs
} from "../../../internal/options.ts"
import type { Finding } from "./report.ts"

/** Whether an object has a time span that ends before it begins. */
const isBackwards = (given: object): given is { readonly from: number; readonly until: number } =>
  "from" in given && "until" in given && typeof given.from === "number" && typeof given.until === "number" &&
  given.until < given.from

/**
 * Describes the first NaN, or the first span that ends before it begins, with its path. Undefined: the data is valid.
 */
const problemIn = (given: unknown, where: string): string | undefined => {
  if (typeof given === "number") return Number.isNaN(given) ? `${where}: expected a number, got NaN` : undefined
  if (typeof given !== "object" || given === null) return undefined
  if (isBackwards(given)) return `${where}.until: expected a time at or after ${given.from}, got ${given.until}`
  const isList = Array.isArray(given)
  for (const [name, value] of Object.entries(given)) {
    const problem = problemIn(value, isList ? `${where}[${name}]` : `${where}.${name}`)
    if (problem !== undefined) return problem
  }
  return undefined
}

const isText = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((one) => typeof one === "string")

const millis: Setting<number> = (name, value) =>
  typeof value === "number" && value >= 0
    ? Result.succeed(value)
    : refuse(name, "a number of milliseconds from 0", shown(value))

/** The options of `leaderWithin`. */
export const withinSettings = {
  elections: thatIs(isText, "a list of election names"),
  within: millis
}

/** The options of `registryAccuracy`. */
export const registrySettings = {
  maxAge: millis,
  heartbeat: millis,
  tolerance: millis,
  confirmation: optional(millis),
  readLag: optional(millis)
}

const malformed = (message: string): ReadonlyArray<Finding> => [
  { rule: "the history is well formed", at: 0, message, facts: [] }
]

/** Checks a history, or reports why it is invalid. */
export const ifWellFormed = (history: unknown, judge: () => ReadonlyArray<Finding>): ReadonlyArray<Finding> => {
  if (typeof history !== "object" || history === null) {
    return malformed(`history: expected a recorded history, got ${kindOf(history)}`)
  }
  const problem = problemIn(history, "history")
  return problem === undefined ? judge() : malformed(problem)
}

/** Checks a history if the options are valid, or reports the invalid option. `where` is the name of the parameter. */
export const ifValid = <S extends Settings>(
  where: string,
  options: unknown,
  settings: S,
  judge: () => ReadonlyArray<Finding>
): ReadonlyArray<Finding> =>
  Result.match(read(where, options, settings, `${where}.`), {
    onFailure: ({ problem }) => malformed(problem),
    onSuccess: judge
  })
