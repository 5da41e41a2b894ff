/**
 * Formats the report of a failed run: its violations, its plan and replay text, and an excerpt of its timeline.
 */
import type { Violation } from "../../Checks.ts"

/** The number of timeline lines in a report from the first fault on, and before and after the violation. */
const leadingLines = 20
const linesBefore = 25
const linesAfter = 15

/** The maximum number of timeline lines in a report. The error has the complete timeline. */
const mostLines = leadingLines + linesBefore + linesAfter

/** How long before the first fault the excerpt begins: seconds. */
const lead = 1

const millisPerHour = 3_600_000

/** Whether a line reports a stored renewal or heartbeat, which does not help to explain a violation. */
const isRoutine = (line: string): boolean =>
  / store {2,}\$KV\.[^.]+\.(?:election|service-instances)\.\S+ @\d+ put$/.test(line)

const linesOf = (violation: Violation | string): ReadonlyArray<string> =>
  typeof violation === "string"
    ? [violation === "" ? "(a violation with an empty text)" : violation]
    : [`${violation.rule}: ${violation.message}`].concat(violation.history.map((line) => `  ${line}`))

/** The first violation of each rule, and the number of the others. */
const summaryOf = (violations: ReadonlyArray<Violation | string>): ReadonlyArray<string> => {
  const byRule = Map.groupBy(violations, (one) => typeof one === "string" ? one : one.rule)
  return Array.from(byRule.values()).flatMap((alike) => {
    const more = alike.length === 1 ? [] : [`  (and ${alike.length - 1} more of this kind)`]
    return linesOf(alike[0]!).concat(more)
  })
}

/** A line of a timeline. */
interface Told {
  /** Seconds. */
  readonly at: number
  readonly text: string
}

/** Stands for the lines that are left out. */
const gap: Told = { at: 0, text: "  ..." }

/** The lines of a timeline, without routine lines. The further lines of a note have the time of its first line. */
const told = (timeline: string): ReadonlyArray<Told> => {
  let at = 0
  return timeline.split("\n").filter((line) => line !== "" && !isRoutine(line)).map((text) => {
    at = Number(/^ *([\d.]+) s {2}/.exec(text)?.[1] ?? at)
    return { at, text }
  })
}

/**
 * The lines from shortly before the first fault on, and the lines around the first violation. Times are in seconds. Without a
 * violation that has a time, or with one soon after the fault: the lines from the fault on.
 */
const excerptOf = (timeline: string, firstFault: number, violated: number | undefined): ReadonlyArray<string> => {
  const lines = told(timeline)
  const from = Math.min(firstFault, violated ?? firstFault) - lead
  const begun = lines.slice(lines.filter(({ at }) => at < from).length)
  const after = violated === undefined ? 0 : begun.filter(({ at }) => at <= violated).length
  const isNear = after - linesBefore <= leadingLines
  const shown = isNear
    ? begun.slice(0, mostLines)
    : [...begun.slice(0, leadingLines), gap, ...begun.slice(after - linesBefore, after + linesAfter)]
  const left = lines.length - shown.filter((line) => line !== gap).length
  const texts = shown.map(({ text }) => text)
  return left === 0
    ? texts
    : [...texts, `(${left} more lines, and stored renewals and heartbeats, are in the timeline of the error)`]
}

export interface MachineClock {
  readonly id: string
  /** Milliseconds. */
  readonly offset: number
  readonly rate: number
}

const clockOf = ({ id, offset, rate }: MachineClock): string =>
  `${id} ${offset < 0 ? "-" : "+"}${(Math.abs(offset) / millisPerHour).toFixed(2)} h x${rate.toFixed(3)}`

export interface Failed {
  readonly violations: ReadonlyArray<Violation | string>
  readonly seed: number
  /** In order of time: milliseconds after `warmUp`. */
  readonly faults: ReadonlyArray<{ readonly at: number; readonly text: string }>
  /** The time before faults begin: milliseconds. */
  readonly warmUp: number
  readonly clocks: ReadonlyArray<MachineClock>
  /** When the run ended without a check for violations: milliseconds. Undefined: the check was evaluated. */
  readonly endedAt: number | undefined
  /** Whether shrinking has tried all smaller plans. */
  readonly isSmallest: boolean
  readonly replay: string
  readonly timeline: string
}

const earliest = (violations: ReadonlyArray<Violation | string>): number | undefined => {
  const times = violations.flatMap((one) => typeof one === "string" ? [] : [one.at])
  return times.length === 0 ? undefined : Math.min(...times)
}

export const format = (failed: Failed): string => {
  const { clocks, endedAt, faults, isSmallest, replay, seed, warmUp, timeline, violations } = failed
  const counted = warmUp === 0 ? "" : `, times counted from ${warmUp / 1000} s`
  const smallest = isSmallest && faults.length > 0 ? " (no smaller plan failed)" : ""
  const firstFault = warmUp + (faults[0]?.at ?? 0)
  const violated = earliest(violations) ?? endedAt
  return [
    ...summaryOf(violations),
    "",
    `seed ${seed}, with these faults${counted}${smallest}:`,
    ...(faults.length === 0 ? ["  no faults"] : faults.map(({ text }) => `  ${text}`)),
    `clocks: ${clocks.map(clockOf).join(", ")}`,
    `replay: ${replay}`,
    "",
    ...excerptOf(timeline, firstFault / 1000, violated === undefined ? undefined : violated / 1000)
  ].join("\n")
}
