/** The history of a key. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bytes } from "../../../tools/values.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { revisionOf, shown, type Test } from "./fixture.ts"

export const histories = (test: Test) => {
  test("history returns the newest message first, tombstones included", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 10 })
      yield* store.put("a", bytes("1"))
      yield* store.put("b", bytes("x"))
      yield* store.delete("a")
      yield* store.put("a", bytes("2"))
      yield* store.put("a.b", bytes("y"))
      const history = yield* store.history("a")
      assert.deepStrictEqual(history.map(shown), ["a=2", "delete a", "a=1"])
      const revisions = history.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, revisions.toSorted((a, b) => b - a))
    }))

  test("history keeps historySize messages, tombstones included", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 3 })
      yield* Effect.forEach(numbers(5), (n) => store.put("a", bytes(`${n}`)))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=4", "a=3", "a=2"])
      yield* store.delete("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=4", "a=3"])
    }))

  test("history has one message by default", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      yield* store.put("a", bytes("2"))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=2"])
    }))

  test("history of a key that was never written is empty", () =>
    Effect.gen(function*() {
      const one = yield* openBucket()
      const many = yield* openBucket({ historySize: 64 })
      assert.deepStrictEqual(yield* one.history("a"), [])
      assert.deepStrictEqual(yield* many.history("a"), [])
    }))
}
