/**
 * Checks of removals: deregistered instances send no heartbeats, losses have their true reason, and cleanups remove
 * only expired instances.
 */
import type { Deregistration, Lifetime, RegistryHistory, RegistryTimes, Removal } from "../../Checks.ts"
import { type DisruptionsOf, recovery } from "./disruptions.ts"
import { countUntil, lastBefore, lastTouching, lastUntil, type Span } from "./intervals.ts"
import { type Finding, seconds } from "./report.ts"
import { heartbeat, type InstanceTimeline, registered, removed, stampOf, type Timelines } from "./timelines.ts"

/** A disruption within this time of a deregistration may have delayed it, or a heartbeat: milliseconds. */
const nearTheEnd = 10_000

const never = Number.POSITIVE_INFINITY

// ------------------------------------------------------------ deregistered instances send no heartbeats

/** The earliest time of a lifetime's first write, which the store accepts before `register` returns. */
const beginOf = ({ from, registering }: Lifetime): number => registering ?? from - recovery

/**
 * When the record of a lifetime was deregistered. Another process's deregistration is stored before its call returns,
 * which ends the recorded lifetime. An instance's own deregistration is stored after the end of the lifetime.
 */
const tombstoneOf = (lifetime: Lifetime, { removals }: InstanceTimeline): number => {
  const until = lifetime.until!
  if (lifetime.ended === "left") return until
  return removals.findLast(({ at, how }) => how === "deregistered" && at >= beginOf(lifetime) && at <= until)?.at ??
    until
}

/** Whether the tombstone of a lifetime was lost with the stream before `at`. The store then shows no deregistration. */
const isForgotten = (lifetime: Lifetime, record: InstanceTimeline, at: number): boolean =>
  record.lost.length > 0 && lastUntil(record.lost, at) >= tombstoneOf(lifetime, record)

/**
 * Until when a process may act as the instance. If another process deregistered it and the tombstone was lost, it
 * continues until it reports a loss.
 */
const presentUntil = (lifetime: Lifetime, record: InstanceTimeline, at: number): number =>
  lifetime.ended === "deregistered" && isForgotten(lifetime, record, at)
    ? lifetime.lost?.at ?? never
    : lifetime.until ?? never

/** A disruption that may have delayed the last write of a lifetime, or the tombstone from another process. */
const disruptionAtTheEnd = ({ node, until }: Lifetime, disruptions: DisruptionsOf): Span | undefined =>
  lastTouching(disruptions(node), until! - nearTheEnd, until! + nearTheEnd)

/** The lifetimes of one instance, and its heartbeats and removals. */
export interface DeregisteredSpan {
  readonly lifetimes: ReadonlyArray<Lifetime>
  readonly record: InstanceTimeline
  readonly disruptions: DisruptionsOf
  /** The longest time between sending a write and its storage: milliseconds. */
  readonly late: number
}

/**
 * Until when the store may accept heartbeats of another lifetime. A heartbeat that was sent before the end of the
 * lifetime may be stored when the disruption ends.
 */
const reachOf = (other: Lifetime, at: number, { late, record, disruptions }: DeregisteredSpan): number => {
  if (other.until === undefined) return never
  const disruption = disruptionAtTheEnd(other, disruptions)
  const isReported = disruption === undefined && !isForgotten(other, record, at)
  // If the process cannot see its deregistration, it continues until it reports the loss.
  if (other.ended === "deregistered" && !isReported) return other.lost === undefined ? never : other.lost.at + late
  return Math.max(other.until, disruption?.until ?? other.until) + late + (disruption === undefined ? 0 : nearTheEnd)
}

/** Finds a heartbeat after a deregistration that no other lifetime can have sent. */
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
    rule: "deregistered instances send no heartbeats",
    at,
    message: `${record.instance} was deregistered on ${lifetime.node}, but sent a heartbeat ${
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

/** Finds reported losses without a deregistration, or without another process with the same id. */
export const misled = (
  lifetime: Lifetime,
  lifetimes: ReadonlyArray<Lifetime>,
  record: InstanceTimeline
): ReadonlyArray<Finding> => {
  const { lost } = lifetime
  if (lost === undefined) return []
  const begin = beginOf(lifetime)
  // A stream that was rolled back may contain old records again.
  if (lastUntil(record.lost, lost.at) >= begin) return []
  const isTrue = lost.as === "Deregistered"
    ? record.removals.some(({ at, how }) => how === "deregistered" && at >= begin && at <= lost.at)
    // A write of a lifetime that has ended may be stored until 10 s later.
    : lifetimes.some((other) =>
      other !== lifetime && beginOf(other) <= lost.at && presentUntil(other, record, lost.at) >= begin - nearTheEnd
    )
  if (isTrue) return []
  const why = lost.as === "Deregistered" ? "was not deregistered" : "no other process had its id"
  return [{
    rule: "losses have their true reason",
    at: lost.at,
    message: `${lifetime.instance} on ${lifetime.node} reported ${lost.as}, but ${why}`,
    facts: [registered(lifetime), {
      at: lost.at,
      who: lifetime.instance,
      what: `reports ${lost.as} on ${lifetime.node}`
    }]
  }]
}

// ------------------------------------------------------------ only expired instances are cleaned up

/**
 * Whether a deregistration may have purged the record. If the call failed, its removal may be stored later, but not
 * after a heartbeat that the call cannot have read.
 */
const isDeregistered = (
  { at, instance }: Removal,
  deregistrations: ReadonlyArray<Deregistration>,
  heartbeats: ReadonlyArray<number>
): boolean =>
  deregistrations.some((call) =>
    call.instance === instance && call.from <= at &&
    (at <= call.until || (call.failed && lastBefore(heartbeats, at) <= call.until))
  )

/** Finds cleanups that came before the cleanup can have seen the instance as expired for `confirmation` ms. */
export const cleanups = (
  { deregistrations = [], removals }: RegistryHistory,
  { confirmation = 0, tolerance, maxAge }: RegistryTimes,
  { all }: Timelines
): ReadonlyArray<Finding> =>
  removals.flatMap((removal) => {
    if (removal.how !== "cleanedUp") return []
    const { at, instance } = removal
    const record = all.get(instance)!
    const { heartbeats, lost } = record
    const last = lastBefore(heartbeats, at)
    // The cleanup's clock may be wrong by `tolerance`.
    const expired = stampOf(record, last) + maxAge - tolerance
    // After a roll-back the cleanup did not see the last heartbeat.
    if (at >= expired + confirmation || lastUntil(lost, at) >= last) return []
    if (isDeregistered(removal, deregistrations, heartbeats)) return []
    const seen = at < expired
      ? { how: `${seconds(at - last)} s after a heartbeat`, facts: [] }
      : {
        how: `at most ${seconds(at - expired)} s after it could first be seen as expired`,
        facts: [{ at: expired, who: instance, what: "can be seen as expired from now on" }]
      }
    return [{
      rule: "only expired instances are cleaned up",
      at,
      message: `${instance} was cleaned up ${seen.how}`,
      facts: [heartbeat(instance, last), ...seen.facts, removed(removal)]
    }]
  })
