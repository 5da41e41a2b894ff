/** Removal by age: silently, or with an expiry marker. */
import { assert } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes } from "../../../tools/values.ts"
import { freshName, numbers, openBucket, record } from "../../support/suite.ts"
import { type Backend, keepWriting, read, refusal, shown, type Test } from "./fixture.ts"

export const ages = (test: Test, backend: Backend, until: Until) => {
  const aged = { streamMaxAge: "200 millis", storage: "memory" } as const

  test("streamMaxAge removes the latest value too", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      const watch = yield* record(store.watch())
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("ready"))
      yield* store.put("a", bytes("1"))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
      yield* until(store.get("a"), Option.isNone)
      assert.deepStrictEqual(yield* store.keys(), [])
      yield* store.put("b", bytes("2"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("b=2"))
      // A server's watch reports the removal within a minute, the memory backend's at once.
      assert.deepStrictEqual(watch.events.map(shown).filter((event) => event !== "expire a"), ["ready", "a=1", "b=2"])
    }))

  test("streamMaxAge removes the history and tombstones too", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ ...aged, historySize: 5 })
      yield* store.put("a", bytes("1"))
      yield* store.put("a", bytes("2"))
      yield* store.delete("a")
      yield* store.purge("b")
      assert.strictEqual((yield* store.history("a")).length, 3)
      yield* until(store.status, (status) => status.messages === 0)
      assert.deepStrictEqual(yield* store.history("a"), [])
      assert.deepStrictEqual(yield* store.history("b"), [])
    }))

  test("a listing succeeds while values reach their maximum age", () =>
    Effect.gen(function*() {
      const emptied = Effect.gen(function*() {
        const store = yield* openBucket({ streamMaxAge: "100 millis", storage: "memory", timeout: "2 seconds" })
        yield* Effect.forEach(numbers(20), (n) => store.put(`k.${n}`, bytes("1")), { concurrency: 20 })
        yield* until(store.keys(), (keys) => keys.length === 0)
      })
      yield* Effect.replicateEffect(emptied, 5, { concurrency: backend.virtual ? 1 : 5 })
    }))

  test("listings during concurrent writes do not contain keys that expired before the call", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      yield* keepWriting(
        4,
        (n) => Effect.andThen(store.put(`other.${n % 20}`, bytes(`${n}`)), Effect.sleep("2 millis"))
      )
      yield* Effect.forEach(numbers(5), (n) =>
        Effect.gen(function*() {
          yield* store.put(`gone.${n}`, bytes("1"))
          yield* until(store.get(`gone.${n}`), Option.isNone)
          const keys = yield* store.keys()
          const entries = (yield* store.entries()).map(({ key }) => key)
          for (const listed of [keys, entries]) {
            assert.isFalse(listed.includes(`gone.${n}`))
            assert.isAbove(listed.length, 0)
          }
        }))
    }))

  test("after a silent expiry the revision of the key is 0, and its earlier revision is refused", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      const first = yield* store.put("a", bytes("1"))
      yield* until(store.get("a"), Option.isNone)
      const stale = yield* refusal(
        store,
        store.put("a", bytes("2"), KVStore.KVOptions.atRevision(first)),
        "RevisionMismatch"
      )
      assert.deepStrictEqual([stale.expected, stale.actual], [first, 0])
      yield* refusal(store, store.put("a", bytes("2"), KVStore.KVOptions.updateOnly), "KeyNotFound")
      assert.isAbove(yield* store.put("a", bytes("2"), KVStore.KVOptions.atRevision(0)), first)
    }))

  // On a server and on real time: longWaits.live.test.ts.
  if (backend.virtual || backend.within !== undefined) {
    test("a watch reports a value that expires without a marker, within a minute, and not one that is put again", () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ streamMaxAge: "20 seconds" })
        const shownOf = (watch: { readonly events: ReadonlyArray<KVStore.KVEvent> }) =>
          watch.events.map(shown).filter((event) => event !== "ready" && event !== "b=1")
        const wait = (time: Duration.Input) => backend.virtual ? TestClock.adjust(time) : Effect.sleep(time)
        yield* store.put("early", bytes("1"))
        const all = yield* record(store.watch())
        const updates = yield* record(store.watch(undefined, { from: "updates" }))
        yield* wait("1 second")
        yield* store.put("a", bytes("1"))
        for (let n = 0; n < 10; n++) {
          yield* wait("10 seconds")
          yield* store.put("b", bytes("1"))
        }
        assert.deepStrictEqual(shownOf(all).toSorted(), ["a=1", "early=1", "expire a", "expire early"])
        assert.deepStrictEqual(shownOf(updates), ["a=1", "expire a"])
        const removed = all.events.find((event) => event._tag === "Removed" && event.key === "a")
        const put = all.events.find((event) => event._tag === "Put" && event.entry.key === "a")
        assert.strictEqual(
          removed?._tag === "Removed" ? removed.revision : 0,
          put?._tag === "Put" ? put.entry.revision : 1
        )
      }))
  }

  if (!backend.virtual) return

  test("a value is removed exactly at streamMaxAge, not a millisecond earlier", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      yield* store.put("a", bytes("1"))
      yield* TestClock.adjust("199 millis")
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
      assert.deepStrictEqual(yield* store.keys(), ["a"])
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual(yield* store.keys(), [])
      assert.strictEqual((yield* store.status).messages, 0)
    }))

  test("each put restarts the age of its key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      yield* store.put("kept", bytes("1"))
      yield* store.put("left", bytes("1"))
      for (const n of [2, 3, 4]) {
        yield* TestClock.adjust("150 millis")
        yield* store.put("kept", bytes(`${n}`))
      }
      assert.deepStrictEqual(yield* store.keys(), ["kept"])
    }))
}

