/** Guarantees of `KVKeyValueStore` beyond those of Effect: any key, atomic changes, detailed errors. */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { read } from "../../KVStore/suite/fixture.ts"
import { numbers, type Store } from "../../support/suite.ts"
import { type Test } from "../../support/suite.ts"
import { opened, over } from "./fixture.ts"

/** Distinct keys of all kinds. */
const oddKeys = [
  "",
  " ",
  ".",
  "..",
  "...",
  ".a",
  "a.",
  "a.b",
  "a..b",
  "a. b",
  "/",
  "/foo/bar",
  "//",
  "=",
  "==",
  "=2E",
  "=3D",
  "a=b",
  "a=20b",
  "a b",
  "a%20b",
  "*",
  ">",
  "a.*",
  "a.>",
  "$KV.a",
  "users:42",
  "name@host",
  "line\nbreak",
  "nul\0",
  "grüße",
  "gru\u0308ße",
  "👋",
  "\uFEFF",
  "A",
  "a",
  "_-",
  "\\",
  "🙂".repeat(80)
]

type KeyValues = KeyValueStore.KeyValueStore

/** All operations that take a key. */
const withKey = (
  kv: KeyValues,
  key: string
): Record<string, Effect.Effect<unknown, KeyValueStore.KeyValueStoreError>> => ({
  get: kv.get(key),
  getUint8Array: kv.getUint8Array(key),
  has: kv.has(key),
  set: kv.set(key, "1"),
  remove: kv.remove(key),
  modify: kv.modify(key, (value) => value),
  modifyUint8Array: kv.modifyUint8Array(key, (value) => value)
})

const errorOf = Effect.fnUntraced(function*<A, R>(
  effect: Effect.Effect<A, KeyValueStore.KeyValueStoreError, R>,
  tag: KVStore.KVStoreReason["_tag"]
) {
  const error = yield* Effect.flip(effect)
  assert.strictEqual(error._tag, "KeyValueStoreError")
  const { cause } = error
  assert.isTrue(cause instanceof KVStore.KVStoreError && cause.reason._tag === tag, error.message)
  return error
})

const increment = (value: string) => `${Number(value) + 1}`

