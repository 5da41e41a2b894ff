/** Which configurations can be had. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Config from "../../src/KVStoreConfig.ts"
import { bytes } from "../support/values.ts"
import { freshName, openBucket, read, type Test } from "./fixture.ts"

export const configurations = (test: Test) => {
  const bad: ReadonlyArray<readonly [setting: keyof Config.BucketOptions, value: unknown]> = [
    ["bucket", ""],
    ["bucket", "a b"],
    ["bucket", "a.b"],
    ["bucket", "grüße"],
    ["bucket", "x".repeat(201)],
    ["bucket", undefined],
    ["historySize", 0],
    ["historySize", 65],
    ["historySize", 1.5],
    ["historySize", "3"],
    ["maxValueSize", 0],
    ["maxValueSize", Number.NaN],
    ["maxValueSize", 64 * 1024 * 1024 + 1],
    ["streamMaxAge", "99 millis"],
    ["streamMaxAge", -1],
    ["streamMaxAge", "soon"],
    ["streamMaxAge", "367 days"],
    ["streamMaxAge", Number.POSITIVE_INFINITY],
    ["expiryMarkers", "999 millis"],
    ["expiryMarkers", true],
    ["maxBytes", 0],
    ["maxBytes", -1],
    ["maxBytes", 1.5],
    ["storage", "disk"],
    ["replicas", 0],
    ["replicas", 6],
    ["onMismatch", "ignore"],
    ["create", "no"],
    ["timeout", 0],
    ["timeout", "2 hours"]
  ]

  test("refuses a configuration that cannot be had, by the name of the setting", () =>
    Effect.gen(function*() {
      for (const [setting, value] of bad) {
        const error = yield* Effect.flip(openBucket({ [setting]: value }))
        assert.strictEqual(error.reason._tag, "InvalidConfig", `${setting}: ${String(value)}`)
        assert.strictEqual(error.operation, "configure")
        assert.include(error.message, setting)
        assert.isFalse(error.isRetryable)
      }
    }))

  test("takes the outermost settings that it allows", () =>
    Effect.gen(function*() {
      const bucket = `${freshName()}-${"x".repeat(200)}`.slice(0, 200)
      const store = yield* openBucket({
        bucket,
        historySize: 64,
        maxValueSize: 1,
        streamMaxAge: "366 days",
        maxBytes: 100_000_000,
        timeout: "1 hour"
      })
      yield* store.put("a", bytes("1"))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("two buckets have nothing to do with each other", () =>
    Effect.gen(function*() {
      const one = yield* openBucket()
      const other = yield* openBucket()
      yield* one.put("a", bytes("1"))
      assert.isTrue(Option.isNone(yield* other.get("a")))
      assert.deepStrictEqual(yield* other.keys(), [])
    }))
}