export const markers = (test: Test, backend: Backend, until: Until) => {
  const marked = { streamMaxAge: "300 millis", expiryMarkers: "2 seconds", storage: "memory" } as const

  if (!backend.markers) {
    test("opening with expiryMarkers fails with InvalidConfig, which names the option and the server's version", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const error = yield* Effect.flip(openBucket({ ...marked, bucket }))
        assert.deepStrictEqual([error.reason._tag, error.operation, error.bucket], ["InvalidConfig", "open", bucket])
        assert.match(error.message, /expiryMarkers.*2\.11.*2\.10\.\d+/)
        // No bucket was created.
        assert.strictEqual(
          (yield* Effect.flip(openBucket({ bucket, create: false }))).reason._tag,
          "BucketNotFound"
        )
      }))
    return
  }

  test("with expiryMarkers a watch reports the expiry of a value", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const watch = yield* record(store.watch())
      const first = yield* store.put("a", bytes("1"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("expire a"))
      assert.deepStrictEqual(watch.events.map(shown).filter((event) => event !== "ready"), ["a=1", "expire a"])
      const marker = watch.events.at(-1)!
      assert.isTrue(marker._tag === "Removed" && marker.revision > first)
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("createOnly overwrites an expiry marker, and updateOnly and writes on earlier revisions are refused", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const first = yield* store.put("a", bytes("1"))
      yield* until(store.get("a"), Option.isNone)
      const [marker] = yield* until(store.history("a"), (history) => history.length > 0)
      assert.deepStrictEqual([shown(marker!)], ["expire a"])
      yield* refusal(store, store.put("a", bytes("2"), KVStore.KVOptions.updateOnly), "KeyNotFound")
      for (const stale of [first, 0]) {
        yield* refusal(store, store.put("a", bytes("2"), KVStore.KVOptions.atRevision(stale)), "RevisionMismatch")
      }
      yield* store.put("a", bytes("2"), KVStore.KVOptions.createOnly)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("a marker that reaches its own maximum age is removed silently", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const watch = yield* record(store.watch("a"))
      yield* store.put("a", bytes("1"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("expire a"))
      yield* until(store.status, (status) => status.messages === 0)
      yield* store.put("a", bytes("2"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("a=2"))
      assert.deepStrictEqual(watch.events.map(shown).filter((event) => event !== "ready"), ["a=1", "expire a", "a=2"])
    }))

  test("the tombstone of a delete leaves a marker when it expires, and the tombstone of a purge does not", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const watch = yield* record(store.watch())
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("ready"))
      yield* store.purge("p")
      yield* store.delete("d")
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("expire d"))
      yield* until(store.status, (status) => status.messages === 0)
      assert.deepStrictEqual(watch.events.map(shown), ["ready", "purge p", "delete d", "expire d"])
    }))
}
