/** What a report of our own watch must show, as a list of what it does not. Empty where everything is as promised. */
import { quietKeys, type Report } from "./run.ts"
import type { Scenario } from "./scenarios.ts"
import { resetProblems } from "./verdict.ts"

/** Milliseconds from the first write that a new connection gets acknowledged after the fault: the promise. */
const firstEventWithin = 2500

/** A run that wrote less than this part of what it should have does not show what it says. */
const leastOfTheLoad = 0.9

/** The first few: one cause makes many. */
const some = (what: string, list: ReadonlyArray<string>): ReadonlyArray<string> =>
  list.length === 0 ? [] : [`${list.length} ${what}: ${list.slice(0, 5).join(", ")}`]

export const problems = (report: Report, scenario: Scenario, perSecond: number): ReadonlyArray<string> => {
  const { disordered, duplicates, firstEvent, missed, notRemoved, seen } = report
  return [
    ...some("last values missed", missed),
    ...some("keys that are gone, and not told", notRemoved),
    ...some("given twice", duplicates),
    ...some("out of order", disordered),
    ...seen.flatMap((event) => event._tag === "Ended" ? [`the watch ended: ${event.why}`] : []),
    ...(firstEvent === undefined
      ? ["no event after the fault"]
      : firstEvent > firstEventWithin
      ? [`the first event came ${Math.round(firstEvent)} ms after the first write, not within ${firstEventWithin} ms`]
      : []),
    ...(report.perSecond < perSecond * leastOfTheLoad ? [`only ${Math.round(report.perSecond)} writes a second`] : []),
    ...(scenario.unwatched && report.traceless === 0 ? ["no key was deleted without a trace"] : []),
    ...(scenario.history > 1 && report.skipped > 0 ? [`${report.skipped} values skipped that history keeps`] : []),
    ...(scenario.anew === "no"
      ? some("times Ready", seen.flatMap((event) => event._tag === "Ready" ? [`${event.at}`] : []).slice(1))
      : some("wrong with the reset", resetProblems(seen, quietKeys, report.lastBefore)))
  ]
}
