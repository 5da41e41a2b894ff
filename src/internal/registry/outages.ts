/**
 * Outages that the records of a service show (docs/protocols/registry.md, R29). A process that has just started, or has no
 * watch, finds after an outage of the store only old records, and the first heartbeats after it. Each record tells when
 * its owner missed a heartbeat, so these first ones show the outage. Pure. Times are milliseconds of the registry's
 * clock.
 */
import type { InstanceRecord } from "./record.ts"

/** No instance of a service could send a heartbeat from after `after` until `since`. */
export interface Outage {
  readonly after: number
  readonly since: number
}

export interface Aged {
  readonly record: InstanceRecord
  /** The time of the last heartbeat. */
  readonly heartbeatAt: number
  /** The age at which it is expired. */
  readonly maxAge: number
}

const ageAt = ({ heartbeatAt }: Aged, now: number): number => now - heartbeatAt

/** The number and the part of the instances with a fresh heartbeat that must have been silent at the same time. */
const fewest = 2
const leastPart = 0.5

/** Whether an instance tells anything of the last maxAge: not if it started within it. */
const isWitness = (one: Aged, now: number): boolean => {
  const { instance: { startedAt }, times: { streakSince } } = one.record
  return ageAt(one, now) <= one.maxAge && streakSince !== undefined && startedAt !== undefined &&
    now - startedAt.epochMilliseconds > one.maxAge
}

/**
 * When an instance sent no heartbeat, before its present ones. That time ended with its last heartbeat at the latest, whatever the
 * record tells: another library may have written it.
 */
const gapOf = ({ heartbeatAt, record: { times: { streakAfter, streakSince } } }: Aged): ReadonlyArray<Outage> =>
  streakAfter === undefined || streakSince === undefined
    ? []
    : [{ after: streakAfter, since: Math.min(streakSince, heartbeatAt) }]

/** The last time at which at least this many gaps were open. */
const lastShared = (gaps: ReadonlyArray<Outage>, least: number): number | undefined => {
  const changes = gaps
    .flatMap(({ after, since }) => [{ at: after, by: 1 }, { at: since, by: -1 }])
    .toSorted((one, two) => one.at - two.at || one.by - two.by)
  let open = 0
  let last: number | undefined
  for (const { at, by } of changes) {
    open += by
    if (by > 0 && open >= least) last = at
  }
  return last
}

/**
 * The last outage that the records of a service show: two or more, and half or more, of the instances with a fresh heartbeat
 * were silent at the same time. It ended with the first heartbeat of these.
 */
export const outageOf = (records: ReadonlyArray<Aged>, now: number): Outage | undefined => {
  const witnesses = records.filter((one) => isWitness(one, now))
  const gaps = witnesses.flatMap(gapOf)
  const after = lastShared(gaps, Math.max(fewest, witnesses.length * leastPart))
  if (after === undefined) return undefined
  const open = gaps.filter((gap) => gap.after <= after && after < gap.since)
  return { after, since: open.reduce((least, { since }) => Math.min(least, since), Number.POSITIVE_INFINITY) }
}

/** The age of a record, without an outage that began while it was live: its owner may not have been able to write. */
export const ageWithout = (outage: Outage | undefined, one: Aged, now: number): number => {
  if (outage === undefined) return ageAt(one, now)
  const { heartbeatAt, maxAge } = one
  const wasLive = heartbeatAt < outage.since && heartbeatAt + maxAge >= outage.after
  return ageAt(wasLive ? { ...one, heartbeatAt: outage.since } : one, now)
}

/** Returns the age of each record, without the outages that the records of its service show. */
export const ages = (records: ReadonlyArray<Aged>, now: number): (one: Aged) => number => {
  const byService = Map.groupBy(records, ({ record }) => record.instance.serviceName)
  const outages = new Map<string, Outage | undefined>()
  for (const [service, ofService] of byService) outages.set(service, outageOf(ofService, now))
  return (one) => ageWithout(outages.get(one.record.instance.serviceName), one, now)
}
