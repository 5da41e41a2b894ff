/**
 * The waits of a candidate that last longer than its own lease, for the log. A leader with other timings decides how long
 * its challengers wait, and this is seldom meant. Pure.
 */
import * as Duration from "effect/Duration"
import { quoted } from "../texts.ts"
import type { Observation } from "./challenger.ts"
import { leaseFor } from "./record.ts"

export interface LongWait {
  /** Waits for the same reason are logged once a minute. */
  readonly reason: string
  readonly line: string
}

const shown = (millis: number): string => Duration.format(Duration.millis(Math.round(millis)))

/** The lease of another leader, and how long it counts. */
const leaseOf = (leaseMillis: number, leaseDuration: number): string => {
  const counted = leaseFor(leaseMillis)
  return `${shown(leaseMillis)}, which is longer than the own leaseDuration of ${shown(leaseDuration)}` +
    (counted < leaseMillis ? `, and counts as ${shown(counted)}, the longest leaseDuration` : "")
}

/** Undefined if the candidate waits for no lease, or for one that is not longer than its own. */
export const longWait = (
  election: string,
  { lastHeld, seen }: Observation,
  leaseDuration: number
): LongWait | undefined => {
  if (seen._tag === "Held" && seen.record.leaseMillis > leaseDuration) {
    const { leaseMillis } = seen.record
    const leader = quoted(seen.record.candidateId)
    return {
      reason: leader,
      line: `the leader of "${election}", ${leader}, has a lease of ${leaseOf(leaseMillis, leaseDuration)}: if it ` +
        "crashes, this candidate waits for that time"
    }
  }
  if (seen._tag === "Absent" && lastHeld?._tag === "Known" && lastHeld.leaseMillis > leaseDuration) {
    return {
      reason: "removed",
      line: `the record of "${election}" was removed, and its leader may still lead: it had a lease of ` +
        `${leaseOf(lastHeld.leaseMillis, leaseDuration)}: this candidate waits for that time`
    }
  }
  return undefined
}
