/**
 * Whether sweepers removed only who was dead.
 */
import type { RosterHistory, RosterTimes } from "./checksModels.ts"
import { beat, type Records, removed } from "./checksRecords.ts"
import { type Found, seconds } from "./checksReport.ts"
import { lastBefore, type Span, spanAt } from "./checksSpans.ts"
import { storeTroublesOf } from "./checksTroubles.ts"

/** When a sweeper can have seen first that somebody is dead: any clock may be wrong by `lateness`. */
const seenDead = (last: number, away: ReadonlyArray<Span>, { lateness, maxAge }: RosterTimes): number => {
  const dead = last + maxAge - lateness
  return spanAt(away, dead)?.until ?? dead
}

/** Swept before anybody can have seen for long enough that its last beat is older than `maxAge`. */
export const sweeps = (
  { removals, troubles }: RosterHistory,
  times: RosterTimes,
  { all }: Records
): ReadonlyArray<Found> => {
  const { confirmation = 0, readLag = 0 } = times
  // Copies may be read while their leader is away.
  const away = confirmation > 0 && readLag === 0 ? storeTroublesOf(troubles) : []
  return removals.flatMap((removal) => {
    if (removal.how !== "swept") return []
    const { at, instance } = removal
    const last = lastBefore(all.get(instance)!.beats, at)
    const dead = seenDead(last, away, times)
    if (at >= dead + confirmation) return []
    const rule = "only the dead are swept" as const
    if (at < dead) {
      return [{
        rule,
        at,
        message: `${instance} was swept, and had beaten ${seconds(at - last)} s before`,
        facts: [beat(instance, last), removed(removal)]
      }]
    }
    return [{
      rule,
      at,
      message: `${instance} was swept, and cannot have been seen dead for more than ${seconds(at - dead)} s`,
      facts: [beat(instance, last), { at: dead, who: instance, what: "can be seen dead" }, removed(removal)]
    }]
  })
}
