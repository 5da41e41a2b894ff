/** What processes are told by a real server that is killed can be true: a short run of `node bench/run.ts linearizability`. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { judge } from "../bench/linearizability.ts"
import { record } from "../bench/support/processes.ts"
import { lines } from "./support/natsBinaries.ts"

/** The server dies once or twice, and perhaps a client. */
const load = {
  clients: 2,
  keys: 4,
  lasts: Duration.seconds(6),
  serverDies: Duration.millis(2500),
  clientDies: Duration.seconds(4)
}

describe("the answers of a server that is killed, to processes that are killed", () => {
  for (const line of lines) {
    it.live(`can all be true: ${line}`, () =>
      Effect.gen(function*() {
        const { numbers, problems } = judge(yield* record({ ...load, line }), 3)
        assert.deepStrictEqual(problems, [])
        assert.isAtLeast(numbers.operations, 100)
        assert.isAtLeast(numbers.serverKills, 1)
        assert.strictEqual(numbers.changedRefused, 3)
      }), 60_000)
  }
})
