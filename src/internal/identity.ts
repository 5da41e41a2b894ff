/**
 * Random ids, and the name of the process. Ids come from the `Random` of the
 * fiber, so that a seeded `Random` repeats them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { hostname } from "node:os"

/** The name of the process: host name and process id. A simulated process has its own name. */
export const ProcessName = Context.Reference<string>("effect-aegis/ProcessName", {
  defaultValue: () => `${hostname()}-${process.pid}`
})

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

/** Random lower-case letters and digits. */
const randomName = (length: number): Effect.Effect<string> =>
  Effect.map(
    Effect.forEach(Array.from({ length }), () => Random.nextIntBetween(0, alphabet.length, { halfOpen: true })),
    (indexes) => indexes.map((index) => alphabet[index]).join("")
  )

/** Number of characters in a nonce. */
export const nonceLength = 16

/** Distinguishes a process or a campaign from others with the same id. 82 random bits: collisions are negligible. */
export const makeNonce = randomName(nonceLength)

/** The suffix of a generated id. 41 random bits, short enough to read; a duplicate is refused by compare-and-set. */
export const makeIdSuffix = randomName(8)
