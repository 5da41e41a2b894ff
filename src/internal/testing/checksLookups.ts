/**
 * What observers were told, held against what the store took.
 */
import type { Lookup, RegistryHistory, RegistryTimes, Rule } from "../../testing/Checks.ts"
import { disruptionsOf, recovery, silences, unsettledOf } from "./checksDisruptions.ts"
import { heartbeat, type InstanceTimeline, removed, type Timelines } from "./checksRecords.ts"
import { type Fact, type Finding, seconds } from "./checksReport.ts"
import { lastBefore, lastUntil, touches } from "./checksSpans.ts"

/** How far the answer to a look may be from the truth; milliseconds. */
interface Leeway {
  /** Ages may be wrong by this much. */
  readonly age: number
  /** What the store took this long ago may not have been seen. */
  readonly lag: number
}

const longAgo = Number.NEGATIVE_INFINITY

/** The beat for which the instance must be told of; none where it need not be. */
const proofOfLife = (
  { heartbeats, lost, told }: InstanceTimeline,
  look: Lookup,
  maxAge: number,
  { age, lag }: Leeway
) => {
  const last = lastUntil(heartbeats, look.from - lag)
  const removedLast = Math.max(lastUntil(told, look.until), lastUntil(lost, look.until))
  return last !== longAgo && last >= look.until - maxAge + age && removedLast < last ? last : undefined
}

/** Why the instance must not be told of: it was removed, it is too old, or it never was. */
type Death = { readonly removedAt: number } | { readonly lastHeartbeat: number }

const proofOfDeath = (
  { heartbeats, lost, told }: InstanceTimeline,
  look: Lookup,
  maxAge: number,
  { age, lag }: Leeway
): Death | undefined => {
  const last = lastUntil(heartbeats, look.until)
  // Strictly before: at one and the same moment either may have come first.
  const removedAt = lastBefore(told, look.from - lag)
  if (removedAt !== longAgo && last < removedAt && lastUntil(lost, look.until) < removedAt) return { removedAt }
  return last < look.from - maxAge - age ? { lastHeartbeat: last } : undefined
}

const looked = ({ from, how, instances, node, service, until }: Lookup): Fact => ({
  at: until,
  who: node,
  what: how === "watch"
    ? `has "${service}" in its view as [${instances.join(", ")}]`
    : `is told of "${service}": [${instances.join(", ")}], asked at ${seconds(from)} s`
})

const found = (rule: Rule, look: Lookup, how: string, proof: ReadonlyArray<Fact>): Finding => ({
  rule,
  at: look.until,
  message: `the ${look.how} of "${look.service}" on ${look.node} ${how}`,
  facts: [...proof, looked(look)]
})

const missing = (record: InstanceTimeline, look: Lookup, lastHeartbeat: number): Finding =>
  found(
    "live instances are listed",
    look,
    `lacks ${record.instance}, whose last heartbeat came ${seconds(look.until - lastHeartbeat)} s ago`,
    [
      heartbeat(record.instance, lastHeartbeat)
    ]
  )

const unduly = (record: InstanceTimeline, look: Lookup, death: Death): Finding => {
  const has = `has ${record.instance}, which`
  if ("removedAt" in death) {
    const removal = record.removals.find(({ at }) => at === death.removedAt)!
    const how = `${has} was removed ${seconds(look.until - removal.at)} s ago`
    return found("expired instances are not listed", look, how, [removed(removal)])
  }
  if (death.lastHeartbeat === longAgo) {
    return found("expired instances are not listed", look, `${has} has never sent a heartbeat`, [])
  }
  const how = `${has} has sent no heartbeat for ${seconds(look.until - death.lastHeartbeat)} s`
  return found("expired instances are not listed", look, how, [heartbeat(record.instance, death.lastHeartbeat)])
}

export const lookups = (history: RegistryHistory, times: RegistryTimes, records: Timelines): ReadonlyArray<Finding> => {
  const { tolerance, maxAge, readLag = 0 } = times
  const disruptions = disruptionsOf(history.disruptions)
  // A machine that was suspended has missed time, until it has noticed and asked the store for it.
  const unsettled = unsettledOf(history.disruptions, tolerance + recovery)
  // One instance alone is not enough to suspect the store instead of it.
  const silent = records.all.size > 1 ? silences(history, times) : []
  // What an observer has found out after trouble: the link is back, and whoever lives has beaten since.
  const settling = maxAge + tolerance + recovery

  const judge = (look: Lookup, record: InstanceTimeline, isListed: boolean, leeway: Leeway): Finding | undefined => {
    if (!isListed) {
      const lastHeartbeat = proofOfLife(record, look, maxAge, leeway)
      return lastHeartbeat === undefined ? undefined : missing(record, look, lastHeartbeat)
    }
    const death = proofOfDeath(record, look, maxAge, leeway)
    if (death === undefined) return undefined
    if ("removedAt" in death) return unduly(record, look, death)
    const mayBeWrong = look.how === "watch"
      ? touches(silent, look.from - settling, look.until)
      : touches(unsettled(look.node), look.from, look.until)
    return mayBeWrong ? undefined : unduly(record, look, death)
  }

  return history.lookups.flatMap((look) => {
    const isWatch = look.how === "watch"
    if (isWatch && touches(disruptions(look.node), look.from - settling, look.until)) return []
    const leeway = isWatch ? { age: 2 * tolerance, lag: tolerance } : { age: tolerance, lag: readLag }
    const listed = new Set(look.instances)
    const known = records.ofService(look.service)
    const judged = known.map((record) => judge(look, record, listed.delete(record.instance), leeway))
    const strangers = Array.from(
      listed,
      (instance) => found("expired instances are not listed", look, `has ${instance}, which is no instance of it`, [])
    )
    return [...judged.filter((one) => one !== undefined), ...strangers]
  })
}
