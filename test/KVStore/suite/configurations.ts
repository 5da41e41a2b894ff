/** Valid and invalid options of a bucket. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Buckets } from "../../../src/Buckets.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { freshName, openBucket } from "../../support/suite.ts"
import { read, type Test } from "./fixture.ts"

export const configurations = (test: Test) => {
  const bad: ReadonlyArray<readonly [setting: string, value: unknown]> = [
    ["bucket", ""],
    ["bucket", "a b"],
    ["bucket", "a.b"],
    ["bucket", "grüße"],
    ["bucket", "x".repeat(201)],
    ["bucket", undefined],
    ["bucket", null],
    ["bucket", 7],
    ["bucket", "a>"],
    ["bucket", "a\r\nb"],
    ["bucket", "a\n"],
    ["historySize", 0],
    ["historySize", -1],
    ["historySize", null],
    ["historySize", 65],
    ["historySize", 1.5],
    ["historySize", "3"],
    ["maxValueSize", 0],
    ["maxValueSize", "1 MiB"],
    ["maxValueSize", 1024n],
    ["maxValueSize", Number.NaN],
    ["maxValueSize", 64 * 1024 * 1024 + 1],
    ["streamMaxAge", "99 millis"],
    ["streamMaxAge", -1],
    ["streamMaxAge", "soon"],
    ["streamMaxAge", "367 days"],
    ["streamMaxAge", Number.POSITIVE_INFINITY],
    ["streamMaxAge", Number.NaN],
    ["streamMaxAge", null],
    ["streamMaxAge", {}],
    ["streamMaxAge", "1 minuet"],
    ["expiryMarkers", "999 millis"],
    ["expiryMarkers", true],
    ["expiryMarkers", "367 days"],
    ["expiryMarkers", null],
    ["maxValueSize", "unbounded"],
    ["description", ""],
    ["description", 5],
    ["description", "ü".repeat(2049)],
    ["metadata", "shop"],
    ["metadata", ["shop"]],
    ["metadata", null],
    ["metadata", { owner: 5 }],
    ["metadata", { "_nats.ver": "2.9" }],
    ["metadata", { owner: "x".repeat(70_000) }],
    ["maxBytes", 0],
    ["maxBytes", -1],
    ["maxBytes", 1.5],
    ["maxBytes", 2 ** 53],
    ["maxBytes", "1 GiB"],
    ["storage", "disk"],
    ["storage", "File"],
    ["storage", null],
    ["replicas", 0],
    ["replicas", 6],
    ["replicas", 2.5],
    ["replicas", "3"],
    ["onMismatch", "ignore"],
    ["onMismatch", true],
    ["create", "no"],
    ["create", 1],
    ["create", null],
    ["timeout", 0],
    ["timeout", -1],
    ["timeout", null],
    ["timeout", "forever"],
    ["timeout", "2 hours"],
    // Unknown options: the wrong case, names of another client, an option of `NatsClient`.
    ["historysize", 5],
    ["history", 5],
    ["ttl", 1000],
    ["max_age", 1000],
    ["servers", "127.0.0.1:4222"]
  ]

  test("an invalid option of a bucket fails with InvalidConfig, which names the option", () =>
    Effect.gen(function*() {
      for (const [setting, value] of bad) {
        const error = yield* Effect.flip(openBucket({ [setting]: value }))
        assert.strictEqual(error.reason._tag, "InvalidConfig", `${setting}: ${String(value)}`)
        assert.strictEqual(error.operation, "configure")
        assert.include(error.message, setting)
        assert.isFalse(error.isRetryable)
      }
    }))

  test("options of a bucket that are not an object fail with InvalidConfig", () =>
    Effect.gen(function*() {
      const { open } = yield* Buckets
      for (const options of [undefined, null, 7, "orders", [], () => ({ bucket: "orders" })]) {
        const error = yield* Effect.flip(open(untyped(options)))
        assert.deepStrictEqual([error.reason._tag, error.operation], ["InvalidConfig", "configure"])
        assert.include(error.message, "bucket")
      }
    }))

  test("the error for an unknown option of a bucket lists the known ones", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(openBucket(untyped({ bucket: "orders", history: 5 })))
      assert.strictEqual(error.bucket, "orders")
      for (const setting of [`"history"`, "historySize", "streamMaxAge"]) assert.include(error.message, setting)
    }))

  test("a bucket opens with options at their limits", () =>
    Effect.gen(function*() {
      const bucket = `${freshName()}-${"x".repeat(200)}`.slice(0, 200)
      const store = yield* openBucket({
        bucket,
        historySize: 64,
        maxValueSize: 1,
        streamMaxAge: "366 days",
        maxBytes: 100_000_000,
        timeout: "1 hour",
        description: "ü".repeat(2048),
        metadata: { owner: "x".repeat(60_000) }
      })
      yield* store.put("a", bytes("1"))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("two buckets share no keys", () =>
    Effect.gen(function*() {
      const one = yield* openBucket()
      const other = yield* openBucket()
      yield* one.put("a", bytes("1"))
      assert.isTrue(Option.isNone(yield* other.get("a")))
      assert.deepStrictEqual(yield* other.keys(), [])
    }))
}
