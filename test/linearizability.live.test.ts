/** What processes are told by a real server that is killed can be true: a short run of `node bench/run.ts linearizability`. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { judge } from "../bench/linearizability.ts"
import { type Load, record } from "../bench/support/processes.ts"
import { lines } from "./support/natsBinaries.ts"

/** The server dies once or twice, and perhaps a client. */
const load: Omit<Load, "line"> = {
  storage: "file",
  clients: 2,
  keys: 4,
  lasts: Duration.seconds(5),
  serverDies: Duration.seconds(2),
  clientDies: Duration.seconds(3)
}

/** Long enough that somebody is back and asks after the server has died, however late it dies. */
const forgetful: Omit<Load, "line"> = {
  ...load,
  storage: "memory",
  lasts: Duration.seconds(8),
  serverDies: Duration.seconds(3)
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

  it.live("cannot be true where the server forgets what it has acknowledged", () =>
    Effect.gen(function*() {
      const { numbers, problems } = judge(yield* record({ ...forgetful, line: "2.15" }), 1)
      assert.strictEqual(numbers.verdict, "NotLinearizable")
      assert.include(problems[0], "not linearizable: key \"key.")
    }), 60_000)
})
