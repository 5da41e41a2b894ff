/** `delete` and `purge`, and their tombstones. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { bytes } from "../../../tools/values.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { refusal, revisionOf, shown, type Test } from "./fixture.ts"

export const removals = (test: Test) => {
  test("delete leaves a tombstone, and keeps the history", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const first = yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=1"])
      assert.deepStrictEqual((yield* store.history("a")).flatMap(revisionOf), [first + 1, first])
    }))

  test("delete leaves a tombstone for a key that was never written", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = (yield* store.status).lastRevision
      yield* store.delete("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a"])
      assert.strictEqual((yield* store.status).lastRevision, before + 1)
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("delete removes only its key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "a.b", "a.b.c"], (key) => store.put(key, bytes("1")))
      yield* store.delete("a.b")
      assert.deepStrictEqual(yield* store.keys(), ["a", "a.b.c"])
    }))

  for (const remove of ["delete", "purge"] as const) {
    test(`${remove} with a revision succeeds on that revision only`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 5 })
        const first = yield* store.put("a", bytes("1"))
        const second = yield* store.put("a", bytes("2"))
        for (const wrong of [first, second + 1, 0]) {
          const reason = yield* refusal(store, store[remove]("a", { revision: wrong }), "RevisionMismatch")
          assert.deepStrictEqual([reason.expected, reason.actual], [wrong, second])
        }
        assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=2", "a=1"])
        yield* store[remove]("a", { revision: second })
        assert.isTrue(Option.isNone(yield* store.get("a")))
      }))

    test(`${remove} with revision 0 succeeds only on a key without any message`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        yield* store[remove]("a", { revision: 0 })
        yield* refusal(store, store[remove]("a", { revision: 0 }), "RevisionMismatch")
      }))
  }

  test("purge removes the history, and leaves one tombstone", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("b", bytes("1"))
      yield* Effect.forEach(numbers(3), (n) => store.put("a", bytes(`${n}`)))
      assert.strictEqual((yield* store.status).messages, 4)
      yield* store.purge("a")
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["purge a"])
      assert.strictEqual((yield* store.status).messages, 2)
      assert.deepStrictEqual((yield* store.history("b")).map(shown), ["b=1"])
    }))

  test("purge leaves a tombstone for a key that was never written", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.purge("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["purge a"])
    }))
}
