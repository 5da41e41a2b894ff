/**
 * Checks lookups against the heartbeats and removals in the store.
 */
import type { Lookup, RegistryHistory, RegistryTimes, Rule } from "../../Checks.ts"
import { recovery } from "./disruptions.ts"
import { earlierBy, lastBefore, lastUntil, touches } from "./intervals.ts"
import { keptInView, nothingKept, observed, observersOf } from "./observers.ts"
import { mayBeKept } from "./outages.ts"
import { type Fact, type Finding, seconds } from "./report.ts"
import { heartbeat, type InstanceTimeline, removed, stampOf, type Timelines } from "./timelines.ts"
import { viewsOf } from "./views.ts"

/** The tolerances of a lookup, in milliseconds. */
interface Leeway {
  /** The largest error of an age. */
  readonly age: number
  /** The largest delay until a lookup sees a write. */
  readonly lag: number
}

const longAgo = Number.NEGATIVE_INFINITY

/** The heartbeat because of which the lookup must list the instance. Undefined: it need not list the instance. */
const requiredBy = (
  record: InstanceTimeline,
  lookup: Lookup,
  maxAge: number,
  { age, lag }: Leeway
) => {
  const { heartbeats, lost, known } = record
  const last = lastUntil(heartbeats, lookup.from - lag)
  const removedLast = Math.max(lastUntil(known, lookup.until), lastUntil(lost, lookup.until))
  return last !== longAgo && stampOf(record, last) >= lookup.until - maxAge + age && removedLast < last
    ? last
    : undefined
}

/** Why the lookup must not list the instance: it was removed, or its last heartbeat is too old (-Infinity: none). */
type Absence = { readonly removedAt: number } | { readonly lastHeartbeat: number }

const forbiddenBy = (
  { heartbeats, lost, known }: InstanceTimeline,
  lookup: Lookup,
  maxAge: number,
  { age, lag }: Leeway
): Absence | undefined => {
  const last = lastUntil(heartbeats, lookup.until)
  // Strictly before: at the same instant, the removal or the lookup may have been first.
  const removedAt = lastBefore(known, lookup.from - lag)
  if (removedAt !== longAgo && last < removedAt && lastUntil(lost, lookup.until) < removedAt) return { removedAt }
  return last < lookup.from - maxAge - age ? { lastHeartbeat: last } : undefined
}

/** Whether the store certainly has the record of an instance throughout a lookup. */
const isStored = (
  { heartbeats, lost, known }: InstanceTimeline,
  { from, until }: Lookup,
  { maxAge }: RegistryTimes,
  { lag }: Leeway
): boolean => {
  const last = lastUntil(heartbeats, from - lag)
  // Records may be removed by age from twice `maxAge` on, without a marker.
  return last > Math.max(until - 2 * maxAge, lastUntil(known, until), lastUntil(lost, until))
}

const lookedUp = ({ from, how, instances, node, service, until }: Lookup): Fact => ({
  at: until,
  who: node,
  what: how === "watch"
    ? `its view of "${service}" is [${instances.join(", ")}]`
    : `its list of "${service}", called at ${seconds(from)} s, returns [${instances.join(", ")}]`
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
    `lacks ${record.instance}, whose last heartbeat was ${seconds(lookup.until - lastHeartbeat)} s ago`,
    [
      heartbeat(record.instance, lastHeartbeat)
    ]
  )

const unduly = (record: InstanceTimeline, lookup: Lookup, absence: Absence): Finding => {
  const has = `contains ${record.instance}, which`
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

/** A list that lacks an instance which the view of its own process keeps, and whose record the store has. */
const unlike = (record: InstanceTimeline, lookup: Lookup, lastHeartbeat: number): Finding =>
  found(
    "observers keep live instances",
    lookup,
    `lacks ${record.instance}, which the view of ${lookup.node} lists`,
    [heartbeat(record.instance, lastHeartbeat)]
  )

/** An instance that no timeline has. */
const stranger = (lookup: Lookup) => (instance: string): Finding =>
  found(
    "expired instances are not listed",
    lookup,
    `contains ${instance}, which is not an instance of this service`,
    []
  )

export const lookups = (history: RegistryHistory, times: RegistryTimes, records: Timelines): ReadonlyArray<Finding> => {
  const { tolerance, maxAge, readLag = 0 } = times
  const observers = observersOf(history, times, records)
  const views = viewsOf(history.lookups)
  // After a disruption the observer must reconnect, and live instances must send a heartbeat.
  const settling = maxAge + tolerance + recovery

  const lacking = (lookup: Lookup, record: InstanceTimeline, leeway: Leeway, isKept: boolean) => {
    const { from, how, node, until } = lookup
    if (isKept && isStored(record, lookup, times, leeway)) {
      return unlike(record, lookup, lastUntil(record.heartbeats, until))
    }
    // After a disturbance, an observer may not know all instances. Those that it knew are judged by `observed`.
    if (how === "watch" && touches(observers.disturbed(node), from - settling, until)) return undefined
    const lastHeartbeat = requiredBy(record, lookup, maxAge, leeway)
    return lastHeartbeat === undefined ? undefined : missing(record, lookup, lastHeartbeat)
  }

  const listing = (lookup: Lookup, record: InstanceTimeline, leeway: Leeway, isViewed: boolean | undefined) => {
    const { from, how, node, until } = lookup
    const absence = forbiddenBy(record, lookup, maxAge, leeway)
    if (absence === undefined) return undefined
    if ("removedAt" in absence) {
      const isTold = how === "list" || !touches(observers.disturbed(node), absence.removedAt - leeway.lag, until)
      if (isTold) return unduly(record, lookup, absence)
    }
    const last = lastUntil(record.heartbeats, until)
    // Without a recorded view, the process can have one because of its earlier lists.
    const mayKeep = how === "watch"
      ? observers.mayKeep(lookup, last)
      : isViewed ?? (observers.isUnsure(lookup, last) && observers.mayKeep(lookup, last))
    const mayBeWrong = how === "list" && touches(observers.unsettled(node), from, until)
    return mayKeep || mayBeWrong || mayBeKept(last, lookup, records.ofService(lookup.service), times)
      ? undefined
      : unduly(record, lookup, absence)
  }

  const each = history.lookups.flatMap((lookup) => {
    const isWatch = lookup.how === "watch"
    const lag = lookup.from - earlierBy(observers.leaderless, lookup.from, isWatch ? tolerance : readLag)
    const leeway = { age: isWatch ? 2 * tolerance : tolerance, lag }
    const listed = new Set(lookup.instances)
    const { kept, seen } = isWatch ? nothingKept : keptInView(views, lookup)
    const judged = records.ofService(lookup.service).map((record) =>
      listed.delete(record.instance)
        ? listing(lookup, record, leeway, seen?.has(record.instance))
        : lacking(lookup, record, leeway, kept.has(record.instance))
    )
    return [...judged.filter((one) => one !== undefined), ...Array.from(listed, stranger(lookup))]
  })
  return [...each, ...observed(views, times, records, observers)]
}
