/** The assertions of Effect's own tests of `KeyValueStore`. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Persistence from "effect/persistence/Persistence"
import * as Schema from "effect/Schema"
import { bytes } from "../../../tools/values.ts"
import { type Test } from "../../support/suite.ts"
import { opened } from "./fixture.ts"

class User extends Schema.Class<User>("effect-aegis/test/User")({
  name: Schema.String,
  age: Schema.Int
}) {}

export const asEffectAsks = (test: Test) => {
  test("set stores a value, and overwrites it", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* kv.set("/foo/bar", "bar")
      assert.strictEqual(yield* kv.get("/foo/bar"), "bar")
      assert.strictEqual(yield* kv.size, 1)
      yield* kv.set("/foo/bar", "baz")
      assert.strictEqual(yield* kv.get("/foo/bar"), "baz")
      assert.strictEqual(yield* kv.size, 1)
    }))

  test("a key that was never set has no value", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      assert.strictEqual(yield* kv.get("foo"), undefined)
      assert.strictEqual(yield* kv.getUint8Array("foo"), undefined)
      assert.isFalse(yield* kv.has("foo"))
      assert.isTrue(yield* kv.isEmpty)
      assert.strictEqual(yield* kv.size, 0)
      assert.deepStrictEqual(yield* kv.keys, [])
    }))

  test("bytes are returned unchanged by getUint8Array, and as base64 by get", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      const value = Uint8Array.of(0, 42, 255, 128)
      yield* kv.set("binary", value)
      assert.deepStrictEqual(yield* kv.getUint8Array("binary"), value)
      assert.strictEqual(yield* kv.get("binary"), Base64.encode(value))
    }))

  test("text that looks like base64 is returned as text", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* kv.set("string", "Zm9v")
      assert.strictEqual(yield* kv.get("string"), "Zm9v")
      assert.deepStrictEqual(yield* kv.getUint8Array("string"), bytes("Zm9v"))
    }))

  test("text with any characters is returned unchanged", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      for (const value of ["héllo 👋", "", "\uFEFFmarked", "a\0b\r\n"]) {
        yield* kv.set("text", value)
        assert.strictEqual(yield* kv.get("text"), value)
        assert.deepStrictEqual(yield* kv.getUint8Array("text"), bytes(value))
        assert.isTrue(yield* kv.has("text"))
      }
    }))

  test("remove removes a key, and accepts a key without a value", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* kv.set("a", "1")
      yield* kv.remove("a")
      yield* kv.remove("b")
      assert.strictEqual(yield* kv.get("a"), undefined)
      assert.isFalse(yield* kv.has("a"))
      assert.strictEqual(yield* kv.size, 0)
      yield* kv.set("a", "2")
      assert.strictEqual(yield* kv.get("a"), "2")
    }))

  test("clear removes all keys, and accepts an empty store", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* kv.clear
      yield* kv.set("a", "1")
      yield* kv.set("b", "2")
      yield* kv.clear
      assert.strictEqual(yield* kv.size, 0)
      assert.isTrue(yield* kv.isEmpty)
      assert.strictEqual(yield* kv.get("a"), undefined)
      assert.strictEqual(yield* kv.get("b"), undefined)
    }))

  test("clearPrefix removes the keys with the prefix, and all keys for an empty prefix", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      for (const key of ["a", "ab", "a b", "a.c", "ba", "B"]) yield* kv.set(key, key)
      yield* kv.clearPrefix("a ")
      assert.deepStrictEqual((yield* kv.keys).toSorted(), ["B", "a", "a.c", "ab", "ba"])
      yield* kv.clearPrefix("a.")
      yield* kv.clearPrefix("none")
      assert.deepStrictEqual((yield* kv.keys).toSorted(), ["B", "a", "ab", "ba"])
      yield* kv.clearPrefix("a")
      assert.deepStrictEqual((yield* kv.keys).toSorted(), ["B", "ba"])
      yield* kv.clearPrefix("")
      assert.isTrue(yield* kv.isEmpty)
    }))

  test("modify changes a value and returns the new value", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      yield* kv.set("foo", "bar")
      assert.strictEqual(yield* kv.modify("foo", (value) => `${value}bar`), "barbar")
      assert.strictEqual(yield* kv.get("foo"), "barbar")
      assert.strictEqual(yield* kv.size, 1)
      const longer = yield* kv.modifyUint8Array("foo", (value) => Uint8Array.of(...value, 255))
      assert.deepStrictEqual(longer, Uint8Array.of(...bytes("barbar"), 255))
      assert.deepStrictEqual(yield* kv.getUint8Array("foo"), longer)
    }))

  test("modify does not create a key", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      assert.strictEqual(yield* kv.modify("foo", (value) => `${value}bar`), undefined)
      assert.strictEqual(yield* kv.modifyUint8Array("foo", (value) => value), undefined)
      assert.strictEqual(yield* kv.size, 0)
    }))

  test("a prefixed view lists its own keys only, which have the prefix in the store", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      const prefixed = KeyValueStore.prefix(kv, "prefix/")
      yield* kv.set("other", "1")
      yield* prefixed.set("foo", "bar")
      yield* prefixed.modify("foo", (value) => `${value}bar`)
      assert.strictEqual(yield* prefixed.get("foo"), "barbar")
      assert.isTrue(yield* prefixed.has("foo"))
      assert.strictEqual(yield* kv.get("prefix/foo"), "barbar")
      assert.deepStrictEqual(yield* prefixed.keys, ["foo"])
      assert.strictEqual(yield* prefixed.size, 1)
      yield* prefixed.clear
      assert.isTrue(yield* prefixed.isEmpty)
      assert.deepStrictEqual(yield* kv.keys, ["other"])
    }))

  test("a schema store returns instances of classes and dates", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      const users = KeyValueStore.toSchemaStore(kv, User)
      yield* users.set("prefix/foo", new User({ name: "foo", age: 42 }))
      yield* users.modify("prefix/foo", (user) => new User({ ...user, age: 43 }))
      const { value } = Option.getOrThrow(Option.map(yield* users.get("prefix/foo"), (value) => ({ value })))
      assert.isTrue(value instanceof User)
      assert.deepStrictEqual([value.name, value.age], ["foo", 43])
      assert.isTrue(yield* users.has("prefix/foo"))
      assert.isTrue(Option.isNone(yield* users.modify("absent", (user) => user)))
      const days = KeyValueStore.toSchemaStore(kv, Schema.Struct({ a: Schema.Date }))
      yield* days.set("day", { a: new Date(0) })
      assert.deepStrictEqual(yield* days.get("day"), Option.some({ a: new Date(0) }))
    }))

  test("Effect's Persistence works on a KVKeyValueStore", () =>
    Effect.gen(function*() {
      const { kv } = yield* opened()
      const layer = Layer.provide(Persistence.layerBackingKvs, Layer.succeed(KeyValueStore.KeyValueStore, kv))
      yield* Effect.gen(function*() {
        const backing = yield* Persistence.BackingPersistence
        const store = yield* backing.make("a store")
        const other = yield* backing.make("another: store")
        yield* other.set("key", { value: 0 }, undefined)
        yield* store.setMany([["key", { value: 1 }, undefined], ["a key", { value: 2 }, Duration.hours(1)]])
        assert.deepStrictEqual(yield* store.get("key"), { value: 1 })
        assert.deepStrictEqual(yield* store.getMany(["a key", "none"]), [{ value: 2 }, undefined])
        yield* store.remove("key")
        assert.strictEqual(yield* store.get("key"), undefined)
        yield* store.clear
        assert.strictEqual(yield* store.get("a key"), undefined)
        assert.deepStrictEqual(yield* other.get("key"), { value: 0 })
      }).pipe(Effect.provide(layer), Effect.scoped)
    }))
}
