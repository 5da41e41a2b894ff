/**
 * Checks that live instances send heartbeats, and that deregistered ones stay away.
 */
import type { Lifetime, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { type DisruptionsOf, disruptionsOf, ownDisruptionsOf, recovery } from "./disruptions.ts"
import { countUntil, lastTouching, lastUntil, merge, type Span, touches } from "./intervals.ts"
import { type Fact, type Finding, seconds } from "./report.ts"
import { heartbeat, type InstanceTimeline, removed, type Timelines } from "./timelines.ts"

/** A disruption this near to a deregistration may have delayed it, or the last heartbeat. */
const nearTheEnd = 10_000

/** A heartbeat that is under way is waited for so long before the next attempt. */
const longestAttempt = 2000

const never = Number.POSITIVE_INFINITY

const registered = ({ from, instance, node }: Lifetime): Fact => ({
  at: from,
  who: instance,
  what: `is registered on ${node}`
})

// ------------------------------------------------------------ live instances send heartbeats

/** The times without a disruption within a span: each begins at the end of the disruption before it. */
const clearWithin = (disruptions: ReadonlyArray<Span>, from: number, until: number): ReadonlyArray<Span> => {
  const clear: Array<Span> = []
  let since = from
  for (const disruption of disruptions) {
    if (disruption.from >= until) break
    if (disruption.from > since) clear.push({ from: since, until: disruption.from })
    since = Math.max(since, disruption.until)
  }
  if (since < until) clear.push({ from: since, until })
  return clear
}

/** The lifetime of an instance that others deregister ends there. */
const endOf = (lifetime: Lifetime, { removals }: InstanceTimeline, end: number): number => {
  const taken = removals.find(({ at, how }) => how === "deregistered" && at >= lifetime.from)
  return Math.min(lifetime.until ?? end, taken?.at ?? never)
}

/**
 * From when on a heartbeat is due. An instance that missed one in a disruption of the store retries; after a disruption
 * of its own node it may have been stopped, and its next heartbeat is due by its clock.
 */
const settledIn = (
  lifetime: Lifetime,
  record: InstanceTimeline,
  clear: Span,
  times: RegistryTimes,
  own: ReadonlyArray<Span>
): number => {
  const { heartbeat, tolerance } = times
  const last = Math.max(lifetime.from, lastUntil(record.heartbeats, clear.from))
  const isTrying = clear.from - last > heartbeat + tolerance && !touches(own, last, clear.from)
  return clear.from + tolerance + recovery + (isTrying ? longestAttempt : heartbeat + tolerance)
}

/** No heartbeat for too long, without a disruption for long enough. */
const forgotten = (
  lifetime: Lifetime,
  record: InstanceTimeline,
  clear: Span,
  times: RegistryTimes,
  own: ReadonlyArray<Span>
): ReadonlyArray<Finding> => {
  const longest = times.heartbeat + times.tolerance + recovery
  const settled = settledIn(lifetime, record, clear, times, own)
  const found: Array<Finding> = []
  for (let next = countUntil(record.heartbeats, settled - longest);; next++) {
    const last = record.heartbeats[next - 1]
    const missed = Math.max(settled, (last ?? Number.NEGATIVE_INFINITY) + longest)
    if (missed >= clear.until) return found
    if (missed >= (record.heartbeats[next] ?? never)) continue
    const proof = last === undefined ? [] : [heartbeat(record.instance, last)]
    const passed = clear.from > lifetime.from
      ? [{ at: clear.from, who: lifetime.node, what: "is not disrupted any more, nor is the store" }]
      : []
    found.push({
      rule: "live instances send heartbeats",
      at: missed,
      message: `${record.instance} is registered on ${lifetime.node}, and ` +
        (last === undefined
          ? "has never sent a heartbeat"
          : `has sent no heartbeat for more than ${seconds(missed - last)} s`),
      facts: [
        registered(lifetime),
        ...proof,
        ...passed,
        { at: missed, who: record.instance, what: "is still registered, and has sent no heartbeat" }
      ]
    })
    if (next >= record.heartbeats.length) return found
  }
}

// ------------------------------------------------------------ ids are unique

/** Two that both go on, although either finds the other's record with its next heartbeat. */
const twins = (
  lifetimes: ReadonlyArray<Lifetime>,
  { lost }: InstanceTimeline,
  disruptions: DisruptionsOf,
  { heartbeat, tolerance }: RegistryTimes,
  end: number
): ReadonlyArray<Finding> => {
  const longest = heartbeat + 2 * tolerance + recovery
  const ordered = lifetimes.toSorted((one, two) => one.from - two.from)
  // Both register again then, and one of them finds the other's record with its next heartbeat.
  const losses = lost.map((at) => ({ from: at, until: at }))
  return ordered.flatMap((later, index) =>
    ordered.slice(0, index).flatMap((earlier) => {
      const until = Math.min(earlier.until ?? end, later.until ?? end)
      if (until - later.from <= longest) return []
      const disrupted = merge([...disruptions(earlier.node), ...disruptions(later.node), ...losses])
      const clear = clearWithin(disrupted, later.from, until).find((span) => span.until - span.from > longest)
      if (clear === undefined) return []
      const { instance } = later
      const both = clear.from + longest
      return [{
        rule: "ids are unique",
        at: both,
        message:
          `${instance} is registered on ${earlier.node} and on ${later.node} for more than ${seconds(longest)} s, ` +
          "and neither is lost",
        facts: [registered(earlier), registered(later), {
          at: both,
          who: instance,
          what: "is still registered on both"
        }]
      }]
    })
  )
}

// ------------------------------------------------------------ deregistered instances stay away

/** The first write of a lifetime lands before `register` returns. */
const beginOf = ({ from, registering }: Lifetime): number => registering ?? from - recovery

/** Others deregister before they are answered, and the lifetime ends with the answer; one that leaves removes its record after that. */
const tombstoneOf = (lifetime: Lifetime, { removals }: InstanceTimeline): number => {
  const until = lifetime.until!
  if (lifetime.ended === "left") return until
  return removals.findLast(({ at, how }) => how === "deregistered" && at >= beginOf(lifetime) && at <= until)?.at ??
    until
}

/** Its tombstone was lost with the stream: the store does not show any more that it was deregistered. */
const isForgotten = (lifetime: Lifetime, record: InstanceTimeline, at: number): boolean =>
  record.lost.length > 0 && lastUntil(record.lost, at) >= tombstoneOf(lifetime, record)

/**
 * Until when a process goes on as an instance: one that others deregistered, and whose tombstone was lost, goes on until
 * it reports a loss.
 */
const presentUntil = (lifetime: Lifetime, record: InstanceTimeline, at: number): number =>
  lifetime.ended === "deregistered" && isForgotten(lifetime, record, at)
    ? lifetime.lost?.at ?? never
    : lifetime.until ?? never

/** A disruption that may have delayed its last write, or the tombstone that others wrote. */
const disruptionAtTheEnd = ({ node, until }: Lifetime, disruptions: DisruptionsOf): Span | undefined =>
  lastTouching(disruptions(node), until! - nearTheEnd, until! + nearTheEnd)

/** The lifetimes of one instance, and its records. */
interface DeregisteredSpan {
  readonly lifetimes: ReadonlyArray<Lifetime>
  readonly record: InstanceTimeline
  readonly disruptions: DisruptionsOf
  /** How long what was under way may take. */
  readonly late: number
}

/** Until when another lifetime may send heartbeats: one that was sent before its end may land when its link is healed. */
const reachOf = (other: Lifetime, at: number, { late, record, disruptions }: DeregisteredSpan): number => {
  if (other.until === undefined) return never
  const disruption = disruptionAtTheEnd(other, disruptions)
  const isReported = disruption === undefined && !isForgotten(other, record, at)
  // One that others deregistered goes on until it reports the loss.
  if (other.ended === "deregistered" && !isReported) return other.lost === undefined ? never : other.lost.at + late
  return Math.max(other.until, disruption?.until ?? other.until) + late + (disruption === undefined ? 0 : nearTheEnd)
}

/** A heartbeat after a deregistration that no other lifetime can have sent. */
const resurrected = (lifetime: Lifetime, kept: DeregisteredSpan): ReadonlyArray<Finding> => {
  const { late, lifetimes, record, disruptions } = kept
  if (lifetime.ended !== "left" && lifetime.ended !== "deregistered") return []
  if (lifetime.until === undefined || disruptionAtTheEnd(lifetime, disruptions) !== undefined) return []
  const { until } = lifetime
  const at = record.heartbeats[countUntil(record.heartbeats, until + late)]
  if (at === undefined || isForgotten(lifetime, record, at)) return []
  const isAnothers = lifetimes.some((other) =>
    other !== lifetime && beginOf(other) <= at && reachOf(other, at, kept) >= at
  )
  if (isAnothers) return []
  const removal = record.removals.find((one) => one.how === "deregistered" && one.at >= until && one.at <= at)
  return [{
    rule: "deregistered instances stay away",
    at,
    message: `${record.instance} was deregistered on ${lifetime.node}, and sent a heartbeat again ${
      seconds(at - until)
    } s later`,
    facts: [
      { at: until, who: record.instance, what: `begins to deregister on ${lifetime.node}` },
      ...(removal === undefined ? [] : [removed(removal)]),
      heartbeat(record.instance, at)
    ]
  }]
}

// ------------------------------------------------------------ registrations are stored

/** A registration that takes longer than another process with its id may go without a heartbeat. */
const unregistered = (
  lifetime: Lifetime,
  disrupted: ReadonlyArray<Span>,
  times: RegistryTimes
): ReadonlyArray<Finding> => {
  const { heartbeat, tolerance, maxAge } = times
  const { from, instance, node, registering } = lifetime
  if (registering === undefined) return []
  const longest = maxAge + heartbeat + 2 * tolerance + recovery
  const clear = clearWithin(disrupted, registering, from).find((span) => span.until - span.from > longest)
  if (clear === undefined) return []
  return [{
    rule: "registrations are stored",
    at: clear.from + longest,
    message: `${instance} asked to be registered on ${node}, and was not for ${seconds(clear.until - registering)} s`,
    facts: [
      { at: registering, who: instance, what: `begins to register on ${node}` },
      { at: clear.until, who: instance, what: "is still not registered, or only now" }
    ]
  }]
}

// ------------------------------------------------------------ losses have their true reason

/** A loss by a deregistration, or by another instance with its id, although neither had happened. */
const misled = (
  lifetime: Lifetime,
  lifetimes: ReadonlyArray<Lifetime>,
  record: InstanceTimeline
): ReadonlyArray<Finding> => {
  const { lost } = lifetime
  if (lost === undefined) return []
  const begin = beginOf(lifetime)
  // A bucket that was rolled back has records of before.
  if (lastUntil(record.lost, lost.at) >= begin) return []
  const isTrue = lost.as === "Deregistered"
    ? record.removals.some(({ at, how }) => how === "deregistered" && at >= begin && at <= lost.at)
    // What one that has given up had sent may land yet.
    : lifetimes.some((other) =>
      other !== lifetime && beginOf(other) <= lost.at && presentUntil(other, record, lost.at) >= begin - nearTheEnd
    )
  if (isTrue) return []
  const why = lost.as === "Deregistered" ? "it was not deregistered" : "no other process had its id"
  return [{
    rule: "losses have their true reason",
    at: lost.at,
    message: `${lifetime.instance} on ${lifetime.node} reported ${lost.as}, and ${why}`,
    facts: [registered(lifetime), {
      at: lost.at,
      who: lifetime.instance,
      what: `reports ${lost.as} on ${lifetime.node}`
    }]
  }]
}

export const lifetimes = (
  history: RegistryHistory,
  times: RegistryTimes,
  records: Timelines
): ReadonlyArray<Finding> => {
  const disruptions = disruptionsOf(history.disruptions)
  const ownDisruptions = ownDisruptionsOf(history.disruptions)
  const late = times.tolerance + recovery
  return [...Map.groupBy(history.lifetimes, ({ instance }) => instance)].flatMap(([instance, own]) => {
    const record = records.all.get(instance)!
    const kept = { lifetimes: own, record, disruptions, late }
    const each = own.flatMap((lifetime) => {
      const disrupted = disruptions(lifetime.node)
      const clear = clearWithin(disrupted, lifetime.from, endOf(lifetime, record, history.end))
      return [
        ...clear.flatMap((span) => forgotten(lifetime, record, span, times, ownDisruptions(lifetime.node))),
        ...unregistered(lifetime, disrupted, times),
        ...misled(lifetime, own, record),
        ...resurrected(lifetime, kept)
      ]
    })
    return each.concat(twins(own, record, disruptions, times, history.end))
  })
}
