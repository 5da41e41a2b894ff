/**
 * Violations as a person reads them: facts in order of time, one a line.
 */
import type { FencingToken } from "../../../FencingToken.ts"
import type { Rule, Violation } from "../../Checks.ts"

export interface Fact {
  readonly at: number
  readonly who: string
  readonly what: string
}

export interface Finding {
  readonly rule: Rule
  /** When it could first be seen. */
  readonly at: number
  readonly message: string
  readonly facts: ReadonlyArray<Fact>
}

export const seconds = (millis: number): string => (millis / 1000).toFixed(3)

export const shown = (token: FencingToken): string => `${token.epoch}-${token.revision}`

/** Room for 99,999 s, so that the lines of one history stand under each other. */
const timeWidth = 9

const lines = (facts: ReadonlyArray<Fact>): ReadonlyArray<string> => {
  const width = Math.max(...facts.map(({ who }) => who.length))
  return facts.toSorted((one, two) => one.at - two.at).map(({ at, what, who }) =>
    `${seconds(at).padStart(timeWidth)} s  ${who.padEnd(width)}  ${what}`
  )
}

/** The earliest first. */
export const report = (found: ReadonlyArray<Finding>): ReadonlyArray<Violation> =>
  found.toSorted((one, two) => one.at - two.at).map(({ at, facts, message, rule }) => ({
    rule,
    at,
    message,
    history: lines(facts)
  }))
