/** Invalid options, keys, filters and values are refused before anything is sent; the place and message of errors. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { badKeys, foreignKeys, unreadableKeys } from "../../support/badKeys.ts"
import { openBucket } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { read, refusal, type Test } from "./fixture.ts"

const badFilters = ["", " ", "x!", ">.a", "a.>.b", "a*", ".a", "a.", "a..b", "a.**", "grüße"]

const badRevisions = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "1", null]

/** Options that do not compile, and the word that the error for them contains at run time. */
const misuses: ReadonlyArray<readonly [KVStore.KVOptions, string]> = [
  // @ts-expect-error There is no ttl: a later write without a ttl would make the key permanent.
  [{ ttl: "5 seconds" }, "ttl"],
  // @ts-expect-error There is no ttl with a condition either.
  [{ createOnly: true, ttl: 5 }, "ttl"],
  // @ts-expect-error The server checks one condition: createOnly and updateOnly are two.
  [{ createOnly: true, updateOnly: true }, "one condition"],
  // @ts-expect-error The server checks one number: that of createOnly is 0, so no other can be given.
  [{ createOnly: true, revision: 3 }, "one condition"],
  // @ts-expect-error updateOnly is a condition on the revision that it read, so no other can be given.
  [{ updateOnly: true, revision: 3 }, "one condition"],
  // @ts-expect-error The server silently ignores the revision if there is a condition on another key.
  [{ revision: 3, whenKey: { key: "b", revision: 1 } }, "one condition"],
  // @ts-expect-error The server silently ignores createOnly if there is a condition on another key.
  [{ createOnly: true, whenKey: { key: "b", revision: 1 } }, "one condition"],
  // @ts-expect-error createOnly is true or absent: false would be an unconditional write.
  [{ createOnly: false }, "createOnly"],
  // @ts-expect-error updateOnly is true or absent: another value must not become an unconditional write.
  [{ updateOnly: "yes" }, "updateOnly"],
  // @ts-expect-error A condition on another key needs that key's revision.
  [{ whenKey: { key: "b" } }, "revision"],
  // @ts-expect-error A condition on another key has a key and a revision.
  [{ whenKey: null }, "whenKey"],
  // @ts-expect-error Absent options are undefined, not null.
  [null, "null"]
]

export const misuse = (test: Test) => {
  test("put refuses two conditions, an unknown option such as ttl, and an invalid condition, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      for (const [options, named] of misuses) {
        const reason = yield* refusal(store, store.put("a", bytes("2"), options), "InvalidConfig")
        assert.include(reason.problem, named, JSON.stringify(options))
      }
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("every operation that takes a revision refuses an invalid one, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      for (const revision of badRevisions) {
        const attempts = [
          store.put("a", bytes("2"), { revision: untyped(revision) }),
          store.put("a", bytes("2"), KVStore.KVOptions.whenKey("b", untyped(revision))),
          store.delete("a", { revision: untyped(revision) }),
          store.purge("a", { revision: untyped(revision) }),
          Stream.runDrain(store.watch("a", { from: { revision: untyped(revision) } }))
        ]
        for (const attempt of attempts) yield* refusal<unknown, "InvalidConfig">(store, attempt, "InvalidConfig")
      }
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("delete and purge refuse an unknown option, and write nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      // @ts-expect-error There is no ttl: neither for values nor for tombstones.
      yield* refusal(store, store.delete("a", { ttl: 5 }), "InvalidConfig")
      // @ts-expect-error A purge is conditioned on a revision, and on nothing else.
      yield* refusal(store, store.purge("a", { createOnly: true }), "InvalidConfig")
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("every operation refuses an invalid key, except reads of a key that another client can store", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const key of [...badKeys, ...unreadableKeys, untyped(undefined), untyped(7)]) {
        const attempts = [
          store.put(key, bytes("1")),
          store.put(key, bytes("1"), KVStore.KVOptions.createOnly),
          store.put("a", bytes("1"), KVStore.KVOptions.whenKey(key, 0)),
          store.delete(key),
          store.purge(key),
          ...foreignKeys.includes(key) ? [] : [store.get(key), store.history(key), store.getMany(["a", key])]
        ]
        for (const attempt of attempts) yield* refusal<unknown, "InvalidKey">(store, attempt, "InvalidKey")
      }
    }))

  test("every listing and watch refuses an invalid filter", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const filter of [...badFilters, untyped(7)]) {
        const attempts = [store.keys(filter), store.entries(filter), Stream.runDrain(store.watch(filter))]
        for (const attempt of attempts) yield* refusal<unknown, "InvalidKey">(store, attempt, "InvalidKey")
      }
    }))

  test("a watch refuses an unknown start", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const from of ["beginning", 7, null]) {
        const watch = Stream.runDrain(store.watch(undefined, { from: untyped(from) }))
        const reason = yield* refusal(store, watch, "InvalidConfig")
        assert.include(reason.problem, "from")
      }
    }))

  test("put refuses a value that is not bytes, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const value of ["text", undefined, null, 7, { a: 1 }, new ArrayBuffer(2), [1, 2]]) {
        yield* refusal(store, store.put("a", untyped(value)), "InvalidValue")
      }
    }))

  test("an error has its operation, key, bucket and reason, and a refusal is not retryable", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("orders.7", bytes("1"))
      const attempts: ReadonlyArray<
        readonly [string, string | undefined, Effect.Effect<unknown, KVStore.KVStoreError>]
      > = [
        ["put", "orders.7", store.put("orders.7", bytes("2"), KVStore.KVOptions.createOnly)],
        ["put", "orders.8", store.put("orders.8", bytes("2"), KVStore.KVOptions.updateOnly)],
        ["delete", "orders.7", store.delete("orders.7", { revision: revision + 1 })],
        ["purge", "orders.7", store.purge("orders.7", { revision: revision + 1 })],
        ["get", "a..b", store.get("a..b")],
        ["history", "a..b", store.history("a..b")],
        ["keys", "a..b", store.keys("a..b")],
        ["entries", "a..b", store.entries("a..b")],
        ["watch", "a..b", Stream.runDrain(store.watch("a..b"))]
      ]
      for (const [operation, key, attempt] of attempts) {
        const error = yield* Effect.flip(attempt)
        assert.deepStrictEqual([error._tag, error.operation, error.key, error.bucket], [
          "KVStoreError",
          operation,
          key,
          store.config.bucket
        ])
        assert.strictEqual(
          error.message,
          `${operation} "${key}" in bucket "${store.config.bucket}": ${error.reason.message}`
        )
        assert.isAbove(error.reason.message.length, 15)
        assert.isFalse(error.isRetryable)
      }
    }))

  test("catchReason handles one reason and passes on the others", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const caught = (options: KVStore.KVOptions) =>
        store.put("a", bytes("2"), options).pipe(
          Effect.catchReason("KVStoreError", "KeyAlreadyExists", () => Effect.succeed("exists"))
        )
      assert.strictEqual(yield* caught(KVStore.KVOptions.createOnly), "exists")
      yield* reasonOf(caught(KVStore.KVOptions.atRevision(0)), "RevisionMismatch")
    }))
}
