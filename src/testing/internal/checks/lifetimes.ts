/**
 * Checks of lifetimes: live instances send heartbeats, ids are unique, and
 * registrations are stored.
 */
import type { Lifetime, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { type DisruptionsOf, disruptionsOf, ownDisruptionsOf, recovery } from "./disruptions.ts"
import { countUntil, lastUntil, merge, type Span, touches } from "./intervals.ts"
import { misled, resurrected } from "./removals.ts"
import { type Finding, seconds } from "./report.ts"
import { heartbeat, type InstanceTimeline, registered, type Timelines } from "./timelines.ts"

/** The longest time between two attempts to send a heartbeat that is due: milliseconds. */
const longestAttempt = 2000

const never = Number.POSITIVE_INFINITY

// ------------------------------------------------------------ live instances send heartbeats

/** The times without a disruption between `from` and `until`. */
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

/** The end of a lifetime: its recorded end, or an earlier deregistration. */
const endOf = (lifetime: Lifetime, { removals }: InstanceTimeline, end: number): number => {
  const taken = removals.find(({ at, how }) => how === "deregistered" && at >= lifetime.from)
  return Math.min(lifetime.until ?? end, taken?.at ?? never)
}

/**
 * The time from which on heartbeats must be recent. If a heartbeat became due during a disruption of only the store,
 * the instance keeps retrying and sends it soon. Otherwise a full interval may pass: its clock may have been stopped.
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

/** Finds times without a heartbeat that are too long and not explained by a disruption. */
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
      ? [{ at: clear.from, who: lifetime.node, what: "neither the node nor the store is disrupted from now on" }]
      : []
    found.push({
      rule: "live instances send heartbeats",
      at: missed,
      message: `${record.instance} is registered on ${lifetime.node}, but ` +
        (last === undefined
          ? "has never sent a heartbeat"
          : `has sent no heartbeat for more than ${seconds(missed - last)} s`),
      facts: [
        registered(lifetime),
        ...proof,
        ...passed,
        { at: missed, who: record.instance, what: "is still registered, but has sent no heartbeat" }
      ]
    })
    if (next >= record.heartbeats.length) return found
  }
}

// ------------------------------------------------------------ ids are unique

/**
 * Finds two lifetimes of one instance that both continue. With its next heartbeat one of them must find the other's
 * record.
 */
const twins = (
  lifetimes: ReadonlyArray<Lifetime>,
  { lost }: InstanceTimeline,
  disruptions: DisruptionsOf,
  { heartbeat, tolerance }: RegistryTimes,
  end: number
): ReadonlyArray<Finding> => {
  const longest = heartbeat + 2 * tolerance + recovery
  const ordered = lifetimes.toSorted((one, two) => one.from - two.from)
  // After a loss of the stream both register again. One of them finds the other's record with its next heartbeat.
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
          "and neither registration has reported a loss",
        facts: [registered(earlier), registered(later), {
          at: both,
          who: instance,
          what: "is still registered on both"
        }]
      }]
    })
  )
}

// ------------------------------------------------------------ registrations are stored

/** Finds a registration that takes too long. It may wait `maxAge` for another process with the same id. */
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
    message: `${instance} called register on ${node}, but was not registered for ${
      seconds(clear.until - registering)
    } s`,
    facts: [
      { at: registering, who: instance, what: `calls register on ${node}` },
      { at: clear.until, who: instance, what: "was not registered before this time" }
    ]
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
