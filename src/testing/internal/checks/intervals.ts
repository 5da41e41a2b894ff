/**
 * Searching and merging what is sorted by time.
 */
import { countPassing } from "../../../internal/binarySearch.ts"

export interface Span {
  readonly from: number
  readonly until: number
}

/** How many of the sorted are at or before a time. */
export const countUntil = (sorted: ReadonlyArray<number>, time: number): number =>
  countPassing(sorted, (one) => one <= time)

/** The last of the sorted at or before a time; long ago where there is none. */
export const lastUntil = (sorted: ReadonlyArray<number>, time: number): number =>
  sorted[countUntil(sorted, time) - 1] ?? Number.NEGATIVE_INFINITY

/** The last of the sorted before a time; long ago where there is none. */
export const lastBefore = (sorted: ReadonlyArray<number>, time: number): number =>
  sorted[countPassing(sorted, (one) => one < time) - 1] ?? Number.NEGATIVE_INFINITY

/** Sorted and apart: what overlaps or touches is one. */
export const merge = (spans: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  if (spans.length < 2) return spans
  const merged: Array<{ readonly from: number; until: number }> = []
  for (const { from, until } of spans.toSorted((one, two) => one.from - two.from)) {
    const last = merged.at(-1)
    if (last !== undefined && from <= last.until) last.until = Math.max(last.until, until)
    else merged.push({ from, until })
  }
  return merged
}

/** The last of merged spans that shares a moment with this one, ends included. */
export const lastTouching = (merged: ReadonlyArray<Span>, from: number, until: number): Span | undefined => {
  const last = merged[countPassing(merged, (span) => span.from <= until) - 1]
  return last !== undefined && last.until >= from ? last : undefined
}

/** Whether any of merged spans does. */
export const touches = (merged: ReadonlyArray<Span>, from: number, until: number): boolean =>
  lastTouching(merged, from, until) !== undefined
