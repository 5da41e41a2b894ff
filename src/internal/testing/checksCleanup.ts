/**
 * Whether cleanups removed only who was dead.
 */
import type { RegistryHistory, RegistryTimes } from "../../testing/Checks.ts"
import { heartbeat, removed, type Timelines } from "./checksRecords.ts"
import { type Finding, seconds } from "./checksReport.ts"
import { lastBefore, lastUntil } from "./checksSpans.ts"

/** Swept before anybody can have seen for long enough that its last beat is older than `maxAge`. */
export const cleanups = (
  { removals }: RegistryHistory,
  { confirmation = 0, tolerance, maxAge }: RegistryTimes,
  { all }: Timelines
): ReadonlyArray<Finding> =>
  removals.flatMap((removal) => {
    if (removal.how !== "cleanedUp") return []
    const { at, instance } = removal
    const { heartbeats, lost } = all.get(instance)!
    const last = lastBefore(heartbeats, at)
    // Any clock may be wrong by `tolerance`.
    const dead = last + maxAge - tolerance
    // A beat that was rolled back was never seen.
    if (at >= dead + confirmation || lastUntil(lost, at) >= last) return []
    const seen = at < dead
      ? { how: `had sent a heartbeat ${seconds(at - last)} s before`, facts: [] }
      : {
        how: `cannot have been seen dead for more than ${seconds(at - dead)} s`,
        facts: [{ at: dead, who: instance, what: "can be seen dead" }]
      }
    return [{
      rule: "only expired instances are cleaned up",
      at,
      message: `${instance} was cleaned up, and ${seen.how}`,
      facts: [heartbeat(instance, last), ...seen.facts, removed(removal)]
    }]
  })
