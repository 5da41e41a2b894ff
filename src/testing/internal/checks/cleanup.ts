/**
 * Checks that cleanups remove only expired instances.
 */
import type { RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { lastBefore, lastUntil } from "./intervals.ts"
import { type Finding, seconds } from "./report.ts"
import { heartbeat, removed, type Timelines } from "./timelines.ts"

/** Cleaned up before its last heartbeat can have been seen older than `maxAge` for long enough. */
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
    const expired = last + maxAge - tolerance
    // A heartbeat that was rolled back was never seen.
    if (at >= expired + confirmation || lastUntil(lost, at) >= last) return []
    const seen = at < expired
      ? { how: `had sent a heartbeat ${seconds(at - last)} s before`, facts: [] }
      : {
        how: `cannot have been seen expired for more than ${seconds(at - expired)} s`,
        facts: [{ at: expired, who: instance, what: "can be seen expired" }]
      }
    return [{
      rule: "only expired instances are cleaned up",
      at,
      message: `${instance} was cleaned up, and ${seen.how}`,
      facts: [heartbeat(instance, last), ...seen.facts, removed(removal)]
    }]
  })
