/**
 * Whether sweepers removed only who was dead.
 */
import type { RosterHistory, RosterTimes } from "./checksModels.ts"
import { beat, type Records, removed } from "./checksRecords.ts"
import { type Found, seconds } from "./checksReport.ts"
import { lastBefore, lastUntil } from "./checksSpans.ts"

/** Swept before anybody can have seen for long enough that its last beat is older than `maxAge`. */
export const sweeps = (
  { removals }: RosterHistory,
  { confirmation = 0, lateness, maxAge }: RosterTimes,
  { all }: Records
): ReadonlyArray<Found> =>
  removals.flatMap((removal) => {
    if (removal.how !== "swept") return []
    const { at, instance } = removal
    const { beats, lost } = all.get(instance)!
    const last = lastBefore(beats, at)
    // Any clock may be wrong by `lateness`.
    const dead = last + maxAge - lateness
    // A beat that was rolled back was never seen.
    if (at >= dead + confirmation || lastUntil(lost, at) >= last) return []
    const seen = at < dead
      ? { how: `had beaten ${seconds(at - last)} s before`, facts: [] }
      : {
        how: `cannot have been seen dead for more than ${seconds(at - dead)} s`,
        facts: [{ at: dead, who: instance, what: "can be seen dead" }]
      }
    return [{
      rule: "only the dead are swept",
      at,
      message: `${instance} was swept, and ${seen.how}`,
      facts: [beat(instance, last), ...seen.facts, removed(removal)]
    }]
  })
