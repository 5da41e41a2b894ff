/** The size limits of values and buckets. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { type Backend, refusal, type Test } from "./fixture.ts"

export const sizes = (test: Test) => {
  test("put accepts a value of maxValueSize with any condition, and refuses one byte more", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxValueSize: 100 })
      const key = "k".repeat(1024)
      const revision = yield* store.put(key, new Uint8Array(100), KVStore.KVOptions.createOnly)
      yield* store.put(key, new Uint8Array(100), KVStore.KVOptions.atRevision(revision))
      yield* store.put(key, new Uint8Array(100).fill(7), KVStore.KVOptions.updateOnly)
      for (const options of [undefined, KVStore.KVOptions.createOnly, KVStore.KVOptions.updateOnly]) {
        const reason = yield* refusal(store, store.put(key, new Uint8Array(101), options), "ValueTooLarge")
        assert.deepStrictEqual([reason.size, reason.limit], [101, 100])
      }
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get(key)).value, new Uint8Array(100).fill(7))
    }))

  test("the default maxValueSize is 1 MiB, less the server's headers", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const size = 1024 * 1024 - 1024
      yield* store.put("a", new Uint8Array(size).fill(7))
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).value.length, size)
      yield* refusal(store, store.put("a", new Uint8Array(1024 * 1024 + 1)), "ValueTooLarge")
    }))

  test("a bucket at maxBytes refuses new keys, and delete and purge still work and free space", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 10_000, maxValueSize: 2000 })
      const fill = Effect.forEach(numbers(20), (n) => store.put(`k.${n}`, new Uint8Array(1000)))
      const full = yield* reasonOf(fill, "StorageFull")
      assert.strictEqual(full.code, 10077)
      assert.include(full.message, "maxBytes")
      const held = yield* store.keys()
      assert.isAbove(held.length, 4)
      yield* refusal(store, store.put("k.next", new Uint8Array(1000)), "StorageFull")
      yield* store.delete(held[0]!)
      yield* store.purge(held[1]!)
      assert.deepStrictEqual(yield* store.keys(), held.slice(2))
      yield* store.put("k.next", new Uint8Array(1000))
    }))
}

/** A server of the line 2.10 does not count the space that an overwrite frees. */
export const fullOverwrites = (test: Test, backend: Backend) => {
  test("in a full bucket a value can be overwritten with one of the same size, except on servers before 2.11", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 10_000, maxValueSize: 2000 })
      const value = new Uint8Array(1000)
      yield* reasonOf(Effect.forEach(numbers(20), (n) => store.put(`k.${n}`, value)), "StorageFull")
      if (!backend.markers) {
        yield* refusal(store, store.put("k.0", value), "StorageFull")
        return
      }
      yield* store.put("k.0", value.fill(7))
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("k.0")).value, value)
    }))
}
