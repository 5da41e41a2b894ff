/** Measures alternately, so that other load on the machine affects all contestants alike, and returns medians. */
import * as Effect from "effect/Effect"

export const median = (numbers: ReadonlyArray<number>): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The number that the given part of the numbers does not exceed. */
export const quantile = (numbers: ReadonlyArray<number>, part: number): number =>
  numbers.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(numbers.length * part) - 1)] ?? Number.POSITIVE_INFINITY

/** Rounds to three significant digits, the precision of measurements on a shared machine. */
export const rounded = (number: number): number => Number(number.toPrecision(3))

export const millisOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const begun = performance.now()
    return Effect.map(effect, () => performance.now() - begun)
  })

/** Measures each contestant in turn, in one warm-up round and then `rounds` rounds. Returns the median of each. */
export const inTurn = Effect.fnUntraced(function*<Name extends string, E>(
  contestants: Record<Name, Effect.Effect<number, E>>,
  rounds: number
): Effect.fn.Return<Record<Name, number>, E> {
  const names = Object.keys(contestants) as Array<Name>
  const measured = new Map<Name, Array<number>>(names.map((name) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const number = yield* contestants[name]
      if (round > 0) measured.get(name)!.push(number)
    }
  }
  return Object.fromEntries(names.map((name) => [name, rounded(median(measured.get(name)!))])) as Record<Name, number>
})
