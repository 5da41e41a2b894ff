/**
 * Formats violations: the facts of each in order of time, one per line.
 */
import type { FencingToken } from "../../../FencingToken.ts"
import type { Rule, Violation } from "../../Checks.ts"

/** A recorded fact that proves a violation. */
export interface Fact {
  /** Milliseconds. */
  readonly at: number
  /** A node or an instance. */
  readonly who: string
  readonly what: string
}

/** A violation whose facts are not formatted yet. */
export interface Finding {
  readonly rule: Rule
  /** The earliest time at which the violation could be seen: milliseconds. */
  readonly at: number
  readonly message: string
  readonly facts: ReadonlyArray<Fact>
}

export const seconds = (millis: number): string => (millis / 1000).toFixed(3)

export const shown = (token: FencingToken): string => `${token.epoch}-${token.revision}`

/** The width of a time column for up to 99,999 s, which aligns the lines of a history. */
const timeWidth = 9

const lines = (facts: ReadonlyArray<Fact>): ReadonlyArray<string> => {
  const width = Math.max(...facts.map(({ who }) => who.length))
  return facts.toSorted((one, two) => one.at - two.at).map(({ at, what, who }) =>
    `${seconds(at).padStart(timeWidth)} s  ${who.padEnd(width)}  ${what}`
  )
}

/** Formats findings, sorted by time. */
export const report = (found: ReadonlyArray<Finding>): ReadonlyArray<Violation> =>
  found.toSorted((one, two) => one.at - two.at).map(({ at, facts, message, rule }) => ({
    rule,
    at,
    message,
    history: lines(facts)
  }))
