/** `keys`, `entries` and `getMany`, also during concurrent writes. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Filter } from "../../../src/KVStore.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { keepWriting, shown, type Test } from "./fixture.ts"

export const listings = (test: Test) => {
  const keys = ["a", "a.b", "a.c", "a.b.c", "b", "b.b", "x.y.z.w"]
  const found: ReadonlyArray<readonly [filter: Filter | undefined, keys: ReadonlyArray<string>]> = [
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
    ["unwritten", []],
    [["b"], ["b"]],
    [["b", "a"], ["a", "b"]],
    [["a.*", "x.>"], ["a.b", "a.c", "x.y.z.w"]],
    [["a.*", "*.b", "a.b"], ["a.b", "a.c", "b.b"]],
    [[">", "a.>"], keys],
    [["unwritten", "unwritten.>"], []],
    [["unwritten", "a"], ["a"]],
    [numbers(1000).map((n) => n === 500 ? "a.b.c" : `unwritten.${n}`), ["a.b.c"]]
  ]

  test("keys and entries of an empty bucket are empty lists", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      assert.deepStrictEqual(yield* store.keys(), [])
      assert.deepStrictEqual(yield* store.entries("a.>"), [])
    }))

  test("keys and entries match the filter", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)))
      for (const [filter, expected] of found) {
        const names = (entries: ReadonlyArray<{ readonly key: string }>) => entries.map(({ key }) => key)
        assert.deepStrictEqual(yield* store.keys(filter), expected, String(filter))
        assert.deepStrictEqual(names(yield* store.entries(filter)), expected, String(filter))
        assert.deepStrictEqual(names(yield* Stream.runCollect(store.stream(filter))).toSorted(), expected.toSorted())
      }
    }))

  test("keys and entries list each key with a value once, in the order of revisions", () =>
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

  test("a bucket that has only tombstones lists no keys", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "b"], (key) => store.delete(key))
      yield* store.purge("c")
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("during concurrent writes keys lists every key that always has a value, and none twice", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = numbers(50).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 16 })
      yield* keepWriting(16, (n) => store.put(keys[(n * 7) % 50]!, bytes(`${n}`)))
      yield* Effect.forEach(numbers(40), () =>
        Effect.gen(function*() {
          const listed = yield* store.keys()
          assert.deepStrictEqual(listed.toSorted(), keys.toSorted())
        }))
    }))

  test("during concurrent writes a listing omits keys removed before the call, and has the values put before it", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* keepWriting(16, (n) => store.put(`other.${n % 50}`, bytes(`${n}`)))
      yield* Effect.forEach(numbers(40), (n) =>
        Effect.gen(function*() {
          const remove = n % 2 === 0 ? store.delete : store.purge
          yield* store.put("gone", bytes(`${n}`))
          yield* store.put("kept", bytes(`${n}`))
          yield* remove("gone")
          const entries = new Map((yield* store.entries()).map((entry) => [entry.key, textOf(entry.value)]))
          assert.deepStrictEqual([entries.get("gone"), entries.get("kept")], [undefined, `${n}`])
          const keys = yield* store.keys()
          assert.isTrue(!keys.includes("gone") && keys.includes("kept"))
        }))
    }))

  test("during concurrent writes entries lists each key once, in the order of revisions", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = numbers(50).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 16 })
      yield* keepWriting(16, (n) => store.put(keys[(n * 7) % 50]!, bytes(`${n}`)))
      yield* Effect.forEach(numbers(20), () =>
        Effect.gen(function*() {
          const entries = yield* store.entries("k.*")
          assert.deepStrictEqual(entries.map(({ key }) => key).toSorted(), keys.toSorted())
          const revisions = entries.map(({ revision }) => revision)
          assert.deepStrictEqual(revisions, revisions.toSorted((a, b) => a - b))
        }))
    }))

  test("a filtered listing of 1,200 keys is complete, and contains no other keys", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const wanted = numbers(1200).map((n) => `a.${n}`)
      yield* Effect.forEach(
        [...wanted, ...numbers(300).map((n) => `b.${n}`)],
        (key) => store.put(key, bytes(key)),
        { concurrency: 64 }
      )
      yield* Effect.forEach(wanted.slice(0, 10), (key) => store.delete(key))
      const live = wanted.slice(10).toSorted()
      assert.deepStrictEqual((yield* store.entries("a.*")).map(({ key }) => key).toSorted(), live)
      assert.deepStrictEqual((yield* store.keys("a.>")).toSorted(), live)
      const found = yield* store.getMany([...wanted, "unwritten", "b.7"])
      assert.deepStrictEqual([...found.keys()].toSorted(), [...live, "b.7"].toSorted())
    }))

  test("listings larger than one answer of the server are complete, ordered, and without removed keys", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = numbers(2500).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)), { concurrency: 64 })
      const removed = new Set(keys.filter((_, index) => index % 7 === 0))
      yield* Effect.forEach(removed, (key) => store.delete(key), { concurrency: 64 })
      const entries = yield* store.entries()
      const live = keys.filter((key) => !removed.has(key)).toSorted()
      assert.deepStrictEqual(entries.map((entry) => textOf(entry.value)).toSorted(), live)
      assert.deepStrictEqual(entries.toSorted((a, b) => a.revision - b.revision), entries)
      assert.deepStrictEqual(yield* store.keys(), entries.map((entry) => entry.key))
      const many = yield* store.getMany([...keys, "k.unwritten"])
      assert.deepStrictEqual([...many.values()], entries)
    }))

  test("a stream emits each value that matches once, also while clients write, and ends", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      assert.deepStrictEqual(yield* Stream.runCollect(store.stream()), [])
      const keys = numbers(1200).map((n) => `k.${n}`)
      yield* Effect.forEach([...keys, "other"], (key) => store.put(key, bytes(key)), { concurrency: 64 })
      yield* store.delete("k.1")
      const live = keys.filter((key) => key !== "k.1").toSorted()
      const all = yield* Stream.runCollect(store.stream("k.*"))
      assert.deepStrictEqual(all.map(({ value }) => textOf(value)).toSorted(), live)
      yield* keepWriting(4, (n) => store.put(live[(n * 7) % live.length]!, bytes("new")))
      for (let times = 0; times < 3; times++) {
        const streamed = yield* Stream.runCollect(store.stream("k.*"))
        assert.deepStrictEqual(streamed.map(({ key }) => key).toSorted(), live)
      }
      assert.strictEqual((yield* Stream.runCollect(Stream.take(store.stream(), 3))).length, 3)
    }))

  test("a stream with an invalid filter fails before anything is sent", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { operation, reason } = yield* Effect.flip(Stream.runDrain(store.stream("a..b")))
      assert.deepStrictEqual([operation, reason._tag], ["stream", "InvalidKey"])
    }))

  test("during concurrent writes a listing larger than one answer of the server has each key once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = numbers(1100).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 64 })
      yield* keepWriting(4, (n) => store.put(keys[(n * 7) % 1100]!, bytes(`${n}`)))
      yield* Effect.forEach(numbers(5), () =>
        Effect.gen(function*() {
          const listed = yield* store.entries()
          assert.deepStrictEqual(listed.map(({ key }) => key).toSorted(), keys.toSorted())
        }))
    }))

  test("listings contain keys with large values", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const large = new Uint8Array(500_000)
      yield* Effect.forEach(["a", "b", "c", "d"], (key) => store.put(key, large))
      yield* store.delete("b")
      assert.deepStrictEqual(yield* store.keys(), ["a", "c", "d"])
      assert.deepStrictEqual((yield* store.entries()).map(({ key, value }) => [key, value.length]), [
        ["a", 500_000],
        ["c", 500_000],
        ["d", 500_000]
      ])
      assert.deepStrictEqual([...(yield* store.getMany(["a", "b", "d"])).keys()], ["a", "d"])
    }))

  test("entries of 36 MB in total are complete", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const large = new Uint8Array(900_000)
      const keys = numbers(40).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, large))
      assert.deepStrictEqual((yield* store.entries()).map(({ key }) => key), keys)
      assert.strictEqual((yield* store.getMany(keys)).size, 40)
    }))

  test("listings of 600 keys of about 1,000 characters are complete", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = numbers(600).map((n) => `${"k".repeat(1000)}.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 16 })
      assert.deepStrictEqual((yield* store.getMany(keys)).size, 600)
      assert.deepStrictEqual((yield* store.keys()).toSorted(), keys.toSorted())
      assert.strictEqual((yield* store.entries()).length, 600)
    }))
}
