/** A bucket that was destroyed while stores are open on it. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes } from "../../../tools/values.ts"
import { destroyBucket, freshName, numbers, openBucket, reasonOf, record, type Store } from "../../support/suite.ts"
import { shown, type Test } from "./fixture.ts"

const inEveryWay = (store: Store): ReadonlyArray<Effect.Effect<unknown, KVStore.KVStoreError>> => [
  store.get("a"),
  store.put("a", bytes("2")),
  store.put("a", bytes("2"), KVStore.KVOptions.createOnly),
  store.put("a", bytes("2"), KVStore.KVOptions.updateOnly),
  store.delete("a"),
  store.purge("a"),
  store.history("a"),
  store.keys(),
  store.entries(),
  store.getMany(["a", "b"]),
  store.status,
  Stream.runHead(store.watch())
]

export const lostBuckets = (test: Test, until: Until) => {
  test("with create false every operation on a lost bucket fails with BucketNotFound", () =>
    Effect.gen(function*() {
      const { config: { bucket } } = yield* openBucket({ historySize: 2 })
      const store = yield* openBucket({ bucket, historySize: 2, create: false })
      yield* store.put("a", bytes("1"))
      yield* destroyBucket(bucket)
      for (const attempt of inEveryWay(store)) yield* reasonOf(attempt, "BucketNotFound")
    }))

  test("a lost bucket is recreated with its configuration by the next operation", () =>
    Effect.gen(function*() {
      const count = inEveryWay(yield* openBucket()).length
      for (let index = 0; index < count; index++) {
        const store = yield* openBucket({ historySize: 2, streamMaxAge: "1 hour" })
        const last = yield* store.put("a", bytes("1"))
        yield* destroyBucket(store.config.bucket)
        // updateOnly recreates the bucket and then finds no value.
        const asked = Effect.catchReason(inEveryWay(store)[index]!, "KVStoreError", "KeyNotFound", () => Effect.void)
        yield* asked
        assert.isAbove(yield* store.put("b", bytes("1")), last)
        yield* openBucket({ bucket: store.config.bucket, historySize: 2, streamMaxAge: "1 hour", create: false })
      }
    }))

  test("concurrent writes to a lost bucket recreate it once, and are all stored", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* destroyBucket(store.config.bucket)
      yield* Effect.forEach(numbers(50), (n) => store.put(`k${n}`, bytes(`${n}`)), { concurrency: "unbounded" })
      assert.strictEqual((yield* store.keys()).length, 50)
    }))

  test("a recreated bucket refuses a write conditioned on a revision of the lost one", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      yield* destroyBucket(store.config.bucket)
      const put = store.put("a", bytes("2"), KVStore.KVOptions.atRevision(revision))
      assert.strictEqual((yield* reasonOf(put, "RevisionMismatch")).actual, 0)
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("a lost bucket that was opened with onMismatch accept is recreated with its own configuration", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* openBucket({ bucket, historySize: 3 })
      const store = yield* openBucket({ bucket, historySize: 5, onMismatch: "accept" })
      yield* destroyBucket(bucket)
      yield* store.put("a", bytes("1"))
      yield* openBucket({ bucket, historySize: store.config.historySize, create: false })
      assert.strictEqual(store.config.historySize, 3)
    }))

  test("a watch of a destroyed bucket reports each key as Removed, and then the bucket that it recreates", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 2 })
      yield* store.put("a", bytes("1"))
      yield* store.put("a", bytes("2"))
      yield* store.put("b", bytes("1"))
      yield* store.put("c", bytes("1"))
      yield* store.delete("c")
      const { events } = yield* record(store.watch())
      yield* until(Effect.sync(() => events.length), (length) => length === 3)
      yield* destroyBucket(store.config.bucket)
      yield* until(Effect.sync(() => events.length), (length) => length === 6)
      yield* store.put("b", bytes("2"))
      yield* until(Effect.sync(() => events.length), (length) => length === 7)
      const words = events.map(shown)
      assert.deepStrictEqual(words.slice(0, 3), ["a=2", "b=1", "ready"])
      assert.deepStrictEqual(words.slice(3, 5).toSorted(), ["reset a", "reset b"])
      assert.deepStrictEqual(words.slice(5), ["ready", "b=2"])
    }))

  test("a watch of updates reports only keys that it has emitted as Removed if the bucket is destroyed", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const { events } = yield* record(store.watch(">", { from: "updates" }))
      yield* until(Effect.sync(() => events.length), (length) => length === 1)
      yield* store.put("b", bytes("1"))
      yield* until(Effect.sync(() => events.length), (length) => length === 2)
      yield* destroyBucket(store.config.bucket)
      yield* until(Effect.sync(() => events.length), (length) => length === 4)
      assert.deepStrictEqual(events.map(shown), ["ready", "b=1", "reset b", "ready"])
    }))

  test("with create false a watch of a destroyed bucket fails with BucketNotFound", () =>
    Effect.gen(function*() {
      const { config: { bucket } } = yield* openBucket()
      const store = yield* openBucket({ bucket, create: false })
      const { events, fiber } = yield* record(store.watch())
      yield* until(Effect.sync(() => events.length), (length) => length === 1)
      yield* destroyBucket(bucket)
      yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
      yield* reasonOf(Fiber.join(fiber), "BucketNotFound")
    }))
}
