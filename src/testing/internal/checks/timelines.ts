/**
 * The timeline of each instance: when the store took its heartbeats, and when it was removed.
 */
import type { Lifetime, RegistryHistory, Removal } from "../../Checks.ts"
import type { Fact } from "./report.ts"

export interface InstanceTimeline {
  readonly instance: string
  /** Sorted. */
  readonly heartbeats: Array<number>
  /** Sorted; the times of them are in `known` and `lost`. */
  readonly removals: Array<Removal>
  /** When it was removed so that it cannot be there. */
  readonly known: Array<number>
  /** When it was lost: whether it is there is not known from then on. */
  readonly lost: Array<number>
}

const serviceOf = (instance: string): string => instance.slice(0, Math.max(0, instance.lastIndexOf("/")))

const fill = (history: RegistryHistory): Map<string, InstanceTimeline> => {
  const records = new Map<string, InstanceTimeline>()
  const of = (instance: string): InstanceTimeline => {
    const known = records.get(instance)
    if (known !== undefined) return known
    const made: InstanceTimeline = { instance, heartbeats: [], removals: [], known: [], lost: [] }
    records.set(instance, made)
    return made
  }
  for (const { at, instance } of history.heartbeats) of(instance).heartbeats.push(at)
  for (const removal of history.removals) {
    const record = of(removal.instance)
    record.removals.push(removal)
    record[removal.how === "lost" ? "lost" : "known"].push(removal.at)
  }
  for (const { instance } of history.lifetimes) of(instance)
  for (const { heartbeats, lost, removals, known } of records.values()) {
    for (const times of [heartbeats, known, lost]) times.sort((one, two) => one - two)
    removals.sort((one, two) => one.at - two.at)
  }
  return records
}

export interface Timelines {
  readonly all: ReadonlyMap<string, InstanceTimeline>
  readonly ofService: (service: string) => ReadonlyArray<InstanceTimeline>
}

export const records = (history: RegistryHistory): Timelines => {
  const all = fill(history)
  const byService = Map.groupBy(all.values(), ({ instance }) => serviceOf(instance))
  return { all, ofService: (service) => byService.get(service) ?? [] }
}

const removals = {
  deregistered: "is deregistered",
  cleanedUp: "is cleaned up",
  expired: "is expired by the store",
  lost: "is lost with the stream, or with its newest writes"
}

export const heartbeat = (instance: string, at: number): Fact => ({ at, who: instance, what: "sends a heartbeat" })

export const removed = ({ at, how, instance }: Removal): Fact => ({ at, who: instance, what: removals[how] })

export const registered = ({ from, instance, node }: Lifetime): Fact => ({
  at: from,
  who: instance,
  what: `is registered on ${node}`
})
