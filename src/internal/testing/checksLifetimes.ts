/**
 * Whether who lives beats, and who was deregistered stays away.
 */
import type { Lifetime, RegistryHistory, RegistryTimes } from "../../testing/Checks.ts"
import { type DisruptionsOf, disruptionsOf, ownDisruptionsOf, recovery } from "./checksDisruptions.ts"
import { heartbeat, type InstanceTimeline, removed, type Timelines } from "./checksRecords.ts"
import { type Fact, type Finding, seconds } from "./checksReport.ts"
import { countUntil, lastTouching, lastUntil, merge, type Span, touches } from "./checksSpans.ts"

/** Trouble this near to a deregistration may have kept it, or the last beat, on its way. */
const nearTheEnd = 10_000

/** A beat that was sent before may be waited for so long before it is sent again. */
const longestAttempt = 2000

const never = Number.POSITIVE_INFINITY

const registered = ({ from, instance, node }: Lifetime): Fact => ({
  at: from,
  who: instance,
  what: `is registered on ${node}`
})

// ------------------------------------------------------------ who lives beats

/** The times without trouble within a span: each begins where the trouble before it ends. */
const clearWithin = (disruptions: ReadonlyArray<Span>, from: number, until: number): ReadonlyArray<Span> => {
  const clear: Array<Span> = []
  let since = from
  for (const trouble of disruptions) {
    if (trouble.from >= until) break
    if (trouble.from > since) clear.push({ from: since, until: trouble.from })
    since = Math.max(since, trouble.until)
  }
  if (since < until) clear.push({ from: since, until })
  return clear
}

/** Whoever was deregistered by others stays so: its life ends there. */
const endOf = (life: Lifetime, { removals }: InstanceTimeline, end: number): number => {
  const taken = removals.find(({ at, how }) => how === "deregistered" && at >= life.from)
  return Math.min(life.until ?? end, taken?.at ?? never)
}

/**
 * Since when nothing is an excuse any more. Whoever has missed a beat for the store's sake tries again and again; after
 * trouble of its own it may have been stopped, and its next beat is due when its clock says so.
 */
const settledIn = (
  life: Lifetime,
  record: InstanceTimeline,
  clear: Span,
  times: RegistryTimes,
  own: ReadonlyArray<Span>
): number => {
  const { heartbeat, tolerance } = times
  const last = Math.max(life.from, lastUntil(record.heartbeats, clear.from))
  const isTrying = clear.from - last > heartbeat + tolerance && !touches(own, last, clear.from)
  return clear.from + tolerance + recovery + (isTrying ? longestAttempt : heartbeat + tolerance)
}

/** Silent for too long, though nothing has kept it from beating for long enough. */
const forgotten = (
  life: Lifetime,
  record: InstanceTimeline,
  clear: Span,
  times: RegistryTimes,
  own: ReadonlyArray<Span>
): ReadonlyArray<Finding> => {
  const longest = times.heartbeat + times.tolerance + recovery
  const settled = settledIn(life, record, clear, times, own)
  const found: Array<Finding> = []
  for (let next = countUntil(record.heartbeats, settled - longest);; next++) {
    const last = record.heartbeats[next - 1]
    const missed = Math.max(settled, (last ?? Number.NEGATIVE_INFINITY) + longest)
    if (missed >= clear.until) return found
    if (missed >= (record.heartbeats[next] ?? never)) continue
    const proof = last === undefined ? [] : [heartbeat(record.instance, last)]
    const passed = clear.from > life.from
      ? [{ at: clear.from, who: life.node, what: "has no trouble any more, nor has the store" }]
      : []
    found.push({
      rule: "live instances send heartbeats",
      at: missed,
      message: `${record.instance} lives on ${life.node}, and ` +
        (last === undefined
          ? "has never sent a heartbeat"
          : `has sent no heartbeat for more than ${seconds(missed - last)} s`),
      facts: [
        registered(life),
        ...proof,
        ...passed,
        { at: missed, who: record.instance, what: "still lives, and has sent no heartbeat" }
      ]
    })
    if (next >= record.heartbeats.length) return found
  }
}

