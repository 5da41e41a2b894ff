/**
 * Searches sorted times, and merges time spans.
 */
import { countPassing } from "../../../internal/binarySearch.ts"

export interface Span {
  readonly from: number
  readonly until: number
}

/** The number of sorted times at or before a time. */
export const countUntil = (sorted: ReadonlyArray<number>, time: number): number =>
  countPassing(sorted, (one) => one <= time)

/** The last of the sorted times at or before a time, or -Infinity. */
export const lastUntil = (sorted: ReadonlyArray<number>, time: number): number =>
  sorted[countUntil(sorted, time) - 1] ?? Number.NEGATIVE_INFINITY

/** The last of the sorted times before a time, or -Infinity. */
export const lastBefore = (sorted: ReadonlyArray<number>, time: number): number =>
  sorted[countPassing(sorted, (one) => one < time) - 1] ?? Number.NEGATIVE_INFINITY

/** Sorts spans and joins those that overlap or touch. */
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

/**
 * Each of the spans with the further spans that overlap it, or that follow without a gap: from the beginning of the first span
 * to the end of the last one.
 */
export const prolonged = (spans: ReadonlyArray<Span>, further: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const merged = merge(spans)
  return merge([...merged, ...further]).flatMap(({ from, until }) => {
    const first = merged[countPassing(merged, (span) => span.until < from)]
    return first === undefined || first.from > until ? [] : [{ from: first.from, until }]
  })
}

/** The last of the merged spans that overlaps `from` to `until`. Ends are inclusive. */
export const lastTouching = (merged: ReadonlyArray<Span>, from: number, until: number): Span | undefined => {
  const last = merged[countPassing(merged, (span) => span.from <= until) - 1]
  return last !== undefined && last.until >= from ? last : undefined
}

/** Whether one of the merged spans overlaps `from` to `until`. Ends are inclusive. */
export const touches = (merged: ReadonlyArray<Span>, from: number, until: number): boolean =>
  lastTouching(merged, from, until) !== undefined

/** The time that is `millis` earlier, not counting the merged spans. */
export const earlierBy = (merged: ReadonlyArray<Span>, time: number, millis: number): number => {
  let [at, left] = [time, millis]
  for (let index = countPassing(merged, (span) => span.from < time) - 1; index >= 0; index--) {
    const { from, until } = merged[index]!
    if (at - until >= left) break
    left -= Math.max(0, at - until)
    at = from
  }
  return at - left
}

/** The duration of the parts of the merged spans between `from` and `until`. */
export const measure = (merged: ReadonlyArray<Span>, from: number, until: number): number => {
  let sum = 0
  for (let index = countPassing(merged, (span) => span.until <= from); index < merged.length; index++) {
    const span = merged[index]!
    if (span.from >= until) break
    sum += Math.min(span.until, until) - Math.max(span.from, from)
  }
  return sum
}
