/** What each writes the other reads, and conditions hold across the two. */
import { assert } from "@effect/vitest"
import { StorageType } from "@nats-io/jetstream"
import { Bucket } from "@nats-io/kv"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes } from "../../../tools/values.ts"
import { freshName } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { read, shown } from "../suite/fixture.ts"
import { codeOf, ours, oursAndTheirs, type Test, wrongSequence } from "./sides.ts"
import { agree, createTheirs, theirKeys, theirView, they } from "./theirs.ts"

const { atRevision, createOnly, updateOnly } = KVStore.KVOptions

export const conditions = (test: Test) => {
  test("reads what we wrote, with our revisions, times, tombstones and history", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 5 })
      const first = yield* store.put("a", bytes("1"))
      yield* store.put("a", bytes("2"))
      yield* store.put("b", bytes("1"))
      yield* store.delete("b")
      yield* store.put("c", bytes("1"))
      yield* store.purge("c")
      yield* agree(store, kv, ["a", "b", "c", "nobody"])
      const at = yield* they(() => kv.get("a", { revision: first }))
      assert.deepStrictEqual([at?.string(), at?.revision], ["1", first])
      // A purge leaves nothing under its tombstone.
      const purged = (yield* theirView(kv, "c")).history
      assert.deepStrictEqual(purged.map(({ operation }) => operation), ["PURGE"])
      assert.deepStrictEqual(yield* theirKeys(kv), ["a"])
    }))

  test("opens a bucket of ours by creating it, and finds it as we made it", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const store = yield* ours({
        bucket,
        historySize: 7,
        streamMaxAge: "1 hour",
        maxBytes: 1_000_000,
        storage: "memory"
      })
      const revision = yield* store.put("a", bytes("1"))
      const kv = yield* createTheirs(bucket, { history: 2 })
      const status = yield* they(() => kv.status())
      assert.deepStrictEqual(
        [status.bucket, status.values, status.history, status.ttl, status.max_bytes, status.storage, status.replicas],
        [bucket, 1, 7, 3_600_000, 1_000_000, StorageType.Memory, 1]
      )
      const { bytes: size, lastRevision, messages } = yield* store.status
      assert.deepStrictEqual(
        [status.values, status.size, status.streamInfo.state.last_seq],
        [messages, size, lastRevision]
      )
      for (const sequence of [status.streamInfo.state.first_seq, status.streamInfo.state.last_seq]) {
        assert.isTrue(Number.isSafeInteger(sequence) && sequence === revision)
      }
      yield* agree(store, kv, ["a"])
    }))

  test("writes what we read, and our revisions are its", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 5 })
      const first = yield* they(() => kv.put("a", "1"))
      assert.isTrue(Number.isSafeInteger(first))
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, first)
      assert.strictEqual(yield* they(() => kv.create("b", "1")), first + 1)
      assert.strictEqual(yield* they(() => kv.update("a", "2", first)), first + 2)
      yield* they(() => kv.delete("b"))
      yield* they(() => kv.purge("c"))
      assert.strictEqual((yield* store.status).lastRevision, first + 4)
      yield* agree(store, kv, ["a", "b", "c"])
      assert.deepStrictEqual((yield* store.history("b")).map(shown), ["delete b", "b=1"])
      assert.deepStrictEqual((yield* store.history("c")).map(shown), ["purge c"])
      assert.deepStrictEqual(yield* store.keys(), ["a"])
    }))

  test("and we refuse each other's stale revisions, and take each other's right ones", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs()
      const a = yield* store.put("a", bytes("1"))
      const b = yield* they(() => kv.update("a", "2", a))
      assert.strictEqual(yield* codeOf(they(() => kv.update("a", "3", a))), wrongSequence)
      const stale = yield* reasonOf(store.put("a", bytes("3"), atRevision(a)), "RevisionMismatch")
      assert.deepStrictEqual([stale.expected, stale.actual], [a, b])
      const c = yield* store.put("a", bytes("3"), atRevision(b))
      assert.strictEqual(yield* codeOf(they(() => kv.put("a", "4", { previousSeq: b }))), wrongSequence)
      for (const remove of ["delete", "purge"] as const) {
        assert.strictEqual(yield* codeOf(they(() => kv[remove]("a", { previousSeq: b }))), wrongSequence)
        yield* reasonOf(store[remove]("a", { revision: b }), "RevisionMismatch")
      }
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("3"))
      yield* they(() => kv.delete("a", { previousSeq: c }))
      yield* store.purge("a", { revision: c + 1 })
      yield* agree(store, kv, ["a"])
    }))

  for (const remove of ["delete", "purge"] as const) {
    test(`and we create where the other has left the tombstone of a ${remove}, and nowhere else`, () =>
      Effect.gen(function*() {
        const { kv, store } = yield* oursAndTheirs({ historySize: 3 })
        yield* they(() => kv.create("a", "1"))
        const exists = yield* reasonOf(store.put("a", bytes("2"), createOnly), "KeyAlreadyExists")
        assert.strictEqual(exists.revision, (yield* they(() => kv.get("a")))?.revision)
        yield* they(() => kv[remove]("a"))
        yield* reasonOf(store.put("a", bytes("2"), updateOnly), "KeyNotFound")
        yield* store.put("a", bytes("2"), createOnly)
        assert.strictEqual(yield* codeOf(they(() => kv.create("a", "3"))), wrongSequence)
        yield* store[remove]("a")
        yield* they(() => kv.create("a", "3"))
        assert.deepStrictEqual(yield* read(store, "a"), Option.some("3"))
        yield* agree(store, kv, ["a"])
      }))
  }

  test("has purged a bucket without a word, and nothing is listed, read or in a way", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 3 })
      const last = yield* store.put("a", bytes("1"))
      assert.isTrue(kv instanceof Bucket)
      yield* they(() => (kv as Bucket).purgeBucket())
      yield* agree(store, kv, ["a"])
      yield* reasonOf(store.put("a", bytes("2"), atRevision(last)), "RevisionMismatch")
      assert.strictEqual(yield* store.put("a", bytes("2"), createOnly), last + 1)
    }))

  test("has purged the tombstones, and what lives is as it was", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 3 })
      yield* store.put("a", bytes("1"))
      yield* store.delete("b")
      yield* store.purge("c")
      yield* they(() => (kv as Bucket).purgeDeletes(-1))
      yield* agree(store, kv, ["a", "b", "c"])
      assert.strictEqual((yield* store.status).messages, 1)
      yield* store.put("b", bytes("1"), atRevision(0))
    }))
}
