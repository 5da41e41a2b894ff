/** `purgeTombstones`: which messages it removes, and what stays possible in a bucket of short-lived keys. */
import { assert } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { numbers, openBucket, reasonOf, record, type Store } from "../../support/suite.ts"
import { type Backend, read, refusal, shown, type Test } from "./fixture.ts"

/** Creates and deletes sessions until the bucket is full. */
const useUp = (store: Store) =>
  Effect.forEach(
    numbers(2000),
    (n) => Effect.andThen(store.put(`session.${n}`, new Uint8Array(100)), store.delete(`session.${n}`))
  )

export const tombstones = (test: Test, backend: Backend) => {
  const wrong: ReadonlyArray<readonly [what: string, options: unknown, said: string]> = [
    ["an olderThan of 59 minutes", { olderThan: "59 minutes" }, "olderThan: expected a time from 1h to 366d, got 59m"],
    ["an olderThan of 3600, which is milliseconds", { olderThan: 3600 }, "olderThan: expected a time from 1h"],
    ["an unknown option", { age: "2 hours" }, `purgeTombstones: no option "age"`],
    ["a text", "2 hours", "purgeTombstones: expected an object"],
    ["null", null, "purgeTombstones: expected an object"]
  ]
  for (const [what, options, said] of wrong) {
    test(`purgeTombstones with ${what} is refused`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const reason = yield* reasonOf(store.purgeTombstones(untyped(options)), "InvalidConfig")
        assert.include(reason.message, said)
      }))
  }

  test("purgeTombstones with a filter that is not valid is refused", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const filter of ["a..b", "", 5, null]) {
        const error = yield* Effect.flip(store.purgeTombstones({ filter: untyped(filter) }))
        assert.strictEqual(error.reason._tag, "InvalidKey")
        assert.include(error.message, `purgeTombstones "${filter}"`)
        assert.include(error.message, "the filter is not valid: use a key (1 to 1024 letters")
      }
    }))

  test("purgeTombstones removes no tombstone that is younger than an hour", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      yield* store.purge("b")
      assert.strictEqual(yield* store.purgeTombstones(), 0)
      assert.strictEqual((yield* store.status).messages, 2)
    }))

  // On a server and on real time: tombstones.live.test.ts.
  if (!backend.virtual && backend.within === undefined) return

  const wait = (time: Duration.Input) => backend.virtual ? TestClock.adjust(time) : Effect.sleep(time)

  for (const historySize of [1, 3]) {
    test(`purgeTombstones removes old tombstones with the history of their keys, with historySize ${historySize}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize })
        const watch = yield* record(store.watch())
        for (const key of ["deleted", "purged", "again", "live", "other.deleted"]) yield* store.put(key, bytes("1"))
        for (const key of ["deleted", "again", "other.deleted"]) yield* store.delete(key)
        yield* store.purge("purged")
        const again = yield* store.put("again", bytes("2"))
        yield* wait("50 minutes")
        yield* store.delete("young")
        yield* wait("11 minutes")
        assert.strictEqual(yield* store.purgeTombstones({ olderThan: "2 hours" }), 0)
        assert.strictEqual(yield* store.purgeTombstones({ filter: "other.>" }), 1)
        assert.strictEqual(yield* store.purgeTombstones(), 2)
        assert.strictEqual(yield* store.purgeTombstones(), 0)
        for (const key of ["deleted", "purged", "other.deleted"]) {
          assert.deepStrictEqual(yield* store.history(key), [], key)
        }
        assert.deepStrictEqual((yield* store.history("young")).map(shown), ["delete young"])
        assert.deepStrictEqual(
          (yield* store.history("again")).map(shown),
          ["again=2", "delete again", "again=1"].slice(0, historySize)
        )
        assert.deepStrictEqual(yield* store.keys(), ["live", "again"])
        assert.strictEqual(Option.getOrThrow(yield* store.get("again")).revision, again)
        const before = watch.events.length
        // Revisions continue, and each condition sees a key without a message.
        assert.isAbove(yield* store.put("deleted", bytes("3"), KVStore.KVOptions.createOnly), again)
        yield* store.put("purged", bytes("3"), KVStore.KVOptions.atRevision(0))
        yield* wait("2 minutes")
        assert.deepStrictEqual(watch.events.slice(before).map(shown), ["deleted=3", "purged=3"])
      }))
  }

  test("purgeTombstones keeps a key that is written again between the listing and the removal", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = numbers(200).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.delete(key))
      yield* wait("61 minutes")
      yield* Effect.all([
        store.purgeTombstones(),
        // Some are written before the listing, others between the listing and their removal, others later.
        Effect.forEach(keys.toReversed(), (key) => store.put(key, bytes("1")), { concurrency: 8 })
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual((yield* store.keys()).toSorted(), keys.toSorted())
    }))

  test("a bucket that is full of tombstones has space again after purgeTombstones", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 20_000, maxValueSize: 2000 })
      const full = yield* reasonOf(useUp(store), "StorageFull")
      assert.include(full.message, "purgeTombstones")
      assert.deepStrictEqual(yield* store.keys(), [])
      yield* refusal(store, store.put("session.new", new Uint8Array(100)), "StorageFull")
      yield* wait("61 minutes")
      assert.isAbove(yield* store.purgeTombstones(), 200)
      yield* store.put("session.new", bytes("1"))
      assert.deepStrictEqual(yield* read(store, "session.new"), Option.some("1"))
      assert.strictEqual((yield* store.status).messages, 1)
    }))
}
