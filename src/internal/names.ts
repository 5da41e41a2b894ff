/**
 * Names made up at random, from the fiber's `Random`: seeded where it is.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

/** So many lower-case letters and digits: 41 bits for 8, 82 for 16. */
export const randomName = (length: number): Effect.Effect<string> =>
  Effect.map(
    Effect.forEach(Array.from({ length }), () => Random.nextIntBetween(0, alphabet.length, { halfOpen: true })),
    (indexes) => indexes.map((index) => alphabet[index]).join("")
  )
