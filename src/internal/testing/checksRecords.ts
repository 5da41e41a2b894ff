/**
 * The truth of each instance: when the store took its beats, and when it was gone.
 */
import type { Removal, RosterHistory } from "./checksModels.ts"
import type { Fact } from "./checksReport.ts"

export interface Record {
  readonly instance: string
  /** Sorted. */
  readonly beats: Array<number>
  /** Sorted; the times of them are in `told` and `lost`. */
  readonly removals: Array<Removal>
  /** When it was removed so that it cannot be there. */
  readonly told: Array<number>
  /** When it was lost: whether it is there is not known from then on. */
  readonly lost: Array<number>
}

const serviceOf = (instance: string): string => instance.slice(0, Math.max(0, instance.lastIndexOf("/")))

const fill = (history: RosterHistory): Map<string, Record> => {
  const records = new Map<string, Record>()
  const of = (instance: string): Record => {
    const known = records.get(instance)
    if (known !== undefined) return known
    const made: Record = { instance, beats: [], removals: [], told: [], lost: [] }
    records.set(instance, made)
    return made
  }
  for (const { at, instance } of history.beats) of(instance).beats.push(at)
  for (const removal of history.removals) {
    const record = of(removal.instance)
    record.removals.push(removal)
    record[removal.how === "lost" ? "lost" : "told"].push(removal.at)
  }
  for (const { instance } of history.lives) of(instance)
  for (const { beats, lost, removals, told } of records.values()) {
    for (const times of [beats, told, lost]) times.sort((one, two) => one - two)
    removals.sort((one, two) => one.at - two.at)
  }
  return records
}

export interface Records {
  readonly all: ReadonlyMap<string, Record>
  readonly ofService: (service: string) => ReadonlyArray<Record>
}

export const records = (history: RosterHistory): Records => {
  const all = fill(history)
  const byService = Map.groupBy(all.values(), ({ instance }) => serviceOf(instance))
  return { all, ofService: (service) => byService.get(service) ?? [] }
}

const gone = {
  deregistered: "is deregistered",
  swept: "is swept",
  expired: "is expired by the store",
  lost: "is lost with the stream, or with its newest writes"
}

export const beat = (instance: string, at: number): Fact => ({ at, who: instance, what: "beats" })

export const removed = ({ at, how, instance }: Removal): Fact => ({ at, who: instance, what: gone[how] })
