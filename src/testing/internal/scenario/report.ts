/**
 * A run that failed, as a person reads it: what was wrong, with what it can be had
 * again, and what happened around it.
 */
import type { Violation } from "../../Checks.ts"

/** Of a timeline, in a message: the rest is in the error. */
const mostLines = 60

/** Of these from the first fault on, where the violation is far away; the others lead up to it. */
const leadingLines = 20

/** What came of it right afterwards. */
const trailingLines = 3

/** What is told of the time before: seconds. */
const lead = 1

const millisPerHour = 3_600_000

/** Renewals and heartbeats that the store takes say nothing of a violation. */
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

interface Told {
  /** Seconds. */
  readonly at: number
  readonly text: string
}

/** What goes on over several lines is of the time of the first. */
const told = (timeline: string): ReadonlyArray<Told> => {
  let at = 0
  return timeline.split("\n").filter((line) => line !== "" && !isRoutine(line)).map((text) => {
    at = Number(/^ *([\d.]+) s {2}/.exec(text)?.[1] ?? at)
    return { at, text }
  })
}

/** From shortly before the first fault on; and what leads up to the first violation, where that is known. Seconds. */
const excerptOf = (timeline: string, firstFault: number, violated: number | undefined): ReadonlyArray<string> => {
  const lines = told(timeline)
  const from = Math.min(firstFault, violated ?? firstFault) - lead
  const begin = lines.findIndex(({ at }) => at >= from)
  const begun = begin === -1 ? [] : lines.slice(begin)
  const until = violated === undefined ? 0 : begun.filter(({ at }) => at <= violated).length + trailingLines
  const shown = until <= mostLines
    ? begun.slice(0, mostLines)
    : [
      ...begun.slice(0, leadingLines),
      { at: 0, text: "  ..." },
      ...begun.slice(0, until).slice(leadingLines - mostLines)
    ]
  const left = lines.length - Math.min(shown.length, mostLines)
  const texts = shown.map(({ text }) => text)
  return left === 0 ? texts : [...texts, `(${left} more lines, and what is routine, are in the error's timeline)`]
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
  /** In order of time; milliseconds after `warmUp`. */
  readonly faults: ReadonlyArray<{ readonly at: number; readonly text: string }>
  /** How long nothing went wrong: milliseconds. */
  readonly warmUp: number
  readonly clocks: ReadonlyArray<MachineClock>
  /** When it ended, where it did not come to its verdict: milliseconds. */
  readonly endedAt: number | undefined
  /** Whether it was tried with fewer faults. */
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
  const counted = warmUp === 0 ? "" : `, counted from ${warmUp / 1000} s on`
  const smallest = isSmallest && faults.length > 0 ? " (with fewer it did not fail)" : ""
  const firstFault = warmUp + (faults[0]?.at ?? 0)
  const violated = earliest(violations) ?? endedAt
  return [
    ...summaryOf(violations),
    "",
    `seed ${seed}, with these faults${counted}${smallest}:`,
    ...(faults.length === 0 ? ["  none: nothing goes wrong"] : faults.map(({ text }) => `  ${text}`)),
    `clocks: ${clocks.map(clockOf).join(", ")}`,
    `replay: ${replay}`,
    "",
    ...excerptOf(timeline, firstFault / 1000, violated === undefined ? undefined : violated / 1000)
  ].join("\n")
}
