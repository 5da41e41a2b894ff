/** A bucket that exists is opened again: compared with the options, accepted or updated. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Until } from "../../../tools/eventually.ts"
import { bytes } from "../../../tools/values.ts"
import { freshName, openBucket, reasonOf, record } from "../../support/suite.ts"
import { type Backend, read, shown, type Test } from "./fixture.ts"

export const openings = (test: Test, backend: Backend, until: Until) => {
  test("an existing bucket is opened with its contents", () =>
    Effect.gen(function*() {
      const options = {
        bucket: freshName(),
        historySize: 3,
        maxValueSize: 1000,
        maxBytes: 1_000_000,
        streamMaxAge: "1 hour",
        storage: "memory"
      } as const
      const first = yield* openBucket(options)
      const revision = yield* first.put("a", bytes("1"))
      const second = yield* openBucket(options)
      assert.strictEqual(Option.getOrThrow(yield* second.get("a")).revision, revision)
      assert.isAbove(yield* second.put("a", bytes("2")), revision)
      assert.deepStrictEqual(yield* read(first, "a"), Option.some("2"))
      assert.deepStrictEqual((yield* first.status).created, (yield* second.status).created)
    }))

  test("ConfigMismatch lists each difference from an existing bucket", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* openBucket({ bucket, historySize: 3, streamMaxAge: "1 hour" })
      const other = openBucket({
        bucket,
        maxValueSize: 1000,
        maxBytes: 5000,
        storage: "memory",
        streamMaxAge: "1 minute"
      })
      const error = yield* Effect.flip(other)
      assert.deepStrictEqual([error.reason._tag, error.operation, error.bucket], ["ConfigMismatch", "open", bucket])
      const { differences } = yield* reasonOf(other, "ConfigMismatch")
      assert.deepStrictEqual(differences, [
        { setting: "historySize", expected: "1", actual: "3" },
        { setting: "maxValueSize", expected: "1000", actual: "1048576" },
        { setting: "maxBytes", expected: "5000", actual: "unlimited" },
        { setting: "streamMaxAge", expected: "1m", actual: "1h" },
        { setting: "storage", expected: "memory", actual: "file" }
      ])
      for (const { actual, expected, setting } of differences) {
        assert.include(error.message, `${setting} is ${actual}, not ${expected}`)
      }
    }))

  test("onMismatch accept uses an existing bucket with its own configuration", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* openBucket({ bucket, historySize: 3 })
      const store = yield* openBucket({ bucket, historySize: 5, onMismatch: "accept" })
      yield* Effect.forEach(["1", "2", "3", "4"], (value) => store.put("a", bytes(value)))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=4", "a=3", "a=2"])
    }))

  test("onMismatch update changes the configuration of an existing bucket", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const before = yield* openBucket({ bucket })
      yield* before.put("a", bytes("0"))
      const wanted = {
        bucket,
        historySize: 3,
        maxValueSize: 1000,
        maxBytes: 100_000,
        streamMaxAge: "1 minute"
      } as const
      const store = yield* openBucket({ ...wanted, onMismatch: "update" })
      yield* Effect.forEach(["1", "2", "3"], (value) => store.put("a", bytes(value)))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=3", "a=2", "a=1"])
      // The bucket now matches these options.
      yield* openBucket(wanted)
      // It can be changed back.
      yield* openBucket({ bucket, onMismatch: "update" })
      yield* openBucket({ bucket })
    }))

  test("onMismatch update fails with ConfigMismatch for the storage, which cannot be changed", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* openBucket({ bucket })
      const options = { bucket, storage: "memory", historySize: 5, onMismatch: "update" } as const
      const error = yield* Effect.flip(openBucket(options))
      assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["ConfigMismatch", false])
      assert.include(error.message, "(storage is file, not memory): storage cannot be changed")
      // Nothing else was changed.
      yield* openBucket({ bucket })
    }))

  if (backend.markers) {
    test("onMismatch update turns expiry markers of an existing bucket on and off", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        yield* openBucket({ bucket, streamMaxAge: "300 millis", storage: "memory" })
        const marked = { bucket, streamMaxAge: "300 millis", storage: "memory", expiryMarkers: "1 second" } as const
        const { differences } = yield* reasonOf(openBucket(marked), "ConfigMismatch")
        assert.deepStrictEqual(differences, [{ setting: "expiryMarkers", expected: "1s", actual: "none" }])
        const store = yield* openBucket({ ...marked, onMismatch: "update" })
        const { events } = yield* record(store.watch())
        yield* store.put("a", bytes("1"))
        yield* until(Effect.sync(() => events.map(shown)), (words) => words.includes("expire a"))
        yield* openBucket({ bucket, streamMaxAge: "300 millis", storage: "memory", onMismatch: "update" })
      }))
  }

  test("a missing bucket is not created if create is false", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const error = yield* Effect.flip(openBucket({ bucket, create: false }))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.bucket], ["BucketNotFound", "open", bucket])
      yield* openBucket({ bucket })
      yield* openBucket({ bucket, create: false })
    }))

  test("concurrent openings of a new bucket get the same bucket", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const stores = yield* Effect.forEach(Array.from({ length: 10 }), () => openBucket({ bucket }), {
        concurrency: "unbounded"
      })
      yield* stores[0]!.put("a", bytes("1"))
      for (const store of stores) assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))
}
