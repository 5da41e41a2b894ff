/**
 * A run that failed, as a person reads it: what was wrong, with what it can be had
 * again, and what happened around it.
 */
import type { Violation } from "./checksModels.ts"

/** Of a timeline, in a message: the rest is in the error. */
const mostLines = 60

const millisPerHour = 3_600_000

/** Renewals and beats that the store takes say nothing of what went wrong. */
const isRoutine = (line: string): boolean =>
  / store {2,}\$KV\.[^.]+\.(?:election|service-instances)\.\S+ @\d+ put$/.test(line)

const linesOf = (violation: Violation | string): ReadonlyArray<string> =>
  typeof violation === "string"
    ? [violation]
    : [`${violation.rule}: ${violation.message}`].concat(violation.history.map((line) => `  ${line}`))

/** Violations of one rule are alike: the first of each says most. */
export const summaryOf = (violations: ReadonlyArray<Violation | string>): ReadonlyArray<string> => {
  const byRule = Map.groupBy(violations, (one) => typeof one === "string" ? one : one.rule)
  return Array.from(byRule.values()).flatMap((alike) => {
    const more = alike.length === 1 ? [] : [`  (and ${alike.length - 1} more of this kind)`]
    return linesOf(alike[0]!).concat(more)
  })
}

/** From shortly before the first fault on. */
const excerptOf = (timeline: string, from: number): ReadonlyArray<string> => {
  const lines = timeline.split("\n").filter((line) => line !== "" && !isRoutine(line))
  const secondsOf = (line: string) => Number(/^ *([\d.]+) s/.exec(line)?.[1] ?? Number.POSITIVE_INFINITY)
  const first = lines.findIndex((line) => secondsOf(line) >= from)
  const shown = lines.slice(Math.max(0, first), Math.max(0, first) + mostLines)
  const left = lines.length - shown.length
  return left === 0 ? shown : [...shown, `(${left} more lines, and what is routine, are in the error's timeline)`]
}

export interface Clock {
  readonly id: string
  /** Milliseconds. */
  readonly offset: number
  readonly rate: number
}

const clockOf = ({ id, offset, rate }: Clock): string =>
  `${id} ${offset < 0 ? "-" : "+"}${(Math.abs(offset) / millisPerHour).toFixed(2)} h x${rate.toFixed(3)}`

export interface Failed {
  readonly summary: ReadonlyArray<string>
  readonly seed: number
  /** In order of time, a line each. */
  readonly faults: ReadonlyArray<string>
  /** When the first of them strikes, in seconds. */
  readonly firstFault: number
  readonly clocks: ReadonlyArray<Clock>
  readonly replay: string | undefined
  readonly timeline: string
}

export const format = ({ clocks, faults, firstFault, replay, seed, summary, timeline }: Failed): string =>
  [
    ...summary,
    "",
    replay === undefined
      ? `seed ${seed}, with these faults:`
      : `seed ${seed}, with these faults (with fewer it did not fail):`,
    ...(faults.length === 0 ? ["  none: nothing goes wrong"] : faults.map((fault) => `  ${fault}`)),
    `clocks: ${clocks.map(clockOf).join(", ")}`,
    ...(replay === undefined ? [] : [`replay: ${replay}`]),
    "",
    ...excerptOf(timeline, firstFault - 1)
  ].join("\n")
