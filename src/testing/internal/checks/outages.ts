/**
 * Outages that records show (docs/protocols/registry.md, R29): a lookup may list an instance that was live when the
 * others of its service fell silent, until `maxAge` after one of these sent a heartbeat again.
 */
import type { Lookup, RegistryTimes } from "../../Checks.ts"
import { countUntil } from "./intervals.ts"
import type { InstanceTimeline } from "./timelines.ts"

/** A heartbeat counts as missed after this many intervals, and not before `maxAge` without one interval. */
const missedAfter = 1.5

/** The number of instances that must have missed heartbeats. */
const fewest = 2

/** Whether a lookup may list an instance with this last heartbeat, because others missed heartbeats at that time. */
export const mayBeKept = (
  last: number,
  { from, until }: Lookup,
  ofService: ReadonlyArray<InstanceTimeline>,
  { heartbeat, maxAge, tolerance }: RegistryTimes
): boolean =>
  ofService.filter(({ heartbeats }) => {
    for (let index = countUntil(heartbeats, until) - 1; index > 0; index--) {
      const [after, since] = [heartbeats[index - 1]!, heartbeats[index]!]
      if (since < from - maxAge - tolerance) return false
      const isMissed = since - after > Math.max(heartbeat * missedAfter, maxAge - heartbeat) - tolerance
      if (isMissed && last <= since && last + maxAge + tolerance >= after) return true
    }
    return false
  }).length >= fewest
