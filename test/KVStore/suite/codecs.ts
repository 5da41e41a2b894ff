/** Typed views through any codec: text, bytes, classes, and codecs that fail or throw. */
import { assert } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes, textOf, untyped } from "../../../tools/values.ts"
import { openBucket, record, type Store } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { read, refusal, type Test } from "./fixture.ts"

const through = <A>(store: Store, codec: Schema.Codec<A, Uint8Array>) => KVStore.typedWith(store, codec)

const Point = Schema.Struct({ x: Schema.Int, y: Schema.Int })

/** Two 32-bit big-endian integers. */
const PackedPoint = Schema.Uint8Array.pipe(
  Schema.decodeTo(
    Point,
    SchemaTransformation.transformEffect<typeof Point.Type, Uint8Array>({
      decode: (packed, options) =>
        packed.length === 8
          ? Effect.sync(() => {
            const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
            return { x: view.getInt32(0), y: view.getInt32(4) }
          })
          : Effect.fail(new SchemaIssue.InvalidValue({ expected: "8 bytes" }, packed, options)),
      encode: ({ x, y }) =>
        Effect.sync(() => {
          const packed = new Uint8Array(8)
          const view = new DataView(packed.buffer)
          view.setInt32(0, x)
          view.setInt32(4, y)
          return packed
        })
    })
  )
)

/** A codec that throws on invalid input, as wrappers of a library often do. */
const Throwing = Schema.Uint8Array.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transform<string, Uint8Array>({
      decode: (stored) => {
        if (stored[0] === 0) throw new Error("the first byte is 0")
        return textOf(stored)
      },
      encode: (text) => {
        if (text === "") throw new Error("the text is empty")
        return bytes(text)
      }
    })
  )
)

const OrderId = Schema.NonEmptyString.pipe(Schema.brand("OrderId"))

class Order extends Schema.Class<Order>("effect-aegis/test/Order")({
  orderId: OrderId,
  placedAt: Schema.DateTimeUtc,
  shippedOn: Schema.Date,
  itemCount: Schema.FiniteFromString,
  remark: Schema.optionalKey(Schema.String),
  labels: Schema.Record(Schema.String, Schema.String),
  signature: Schema.Uint8Array
}) {
  get isLarge() {
    return this.itemCount > 100
  }
}

const order = new Order({
  orderId: OrderId.make("o-1"),
  placedAt: DateTime.makeUnsafe(1000),
  shippedOn: new Date(2000),
  itemCount: 120,
  labels: { "ship to": "grüße" },
  signature: Uint8Array.of(1, 2, 255)
})

