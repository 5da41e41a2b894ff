/**
 * What observers were told, held against what the store took.
 */
import type { Look, RosterHistory, RosterTimes, Rule } from "./checksModels.ts"
import { beat, type Record, type Records, removed } from "./checksRecords.ts"
import { type Fact, type Found, seconds } from "./checksReport.ts"
import { lastBefore, lastUntil, touches } from "./checksSpans.ts"
import { recovery, silences, troublesOf, unsettledOf } from "./checksTroubles.ts"

/** How far the answer to a look may be from the truth; milliseconds. */
interface Leeway {
  /** Ages may be wrong by this much. */
  readonly age: number
  /** What the store took this long ago may not have been seen. */
  readonly lag: number
}

const longAgo = Number.NEGATIVE_INFINITY

/** The beat for which the instance must be told of; none where it need not be. */
const proofOfLife = ({ beats, lost, told }: Record, look: Look, maxAge: number, { age, lag }: Leeway) => {
  const last = lastUntil(beats, look.from - lag)
  const removedLast = Math.max(lastUntil(told, look.until), lastUntil(lost, look.until))
  return last !== longAgo && last >= look.until - maxAge + age && removedLast < last ? last : undefined
}

/** Why the instance must not be told of: it was removed, it is too old, or it never was. */
type Death = { readonly removedAt: number } | { readonly lastBeat: number }

const proofOfDeath = (
  { beats, lost, told }: Record,
  look: Look,
  maxAge: number,
  { age, lag }: Leeway
): Death | undefined => {
  const last = lastUntil(beats, look.until)
  // Strictly before: at one and the same moment either may have come first.
  const removedAt = lastBefore(told, look.from - lag)
  if (removedAt !== longAgo && last < removedAt && lastUntil(lost, look.until) < removedAt) return { removedAt }
  return last < look.from - maxAge - age ? { lastBeat: last } : undefined
}

const looked = ({ from, how, instances, node, service, until }: Look): Fact => ({
  at: until,
  who: node,
  what: how === "watch"
    ? `has "${service}" in its roster as [${instances.join(", ")}]`
    : `is told of "${service}": [${instances.join(", ")}], asked at ${seconds(from)} s`
})

const found = (rule: Rule, look: Look, how: string, proof: ReadonlyArray<Fact>): Found => ({
  rule,
  at: look.until,
  message: `the ${look.how} of "${look.service}" on ${look.node} ${how}`,
  facts: [...proof, looked(look)]
})

const missing = (record: Record, look: Look, lastBeat: number): Found =>
  found("the living are seen", look, `lacks ${record.instance}, which beat ${seconds(look.until - lastBeat)} s ago`, [
    beat(record.instance, lastBeat)
  ])

const unduly = (record: Record, look: Look, death: Death): Found => {
  const has = `has ${record.instance}, which`
  if ("removedAt" in death) {
    const removal = record.removals.find(({ at }) => at === death.removedAt)!
    const how = `${has} was removed ${seconds(look.until - removal.at)} s ago`
    return found("the dead are not seen", look, how, [removed(removal)])
  }
  if (death.lastBeat === longAgo) return found("the dead are not seen", look, `${has} has never beaten`, [])
  const how = `${has} has not beaten for ${seconds(look.until - death.lastBeat)} s`
  return found("the dead are not seen", look, how, [beat(record.instance, death.lastBeat)])
}

export const looks = (history: RosterHistory, times: RosterTimes, records: Records): ReadonlyArray<Found> => {
  const { lateness, maxAge, readLag = 0 } = times
  const troubles = troublesOf(history.troubles)
  // A machine that was suspended has missed time, until it has noticed and asked the store for it.
  const unsettled = unsettledOf(history.troubles, lateness + recovery)
  // One instance alone is not enough to suspect the store instead of it.
  const silent = records.all.size > 1 ? silences(history, times) : []
  // What an observer has found out after trouble: the link is back, and whoever lives has beaten since.
  const settling = maxAge + lateness + recovery

  const judge = (look: Look, record: Record, isListed: boolean, leeway: Leeway): Found | undefined => {
    if (!isListed) {
      const lastBeat = proofOfLife(record, look, maxAge, leeway)
      return lastBeat === undefined ? undefined : missing(record, look, lastBeat)
    }
    const death = proofOfDeath(record, look, maxAge, leeway)
    if (death === undefined) return undefined
    if ("removedAt" in death) return unduly(record, look, death)
    const mayBeWrong = look.how === "watch"
      ? touches(silent, look.from - settling, look.until)
      : touches(unsettled(look.node), look.from, look.until)
    return mayBeWrong ? undefined : unduly(record, look, death)
  }

  return history.looks.flatMap((look) => {
    const isWatch = look.how === "watch"
    if (isWatch && touches(troubles(look.node), look.from - settling, look.until)) return []
    const leeway = isWatch ? { age: 2 * lateness, lag: lateness } : { age: lateness, lag: readLag }
    const listed = new Set(look.instances)
    const known = records.ofService(look.service)
    const judged = known.map((record) => judge(look, record, listed.delete(record.instance), leeway))
    const strangers = Array.from(
      listed,
      (instance) => found("the dead are not seen", look, `has ${instance}, which is no instance of it`, [])
    )
    return [...judged.filter((one) => one !== undefined), ...strangers]
  })
}
