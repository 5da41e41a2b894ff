/** How the benchmarks measure: rounds in turn, so that what the machine does meanwhile meets all alike, and medians. */
import * as Effect from "effect/Effect"

export const median = (numbers: ReadonlyArray<number>): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Three digits are all that a shared machine can tell. */
export const rounded = (number: number): number => Number(number.toPrecision(3))

export const millisOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const begun = performance.now()
    return Effect.map(effect, () => performance.now() - begun)
  })

/** Each in turn, so many times, after a round that does not count; the median of each. */
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
