/**
 * What a watch gave, held against what was written and what the server holds in the end. Pure.
 */

/** What a watch gave, and when, in milliseconds. The value is the number that the writers gave it. */
export type Seen =
  | {
    readonly _tag: "Put"
    readonly at: number
    readonly key: string
    readonly revision: number
    readonly value: number
  }
  | {
    readonly _tag: "Removed"
    readonly at: number
    readonly key: string
    readonly revision: number
    readonly reason: string
  }
  | { readonly _tag: "Ready"; readonly at: number }
  | { readonly _tag: "Ended"; readonly at: number; readonly why: string }

/** A write that the server has acknowledged, and when. */
export interface Acknowledged {
  readonly key: string
  readonly revision: number
  readonly value: number
  readonly at: number
}

export interface Evidence {
  readonly seen: ReadonlyArray<Seen>
  /** Every live key on the server in the end, and its revision. */
  readonly held: ReadonlyMap<string, number>
  /** Whether the bucket of the end is another than that of the start. */
  readonly anew: boolean
  /** The first write that a new connection got acknowledged after the fault. */
  readonly fresh: Acknowledged | undefined
  readonly acknowledged: ReadonlyArray<Acknowledged>
}

export interface Verdict {
  /** Keys of which the watch did not give the last value. */
  readonly missed: ReadonlyArray<string>
  /** Keys that are gone, and of which the watch did not say so. */
  readonly notRemoved: ReadonlyArray<string>
  /** Given twice: a revision, or the removal of a key that was already gone. */
  readonly duplicates: ReadonlyArray<string>
  readonly disordered: ReadonlyArray<string>
  /** How many acknowledged writes were never given: superseded, or lost with their bucket, or missed. */
  readonly skipped: number
  /** Milliseconds from the acknowledgement of `fresh` to the first event at or after it. */
  readonly firstEvent: number | undefined
}

/**
 * Writers number their writes on, while a bucket that others made anew counts its revisions from 1: there, and only
 * there, a revision is less than the number that was written with it. A bucket that the library made goes on above
 * every revision it ever gave, and needs no telling apart.
 */
const lifeOf = (anew: boolean, { revision, value }: { readonly revision: number; readonly value: number }): 0 | 1 =>
  anew && revision < value ? 1 : 0

type Event = Extract<Seen, { readonly key: string }>

const shown = (event: Event) => `${event._tag} ${event.key}@${event.revision}`

/** The time from `fresh` to the first event at or after it; nothing before the index `from` is. */
export const firstEvent = (
  { anew, fresh, seen }: Pick<Evidence, "anew" | "fresh" | "seen">,
  from = 0
): number | undefined => {
  if (fresh === undefined) return undefined
  const life = lifeOf(anew, fresh)
  for (let index = from; index < seen.length; index++) {
    const event = seen[index]!
    if (event._tag === "Put" && lifeOf(anew, event) === life && event.revision >= fresh.revision) {
      // The watch may hear of a write before its writer does.
      return Math.max(0, event.at - fresh.at)
    }
  }
  return undefined
}

export const judge = (evidence: Evidence): Verdict => {
  const { acknowledged, anew, held, seen } = evidence
  const duplicates: Array<string> = []
  const disordered: Array<string> = []
  const state = new Map<string, number>()
  const values = new Set<number>()
  let given = new Set<number>()
  let life = 0
  let last = 0

  const inOrder = (event: Event) => {
    if (given.has(event.revision)) duplicates.push(shown(event))
    else if (event.revision < last) disordered.push(shown(event))
    given.add(event.revision)
    last = Math.max(last, event.revision)
  }

  for (const event of seen) {
    if (event._tag === "Put") {
      const itsLifetime = lifeOf(anew, event)
      if (itsLifetime > life) {
        life = itsLifetime
        last = 0
        given = new Set()
      }
      if (itsLifetime < life) disordered.push(shown(event))
      else inOrder(event)
      state.set(event.key, event.revision)
      values.add(event.value)
    } else if (event._tag === "Removed") {
      // What is gone without a message is told with the revision last seen, and is no message of its own.
      const known = state.get(event.key)
      if (event.revision === known || event.reason === "reset") {
        if (known === undefined) duplicates.push(shown(event))
      } else inOrder(event)
      state.delete(event.key)
    }
  }

  return {
    missed: [...held].filter(([key, revision]) => state.get(key) !== revision).map(([key]) => key),
    notRemoved: [...state.keys()].filter((key) => !held.has(key)),
    duplicates,
    disordered,
    skipped: acknowledged.filter(({ value }) => !values.has(value)).length,
    firstEvent: firstEvent(evidence)
  }
}

/**
 * What is wrong with how a watch told of a bucket made anew: each of the keys that are gone is removed by a reset, with
 * the revision that it had; only then comes the new snapshot (values later than `lastBefore`), and then `Ready` for the
 * second time.
 */
export const resetProblems = (
  seen: ReadonlyArray<Seen>,
  gone: ReadonlyArray<string>,
  lastBefore: number
): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const revisions = new Map<string, number>()
  const times = new Map<string, number>()
  const readies: Array<number> = []
  let lastReset = -1
  let isNew = false
  seen.forEach((event, index) => {
    if (event._tag === "Ready") readies.push(index)
    if (event._tag === "Put") {
      isNew ||= event.value > lastBefore
      revisions.set(event.key, event.revision)
    }
    if (event._tag !== "Removed" || event.reason !== "reset") return
    lastReset = index
    times.set(event.key, (times.get(event.key) ?? 0) + 1)
    if (isNew) problems.push(`${event.key} was reset after the new snapshot had begun`)
    const had = revisions.get(event.key)
    if (event.revision !== had) problems.push(`${event.key} was reset at ${event.revision}, not at ${had}`)
  })
  for (const key of gone) {
    if (times.get(key) !== 1) problems.push(`${key} was reset ${times.get(key) ?? 0} times`)
  }
  if (readies.length !== 2) problems.push(`Ready came ${readies.length} times`)
  else if (readies[1]! < lastReset) problems.push("Ready came before a reset")
  return problems
}
