/**
 * Checks of removals: deregistered instances stay away, a loss has its true
 * reason, and cleanups remove only expired instances.
 */
import type { Lifetime, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { type DisruptionsOf, recovery } from "./disruptions.ts"
import { countUntil, lastBefore, lastTouching, lastUntil, type Span } from "./intervals.ts"
import { type Finding, seconds } from "./report.ts"
import { heartbeat, type InstanceTimeline, registered, removed, type Timelines } from "./timelines.ts"

/** A disruption this near to a deregistration may have delayed it, or the last heartbeat. */
const nearTheEnd = 10_000

const never = Number.POSITIVE_INFINITY

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
export interface DeregisteredSpan {
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
export const resurrected = (lifetime: Lifetime, kept: DeregisteredSpan): ReadonlyArray<Finding> => {
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

// ------------------------------------------------------------ losses have their true reason

/** A loss by a deregistration, or by another instance with its id, although neither had happened. */
export const misled = (
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

// ------------------------------------------------------------ only expired instances are cleaned up

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
