/** Lists the guarantees of this library's watches that a report violates. Empty if there is no violation. */
import { quietKeys, type Report } from "./run.ts"
import type { Scenario } from "./scenarios.ts"
import { resetProblems } from "./verdict.ts"

/** Milliseconds from the first write of a new connection after the fault: the guaranteed limit for the first event. */
const firstEventWithin = 2500

/** A run with a smaller fraction of its intended write rate is not valid. */
const leastOfTheLoad = 0.9

/** Shows only the first five: one cause often has many effects. */
const some = (what: string, list: ReadonlyArray<string>): ReadonlyArray<string> =>
  list.length === 0 ? [] : [`${list.length} ${what}: ${list.slice(0, 5).join(", ")}`]

export const problems = (report: Report, scenario: Scenario, perSecond: number): ReadonlyArray<string> => {
  const { disordered, duplicates, firstEvent, missed, notRemoved, seen } = report
  return [
    ...some("keys whose last value the watch did not emit", missed),
    ...some("keys whose removal the watch did not emit", notRemoved),
    ...some("events emitted twice", duplicates),
    ...some("events out of order", disordered),
    ...seen.flatMap((event) => event._tag === "Ended" ? [`the watch ended: ${event.why}`] : []),
    ...(firstEvent === undefined
      ? ["the watch emitted no event after the fault"]
      : firstEvent > firstEventWithin
      ? [
        `the first event came ${
          Math.round(firstEvent)
        } ms after the first write, expected at most ${firstEventWithin} ms`
      ]
      : []),
    ...(report.perSecond < perSecond * leastOfTheLoad
      ? [`only ${Math.round(report.perSecond)} writes per second: the load was too low`]
      : []),
    ...(scenario.unwatched && report.traceless === 0
      ? ["no key was deleted without a delete marker: the fault was not exercised"]
      : []),
    ...(scenario.history > 1 && report.skipped > 0
      ? [`${report.skipped} values skipped, although the history kept them`]
      : []),
    ...(scenario.anew === "no"
      ? some(
        "additional Ready events, at",
        seen.flatMap((event) => event._tag === "Ready" ? [`${event.at}`] : []).slice(1)
      )
      : some("problems with the reset", resetProblems(seen, quietKeys, report.lastBefore)))
  ]
}
