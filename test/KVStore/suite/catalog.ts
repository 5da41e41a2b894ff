/** Buckets are listed and destroyed. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Buckets } from "../../../src/Buckets.ts"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { freshName, openBucket, reasonOf } from "../../support/suite.ts"
import { read, type Test } from "./fixture.ts"

export const catalog = (test: Test) => {
  test("a bucket is listed from its creation until it is destroyed", () =>
    Effect.gen(function*() {
      const { destroy, list } = yield* Buckets
      const names = [`${freshName()}-z`, `${freshName()}-a`, freshName()]
      const listed = Effect.map(list(), (all) => all.filter((name) => names.includes(name)))
      assert.deepStrictEqual(yield* listed, [])
      for (const bucket of names) yield* openBucket({ bucket })
      assert.deepStrictEqual(yield* listed, names.toSorted())
      yield* destroy(names[1]!)
      assert.deepStrictEqual(yield* listed, [names[0]!, names[2]!].toSorted())
    }))

  test("a destroyed bucket has no keys when it is created again", () =>
    Effect.gen(function*() {
      const { destroy } = yield* Buckets
      const bucket = freshName()
      const before = yield* openBucket({ bucket, historySize: 2 })
      yield* before.put("a", bytes("1"))
      yield* destroy(bucket)
      yield* reasonOf(openBucket({ bucket, create: false }), "BucketNotFound")
      const after = yield* openBucket({ bucket, historySize: 5 })
      assert.deepStrictEqual(yield* after.keys(), [])
      assert.strictEqual(after.config.historySize, 5)
    }))

  test("a bucket keeps its keys while no store is open on it", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* Effect.scoped(Effect.flatMap(openBucket({ bucket }), (store) => store.put("a", bytes("1"))))
      assert.deepStrictEqual(yield* read(yield* openBucket({ bucket }), "a"), Option.some("1"))
    }))

  test("destroying a bucket that does not exist fails with BucketNotFound", () =>
    Effect.gen(function*() {
      const { destroy } = yield* Buckets
      const bucket = freshName()
      const error = yield* Effect.flip(destroy(bucket))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.bucket], ["BucketNotFound", "destroy", bucket])
      yield* openBucket({ bucket })
      yield* destroy(bucket)
      yield* reasonOf(destroy(bucket), "BucketNotFound")
    }))

  test("a service of a bucket opens it, and fails with InvalidConfig if its options are not valid", () =>
    Effect.gen(function*() {
      class Prices extends KVStore.TypedService<Prices>()("test/Prices", { bucket: freshName(), schema: Schema.Int }) {}
      const price = Effect.gen(function*() {
        const prices = yield* Prices
        yield* prices.put("apple", 120)
        return Option.map(yield* prices.get("apple"), ({ value }) => value)
      })
      assert.deepStrictEqual(yield* Effect.provide(price, Prices.layer), Option.some(120))
      for (const options of [undefined, null, {}, { bucket: freshName() }, { bucket: freshName(), schema: "int" }]) {
        const { make } = KVStore.TypedService<Prices>()("test/Other", untyped(options))
        assert.include((yield* reasonOf(make, "InvalidConfig")).problem, "schema")
      }
      for (const options of [undefined, null, {}, { bucket: "a.b" }]) {
        const { make } = KVStore.Service<Prices>()("test/Other", untyped(options))
        assert.include((yield* reasonOf(make, "InvalidConfig")).problem, "bucket")
      }
    }))

  test("an invalid name or option of destroy and list fails with InvalidConfig", () =>
    Effect.gen(function*() {
      const { destroy, list } = yield* Buckets
      for (const name of ["", "a.b", "*", ">", "a b", undefined, null, 7, {}]) {
        const reason = yield* reasonOf(destroy(untyped(name)), "InvalidConfig")
        assert.include(reason.problem, "bucket")
      }
      const wrong = [{ timeout: 0 }, { domain: "a.b" }, { apiPrefix: "" }, { domain: "a", apiPrefix: "b" }, {
        name: "a"
      }, 7]
      for (const options of wrong) {
        yield* reasonOf(destroy(freshName(), untyped(options)), "InvalidConfig")
        yield* reasonOf(list(untyped(options)), "InvalidConfig")
      }
    }))
}
