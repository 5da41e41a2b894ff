/**
 * The disruptions of each node. A disruption of the store is a disruption of every node.
 */
import type { Disruption, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { merge, type Span } from "./intervals.ts"

/** The time that a node needs after a disruption to reconnect and retry: milliseconds. */
export const recovery = 3000

/** Returns the disruptions of a node. */
export type DisruptionsOf = (node: string) => ReadonlyArray<Span>

const byNode = (disruptions: ReadonlyArray<Disruption>, ofAll: ReadonlyArray<Disruption>): DisruptionsOf => {
  const each = Map.groupBy(disruptions, ({ node }) => node)
  const known = new Map<string, ReadonlyArray<Span>>()
  return (node) => {
    const merged = known.get(node) ?? merge([...ofAll, ...each.get(node) ?? []])
    known.set(node, merged)
    return merged
  }
}

/** The disruptions of a node and of the store, merged. */
export const disruptionsOf = (disruptions: ReadonlyArray<Disruption>) =>
  byNode(disruptions, disruptions.filter(({ node }) => node === undefined))

/** The disruptions of a node without those of the store, merged. */
export const ownDisruptionsOf = (disruptions: ReadonlyArray<Disruption>) => byNode(disruptions, [])

/**
 * The times in which a node may not know the store's time, because a suspension may have stopped its clock: from a
 * disruption of the node itself until `settling` milliseconds after it. A disruption that begins within this time
 * extends it.
 */
export const unsettledOf = (disruptions: ReadonlyArray<Disruption>, settling: number): DisruptionsOf => {
  const [all, own] = [disruptionsOf(disruptions), ownDisruptionsOf(disruptions)]
  const known = new Map<string, ReadonlyArray<Span>>()
  return (node) => {
    const found = known.get(node) ?? merge(all(node).map(({ from, until }) => ({ from, until: until + settling })))
      .flatMap(({ from, until }) => {
        const first = own(node).find((one) => one.until >= from && one.from <= until)
        return first === undefined ? [] : [{ from: first.from, until }]
      })
    known.set(node, found)
    return found
  }
}

/**
 * The times in which an observer may suspect the store instead of the instances, because no instance sends a heartbeat:
 * from `maxAge / 2 - tolerance` after a heartbeat until the next heartbeat of any instance.
 */
export const silences = (history: RegistryHistory, { tolerance, maxAge }: RegistryTimes): ReadonlyArray<Span> => {
  const times = history.heartbeats.map(({ at }) => at).toSorted((one, two) => one - two)
  const suspicious = maxAge / 2 - tolerance
  const found: Array<Span> = []
  times.forEach((at, index) => {
    const next = times[index + 1] ?? Number.POSITIVE_INFINITY
    if (next - at > suspicious) found.push({ from: at + suspicious, until: next })
  })
  return found
}
