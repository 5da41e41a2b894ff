/**
 * Searching lists in which all that pass come before all that do not, as those of
 * sorted lists up to a bound do.
 */

/** How many of a list pass, by binary search. */
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
