/** Nothing is left of a listing or a watch a second after it has ended. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Call, callNames, makeLeftovers } from "../../tools/leftovers.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"

/** On 2.10 every listing is a consumer, which takes a millisecond: `npm run test:long` makes 5,000 of all there too. */
const times: Record<Line, Record<Call, number>> = {
  "2.10": { keys: 1000, entries: 1000, watch: 2000 },
  "2.15": { keys: 5000, entries: 5000, watch: 5000 }
}

/** Code that gets ready to run takes up to 0.7 MB; a request or a listener kept by each of 1,000 calls, 5 MB and more. */
const mostBytes = 2_000_000

describe("what is left behind", () => {
  for (const line of lines) {
    const what = callNames.map((call) => `${times[line][call]} calls of ${call}`).join(", ")
    it.live(`${line}: no consumer, no subscription, and no memory, of ${what}`, () =>
      Effect.gen(function*() {
        const leftAfter = yield* makeLeftovers(line)
        for (const call of callNames) {
          const { bytes, consumers, subscriptions } = yield* leftAfter(call, times[line][call])
          assert.deepStrictEqual({ consumers, subscriptions }, { consumers: 0, subscriptions: 0 }, call)
          assert.isBelow(bytes, mostBytes, call)
        }
      }), 60_000)
  }
})
