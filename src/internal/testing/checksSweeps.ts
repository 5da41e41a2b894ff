/**
 * Whether sweepers removed only who was dead.
 */
import type { RosterHistory, RosterTimes } from "./checksModels.ts"
import { beat, type Records, removed } from "./checksRecords.ts"
import { type Found, seconds } from "./checksReport.ts"
import { lastBefore } from "./checksSpans.ts"

/** Swept although its last beat was younger than `maxAge`, by as much as any clock may be wrong. */
export const sweeps = (
  { removals }: RosterHistory,
  { lateness, maxAge }: RosterTimes,
  { all }: Records
): ReadonlyArray<Found> =>
  removals.flatMap((removal) => {
    if (removal.how !== "swept") return []
    const last = lastBefore(all.get(removal.instance)!.beats, removal.at)
    const age = removal.at - last
    if (age >= maxAge - lateness) return []
    return [{
      rule: "only the dead are swept",
      at: removal.at,
      message: `${removal.instance} was swept, and had beaten ${seconds(age)} s before`,
      facts: [beat(removal.instance, last), removed(removal)]
    }]
  })