export const codecs = (test: Test, until: Until) => {
  test("text is stored as UTF-8 and read back unchanged", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const names = through(store, KVStore.StringFromUtf8)
      for (const text of ["", "apple", "grüße 👋", "\uFEFFwith a byte order mark", "a\0b\r\n", `{"no":"json"}`]) {
        yield* names.put("name", text)
        assert.strictEqual(Option.getOrThrow(yield* names.get("name")).value, text)
        assert.deepStrictEqual(Option.getOrThrow(yield* store.get("name")).value, bytes(text))
      }
      yield* names.modify("name", Option.map((name) => `${name}!`))
      assert.deepStrictEqual(yield* read(store, "name"), Option.some(`{"no":"json"}!`))
    }))

  test("text that UTF-8 cannot encode is an InvalidValue, bytes that are not UTF-8 are an UndecodableValue", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const names = through(store, KVStore.StringFromUtf8)
      yield* names.put("name", "apple")
      for (const broken of ["\uD800", "a\uDC00b"]) yield* refusal(store, names.put("name", broken), "InvalidValue")
      assert.deepStrictEqual(yield* read(store, "name"), Option.some("apple"))
      const revision = yield* store.put("name", Uint8Array.of(0x61, 0xff))
      assert.strictEqual((yield* reasonOf(names.get("name"), "UndecodableValue")).revision, revision)
      yield* refusal(store, names.modify("name", () => Option.none()), "UndecodableValue")
    }))

  test("JSON of 256 levels is stored and read, and deeper JSON is neither stored nor decoded", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const lists = KVStore.typed(store, Schema.Json)
      const textOfLevels = (levels: number) => `${"[".repeat(levels)}"${"[".repeat(300)}"${"]".repeat(levels)}`
      yield* lists.put("deepest", JSON.parse(textOfLevels(256)))
      assert.strictEqual(JSON.stringify(Option.getOrThrow(yield* lists.get("deepest")).value), textOfLevels(256))
      for (const levels of [257, 1000, 1500, 2500, 5000, 100_000]) {
        if (levels < 5000) yield* refusal(store, lists.put("deepest", JSON.parse(textOfLevels(levels))), "InvalidValue")
        yield* store.put("deeper", bytes(textOfLevels(levels)))
        yield* reasonOf(lists.get("deeper"), "UndecodableValue")
        const [event] = yield* Stream.runCollect(Stream.take(lists.watch("deeper"), 1))
        assert.strictEqual(event?._tag, "Undecodable")
      }
    }))

  test("StringFromUtf8 composes with codecs of text: a number, base64", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = through(store, KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.FiniteFromString)))
      yield* counts.put("count", 42)
      assert.deepStrictEqual(yield* read(store, "count"), Option.some("42"))
      assert.strictEqual(Option.getOrThrow(yield* counts.get("count")).value, 42)
      const keys = through(store, KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.Uint8ArrayFromBase64)))
      yield* keys.put("key", Uint8Array.of(0, 255, 128))
      assert.deepStrictEqual(yield* read(store, "key"), Option.some("AP+A"))
      assert.deepStrictEqual(Option.getOrThrow(yield* keys.get("key")).value, Uint8Array.of(0, 255, 128))
      yield* store.put("count", bytes("many"))
      yield* reasonOf(counts.get("count"), "UndecodableValue")
    }))

  test("a codec with a binary format stores exactly the bytes that it encodes", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const points = through(store, PackedPoint)
      yield* points.put("p", { x: 1, y: -2 })
      assert.deepStrictEqual(
        Option.getOrThrow(yield* store.get("p")).value,
        Uint8Array.of(0, 0, 0, 1, 255, 255, 255, 254)
      )
      assert.deepStrictEqual(Option.getOrThrow(yield* points.get("p")).value, { x: 1, y: -2 })
      yield* points.modify("p", Option.map(({ x, y }) => ({ x: x + 1, y })))
      assert.deepStrictEqual((yield* points.entries()).map(({ value }) => value), [{ x: 2, y: -2 }])
      yield* refusal(store, points.put("p", { x: 1.5, y: 0 }), "InvalidValue")
      yield* store.put("p", Uint8Array.of(1, 2, 3))
      const reason = yield* reasonOf(points.get("p"), "UndecodableValue")
      assert.include(reason.message, "8 bytes")
    }))

  test("a typed view of plain bytes returns the same entries as the store", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const raw = through(store, Schema.Uint8Array)
      for (const value of [new Uint8Array(0), Uint8Array.of(0xff, 0xfe, 0), bytes("text")]) {
        yield* raw.put("a", value)
        assert.deepStrictEqual(yield* raw.get("a"), yield* store.get("a"))
        assert.deepStrictEqual(Option.getOrThrow(yield* raw.get("a")).value, value)
      }
      yield* refusal(store, raw.put("a", untyped("text")), "InvalidValue")
    }))

  test("a typed watch emits Undecodable for a value of another format, and continues", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const points = through(store, PackedPoint)
      yield* store.put("bad", bytes("no"))
      yield* points.put("p", { x: 1, y: 2 })
      const { events } = yield* record(points.watch())
      const words = Effect.sync(() =>
        events.map((event) =>
          event._tag === "Put" ? `${event.entry.key}=${event.entry.value.x},${event.entry.value.y}` : event._tag
        )
      )
      yield* until(words, (all) => all.includes("Ready"))
      yield* store.put("p", bytes("3"))
      yield* points.put("p", { x: 4, y: 5 })
      const seen = yield* until(words, (all) => all.includes("p=4,5"))
      assert.deepStrictEqual(seen, ["Undecodable", "p=1,2", "Ready", "Undecodable", "p=4,5"])
    }))

  test("a codec that throws causes typed errors, and a watch through it continues", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const texts = through(store, Throwing)
      const invalid = yield* refusal(store, texts.put("a", ""), "InvalidValue")
      assert.include(invalid.message, "the text is empty")
      yield* store.put("a", Uint8Array.of(0))
      const { events } = yield* record(texts.watch())
      const words = Effect.sync(() =>
        events.map((event) => event._tag === "Put" ? `${event.entry.key}=${event.entry.value}` : event._tag)
      )
      yield* until(words, (all) => all.includes("Ready"))
      const reason = yield* reasonOf(texts.get("a"), "UndecodableValue")
      assert.include(reason.message, "the first byte is 0")
      yield* refusal(store, texts.modify("a", () => Option.some("b")), "UndecodableValue")
      const entries = yield* Effect.flip(texts.entries())
      assert.deepStrictEqual([entries.reason._tag, entries.key], ["UndecodableValue", "a"])
      yield* texts.put("a", "1")
      assert.deepStrictEqual(yield* until(words, (all) => all.includes("a=1")), ["Undecodable", "Ready", "a=1"])
    }))

  test("a class with dates, brands and transformations is stored as compact JSON and read back as the class", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const orders = KVStore.typed(store, Order)
      yield* orders.put("o-1", order)
      assert.deepStrictEqual(
        yield* read(store, "o-1"),
        Option.some(
          `{"orderId":"o-1","placedAt":"1970-01-01T00:00:01.000Z","shippedOn":"1970-01-01T00:00:02.000Z",` +
            `"itemCount":"120","labels":{"ship to":"grüße"},"signature":"AQL/"}`
        )
      )
      const { value } = Option.getOrThrow(yield* orders.get("o-1"))
      assert.isTrue(value instanceof Order && value.isLarge && Equal.equals(value, order))
      yield* orders.modify("o-1", Option.map((order) => new Order({ ...order, remark: "in a hurry" })))
      const changed = Option.getOrThrow(yield* orders.get("o-1")).value
      assert.deepStrictEqual([changed.remark, changed.itemCount], ["in a hurry", 120])
    }))

  test("the error of entries names the key that does not decode", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const orders = KVStore.typed(store, Order)
      yield* orders.put("a.1", order)
      const revision = yield* store.put("a.2", bytes(`{"orderId":""}`))
      yield* orders.put("b.1", order)
      assert.deepStrictEqual((yield* orders.entries("b.*")).map(({ key }) => key), ["b.1"])
      const error = yield* Effect.flip(orders.entries())
      assert.deepStrictEqual([error.operation, error.key], ["entries", "a.2"])
      assert.strictEqual((yield* reasonOf(orders.entries("a.>"), "UndecodableValue")).revision, revision)
      assert.include(error.message, `entries "a.2" in bucket "${store.config.bucket}"`)
    }))
}
