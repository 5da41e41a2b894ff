/**
 * Whether what a checker was given can be judged at all: with a time that is no
 * number every comparison is false, and every rule seems to be kept.
 */
import type { Finding } from "./checksReport.ts"

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

/** Judges what can be judged: with the numbers that it needs, `"options.within"`, and no others that are none. */
export const ifWellFormed = (
  given: Readonly<Record<string, unknown>>,
  judge: () => ReadonlyArray<Finding>,
  needed: Readonly<Record<string, unknown>> = {}
): ReadonlyArray<Finding> => {
  for (const [name, value] of Object.entries(needed)) {
    if (typeof value === "number") continue
    const message = `${name}: expected a number, got ${String(value)}`
    return [{ rule: "the history is well formed", at: 0, message, facts: [] }]
  }
  for (const [name, value] of Object.entries(given)) {
    const message = problemIn(value, name)
    if (message !== undefined) return [{ rule: "the history is well formed", at: 0, message, facts: [] }]
  }
  return judge()
}
