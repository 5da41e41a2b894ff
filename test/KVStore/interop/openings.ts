/** Buckets created by `@nats-io/kv`: how their settings differ, and how KVStore opens them. */
import { assert } from "@effect/vitest"
import { StorageType } from "@nats-io/jetstream"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes } from "../../../tools/values.ts"
import { freshName, record } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { read, shown } from "../suite/fixture.ts"
import { ours, type Test, theirsAndOurs, until } from "./sides.ts"
import { agree, createTheirs, they } from "./theirs.ts"

export const openings = (test: Test) => {
  test("opening a default bucket of @nats-io/kv fails with ConfigMismatch, and succeeds with onMismatch accept", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const kv = yield* createTheirs(bucket)
      const revision = yield* they(() => kv.put("a", "1"))
      assert.strictEqual(revision, 1)
      const error = yield* Effect.flip(ours({ bucket }))
      const { differences } = yield* reasonOf(ours({ bucket }), "ConfigMismatch")
      assert.deepStrictEqual(differences, [
        { setting: "maxValueSize", expected: "1048576", actual: "unlimited" }
      ])
      for (const words of [bucket, "maxValueSize is unlimited, not 1048576", "onMismatch"]) {
        assert.include(error.message, words)
      }
      const store = yield* ours({ bucket, onMismatch: "accept" })
      assert.strictEqual(yield* store.put("a", bytes("2"), KVStore.KVOptions.atRevision(1)), 2)
      yield* agree(store, kv, ["a"])
    }))

  test("KVStore keeps the history, storage and ttl of a bucket that @nats-io/kv created", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* theirsAndOurs({ history: 5, storage: StorageType.Memory, ttl: 3_600_000 })
      const { historySize, storage, streamMaxAge } = store.config
      assert.deepStrictEqual([historySize, storage, streamMaxAge], [5, "memory", Duration.hours(1)])
      for (const n of [1, 2, 3, 4]) {
        yield* store.put("a", bytes(`ours ${n}`))
        yield* they(() => kv.put("a", `theirs ${n}`))
      }
      yield* store.delete("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), [
        "delete a",
        "a=theirs 4",
        "a=ours 4",
        "a=theirs 3",
        "a=ours 3"
      ])
      yield* agree(store, kv, ["a"])
    }))

  test("ConfigMismatch names the maxValueSize of a bucket that @nats-io/kv created, and puts respect it", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const kv = yield* createTheirs(bucket, { maxValueSize: 1000 })
      const { differences } = yield* reasonOf(ours({ bucket }), "ConfigMismatch")
      assert.deepStrictEqual(differences.map(({ setting }) => setting), ["maxValueSize"])
      assert.match(differences[0]!.actual, /^\d+/)
      const store = yield* ours({ bucket, onMismatch: "accept" })
      const reason = yield* reasonOf(store.put("a", new Uint8Array(1001)), "ValueTooLarge")
      assert.strictEqual(reason.size, 1001)
      yield* store.put("a", new Uint8Array(900))
      yield* agree(store, kv, ["a"])
    }))

  test("onMismatch update leaves other settings of a bucket of @nats-io/kv unchanged", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const theirs = { history: 2, description: "orders", metadata: { team: "seven" }, compression: true }
      const kv = yield* createTheirs(bucket, theirs)
      yield* they(() => kv.put("a", "1"))
      const store = yield* ours({ bucket, historySize: 5, maxValueSize: 1000, onMismatch: "update" })
      const { compression, description, history, metadata } = yield* they(() => kv.status())
      assert.deepStrictEqual([history, description, compression], [5, "orders", true])
      assert.strictEqual(metadata?.["team"], "seven")
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
      yield* ours({ bucket, historySize: 5, maxValueSize: 1000 })
    }))

  test("opening a mirror that @nats-io/kv created fails with ConfigMismatch for every onMismatch", () =>
    Effect.gen(function*() {
      const origin = yield* theirsAndOurs()
      yield* they(() => origin.kv.put("a", "1"))
      const bucket = freshName()
      yield* createTheirs(bucket, { mirror: { name: origin.bucket } })
      for (const onMismatch of ["fail", "update", "accept"] as const) {
        const error = yield* Effect.flip(ours({ bucket, onMismatch }))
        assert.strictEqual(error.reason._tag, "ConfigMismatch")
        assert.include(error.message, `a copy of KV_${origin.bucket}`)
      }
    }))

  test("a watch of KVStore emits resets after @nats-io/kv destroys and recreates the bucket, and continues", () =>
    Effect.gen(function*() {
      const { bucket, kv, store } = yield* theirsAndOurs({ history: 5 })
      yield* they(() => kv.put("a", "1"))
      yield* they(() => kv.put("b", "1"))
      const { events } = yield* record(store.watch())
      const words = Effect.sync(() => events.map(shown))
      yield* until(words, (all) => all.includes("ready"))
      yield* they(() => kv.destroy())
      const recreated = yield* createTheirs(bucket, { history: 5 })
      yield* they(() => recreated.put("b", "2"))
      yield* until(words, (all) => all.filter((word) => word === "ready").length === 2)
      const told = yield* words
      assert.deepStrictEqual(told.slice(0, 3), ["a=1", "b=1", "ready"])
      assert.include(told, "reset a")
      assert.strictEqual(told.at(-2), "b=2")
      yield* agree(store, recreated, ["a", "b"])
    }))
}
