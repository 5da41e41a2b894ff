/**
 * The disruptions of each node. A disruption of the store is a disruption of every node.
 */
import type { Disruption, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { lastTouching, merge, type Span } from "./intervals.ts"

/** The time that a node needs after a disruption to reconnect and retry: milliseconds. */
export const recovery = 3000

/** Returns the disruptions of a node. */
export type DisruptionsOf = (node: string) => ReadonlyArray<Span>

/** Finds the spans of each node once. */
export const onceForEach = (find: DisruptionsOf): DisruptionsOf => {
  const known = new Map<string, ReadonlyArray<Span>>()
  return (node) => {
    const found = known.get(node) ?? find(node)
    known.set(node, found)
    return found
  }
}

const byNode = (disruptions: ReadonlyArray<Disruption>, ofAll: ReadonlyArray<Disruption>): DisruptionsOf => {
  const each = Map.groupBy(disruptions, ({ node }) => node)
  return onceForEach((node) => merge([...ofAll, ...each.get(node) ?? []]))
}

/** The disruptions of a node and of the store, merged. */
export const disruptionsOf = (disruptions: ReadonlyArray<Disruption>) =>
  byNode(disruptions, disruptions.filter(({ node }) => node === undefined))

/** The disruptions of a node without those of the store, merged. */
export const ownDisruptionsOf = (disruptions: ReadonlyArray<Disruption>) => byNode(disruptions, [])

/**
 * The times in which a node may not know the store's time, because a suspension may have stopped its clock until it reads
 * the store's clock: from a
 * disruption of the node itself until `settling` milliseconds after it. A disruption that begins within this time
 * extends it.
 */
export const unsettledOf = (disruptions: ReadonlyArray<Disruption>, settling: number): DisruptionsOf => {
  const [all, own] = [disruptionsOf(disruptions), ownDisruptionsOf(disruptions)]
  return onceForEach((node) =>
    merge(all(node).map(({ from, until }) => ({ from, until: until + settling })))
      .flatMap(({ from, until }) => {
        const first = own(node).find((one) => one.until >= from && one.from <= until)
        return first === undefined ? [] : [{ from: first.from, until }]
      })
  )
}

/**
 * The times in which an observer may suspect the store instead of the instances, because no instance sends a heartbeat:
 * from `maxAge / 2 - tolerance` after a heartbeat until the next heartbeat of any instance. The observer asks the store
 * once. A suspicion ends `maxAge` after the answer, which is late if the observer cannot reach the store then.
 */
export const silencesOf = (history: RegistryHistory, { tolerance, maxAge }: RegistryTimes) => {
  const times = history.heartbeats.map(({ at }) => at).toSorted((one, two) => one - two)
  const suspicious = maxAge / 2 - tolerance
  const asking = 2 * tolerance + recovery
  return (disturbed: ReadonlyArray<Span>): ReadonlyArray<Span> =>
    times.flatMap((at, index) => {
      const from = at + suspicious
      const next = times[index + 1] ?? Number.POSITIVE_INFINITY
      if (next <= from) return []
      const answered = lastTouching(disturbed, from, from + asking)?.until ?? from
      return [{ from, until: Math.min(next, answered + maxAge + asking) }]
    })
}
