/**
 * Whether what a checker was given can be judged at all: with a time that is no
 * number every comparison is false, and every rule seems to be kept.
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

/** What has a beginning and an end. */
const isBackwards = (given: object): given is { readonly from: number; readonly until: number } =>
  "from" in given && "until" in given && typeof given.from === "number" && typeof given.until === "number" &&
  given.until < given.from

/** The first number in it that is none, or end that comes before its beginning, and where. */
const problemIn = (given: unknown, where: string): string | undefined => {
  if (typeof given === "number") return Number.isNaN(given) ? `${where}: expected a number, got NaN` : undefined
  if (typeof given !== "object" || given === null) return undefined
  if (isBackwards(given)) return `${where}.until: expected a time from ${given.from} on, got ${given.until}`
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
  elections: thatIs(isText, "a list of names of elections"),
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

/** Judges a history, or reports why it cannot be judged. */
export const ifWellFormed = (history: unknown, judge: () => ReadonlyArray<Finding>): ReadonlyArray<Finding> => {
  if (typeof history !== "object" || history === null) {
    return malformed(`history: expected the records of a run, got ${kindOf(history)}`)
  }
  const problem = problemIn(history, "history")
  return problem === undefined ? judge() : malformed(problem)
}

/** The same, with options: `where` is the parameter that they are given in. */
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
