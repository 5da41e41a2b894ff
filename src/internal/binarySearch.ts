/**
 * Binary search.
 */

/** Counts the items that pass a test. In `list` all items that pass must come before all other items. */
export const countPassing = <A>(list: ReadonlyArray<A>, passes: (item: A) => boolean): number => {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (passes(list[middle]!)) low = middle + 1
    else high = middle
  }
  return low
}
