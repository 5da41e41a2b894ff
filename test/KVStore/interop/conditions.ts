/** Each client reads the writes of the other, and conditions hold for both. */
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
  test("@nats-io/kv reads values, revisions, times, tombstones and histories written by KVStore", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 5 })
      const first = yield* store.put("a", bytes("1"))
      yield* store.put("a", bytes("2"))
      yield* store.put("b", bytes("1"))
      yield* store.delete("b")
      yield* store.put("c", bytes("1"))
      yield* store.purge("c")
      yield* agree(store, kv, ["a", "b", "c", "unwritten"])
      const at = yield* they(() => kv.get("a", { revision: first }))
      assert.deepStrictEqual([at?.string(), at?.revision], ["1", first])
      // A purge removes the history before its tombstone.
      const purged = (yield* theirView(kv, "c")).history
      assert.deepStrictEqual(purged.map(({ operation }) => operation), ["PURGE"])
      assert.deepStrictEqual(yield* theirKeys(kv), ["a"])
    }))

  test("create of @nats-io/kv opens a bucket of KVStore with its settings unchanged", () =>
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

  test("KVStore reads what @nats-io/kv wrote, under the same revisions", () =>
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

  test("conditions of each client hold against writes of the other", () =>
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
    test(`each client creates a key over the tombstone of the other's ${remove}, and not over a value`, () =>
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

  test("after purgeBucket of @nats-io/kv KVStore reads no values, and createOnly succeeds", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 3 })
      const last = yield* store.put("a", bytes("1"))
      assert.isTrue(kv instanceof Bucket)
      yield* they(() => (kv as Bucket).purgeBucket())
      yield* agree(store, kv, ["a"])
      yield* reasonOf(store.put("a", bytes("2"), atRevision(last)), "RevisionMismatch")
      assert.strictEqual(yield* store.put("a", bytes("2"), createOnly), last + 1)
    }))

  test("purgeDeletes of @nats-io/kv removes tombstones, and KVStore still reads the values", () =>
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