// ------------------------------------------------------------ ids are unique

/** Two that both go on, although either would have learned of the other by its next beat. */
const twins = (
  lifetimes: ReadonlyArray<Lifetime>,
  { lost }: InstanceTimeline,
  disruptions: DisruptionsOf,
  { heartbeat, tolerance }: RegistryTimes,
  end: number
): ReadonlyArray<Finding> => {
  const longest = heartbeat + 2 * tolerance + recovery
  const ordered = lifetimes.toSorted((one, two) => one.from - two.from)
  // Both register anew then, and one of them learns of the other by its next beat.
  const losses = lost.map((at) => ({ from: at, until: at }))
  return ordered.flatMap((later, index) =>
    ordered.slice(0, index).flatMap((earlier) => {
      const until = Math.min(earlier.until ?? end, later.until ?? end)
      if (until - later.from <= longest) return []
      const trouble = merge([...disruptions(earlier.node), ...disruptions(later.node), ...losses])
      const clear = clearWithin(trouble, later.from, until).find((span) => span.until - span.from > longest)
      if (clear === undefined) return []
      const { instance } = later
      const both = clear.from + longest
      return [{
        rule: "ids are unique",
        at: both,
        message: `${instance} lives on ${earlier.node} and on ${later.node} for more than ${seconds(longest)} s, ` +
          "and neither was told",
        facts: [registered(earlier), registered(later), { at: both, who: instance, what: "still lives on both" }]
      }]
    })
  )
}

// ------------------------------------------------------------ who was deregistered stays away

/** The first write of a life lands before `register` returns. */
const beginOf = ({ from, registering }: Lifetime): number => registering ?? from - recovery

/** Others deregister before they are answered, and the life ends with the answer; who leaves removes its record after that. */
const tombstoneOf = (life: Lifetime, { removals }: InstanceTimeline): number => {
  const until = life.until!
  if (life.ended === "left") return until
  return removals.findLast(({ at, how }) => how === "deregistered" && at >= beginOf(life) && at <= until)?.at ?? until
}

/** With the stream its tombstone was lost: nobody can know any more that it was deregistered. */
const isForgotten = (life: Lifetime, record: InstanceTimeline, at: number): boolean =>
  record.lost.length > 0 && lastUntil(record.lost, at) >= tombstoneOf(life, record)

/**
 * Until when a process goes on as an instance: whom others deregistered, and who cannot know it since the tombstone was
 * lost, rightly lives on until it is told otherwise.
 */
const presentUntil = (life: Lifetime, record: InstanceTimeline, at: number): number =>
  life.ended === "deregistered" && isForgotten(life, record, at) ? life.lost?.at ?? never : life.until ?? never

/** What may have kept its last write, or the news that others deregistered it, on its way. */
const disruptionAtTheEnd = ({ node, until }: Lifetime, disruptions: DisruptionsOf): Span | undefined =>
  lastTouching(disruptions(node), until! - nearTheEnd, until! + nearTheEnd)

/** The lives of one instance, and all that is known of it. */
interface DeregisteredSpan {
  readonly lives: ReadonlyArray<Lifetime>
  readonly record: InstanceTimeline
  readonly disruptions: DisruptionsOf
  /** How long what was under way may take. */
  readonly late: number
}

/** Until when another life may beat: what it had sent before its end may land when its link is well again. */
const reachOf = (other: Lifetime, at: number, { late, record, disruptions }: DeregisteredSpan): number => {
  if (other.until === undefined) return never
  const trouble = disruptionAtTheEnd(other, disruptions)
  const mayBeTold = trouble === undefined && !isForgotten(other, record, at)
  // Who was deregistered by others and never told lives on; where it was told, it has ended.
  if (other.ended === "deregistered" && !mayBeTold) return other.lost === undefined ? never : other.lost.at + late
  return Math.max(other.until, trouble?.until ?? other.until) + late + (trouble === undefined ? 0 : nearTheEnd)
}

