/**
 * Compares the events of a watch with the writes and with the final contents of the bucket. Pure functions.
 */

/** An event of a watch and its time, in milliseconds. `value` is the number that the writer wrote. */
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

/** An acknowledged write, and the time of the acknowledgement. */
export interface Acknowledged {
  readonly key: string
  readonly revision: number
  readonly value: number
  readonly at: number
}

export interface Evidence {
  readonly seen: ReadonlyArray<Seen>
  /** The keys that have a value on the server at the end, and their revisions. */
  readonly held: ReadonlyMap<string, number>
  /** Whether another client recreated the bucket during the run. */
  readonly anew: boolean
  /** The first acknowledged write of a new connection after the fault. */
  readonly fresh: Acknowledged | undefined
  readonly acknowledged: ReadonlyArray<Acknowledged>
}

export interface Verdict {
  /** Keys whose last value the watch did not emit. */
  readonly missed: ReadonlyArray<string>
  /** Keys without a value on the server, whose removal the watch did not emit. */
  readonly notRemoved: ReadonlyArray<string>
  /** Revisions that were emitted twice, and removals of keys that had already been removed. */
  readonly duplicates: ReadonlyArray<string>
  readonly disordered: ReadonlyArray<string>
  /** The number of acknowledged writes that were not emitted: superseded, lost with the bucket, or missed. */
  readonly skipped: number
  /** Milliseconds from the acknowledgement of `fresh` to the first event at or after it. */
  readonly firstEvent: number | undefined
}

/**
 * Which bucket an event belongs to: 0 before, 1 after it was recreated by another client. Values increase over the
 * whole run, while revisions of the recreated bucket start at 1: only there a revision is less than its value. A bucket
 * that the library recreates continues with higher revisions, so its events need no distinction.
 */
const lifeOf = (anew: boolean, { revision, value }: { readonly revision: number; readonly value: number }): 0 | 1 =>
  anew && revision < value ? 1 : 0

type Event = Extract<Seen, { readonly key: string }>

const shown = (event: Event) => `${event._tag} ${event.key}@${event.revision}`

/**
 * Milliseconds from `fresh` to the first event of the same or a later revision. The search starts at the index `from`.
 */
export const firstEvent = (
  { anew, fresh, seen }: Pick<Evidence, "anew" | "fresh" | "seen">,
  from = 0
): number | undefined => {
  if (fresh === undefined) return undefined
  const life = lifeOf(anew, fresh)
  for (let index = from; index < seen.length; index++) {
    const event = seen[index]!
    if (event._tag === "Put" && lifeOf(anew, event) === life && event.revision >= fresh.revision) {
      // The watch may receive a write before the writer receives the acknowledgement.
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
      // A removal without a delete marker has the last revision of its key, so this revision is not a duplicate.
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
 * Checks the events of a watch for a recreated bucket: first each lost key is removed with the reason `reset` and its
 * last revision, then the new snapshot follows (values greater than `lastBefore`), then a second `Ready`. Returns the
 * problems.
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
    if (event.revision !== had) problems.push(`${event.key} was reset with revision ${event.revision}, expected ${had}`)
  })
  for (const key of gone) {
    if (times.get(key) !== 1) problems.push(`${key} was reset ${times.get(key) ?? 0} times`)
  }
  if (readies.length !== 2) problems.push(`Ready was emitted ${readies.length} times, expected 2`)
  else if (readies[1]! < lastReset) problems.push("Ready was emitted before a reset")
  return problems
}
