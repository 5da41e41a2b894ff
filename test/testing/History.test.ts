/** The writes to a guarded resource that a history records. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { FencingToken } from "../../src/FencingToken.ts"
import * as History from "../../src/testing/History.ts"
import * as Simulation from "../../src/testing/Simulation.ts"

const token = new FencingToken({ epoch: 1, revision: 1 })

type WriteOptions = Parameters<History.History["write"]>[3]

describe("a write to a resource", () => {
  it.effect("with invalid options fails with InvalidConfig and is not recorded", () =>
    Simulation.run(Effect.gen(function*() {
      const history = yield* History.make
      const rows: ReadonlyArray<readonly [unknown, string]> = [
        [{ fence: "no" }, "fence: expected true or false, got \"no\""],
        [{ what: 7 }, "what: expected a text that is not empty, got a number"],
        [{ fences: false }, "options: no option \"fences\": the options are fence, what"],
        [null, "options: expected an object with fence, what, got null"]
      ]
      for (const [options, problem] of rows) {
        const error = yield* Effect.flip(history.write("a", "ledger", token, options as WriteOptions))
        assert.instanceOf(error, History.InvalidConfig)
        assert.include(error.message, problem)
      }
      assert.deepStrictEqual(yield* history.writes, [])
      assert.isTrue(yield* history.write("a", "ledger", token))
    })))
})
