/** The status, the clock and the configuration of a store. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { bytes } from "../../../tools/values.ts"
import { openBucket } from "../../support/suite.ts"
import { type Backend, type Test } from "./fixture.ts"

export const descriptions = (test: Test, backend: Backend) => {
  test("status describes the bucket and its contents", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 2 })
      const empty = yield* store.status
      assert.deepStrictEqual(
        [empty.bucket, empty.backend, empty.messages, empty.bytes, empty.supportsExpiryMarkers],
        [store.config.bucket, backend.kind, 0, 0, backend.markers]
      )
      yield* store.put("a", bytes("12345"))
      yield* store.put("a", bytes("12345"))
      const revision = yield* store.put("a", bytes("12345"))
      yield* store.delete("b")
      const status = yield* store.status
      assert.deepStrictEqual([status.messages, status.lastRevision, status.hasLeader], [3, revision + 1, true])
      assert.isAtLeast(status.bytes, 13)
      assert.deepStrictEqual(status.created, empty.created)
      if (backend.kind === "nats") assert.match(status.serverVersion ?? "", /^2\.\d+\.\d+/)
    }))

  test("the age of a new entry, by the store's clock, is close to zero", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const { created } = Option.getOrThrow(yield* store.get("a"))
      const age = (yield* store.clock.currentTimeMillis) - created.epochMilliseconds
      // On a server the clock is off by up to half a round trip, and `created` is cut to a millisecond.
      assert.isAtLeast(age, backend.virtual ? 0 : -25)
      assert.isAtMost(age, backend.virtual ? 0 : 1000)
      const { created: made } = yield* store.status
      assert.isAtMost(made.epochMilliseconds, created.epochMilliseconds)
    }))

  test("the store's clock advances, also in nanoseconds", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = yield* store.clock.currentTimeNanos
      yield* backend.virtual ? TestClock.adjust("5 millis") : store.clock.sleep(Duration.millis(5))
      const passed = Number((yield* store.clock.currentTimeNanos) - before) / 1_000_000
      assert.isAtLeast(passed, 4)
      assert.isAtMost(passed, 2000)
    }))

  test("the times of messages follow the order of the writes, and a watch emits the same times as the history", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 3 })
      yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      const [removed, put] = yield* store.history("a")
      assert.isTrue(removed?._tag === "Removed" && put?._tag === "Put")
      if (removed?._tag !== "Removed" || put?._tag !== "Put") return
      assert.isAtMost(put.entry.created.epochMilliseconds, removed.created.epochMilliseconds)
      const [event] = yield* Stream.runCollect(Stream.take(store.watch("a", { from: { revision: 0 } }), 1))
      assert.deepStrictEqual(event, put)
    }))

  test("the config of a store has the options it was opened with, and defaults for the others", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 7, timeout: "3 seconds" })
      assert.strictEqual(store.config.historySize, 7)
      assert.strictEqual(store.config.maxValueSize, 1024 * 1024)
      assert.strictEqual(Duration.toMillis(store.config.timeout), 3000)
      assert.deepStrictEqual(
        [store.config.storage, store.config.replicas, store.config.onMismatch, store.config.create],
        ["file", 1, "fail", true]
      )
    }))
}
