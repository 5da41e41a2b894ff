/** Values are read back as written, under growing revisions. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes, textOf, untyped } from "../../../tools/values.ts"
import { destroyBucket, freshName, numbers, openBucket, reasonOf } from "../../support/suite.ts"
import { type Backend, read, refusal, type Test } from "./fixture.ts"

export const values = (test: Test, backend: Backend) => {
  test("get returns the value that was put, with the revision that put returned", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      const entry = Option.getOrThrow(yield* store.get("a"))
      assert.strictEqual(entry.key, "a")
      assert.strictEqual(textOf(entry.value), "1")
      assert.strictEqual(entry.revision, revision)
    }))

  test("get returns none for a key that was never written", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      assert.isTrue(Option.isNone(yield* store.get("b")))
      assert.isTrue(Option.isNone(yield* store.get("a.b")))
    }))

  for (const [historySize, kept] of [[1, false], [5, true]] as const) {
    test(`get at a revision returns that value of the key while it is kept, with historySize ${historySize}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize })
        const first = yield* store.put("a", bytes("1"))
        const other = yield* store.put("b", bytes("2"))
        const second = yield* store.put("a", bytes("3"))
        const at = (key: string, revision: number) =>
          Effect.map(
            store.get(key, { revision }),
            Option.map(({ key, revision, value }) => [key, revision, textOf(value)])
          )
        assert.deepStrictEqual(yield* at("a", second), Option.some(["a", second, "3"]))
        assert.deepStrictEqual(yield* at("b", other), Option.some(["b", other, "2"]))
        assert.deepStrictEqual(yield* at("a", first), kept ? Option.some(["a", first, "1"]) : Option.none())
        for (
          const [key, revision] of [["a", other], ["b", first], ["c", first], ["a", second + 1], [
            "a",
            second + 999
          ]] as const
        ) {
          assert.deepStrictEqual(yield* at(key, revision), Option.none(), `${key} at ${revision}`)
        }
        assert.deepStrictEqual(
          yield* store.get("a", { revision: second, fromLeader: true }),
          yield* store.get("a", { revision: second })
        )
        yield* store.delete("a")
        assert.deepStrictEqual(yield* at("a", second), kept ? Option.some(["a", second, "3"]) : Option.none())
        assert.deepStrictEqual(yield* at("a", second + 1), Option.none())
        yield* store.purge("a")
        assert.deepStrictEqual(yield* at("a", second), Option.none())
        const prices = KVStore.typed(store, Schema.Int)
        assert.strictEqual(Option.getOrThrow(yield* prices.get("b", { revision: other })).value, 2)
      }))
  }

  test("get at a revision that is no positive whole number is refused", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const revision of [0, -1, 1.5, Number.NaN, 2 ** 53, untyped("1"), untyped(null)]) {
        const { message } = yield* reasonOf(store.get("a", { revision }), "InvalidConfig")
        assert.include(message, "revision: expected a whole number from 1")
      }
      yield* reasonOf(store.history("a", untyped({ revision: 1 })), "InvalidConfig")
    }))

  test("get and history with fromLeader return the same as without, also for keys without a value", () =>
    Effect.gen(function*() {
      for (const historySize of [1, 3]) {
        const store = yield* openBucket({ historySize })
        yield* Effect.forEach(numbers(3), (n) => store.put("a", bytes(`${n}`)))
        yield* store.put("b", bytes("1"))
        yield* store.delete("b")
        for (const key of ["a", "b", "c"]) {
          for (const fromLeader of [true, false]) {
            assert.deepStrictEqual(yield* store.get(key, { fromLeader }), yield* store.get(key))
            assert.deepStrictEqual(yield* store.history(key, { fromLeader }), yield* store.history(key))
          }
        }
      }
    }))

  test("get returns the latest of several puts", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* Effect.forEach(numbers(5), (n) => store.put("a", bytes(`${n}`)))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("4"))
    }))

  test("each write of a bucket takes the next revision, for all keys and operations", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const first = yield* store.put("a", bytes("1"))
      assert.strictEqual(yield* store.put("b", bytes("2")), first + 1)
      yield* store.delete("a")
      yield* store.purge("c")
      assert.strictEqual(yield* store.put("a", bytes("3")), first + 4)
      assert.strictEqual((yield* store.status).lastRevision, first + 4)
    }))

  test("each of 200 concurrent puts returns the revision of the value that it wrote", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 64 })
      const revisions = yield* Effect.forEach(numbers(200), (n) => store.put(`k.${n % 5}`, bytes(`${n}`)), {
        concurrency: "unbounded"
      })
      const kept = (yield* Effect.forEach(numbers(5), (n) => store.history(`k.${n}`))).flat()
      const values = new Map(
        kept.flatMap((event) => event._tag === "Put" ? [[event.entry.revision, textOf(event.entry.value)]] : [])
      )
      assert.deepStrictEqual(revisions.map((revision) => values.get(revision)), numbers(200).map(String))
      assert.strictEqual((yield* store.status).lastRevision, Math.max(...revisions))
    }))

  test("revisions of a new bucket start at the microsecond of its creation", () =>
    Effect.gen(function*() {
      if (backend.virtual) yield* TestClock.setTime(1_700_000_000_000)
      const before = yield* Clock.currentTimeMillis
      const store = yield* openBucket()
      const after = yield* Clock.currentTimeMillis
      const revision = yield* store.put("a", bytes("1"))
      assert.isAtLeast(revision, before * 1000)
      assert.isAtMost(revision, after * 1000 + 1)
    }))

  test("revisions are safe integers", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      assert.isTrue(Number.isSafeInteger(revision) && revision > 0)
      // The same after 50 years of one write per microsecond.
      if (backend.kind === "nats") assert.isTrue(Number.isSafeInteger(revision + 50 * 365 * 86_400 * 1_000_000))
    }))

  test("a recreated bucket starts above every revision of the earlier one", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const earlier = yield* openBucket({ bucket })
      const last = yield* Effect.forEach(numbers(50), (n) => earlier.put("a", bytes(`${n}`)))
      yield* destroyBucket(bucket)
      const later = yield* openBucket({ bucket })
      assert.isTrue(Option.isNone(yield* later.get("a")))
      yield* refusal(later, later.put("a", bytes("x"), KVStore.KVOptions.atRevision(last.at(-1)!)), "RevisionMismatch")
      assert.isAbove(yield* later.put("a", bytes("x")), Math.max(...last))
    }))

  test("empty values and all byte values are stored", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const every = Uint8Array.from(numbers(256))
      yield* store.put("empty", new Uint8Array(0))
      yield* store.put("every", every)
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("empty")).value, new Uint8Array(0))
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("every")).value, every)
      assert.deepStrictEqual(yield* store.keys(), ["empty", "every"])
    }))

  test("changing the bytes after put does not change the stored value", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const value = bytes("abc")
      yield* store.put("a", value)
      value.fill(0)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("abc"))
    }))

  test("changing returned bytes does not change the stored value", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 2 })
      yield* store.put("a", bytes("abc"))
      Option.getOrThrow(yield* store.get("a")).value.fill(0)
      for (const entry of yield* store.entries()) entry.value.fill(0)
      for (const event of yield* store.history("a")) if (event._tag === "Put") event.entry.value.fill(0)
      yield* store.watch().pipe(
        Stream.take(1),
        Stream.runForEach((event) => Effect.sync(() => event._tag === "Put" && event.entry.value.fill(0)))
      )
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("abc"))
    }))

  test("put accepts every kind of key that NATS accepts", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = ["foo", "_foo", "-foo", "_kv_foo", "foo123", "123", "a/b/c", "a.b.c", "x=y", "k".repeat(1024)]
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key), KVStore.KVOptions.createOnly))
      for (const key of keys) assert.deepStrictEqual(yield* read(store, key), Option.some(key))
      assert.deepStrictEqual(yield* store.keys(), keys)
    }))
}
