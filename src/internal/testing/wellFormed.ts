/**
 * Whether what a checker was given can be judged at all: with a time that is no
 * number every comparison is false, and every rule seems to be kept.
 */
import type { Found } from "./checksReport.ts"

/** The first number in it that is none, and where. */
const problemIn = (given: unknown, where: string): string | undefined => {
  if (typeof given === "number") return Number.isNaN(given) ? `${where}: expected a number, got NaN` : undefined
  if (typeof given !== "object" || given === null) return undefined
  const isList = Array.isArray(given)
  for (const [name, value] of Object.entries(given)) {
    const problem = problemIn(value, isList ? `${where}[${name}]` : `${where}.${name}`)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** Judges what can be judged. */
export const ifWellFormed = (
  given: Readonly<Record<string, unknown>>,
  judge: () => ReadonlyArray<Found>
): ReadonlyArray<Found> => {
  for (const [name, value] of Object.entries(given)) {
    const message = problemIn(value, name)
    if (message !== undefined) return [{ rule: "the history is well formed", at: 0, message, facts: [] }]
  }
  return judge()
}