export const ours = (test: Test, until: Until) => {
  /** Runs an effect and lets time pass until it ends: there is a pause after each conflict. */
  const finished = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
    const fiber = yield* Effect.forkScoped(effect)
    return yield* (yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined))!
  })

  test("any text is a key, and different texts are different keys", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      for (const [index, key] of oddKeys.entries()) yield* kv.set(key, `${index}`)
      assert.strictEqual(yield* kv.size, oddKeys.length)
      for (const [index, key] of oddKeys.entries()) {
        assert.strictEqual(yield* kv.get(key), `${index}`, JSON.stringify(key))
        assert.isTrue(yield* kv.has(key))
      }
      assert.deepStrictEqual((yield* kv.keys).toSorted(), oddKeys.toSorted())
      for (const key of oddKeys) {
        yield* kv.remove(key)
        assert.isFalse(yield* kv.has(key), JSON.stringify(key))
      }
      assert.isTrue(yield* kv.isEmpty)
    }))

  test("ordinary keys and values are stored unchanged", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      yield* kv.set("users/42", "Ann")
      yield* kv.set("orders.7", bytes("raw"))
      yield* kv.set("a b", "spaced")
      assert.deepStrictEqual((yield* store.keys()).toSorted(), ["a=20b", "orders.7", "users/42"])
      assert.deepStrictEqual(yield* read(store, "users/42"), Option.some("Ann"))
      assert.deepStrictEqual(yield* read(store, "orders.7"), Option.some("raw"))
      yield* store.put("users/43", bytes("Bob"))
      assert.strictEqual(yield* kv.get("users/43"), "Bob")
      assert.strictEqual(yield* kv.size, 4)
    }))

  test("keys that are not valid encodings are not listed, counted or cleared", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      const others = ["a=2Eb", "a=b", "x=", "==", "=ZZ", "=c3=a9", "=C3", "=FF", "=41"]
      for (const key of others) yield* store.put(key, bytes("theirs"))
      yield* kv.set("mine", "1")
      assert.deepStrictEqual(yield* kv.keys, ["mine"])
      assert.strictEqual(yield* kv.size, 1)
      yield* kv.clearPrefix("")
      yield* kv.clear
      assert.isTrue(yield* kv.isEmpty)
      assert.deepStrictEqual((yield* store.keys()).toSorted(), others.toSorted())
    }))

  test("clearPrefix refuses a prefix that is not text, and clears nothing", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* kv.set("a", "1")
      yield* kv.set("null", "1")
      for (const prefix of [undefined, null, 7, /a/, {}, Object.create(null), Symbol("a")]) {
        const error = yield* errorOf(Effect.suspend(() => kv.clearPrefix(untyped(prefix))), "InvalidKey")
        assert.include(error.message, "text as a prefix")
      }
      assert.strictEqual(yield* kv.size, 2)
    }))

  test("all operations refuse a key that cannot be formatted as text", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      for (const key of [Object.create(null), Symbol("a")]) {
        for (const [method, run] of Object.entries(withKey(kv, untyped(key)))) {
          assert.strictEqual((yield* errorOf(run, "InvalidKey")).method, method)
        }
      }
    }))

  test("clear writes nothing for keys without a value", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      yield* kv.set("a", "1")
      yield* kv.remove("a")
      const before = (yield* store.status).lastRevision
      yield* kv.clear
      assert.strictEqual((yield* store.status).lastRevision, before)
    }))

  test("clear removes 100 keys", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* Effect.forEach(numbers(100), (n) => kv.set(`k ${n}`, "1"), { concurrency: 16, discard: true })
      assert.strictEqual(yield* kv.size, 100)
      yield* kv.clear
      assert.strictEqual(yield* kv.size, 0)
    }))

  test("modify without a function fails with InvalidConfig and changes nothing", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* kv.set("a", "1")
      const modifications = [
        Effect.asVoid(kv.modify("a", untyped(5))),
        Effect.asVoid(kv.modifyUint8Array("a", untyped(5)))
      ]
      for (const modification of modifications) {
        const { cause } = yield* Effect.flip(modification)
        assert.strictEqual((cause as KVStore.KVStoreError).reason._tag, "InvalidConfig")
      }
      assert.strictEqual(yield* kv.get("a"), "1")
    }))

  test("concurrent calls of modify lose no change", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      // The other fibers read before this one writes.
      const slow = { ...store, get: (key: string) => Effect.tap(store.get(key), () => Effect.yieldNow) }
      const [one, other] = [yield* over(slow), yield* over(slow)]
      yield* kv.set("count", "0")
      const seen = yield* finished(
        Effect.forEach(numbers(40), (n) => (n % 2 === 0 ? one : other).modify("count", increment), {
          concurrency: "unbounded"
        })
      )
      assert.strictEqual(yield* kv.get("count"), "40")
      assert.deepStrictEqual(seen.map(Number).toSorted((a, b) => a - b), numbers(40).map((n) => n + 1))
    }))

  test("modify applies to a value written in between, and does not recreate a removed key", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      const between = (what: Effect.Effect<unknown, unknown>): Store => {
        let others = 1
        return {
          ...store,
          put: (key, value, options) =>
            others-- > 0
              ? Effect.andThen(Effect.orDie(what), store.put(key, value, options))
              : store.put(key, value, options)
        }
      }
      yield* kv.set("a", "1")
      const overwritten = yield* over(between(store.put("a", bytes("10"))))
      assert.strictEqual(yield* finished(overwritten.modify("a", increment)), "11")
      const removed = yield* over(between(store.delete("a")))
      assert.strictEqual(yield* finished(removed.modify("a", increment)), undefined)
      assert.isFalse(yield* kv.has("a"))
    }))

  test("modify dies if its function throws, and writes nothing", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      yield* kv.set("a", "1")
      const before = (yield* store.status).lastRevision
      const exit = yield* Effect.exit(kv.modify("a", () => {
        throw new Error("a bug of the caller")
      }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual((yield* store.status).lastRevision, before)
    }))

  test("modify with constant conflicts fails at the timeout of the store", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened({ timeout: "300 millis" })
      yield* kv.set("a b", "1")
      const crowded = yield* over({
        ...store,
        put: (key, value, options) => Effect.andThen(store.put(key, bytes("2")), store.put(key, value, options))
      })
      const error = yield* finished(Effect.flip(crowded.modify("a b", increment)))
      assert.deepStrictEqual([error.method, error.key], ["modify", "a b"])
      assert.include(error.message, "300ms")
      assert.strictEqual(yield* kv.get("a b"), "2")
    }))

  test("all operations refuse a key that cannot be stored, and write nothing", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      const before = (yield* store.status).lastRevision
      const bad = [
        "x".repeat(1025),
        " ".repeat(342),
        "👋".repeat(86),
        "\uD800",
        "a\uDC00b",
        untyped(7),
        untyped(undefined)
      ]
      for (const key of bad) {
        for (const [method, effect] of Object.entries(withKey(kv, key))) {
          const error = yield* errorOf(effect, "InvalidKey")
          assert.deepStrictEqual([error.method, error.key], [method, String(key)])
          assert.include(error.message, `${method} "${key}" in bucket "${store.config.bucket}"`)
        }
      }
      const tooLong = yield* errorOf(kv.get(" ".repeat(342)), "InvalidKey")
      assert.match(tooLong.message, /at most 1024 characters, not 1026/)
      assert.strictEqual((yield* store.status).lastRevision, before)
      for (const key of ["x".repeat(1024), " ".repeat(341), "👋".repeat(85)]) {
        yield* kv.set(key, "1")
        assert.strictEqual(yield* kv.get(key), "1")
      }
    }))

  test("a value that cannot be stored is refused, and the old value is kept", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened({ maxValueSize: 10 })
      yield* kv.set("a", "1")
      const broken = yield* errorOf(kv.set("a", "\uD800"), "InvalidValue")
      assert.deepStrictEqual([broken.method, broken.key], ["set", "a"])
      yield* errorOf(kv.modify("a", (value) => `${value}\uDC00`), "InvalidValue")
      for (const value of [7, null, undefined, ["1"], new ArrayBuffer(1)]) {
        yield* errorOf(kv.set("a", untyped(value)), "InvalidValue")
      }
      const large = yield* errorOf(kv.set("a", "x".repeat(11)), "ValueTooLarge")
      assert.include(large.message, "11 bytes")
      yield* errorOf(kv.modifyUint8Array("a", () => new Uint8Array(11)), "ValueTooLarge")
      assert.strictEqual(yield* kv.get("a"), "1")
    }))

  test("all operations report errors of the store with the method and the key, never as undefined", () =>
    Effect.gen(function*() {
      const { store } = yield* opened()
      const failure = new KVStore.KVStoreError({
        bucket: store.config.bucket,
        operation: "x",
        key: "a=20b",
        reason: new KVStore.Unavailable({ problem: "disconnected" })
      })
      const fail = () => Effect.fail(failure)
      const kv = yield* over({ ...store, get: fail, put: fail, delete: fail, keys: fail })
      for (const [method, effect] of Object.entries(withKey(kv, "a b"))) {
        const error = yield* errorOf(effect, "Unavailable")
        assert.deepStrictEqual([error.method, error.key, error.cause], [method, "a b", failure])
        assert.strictEqual(
          error.message,
          `${method} "a b" in bucket "${store.config.bucket}": ${failure.reason.message}`
        )
      }
      for (const method of ["clear", "size", "keys", "isEmpty"] as const) {
        const error = yield* errorOf(
          Effect.asVoid<unknown, KeyValueStore.KeyValueStoreError, never>(kv[method]),
          "Unavailable"
        )
        assert.deepStrictEqual([error.method, error.key], [method, undefined])
      }
      const prefix = yield* errorOf(kv.clearPrefix("a "), "Unavailable")
      assert.deepStrictEqual([prefix.method, prefix.key], ["clearPrefix", "a "])
    }))

  test("clear fails if one of its removals fails", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* opened()
      yield* kv.set("a", "1")
      const failure = new KVStore.KVStoreError({
        bucket: store.config.bucket,
        operation: "delete",
        key: "a",
        reason: new KVStore.PermissionDenied({ subject: "$KV.x.a" })
      })
      const denied = yield* over({ ...store, delete: () => Effect.fail(failure) })
      const error = yield* errorOf(denied.clear, "PermissionDenied")
      assert.strictEqual(error.method, "clear")
      assert.isTrue(yield* kv.has("a"))
    }))
}
