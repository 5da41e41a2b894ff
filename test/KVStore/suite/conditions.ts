/** The conditions of a write, one by one, and many writers who race under them. */
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

  test("createOnly writes where there is nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"), createOnly)
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, revision)
    }))

  test("createOnly on a live value is KeyAlreadyExists, and names its revision", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      const reason = yield* refusal(store, store.put("a", bytes("2"), createOnly), "KeyAlreadyExists")
      assert.strictEqual(reason.revision, revision)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("createOnly on an empty live value is KeyAlreadyExists", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", new Uint8Array(0))
      yield* refusal(store, store.put("a", bytes("2"), createOnly), "KeyAlreadyExists")
    }))

  for (const [how, remove] of [["deleted", "delete"], ["purged", "purge"]] as const) {
    test(`createOnly writes where the value was ${how}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store[remove]("a")
        yield* store.put("a", bytes("2"), createOnly)
        assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
        yield* refusal(store, store.put("a", bytes("3"), createOnly), "KeyAlreadyExists")
      }))

    test(`updateOnly where the value was ${how} is KeyNotFound`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store[remove]("a")
        yield* refusal(store, store.put("a", bytes("2"), updateOnly), "KeyNotFound")
      }))
  }

  test("createOnly writes where the value has aged away", () =>
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

  test("updateOnly writes over a live value, and only there", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* refusal(store, store.put("a", bytes("1"), updateOnly), "KeyNotFound")
      const first = yield* store.put("a", bytes("1"))
      assert.strictEqual(yield* store.put("a", bytes("2"), updateOnly), first + 1)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision writes over exactly that revision, once", () =>
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

  test("atRevision is checked against this key, and not against the bucket", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const a = yield* store.put("a", bytes("1"))
      const b = yield* store.put("b", bytes("1"))
      yield* refusal(store, store.put("a", bytes("2"), atRevision(b)), "RevisionMismatch")
      yield* store.put("a", bytes("2"), atRevision(a))
    }))

  test("atRevision(0) writes only where there is no message at all", () =>
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

  test("atRevision counts a tombstone as the key's last message", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      yield* refusal(store, store.put("a", bytes("2"), atRevision(first)), "RevisionMismatch")
      yield* store.put("a", bytes("2"), atRevision(first + 1))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision on a key that nobody has written is RevisionMismatch with 0", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const other = yield* store.put("b", bytes("1"))
      const reason = yield* refusal(store, store.put("a", bytes("1"), atRevision(other)), "RevisionMismatch")
      assert.deepStrictEqual([reason.expected, reason.actual], [other, 0])
    }))

  test("whenKey writes while another key is at that revision, or is refused where the server cannot check it", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const guard = yield* store.put("guard", bytes("1"))
      if (!backend.markers) {
        const reason = yield* refusal(store, store.put("a", bytes("1"), whenKey("guard", guard)), "InvalidConfig")
        assert.match(reason.problem, /whenKey.*2\.11.*2\.10/)
        // An older server would have checked the number against the written key: 0 is right there.
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
    test("whenKey counts the guard's tombstone, and 0 is a guard without any message", () =>
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

  test("whenKey of the written key itself is its own revision, on every server", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"), whenKey("a", 0))
      const reason = yield* refusal(store, store.put("a", bytes("2"), whenKey("a", 0)), "RevisionMismatch")
      assert.deepStrictEqual([reason.expected, reason.actual], [0, first])
      yield* store.put("a", bytes("2"), whenKey("a", first))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("lets exactly one of 1,000 creators win", () =>
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
    ["a delete's tombstone", {}, (store) => store.delete("a")],
    ["a purge's tombstone", {}, (store) => store.purge("a")],
    ["what has aged away", aged, (store) => Effect.asVoid(until(store.get("a"), Option.isNone))],
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
    test(`lets exactly one of many creators win over ${over}`, () =>
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

  test("loses none of 1,000 updates by compare-and-set with a retry", () =>
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

  test("gives every one of many updateOnly writes a revision of its own", () =>
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
