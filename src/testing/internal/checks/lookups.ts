/**
 * Checks lookups against the writes that the store took.
 */
import type { Lookup, RegistryHistory, RegistryTimes, Rule } from "../../Checks.ts"
import { disruptionsOf, recovery, silences, unsettledOf } from "./disruptions.ts"
import { lastBefore, lastUntil, touches } from "./intervals.ts"
import { type Fact, type Finding, seconds } from "./report.ts"
import { heartbeat, type InstanceTimeline, removed, type Timelines } from "./timelines.ts"

/** How far a lookup may be from the store; milliseconds. */
interface Leeway {
  /** Ages may be wrong by this much. */
  readonly age: number
  /** What the store took this long ago may not have been seen. */
  readonly lag: number
}

const longAgo = Number.NEGATIVE_INFINITY

/** The heartbeat for which the instance must be listed; none where it need not be. */
const requiredBy = (
  { heartbeats, lost, known }: InstanceTimeline,
  lookup: Lookup,
  maxAge: number,
  { age, lag }: Leeway
) => {
  const last = lastUntil(heartbeats, lookup.from - lag)
  const removedLast = Math.max(lastUntil(known, lookup.until), lastUntil(lost, lookup.until))
  return last !== longAgo && last >= lookup.until - maxAge + age && removedLast < last ? last : undefined
}

/** Why the instance must not be listed: it was removed, it is too old, or it never registered. */
type Absence = { readonly removedAt: number } | { readonly lastHeartbeat: number }

const forbiddenBy = (
  { heartbeats, lost, known }: InstanceTimeline,
  lookup: Lookup,
  maxAge: number,
  { age, lag }: Leeway
): Absence | undefined => {
  const last = lastUntil(heartbeats, lookup.until)
  // Strictly before: at one and the same moment either may have come first.
  const removedAt = lastBefore(known, lookup.from - lag)
  if (removedAt !== longAgo && last < removedAt && lastUntil(lost, lookup.until) < removedAt) return { removedAt }
  return last < lookup.from - maxAge - age ? { lastHeartbeat: last } : undefined
}

const lookedUp = ({ from, how, instances, node, service, until }: Lookup): Fact => ({
  at: until,
  who: node,
  what: how === "watch"
    ? `has "${service}" in its view as [${instances.join(", ")}]`
    : `lists "${service}" as [${instances.join(", ")}], from ${seconds(from)} s on`
})

const found = (rule: Rule, lookup: Lookup, how: string, proof: ReadonlyArray<Fact>): Finding => ({
  rule,
  at: lookup.until,
  message: `the ${lookup.how} of "${lookup.service}" on ${lookup.node} ${how}`,
  facts: [...proof, lookedUp(lookup)]
})

const missing = (record: InstanceTimeline, lookup: Lookup, lastHeartbeat: number): Finding =>
  found(
    "live instances are listed",
    lookup,
    `lacks ${record.instance}, whose last heartbeat came ${seconds(lookup.until - lastHeartbeat)} s ago`,
    [
      heartbeat(record.instance, lastHeartbeat)
    ]
  )

const unduly = (record: InstanceTimeline, lookup: Lookup, absence: Absence): Finding => {
  const has = `has ${record.instance}, which`
  if ("removedAt" in absence) {
    const removal = record.removals.find(({ at }) => at === absence.removedAt)!
    const how = `${has} was removed ${seconds(lookup.until - removal.at)} s ago`
    return found("expired instances are not listed", lookup, how, [removed(removal)])
  }
  if (absence.lastHeartbeat === longAgo) {
    return found("expired instances are not listed", lookup, `${has} has never sent a heartbeat`, [])
  }
  const how = `${has} has sent no heartbeat for ${seconds(lookup.until - absence.lastHeartbeat)} s`
  return found("expired instances are not listed", lookup, how, [heartbeat(record.instance, absence.lastHeartbeat)])
}

export const lookups = (history: RegistryHistory, times: RegistryTimes, records: Timelines): ReadonlyArray<Finding> => {
  const { tolerance, maxAge, readLag = 0 } = times
  const disruptions = disruptionsOf(history.disruptions)
  // A machine that was suspended has missed time, until it has noticed and asked the store for it.
  const unsettled = unsettledOf(history.disruptions, tolerance + recovery)
  // One instance alone is not enough to suspect the store instead of it.
  const silent = records.all.size > 1 ? silences(history, times) : []
  // After a disruption an observer has to reconnect, and live instances have to send a heartbeat.
  const settling = maxAge + tolerance + recovery

  const judge = (lookup: Lookup, record: InstanceTimeline, isListed: boolean, leeway: Leeway): Finding | undefined => {
    if (!isListed) {
      const lastHeartbeat = requiredBy(record, lookup, maxAge, leeway)
      return lastHeartbeat === undefined ? undefined : missing(record, lookup, lastHeartbeat)
    }
    const absence = forbiddenBy(record, lookup, maxAge, leeway)
    if (absence === undefined) return undefined
    if ("removedAt" in absence) return unduly(record, lookup, absence)
    const mayBeWrong = lookup.how === "watch"
      ? touches(silent, lookup.from - settling, lookup.until)
      : touches(unsettled(lookup.node), lookup.from, lookup.until)
    return mayBeWrong ? undefined : unduly(record, lookup, absence)
  }

  return history.lookups.flatMap((lookup) => {
    const isWatch = lookup.how === "watch"
    if (isWatch && touches(disruptions(lookup.node), lookup.from - settling, lookup.until)) return []
    const leeway = isWatch ? { age: 2 * tolerance, lag: tolerance } : { age: tolerance, lag: readLag }
    const listed = new Set(lookup.instances)
    const known = records.ofService(lookup.service)
    const judged = known.map((record) => judge(lookup, record, listed.delete(record.instance), leeway))
    const strangers = Array.from(
      listed,
      (instance) => found("expired instances are not listed", lookup, `has ${instance}, which is no instance of it`, [])
    )
    return [...judged.filter((one) => one !== undefined), ...strangers]
  })
}
