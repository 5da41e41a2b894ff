/**
 * The timeline of each instance: the times of its stored heartbeats and of its removals.
 */
import type { Lifetime, RegistryHistory, Removal } from "../../Checks.ts"
import type { Fact } from "./report.ts"

export interface InstanceTimeline {
  readonly instance: string
  /** When the store accepted them. Sorted. */
  readonly heartbeats: Array<number>
  /** The times that the store gave to heartbeats, by when it accepted them, if these differ. */
  readonly stamps: Map<number, number>
  /** Sorted by time. `known` and `lost` contain the times of these removals. */
  readonly removals: Array<Removal>
  /** When the record was certainly removed. Sorted. */
  readonly known: Array<number>
  /** When the stream was lost or rolled back. Whether it contains the record is unknown from then on. Sorted. */
  readonly lost: Array<number>
}

const serviceOf = (instance: string): string => instance.slice(0, Math.max(0, instance.lastIndexOf("/")))

const fill = (history: RegistryHistory): Map<string, InstanceTimeline> => {
  const records = new Map<string, InstanceTimeline>()
  const of = (instance: string): InstanceTimeline => {
    const known = records.get(instance)
    if (known !== undefined) return known
    const made: InstanceTimeline = { instance, heartbeats: [], stamps: new Map(), removals: [], known: [], lost: [] }
    records.set(instance, made)
    return made
  }
  for (const { at, instance, stampedAt = at } of history.heartbeats) {
    const { heartbeats, stamps } = of(instance)
    heartbeats.push(at)
    if (stampedAt < at) stamps.set(at, stampedAt)
  }
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

/** From when the age of a heartbeat counts. */
export const stampOf = ({ stamps }: InstanceTimeline, heartbeat: number): number => stamps.get(heartbeat) ?? heartbeat

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
  expired: "expires in the store",
  lost: "its record is lost with the stream, or with the last writes of the stream"
}

export const heartbeat = (instance: string, at: number): Fact => ({ at, who: instance, what: "sends a heartbeat" })

export const removed = ({ at, how, instance }: Removal): Fact => ({ at, who: instance, what: removals[how] })

export const registered = ({ from, instance, node }: Lifetime): Fact => ({
  at: from,
  who: instance,
  what: `is registered on ${node}`
})
