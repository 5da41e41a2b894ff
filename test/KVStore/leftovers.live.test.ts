/** One second after a listing or a watch has ended, its consumer, subscription and memory are freed. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Call, callNames, makeLeftovers } from "../../tools/leftovers.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"

/** On 2.10 each listing needs a consumer, which takes 1 ms. `npm run test:long` runs 5,000 calls of all there too. */
const times: Record<Line, Record<Call, number>> = {
  "2.10": { keys: 1000, entries: 1000, watch: 2000 },
  "2.15": { keys: 5000, entries: 5000, watch: 5000 }
}

/** Compiled code takes up to 0.7 MB; a request or listener leaked by each of 1,000 calls takes 5 MB or more. */
const mostBytes = 2_000_000

describe("calls that have ended", () => {
  for (const line of lines) {
    const what = callNames.map((call) => `${times[line][call]} calls of ${call}`).join(", ")
    it.live(`${line}: leave no consumer, subscription or memory after ${what}`, () =>
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
