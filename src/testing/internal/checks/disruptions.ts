/**
 * The disruptions of each node. One of the store is one of every node.
 */
import type { Disruption, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { merge, type Span } from "./intervals.ts"

/** After a disruption: to connect and to try again, with the pauses that retries take. */
export const recovery = 3000

/** By node. */
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

/** The disruptions of a node and those of the store, merged. */
export const disruptionsOf = (disruptions: ReadonlyArray<Disruption>) =>
  byNode(disruptions, disruptions.filter(({ node }) => node === undefined))

/** The disruptions of a node alone, merged. */
export const ownDisruptionsOf = (disruptions: ReadonlyArray<Disruption>) => byNode(disruptions, [])

/**
 * From a disruption of a node's own until it can have found out what it missed: for so
 * long after it, and after what follows so closely that there was no time for that.
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
 * When an observer of several instances sees no heartbeat of any, and so may suspect
 * the store and not them: from half of `maxAge` after a heartbeat until
 * the next one.
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
