/** Keys and entries, also while others write. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { bytes, textOf } from "../support/values.ts"
import { all, keepWriting, openBucket, shown, type Test } from "./fixture.ts"

export const listings = (test: Test) => {
  const keys = ["a", "a.b", "a.c", "a.b.c", "b", "b.b", "x.y.z.w"]
  const found: ReadonlyArray<readonly [filter: string | undefined, keys: ReadonlyArray<string>]> = [
    [undefined, keys],
    [">", keys],
    ["*", ["a", "b"]],
    ["a", ["a"]],
    ["a.b", ["a.b"]],
    ["a.*", ["a.b", "a.c"]],
    ["*.b", ["a.b", "b.b"]],
    ["a.>", ["a.b", "a.c", "a.b.c"]],
    ["*.*.>", ["a.b.c", "x.y.z.w"]],
    ["a.*.c", ["a.b.c"]],
    ["x.>", ["x.y.z.w"]],
    ["x.*", []],
    ["nobody", []]
  ]

  test("keys and entries of an empty bucket are none", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      assert.deepStrictEqual(yield* store.keys(), [])
      assert.deepStrictEqual(yield* store.entries("a.>"), [])
    }))

  test("keys and entries are those that the filter asks for", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)))
      for (const [filter, expected] of found) {
        assert.deepStrictEqual(yield* store.keys(filter), expected, filter)
        assert.deepStrictEqual((yield* store.entries(filter)).map((entry) => entry.key), expected, filter)
      }
    }))

  test("keys and entries are live, each once, in the order of their revisions", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 4 })
      yield* Effect.forEach(["a", "b", "c", "d", "e"], (key) => store.put(key, bytes("1")))
      yield* store.delete("b")
      yield* store.purge("c")
      yield* store.delete("never")
      yield* store.put("a", bytes("2"))
      assert.deepStrictEqual(yield* store.keys(), ["d", "e", "a"])
      const entries = yield* store.entries()
      assert.deepStrictEqual(entries.map((entry) => shown({ _tag: "Put", entry })), ["d=1", "e=1", "a=2"])
      for (const entry of entries) assert.deepStrictEqual(yield* store.get(entry.key), Option.some(entry))
    }))

  test("a bucket of tombstones lists nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "b"], (key) => store.delete(key))
      yield* store.purge("c")
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("while others write, no key is listed twice, and none that lives throughout is missing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = all(50).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 16 })
      yield* keepWriting(16, (n) => store.put(keys[(n * 7) % 50]!, bytes(`${n}`)))
      yield* Effect.forEach(all(40), () =>
        Effect.gen(function*() {
          const listed = yield* store.keys()
          assert.deepStrictEqual(listed.toSorted(), keys.toSorted())
        }))
    }))

  test("a listing of many entries is complete", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = all(1500).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)), { concurrency: 64 })
      assert.deepStrictEqual((yield* store.entries()).map((entry) => textOf(entry.value)).toSorted(), keys.toSorted())
    }))
}