/** A beat after a deregistration, where no other life is there to have sent it. */
const resurrected = (life: Lifetime, kept: DeregisteredSpan): ReadonlyArray<Finding> => {
  const { late, lives, record, disruptions } = kept
  if (life.ended !== "left" && life.ended !== "deregistered") return []
  if (life.until === undefined || disruptionAtTheEnd(life, disruptions) !== undefined) return []
  const { until } = life
  const at = record.heartbeats[countUntil(record.heartbeats, until + late)]
  if (at === undefined || isForgotten(life, record, at)) return []
  const isAnothers = lives.some((other) => other !== life && beginOf(other) <= at && reachOf(other, at, kept) >= at)
  if (isAnothers) return []
  const removal = record.removals.find((one) => one.how === "deregistered" && one.at >= until && one.at <= at)
  return [{
    rule: "deregistered instances stay away",
    at,
    message: `${record.instance} was deregistered on ${life.node}, and sent a heartbeat again ${
      seconds(at - until)
    } s later`,
    facts: [
      { at: until, who: record.instance, what: `begins to deregister on ${life.node}` },
      ...(removal === undefined ? [] : [removed(removal)]),
      heartbeat(record.instance, at)
    ]
  }]
}

// ------------------------------------------------------------ registrations are stored

/** It asks for its name, and gets it nowhere: waited for longer than another process may be silent. */
const unregistered = (life: Lifetime, trouble: ReadonlyArray<Span>, times: RegistryTimes): ReadonlyArray<Finding> => {
  const { heartbeat, tolerance, maxAge } = times
  const { from, instance, node, registering } = life
  if (registering === undefined) return []
  const longest = maxAge + heartbeat + 2 * tolerance + recovery
  const clear = clearWithin(trouble, registering, from).find((span) => span.until - span.from > longest)
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

// ------------------------------------------------------------ who is told that it is over

/** Told that it was deregistered, or that another has its id, although neither had happened. */
const misled = (life: Lifetime, lives: ReadonlyArray<Lifetime>, record: InstanceTimeline): ReadonlyArray<Finding> => {
  const { lost } = life
  if (lost === undefined) return []
  const begin = beginOf(life)
  // A bucket that was rolled back tells of what was true once.
  if (lastUntil(record.lost, lost.at) >= begin) return []
  const isTrue = lost.as === "Deregistered"
    ? record.removals.some(({ at, how }) => how === "deregistered" && at >= begin && at <= lost.at)
    // What one that has given up had sent may land yet.
    : lives.some((other) =>
      other !== life && beginOf(other) <= lost.at && presentUntil(other, record, lost.at) >= begin - nearTheEnd
    )
  if (isTrue) return []
  const why = lost.as === "Deregistered" ? "nobody had deregistered it" : "no other process had its id"
  return [{
    rule: "losses have their true reason",
    at: lost.at,
    message: `${life.instance} on ${life.node} was told ${lost.as}, and ${why}`,
    facts: [registered(life), { at: lost.at, who: life.instance, what: `is told ${lost.as} on ${life.node}` }]
  }]
}

export const lives = (history: RegistryHistory, times: RegistryTimes, records: Timelines): ReadonlyArray<Finding> => {
  const disruptions = disruptionsOf(history.disruptions)
  const ownDisruptions = ownDisruptionsOf(history.disruptions)
  const late = times.tolerance + recovery
  return [...Map.groupBy(history.lifetimes, ({ instance }) => instance)].flatMap(([instance, own]) => {
    const record = records.all.get(instance)!
    const kept = { lives: own, record, disruptions, late }
    const each = own.flatMap((life) => {
      const trouble = disruptions(life.node)
      const clear = clearWithin(trouble, life.from, endOf(life, record, history.end))
      return [
        ...clear.flatMap((span) => forgotten(life, record, span, times, ownDisruptions(life.node))),
        ...unregistered(life, trouble, times),
        ...misled(life, own, record),
        ...resurrected(life, kept)
      ]
    })
    return each.concat(twins(own, record, disruptions, times, history.end))
  })
}
