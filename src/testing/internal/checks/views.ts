/**
 * Groups the lookups of watches into views. A view begins when its node starts to follow the events of a watch, and
 * ends with the process or with the watch.
 */
import { countPassing } from "../../../internal/binarySearch.ts"
import type { Lookup } from "../../Checks.ts"

/** The lookups of one view, sorted by time. */
export type View = ReadonlyArray<Lookup>

const isOfView = ({ how, since }: Lookup): boolean => how === "watch" && since !== undefined

const viewsIn = (lookups: ReadonlyArray<Lookup>): ReadonlyArray<View> =>
  Array.from(
    Map.groupBy(lookups.filter(isOfView), ({ node, service, since }) => JSON.stringify([node, service, since]))
      .values(),
    (view) => view.toSorted((one, two) => one.until - two.until)
  )

const placeOf = ({ node, service }: Lookup): string => JSON.stringify([node, service])

export interface Views {
  readonly all: ReadonlyArray<View>
  /** The last lookup of a view of the same node and service before a list began, and the next one after it returned. */
  readonly around: (list: Lookup) => { readonly before: Lookup | undefined; readonly after: Lookup | undefined }
}

export const viewsOf = (lookups: ReadonlyArray<Lookup>): Views => {
  const all = viewsIn(lookups)
  const byPlace = new Map(
    Array.from(
      Map.groupBy(all.flat(), placeOf),
      ([place, own]) => [place, own.toSorted((one, two) => one.until - two.until)]
    )
  )
  return {
    all,
    around: (list) => {
      const own = byPlace.get(placeOf(list)) ?? []
      return {
        before: own[countPassing(own, ({ until }) => until <= list.from) - 1],
        after: own[countPassing(own, ({ until }) => until < list.until)]
      }
    }
  }
}
