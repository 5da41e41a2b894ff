/** The conditions of a write: one writer, and concurrent writers. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { numbers, openBucket, type Store } from "../../support/suite.ts"
import { type Backend, read, refusal, type Test } from "./fixture.ts"

export const conditions = (test: Test, backend: Backend, until: Until) => {
  const { atRevision, createOnly, updateOnly, whenKey } = KVStore.KVOptions

  test("createOnly writes a key that has no value", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"), createOnly)
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, revision)
    }))

  test("createOnly on a live value fails with KeyAlreadyExists, which has its revision", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      const reason = yield* refusal(store, store.put("a", bytes("2"), createOnly), "KeyAlreadyExists")
      assert.strictEqual(reason.revision, revision)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("createOnly on an empty live value fails with KeyAlreadyExists", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", new Uint8Array(0))
      yield* refusal(store, store.put("a", bytes("2"), createOnly), "KeyAlreadyExists")
    }))

  for (const [how, remove] of [["deleted", "delete"], ["purged", "purge"]] as const) {
    test(`createOnly writes a key that was ${how}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store[remove]("a")
        yield* store.put("a", bytes("2"), createOnly)
        assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
        yield* refusal(store, store.put("a", bytes("3"), createOnly), "KeyAlreadyExists")
      }))

    test(`updateOnly on a key that was ${how} fails with KeyNotFound`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store[remove]("a")
        yield* refusal(store, store.put("a", bytes("2"), updateOnly), "KeyNotFound")
      }))
  }

  test("createOnly writes a key whose value has expired", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ streamMaxAge: "200 millis", storage: "memory" })
      yield* store.put("a", bytes("1"))
      const create = Effect.catchReason(
        store.put("a", bytes("2"), createOnly),
        "KVStoreError",
        "KeyAlreadyExists",
        () => Effect.succeed(0)
      )
      const revision = yield* until(create, (revision) => revision > 0)
      const entry = Option.getOrThrow(yield* store.get("a"))
      assert.deepStrictEqual([textOf(entry.value), entry.revision], ["2", revision])
    }))

  test("updateOnly overwrites a live value, and fails on a key without a value", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* refusal(store, store.put("a", bytes("1"), updateOnly), "KeyNotFound")
      const first = yield* store.put("a", bytes("1"))
      assert.strictEqual(yield* store.put("a", bytes("2"), updateOnly), first + 1)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision overwrites exactly that revision, once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"))
      const second = yield* store.put("a", bytes("2"), atRevision(first))
      assert.isAbove(second, first)
      const reason = yield* refusal(store, store.put("a", bytes("3"), atRevision(first)), "RevisionMismatch")
      assert.strictEqual(reason.expected, first)
      assert.strictEqual(reason.actual, second)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision compares with the revision of the key, not of the bucket", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const a = yield* store.put("a", bytes("1"))
      const b = yield* store.put("b", bytes("1"))
      yield* refusal(store, store.put("a", bytes("2"), atRevision(b)), "RevisionMismatch")
      yield* store.put("a", bytes("2"), atRevision(a))
    }))

  test("atRevision(0) writes only a key without any message", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"), atRevision(0))
      const live = yield* refusal(store, store.put("a", bytes("2"), atRevision(0)), "RevisionMismatch")
      assert.deepStrictEqual([live.expected, live.actual], [0, first])
      yield* store.delete("a")
      const tombstone = yield* refusal(store, store.put("a", bytes("3"), atRevision(0)), "RevisionMismatch")
      assert.deepStrictEqual([tombstone.expected, tombstone.actual], [0, first + 1])
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("atRevision compares with a tombstone as the last message of the key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      yield* refusal(store, store.put("a", bytes("2"), atRevision(first)), "RevisionMismatch")
      yield* store.put("a", bytes("2"), atRevision(first + 1))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision on a key that was never written fails with RevisionMismatch, whose actual is 0", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const other = yield* store.put("b", bytes("1"))
      const reason = yield* refusal(store, store.put("a", bytes("1"), atRevision(other)), "RevisionMismatch")
      assert.deepStrictEqual([reason.expected, reason.actual], [other, 0])
    }))

  test("whenKey writes only at that revision of the other key, or fails with InvalidConfig before 2.11", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const guard = yield* store.put("guard", bytes("1"))
      if (!backend.markers) {
        const reason = yield* refusal(store, store.put("a", bytes("1"), whenKey("guard", guard)), "InvalidConfig")
        assert.match(reason.problem, /whenKey.*2\.11.*2\.10/)
        // A server before 2.11 would compare the number with the written key, for which 0 would match.
        yield* refusal(store, store.put("a", bytes("1"), whenKey("guard", 0)), "InvalidConfig")
        return
      }
      yield* store.put("a", bytes("1"), whenKey("guard", guard))
      yield* store.put("a", bytes("2"), whenKey("guard", guard))
      const next = yield* store.put("guard", bytes("2"))
      const reason = yield* refusal(store, store.put("a", bytes("3"), whenKey("guard", guard)), "RevisionMismatch")
      assert.deepStrictEqual([reason.expected, reason.actual], [guard, next])
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  if (backend.markers) {
    test("whenKey compares with the tombstone of the other key, and 0 matches a key without any message", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        yield* store.put("a", bytes("1"), whenKey("guard", 0))
        const guard = yield* store.put("guard", bytes("1"))
        yield* refusal(store, store.put("a", bytes("2"), whenKey("guard", 0)), "RevisionMismatch")
        yield* store.delete("guard")
        yield* refusal(store, store.put("a", bytes("2"), whenKey("guard", guard)), "RevisionMismatch")
        yield* store.put("a", bytes("2"), whenKey("guard", guard + 1))
      }))
  }

  test("whenKey with the written key itself compares with its own revision, on every server", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"), whenKey("a", 0))
      const reason = yield* refusal(store, store.put("a", bytes("2"), whenKey("a", 0)), "RevisionMismatch")
      assert.deepStrictEqual([reason.expected, reason.actual], [0, first])
      yield* store.put("a", bytes("2"), whenKey("a", first))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("of 1,000 concurrent createOnly writes exactly one succeeds", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const results = yield* Effect.forEach(
        numbers(1000),
        (n) => Effect.result(store.put("a", bytes(`${n}`), createOnly)),
        { concurrency: "unbounded" }
      )
      const winners = numbers(1000).filter((n) => results[n]!._tag === "Success")
      const losers = results.flatMap((result) => result._tag === "Failure" ? [result.failure.reason._tag] : [])
      assert.strictEqual(winners.length, 1)
      assert.deepStrictEqual([losers.length, [...new Set(losers)]], [999, ["KeyAlreadyExists"]])
      assert.deepStrictEqual(yield* read(store, "a"), Option.some(`${winners[0]}`))
    }))

  const aged = { streamMaxAge: "300 millis", storage: "memory" } as const
  const ends: ReadonlyArray<
    readonly [
      over: string,
      options: Parameters<typeof openBucket>[0],
      end: (store: Store) => ReturnType<Store["delete"]>
    ]
  > = [
    ["the tombstone of a delete", {}, (store) => store.delete("a")],
    ["the tombstone of a purge", {}, (store) => store.purge("a")],
    ["a silently expired value", aged, (store) => Effect.asVoid(until(store.get("a"), Option.isNone))],
    ...(backend.markers
      ? [
        [
          "an expiry marker",
          { ...aged, expiryMarkers: "5 seconds" },
          (store: Store) => Effect.asVoid(until(store.history("a"), ([last]) => last?._tag === "Removed"))
        ] as const
      ]
      : [])
  ]
  for (const [over, options, end] of ends) {
    test(`of 100 concurrent createOnly writes over ${over} exactly one succeeds`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket(options)
        yield* store.put("a", bytes("0"))
        yield* end(store)
        const tags = yield* Effect.forEach(
          numbers(100),
          () =>
            Effect.match(store.put("a", bytes("1"), createOnly), {
              onFailure: (error) => error.reason._tag,
              onSuccess: () => "won"
            }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(tags.filter((tag) => tag !== "KeyAlreadyExists"), ["won"])
      }))
  }

  test("1,000 increments by compare-and-set with retries are all applied", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("count", bytes("0"))
      const increment = Effect.gen(function*() {
        const entry = Option.getOrThrow(yield* store.get("count"))
        yield* Effect.yieldNow
        yield* store.put("count", bytes(`${Number(textOf(entry.value)) + 1}`), atRevision(entry.revision))
      }).pipe(Effect.retry({ while: (error) => error.reason._tag === "RevisionMismatch" }))
      yield* Effect.forEach(numbers(2), () => Effect.forEach(numbers(500), () => increment), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(yield* read(store, "count"), Option.some("1000"))
    }))

  test("concurrent updateOnly writes all succeed, each with its own revision", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("0"))
      const fiber = yield* Effect.forEach(numbers(8), (n) => store.put("a", bytes(`${n}`), updateOnly), {
        concurrency: "unbounded"
      }).pipe(Effect.forkScoped)
      const exit = yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined)
      const revisions = yield* exit!
      assert.strictEqual(new Set(revisions).size, 8)
      assert.strictEqual((yield* store.status).lastRevision, Math.max(...revisions))
    }))
}
