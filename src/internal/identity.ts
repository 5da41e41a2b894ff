/**
 * Names made up at random, from the fiber's `Random`: seeded where it is; and
 * the name of the process that makes them up.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { hostname } from "node:os"

/** Host and process id; a simulated process has a separate name. */
export const ProcessName = Context.Reference<string>("effect-aegis/ProcessName", {
  defaultValue: () => `${hostname()}-${process.pid}`
})

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

/** So many lower-case letters and digits. */
const randomName = (length: number): Effect.Effect<string> =>
  Effect.map(
    Effect.forEach(Array.from({ length }), () => Random.nextIntBetween(0, alphabet.length, { halfOpen: true })),
    (indexes) => indexes.map((index) => alphabet[index]).join("")
  )

/** Letters and digits of a nonce. */
export const nonceLength = 16

/** Tells a process, or a campaign, from every other under the same id. 82 bits: the same nonce is never made twice. */
export const makeNonce = randomName(nonceLength)

/** The last part of an id that was not given. 41 bits, and readable: compare-and-set still decides whose the id is. */
export const makeIdSuffix = randomName(8)
