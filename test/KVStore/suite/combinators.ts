/** `getMany` and `clear`. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { type Test } from "./fixture.ts"

export const combinators = (test: Test) => {
  test("getMany returns each key that has a value once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(numbers(40), (n) => store.put(`k.${n}`, bytes(`${n}`)))
      yield* store.delete("k.3")
      const wanted = ["k.1", "k.3", "k.39", "unwritten", "k.1"]
      const found = yield* store.getMany(wanted)
      assert.deepStrictEqual([...found].map(([key, entry]) => [key, textOf(entry.value)]), [["k.1", "1"], [
        "k.39",
        "39"
      ]])
      yield* reasonOf(store.getMany(["a..b"]), "InvalidKey")
    }))

  test("getMany reads its keys once, when it is called, so that the effect can run again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const key of ["a", "b", "c"]) yield* store.put(key, bytes(key))
      const read: Array<string> = []
      const oneShot = function*() {
        for (const key of ["a", "b"]) {
          read.push(key)
          yield key
        }
      }
      const list = ["a", "b"]
      const some = [store.getMany(oneShot()), store.getMany(list)]
      list.push("c")
      for (const getMany of some) {
        const [first, second] = yield* Effect.replicateEffect(getMany, 2)
        for (const found of [first!, second!]) assert.deepStrictEqual([...found.keys()], ["a", "b"])
      }
      assert.deepStrictEqual(read, ["a", "b"])
    }))

  test("getMany of an iterable that throws fails with InvalidKey", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const broken = function*(): Generator<string> {
        yield "a"
        throw new Error("no more keys")
      }
      const { expected } = yield* reasonOf(store.getMany(broken()), "InvalidKey")
      assert.include(expected, "no more keys")
    }))

  test("clear deletes the matching keys that have a value, and returns how many", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a.1", "a.2", "a.3", "b.1"], (key) => store.put(key, bytes("1")))
      yield* store.delete("a.3")
      const clear = (filter?: string) => KVStore.clear(store, filter)
      assert.deepStrictEqual(yield* clear("a.*"), { removed: 2, skipped: 0 })
      assert.deepStrictEqual(yield* store.keys(), ["b.1"])
      assert.deepStrictEqual(yield* clear(), { removed: 1, skipped: 0 })
      assert.deepStrictEqual(yield* clear(), { removed: 0, skipped: 0 })
    }))
}
