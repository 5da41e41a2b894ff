/**
 * A run that failed, as a person reads it: what was wrong, with what it can be had
 * again, and what happened around it.
 */
import type { Violation } from "./checksModels.ts"

/** Of a timeline, in a message: the rest is in the error. */
const mostLines = 60

/** Of these from the first fault on, where the violation is far away; the others lead up to it. */
const leadingLines = 20

/** What came of it right afterwards. */
const trailingLines = 3

const millisPerHour = 3_600_000

/** Renewals and beats that the store takes say nothing of what went wrong. */
const isRoutine = (line: string): boolean =>
  / store {2,}\$KV\.[^.]+\.(?:election|service-instances)\.\S+ @\d+ put$/.test(line)

const linesOf = (violation: Violation | string): ReadonlyArray<string> =>
  typeof violation === "string"
    ? [violation === "" ? "(a violation without a text)" : violation]
    : [`${violation.rule}: ${violation.message}`].concat(violation.history.map((line) => `  ${line}`))

/** Violations of one rule are alike: the first of each says most. */
const summaryOf = (violations: ReadonlyArray<Violation | string>): ReadonlyArray<string> => {
  const byRule = Map.groupBy(violations, (one) => typeof one === "string" ? one : one.rule)
  return Array.from(byRule.values()).flatMap((alike) => {
    const more = alike.length === 1 ? [] : [`  (and ${alike.length - 1} more of this kind)`]
    return linesOf(alike[0]!).concat(more)
  })
}

/** Seconds. */
const timeOf = (line: string): number => Number(/^ *([\d.]+) s/.exec(line)?.[1] ?? Number.POSITIVE_INFINITY)

/** From shortly before the first fault on; and what leads up to the first violation, where that is known. */
const excerptOf = (timeline: string, from: number, violated: number | undefined): ReadonlyArray<string> => {
  const lines = timeline.split("\n").filter((line) => line !== "" && !isRoutine(line))
  const first = Math.max(0, lines.findIndex((line) => timeOf(line) >= from))
  const after = violated === undefined ? -1 : lines.findIndex((line) => timeOf(line) > violated)
  const end = violated === undefined ? first : (after === -1 ? lines.length : after) + trailingLines
  const isNear = end - first <= mostLines
  const shown = isNear
    ? lines.slice(first, first + mostLines)
    : [
      ...lines.slice(first, first + leadingLines),
      "  ...",
      ...lines.slice(end - (mostLines - leadingLines), end)
    ]
  const left = lines.length - (isNear ? shown.length : shown.length - 1)
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
  readonly violations: ReadonlyArray<Violation | string>
  readonly seed: number
  /** In order of time; milliseconds after `starting`. */
  readonly faults: ReadonlyArray<{ readonly at: number; readonly text: string }>
  /** How long nothing went wrong: milliseconds. */
  readonly starting: number
  readonly clocks: ReadonlyArray<Clock>
  /** Whether it was tried with fewer faults. */
  readonly isSmallest: boolean
  readonly replay: string
  readonly timeline: string
}

/** Milliseconds before the first fault from which on it is told. */
const lead = 1000

const earliest = (violations: ReadonlyArray<Violation | string>): number | undefined => {
  const times = violations.flatMap((one) => typeof one === "string" ? [] : [one.at])
  return times.length === 0 ? undefined : Math.min(...times) / 1000
}

export const format = (failed: Failed): string => {
  const { clocks, faults, isSmallest, replay, seed, starting, timeline, violations } = failed
  const counted = starting === 0 ? "" : `, counted from ${starting / 1000} s on`
  const smallest = isSmallest ? " (with fewer it did not fail)" : ""
  const from = (starting + (faults[0]?.at ?? 0) - lead) / 1000
  return [
    ...summaryOf(violations),
    "",
    `seed ${seed}, with these faults${counted}${smallest}:`,
    ...(faults.length === 0 ? ["  none: nothing goes wrong"] : faults.map(({ text }) => `  ${text}`)),
    `clocks: ${clocks.map(clockOf).join(", ")}`,
    `replay: ${replay}`,
    "",
    ...excerptOf(timeline, from, earliest(violations))
  ].join("\n")
}
