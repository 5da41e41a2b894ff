/**
 * What an observer of a registry may and must do with instances that it does not hear of. It keeps them while it was
 * itself paused or disconnected, and while the store accepted no heartbeats, and forgets dead ones by its connected
 * time (docs/protocols/registry.md, R25).
 */
import type { Lookup, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import {
  affectsAll,
  affectsReads,
  type DisruptionsOf,
  disruptionsOf,
  onceForEach,
  ownDisruptionsOf,
  recovery,
  settlingOf,
  suspicionsOf,
  unsettledOf
} from "./disruptions.ts"
import {
  countUntil,
  earlierBy,
  lastTouching,
  lastUntil,
  measure,
  merge,
  prolonged,
  type Span,
  touches
} from "./intervals.ts"
import { type Fact, type Finding, seconds } from "./report.ts"
import { heartbeat, type InstanceTimeline, stampOf, type Timelines } from "./timelines.ts"
import type { View, Views } from "./views.ts"

/** A shorter outage of the store may pass unnoticed: a watch misses its consumer after 2.2 s. Milliseconds. */
const noticed = 3000

/** The default `timeout` of a bucket: a request to a stream without a leader is not answered for that long. Milliseconds. */
const requestTimeout = 5000

const none = Number.NEGATIVE_INFINITY

export interface Observers {
  /**
   * The times in which a watch on a node may miss messages: disruptions of the node and of the store, losses of the
   * stream and of consumers, each with the time to recover from it. Not those in which running watches continued.
   */
  readonly disturbed: DisruptionsOf
  /** Whether a view may still list an instance whose last heartbeat was stored at a time. */
  readonly mayKeep: (lookup: Lookup, lastHeartbeat: number) => boolean
  /** Whether a view may have missed heartbeats since a time. */
  readonly isUnsure: (lookup: Lookup, since: number) => boolean
  /** The disruptions of the node itself. */
  readonly own: DisruptionsOf
  /** The times in which a node may not know the store's time. */
  readonly unsettled: DisruptionsOf
  /** The outages of the store that every observer notices. */
  readonly outages: ReadonlyArray<Span>
  /**
   * When the copies of a replicated bucket had no leader: they receive what it had stored last only afterwards. So a lag does
   * not count these times.
   */
  readonly leaderless: ReadonlyArray<Span>
  /** The times in which no view of a node may remove an instance by age: all are silent, and the store does not answer. */
  readonly suspicions: DisruptionsOf
}

export const observersOf = (history: RegistryHistory, times: RegistryTimes, records: Timelines): Observers => {
  const { maxAge, tolerance } = times
  const disruptions = disruptionsOf(history.disruptions.filter(affectsAll))
  const unanswered = disruptionsOf(history.disruptions.filter(affectsReads))
  const leaderless = merge(
    history.disruptions.filter(({ affects, node }) => node === undefined && affects === "requests")
  )
  const late = tolerance + recovery
  const interruptions = [
    ...(history.interruptions ?? []),
    ...history.removals.flatMap(({ at, how }) => how === "lost" ? [at] : [])
  ].map((at) => ({ from: at, until: at }))
  const until = (recovered: number) => (node: string) => {
    const longerBy = (millis: number) => ({ from, until }: Span) => ({ from, until: until + millis })
    // A watch that was interrupted continues when the store answers requests again, and its last one has timed out.
    return prolonged(
      [...disruptions(node), ...interruptions].map(longerBy(recovered)),
      [...unanswered(node).map(longerBy(recovered)), ...leaderless.map(longerBy(recovered + requestTimeout))]
    )
  }
  const disturbed = onceForEach(until(late))
  // The tolerance is part of the bound, and not of each disturbance: there can be many.
  const disconnected = onceForEach(until(recovery))
  // With only one instance, an observer suspects the instance and not the store.
  const { certain, countsUntil, possible } = suspicionsOf(history, times)
  const isAlone = records.all.size < 2
  const unsure = onceForEach((node) =>
    merge([...disconnected(node), ...isAlone ? [] : possible(merge([...disturbed(node), ...unanswered(node)]))])
  )
  const suspicions = onceForEach((node) => merge(certain(unanswered(node), disturbed(node))))
  const settling = settlingOf(times) + tolerance
  const isUnsure = ({ from, node }: Lookup, since: number): boolean => {
    const counted = countsUntil(from)
    return touches(disconnected(node), since, from) || (since <= counted && touches(unsure(node), since, counted))
  }
  const mayKeep = (lookup: Lookup, lastHeartbeat: number): boolean => {
    if (lastHeartbeat === none) return false
    const { from, node } = lookup
    const counted = Math.max(lastHeartbeat, countsUntil(from))
    const missed = measure(unsure(node), lastHeartbeat, counted) + measure(disconnected(node), counted, from)
    const connected = from - lastHeartbeat - missed
    return connected <= (isUnsure(lookup, from - settling) ? 2 * maxAge : maxAge) + 2 * tolerance
  }
  const outages = merge(history.disruptions.filter((one) => one.node === undefined && affectsAll(one)))
    .filter(({ from, until }) => until - from >= noticed)
  const unsettled = unsettledOf(history.disruptions, late)
  const own = ownDisruptionsOf(history.disruptions)
  return { disturbed, isUnsure, leaderless, mayKeep, outages, own, suspicions, unsettled }
}

// ------------------------------------------------------------ observers keep live instances

/** Two consecutive lookups of one view: an instance that only the first one lists was removed between them. */
interface Step {
  readonly before: Lookup
  readonly after: Lookup
  /** Since when the view has listed the instance. */
  readonly listedSince: number
}

const viewed = ({ instances, node, service, until }: Lookup): Fact => ({
  at: until,
  who: node,
  what: `its view of "${service}" is [${instances.join(", ")}]`
})

/** Whether the record of an instance was removed or lost when the view may have learned of it between two lookups. */
const isRemoved = (
  { known, lost }: InstanceTimeline,
  { after, before }: Step,
  times: RegistryTimes,
  { disturbed, leaderless }: Observers
): boolean => {
  const missing = lastTouching(disturbed(after.node), before.until - times.tolerance, before.until)
  const seenUntil = earlierBy(leaderless, missing?.from ?? before.until, times.tolerance)
  const since = (at: ReadonlyArray<number>, from: number) => countUntil(at, after.until) > countUntil(at, from)
  // After a loss of the stream live instances register again, and the observer has to find the new stream.
  return since(known, seenUntil) || since(lost, seenUntil - times.maxAge - settlingOf(times))
}

/**
 * Whether a view may have removed an instance because of its age: at some time between the two lookups, the store had
 * accepted none of its heartbeats for too long. A heartbeat counts when the view has certainly received it. The state of
 * the observer makes no difference: after each return it gives the instances time to send a heartbeat before it judges,
 * and by then it has received what was stored meanwhile.
 */
const mayHaveExpired = (
  record: InstanceTimeline,
  { after, before, listedSince }: Step,
  times: RegistryTimes,
  { disturbed, leaderless, outages: known, own }: Observers
): boolean => {
  const { maxAge, tolerance } = times
  const { heartbeats } = record
  const missed = disturbed(after.node)
  // An instance that was not listed before an outage is as old as its record.
  const outages = known.filter(({ from }) => from >= listedSince)
  const settles = outages.map(({ from, until }) => ({
    from: from + noticed,
    until: until + settlingOf(times) - tolerance
  }))
  /** When the view has certainly received a heartbeat. One that it receives later, after a gap, is as old as it is. */
  const received = (last: number): number => lastTouching(missed, last, last)?.until ?? last
  /** Whether the instance may have expired at a time. An observer with a disruption of its own may have settled before. */
  const mayExpire = (last: number, at: number): boolean => {
    // What the store has accepted late, at the end of an outage, is as old as its stamp.
    const from = stampOf(record, last)
    const age = at - from - measure(outages, last - from > tolerance ? from : received(last), at)
    const settle = lastTouching(settles, at, at)
    const isSettling = settle !== undefined && !touches(own(after.node), settle.from, at)
    return age > (isSettling ? 2 * maxAge : maxAge) - 2 * tolerance
  }
  const lateBy = (at: number) => {
    const late = touches(missed, at - tolerance, at + tolerance) ? 2 * tolerance + recovery : tolerance
    return Math.max(late, (lastTouching(leaderless, at, at + tolerance)?.until ?? at) - at + late)
  }
  const first = Math.max(0, countUntil(heartbeats, before.until - 2 * tolerance - recovery) - 1)
  for (let index = first; index < heartbeats.length && heartbeats[index]! <= after.until; index++) {
    const last = heartbeats[index]!
    const next = heartbeats[index + 1]
    const until = Math.min(after.until, next === undefined ? after.until : next + lateBy(next))
    if (until < before.until) continue
    if (mayExpire(last, until)) return true
    const settle = lastTouching(settles, until, until)
    if (settle !== undefined && settle.from > before.until && mayExpire(last, settle.from)) return true
  }
  return false
}

/** Whether the view had to suspect the store between two lookups. One that lists a single instance need not. */
const mustSuspect = ({ after, before }: Step, { suspicions }: Observers): boolean => {
  const suspicion = lastTouching(suspicions(after.node), after.until, after.until)
  return before.instances.length > 1 && suspicion !== undefined && suspicion.from <= before.until
}

const forgotten = (record: InstanceTimeline, { after, before }: Step, last: number): Finding => ({
  rule: "observers keep live instances",
  at: after.until,
  message: `the watch of "${after.service}" on ${after.node} removes ${record.instance}, ` +
    `whose last heartbeat was ${seconds(after.until - last)} s ago`,
  facts: [viewed(before), heartbeat(record.instance, last), viewed(after)]
})

/** An instance that a view announces although its record is too old: what a watch replays after a gap is as old as it is. */
const announced = (record: InstanceTimeline, { after, before }: Step, last: number): Finding => ({
  rule: "expired instances are not listed",
  at: after.until,
  message: `the watch of "${after.service}" on ${after.node} adds ${record.instance}, ` +
    `which has sent no heartbeat for ${seconds(after.until - last)} s`,
  facts: [viewed(before), heartbeat(record.instance, last), viewed(after)]
})

/** An instance that has sent a heartbeat, with the time of its last one at a lookup. */
const heardOf = (records: Timelines, instance: string, { until }: Lookup) => {
  const record = records.all.get(instance)
  const last = record === undefined ? none : lastUntil(record.heartbeats, until)
  return record === undefined || last === none ? undefined : { record, last }
}

/** Finds live instances that a view has removed, and dead ones that it has added. */
const changesOf = (
  view: View,
  times: RegistryTimes,
  records: Timelines,
  observers: Observers
): ReadonlyArray<Finding> => {
  const oldest = times.maxAge + 2 * times.tolerance
  const found: Array<Finding> = []
  const remove = (instance: string, step: Step) => {
    const heard = heardOf(records, instance, step.after)
    if (heard === undefined || isRemoved(heard.record, step, times, observers)) return
    if (mustSuspect(step, observers) || !mayHaveExpired(heard.record, step, times, observers)) {
      found.push(forgotten(heard.record, step, heard.last))
    }
  }
  const add = (instance: string, step: Step) => {
    const { node, until } = step.after
    const heard = heardOf(records, instance, step.after)
    if (heard === undefined || until - heard.last <= oldest) return
    if (!touches(observers.unsettled(node), until, until)) found.push(announced(heard.record, step, heard.last))
  }
  /** The instances of the view, with the time since which it has listed each. */
  let listed: ReadonlyMap<string, number> = new Map()
  view.forEach((after, index) => {
    const [former, before] = [listed, view[index - 1]]
    listed = new Map(after.instances.map((instance) => [instance, former.get(instance) ?? after.until]))
    if (before === undefined) return
    for (const [instance, listedSince] of former) {
      if (!listed.has(instance)) remove(instance, { before, after, listedSince })
    }
    for (const [instance, listedSince] of listed) {
      if (!former.has(instance)) add(instance, { before, after, listedSince })
    }
  })
  return found
}

/** What the view of a process listed around a call of `list`. */
export interface Kept {
  /** The instances that it listed throughout: the list must contain them. */
  readonly kept: ReadonlySet<string>
  /** The instances that it listed before or after: the list may contain them. Undefined without a recorded view. */
  readonly seen: ReadonlySet<string> | undefined
}

export const nothingKept: Kept = { kept: new Set(), seen: undefined }

export const keptInView = ({ around }: Views, list: Lookup): Kept => {
  const { after, before } = around(list)
  const [first, second] = [before?.instances ?? [], after?.instances ?? []]
  const isOneView = before !== undefined && before.since === after?.since
  return {
    kept: new Set(isOneView ? first.filter((instance) => second.includes(instance)) : []),
    seen: before === undefined && after === undefined ? undefined : new Set([...first, ...second])
  }
}

export const observed = (
  { all }: Views,
  times: RegistryTimes,
  records: Timelines,
  observers: Observers
): ReadonlyArray<Finding> => all.flatMap((view) => changesOf(view, times, records, observers))
