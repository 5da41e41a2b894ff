/** Typed views: values of a schema, stored as JSON text. */
import { assert } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as KVStore from "../../../src/KVStore.ts"
import type * as Config from "../../../src/KVStoreConfig.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { openBucket, record } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { read, refusal, type Test } from "./fixture.ts"

const Price = Schema.Struct({ cents: Schema.Int, at: Schema.optionalKey(Schema.DateTimeUtc) })

export const typedViews = (test: Test, until: Until) => {
  const priced = Effect.fnUntraced(function*(options?: Partial<Config.BucketOptions>) {
    const store = yield* openBucket(options)
    const prices = KVStore.typed(store, Price)
    return { store, prices }
  })

  test("a typed view stores JSON text and reads it back", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      const price = { cents: 120, at: DateTime.makeUnsafe(1000) }
      const revision = yield* prices.put("apple", price)
      const entry = Option.getOrThrow(yield* prices.get("apple"))
      assert.strictEqual(entry.revision, revision)
      assert.strictEqual(entry.value.cents, 120)
      assert.isTrue(DateTime.Equivalence(entry.value.at!, price.at))
      assert.deepStrictEqual(yield* read(store, "apple"), Option.some(`{"cents":120,"at":"1970-01-01T00:00:01.000Z"}`))
      assert.deepStrictEqual((yield* prices.entries()).map(({ key }) => key), ["apple"])
      yield* prices.delete("apple")
      assert.isTrue(Option.isNone(yield* prices.get("apple")))
    }))

  test("put and delete of a typed view take the conditions of a store", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      const revision = yield* prices.put("apple", { cents: 1 }, KVStore.KVOptions.createOnly)
      yield* refusal(store, prices.put("apple", { cents: 2 }, KVStore.KVOptions.createOnly), "KeyAlreadyExists")
      yield* prices.put("apple", { cents: 2 }, KVStore.KVOptions.atRevision(revision))
      yield* refusal(store, prices.delete("apple", { revision }), "RevisionMismatch")
    }))

  test("keys, purge, getMany and history of a typed view are those of the store, with decoded values", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced({ historySize: 5 })
      yield* prices.put("fruit.apple", { cents: 1 })
      yield* prices.put("fruit.pear", { cents: 2 })
      yield* prices.put("bread", { cents: 3 })
      assert.deepStrictEqual(yield* prices.keys("fruit.*"), ["fruit.apple", "fruit.pear"])
      const found = yield* prices.getMany(["bread", "none", "fruit.pear"])
      assert.deepStrictEqual([...found].map(([key, { value }]) => [key, value.cents]).toSorted(), [
        ["bread", 3],
        ["fruit.pear", 2]
      ])
      yield* prices.put("bread", { cents: 4 })
      const bad = yield* store.put("bread", bytes("no json"))
      yield* prices.delete("bread")
      const history = yield* prices.history("bread")
      assert.deepStrictEqual(
        history.map((event) => event._tag === "Put" ? event.entry.value.cents : event._tag),
        ["Removed", "Undecodable", 4, 3]
      )
      assert.include(history[1], { key: "bread", revision: bad })
      yield* prices.purge("bread")
      assert.deepStrictEqual((yield* prices.history("bread")).map(({ _tag }) => _tag), ["Removed"])
      const revision = yield* store.put("fruit.pear", bytes("no json"))
      assert.deepStrictEqual(yield* prices.keys(), ["fruit.apple", "fruit.pear"])
      const error = yield* Effect.flip(prices.getMany(["fruit.apple", "fruit.pear"]))
      assert.deepStrictEqual([error.operation, error.key], ["getMany", "fruit.pear"])
      assert.include(error.reason, { _tag: "UndecodableValue", revision })
      yield* refusal(store, prices.purge("fruit.pear", { revision: 1 }), "RevisionMismatch")
    }))

  test("put of a typed view fails with InvalidValue if the value does not encode, and writes nothing", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      const error = yield* Effect.flip(prices.put("apple", { cents: 1.5 }))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.key], ["InvalidValue", "put", "apple"])
      yield* refusal(store, prices.put("apple", untyped({ cents: "1" })), "InvalidValue")
    }))

  test("get and entries of a typed view fail with UndecodableValue if a stored value does not decode", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      for (const bad of [bytes("no json"), bytes(`{"cents":"1"}`), bytes(""), Uint8Array.of(0xff, 0xfe)]) {
        const revision = yield* store.put("apple", bad)
        const get = yield* Effect.flip(prices.get("apple"))
        assert.deepStrictEqual([get.operation, get.key, get.isRetryable], ["get", "apple", false])
        const reason = yield* reasonOf(prices.get("apple"), "UndecodableValue")
        assert.strictEqual(reason.revision, revision)
        assert.include(get.message, `revision ${revision}`)
        const entries = yield* Effect.flip(prices.entries())
        assert.deepStrictEqual([entries.operation, entries.key, entries.reason._tag], [
          "entries",
          "apple",
          "UndecodableValue"
        ])
      }
    }))

  test("a typed watch emits Undecodable for a value that does not decode, and continues", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced({ historySize: 5 })
      const bad = yield* store.put("bad", bytes("no json"))
      yield* prices.put("good", { cents: 1 })
      const { events } = yield* record(prices.watch())
      const words = Effect.sync(() =>
        events.map((event) => event._tag === "Put" ? `${event.entry.key}=${event.entry.value.cents}` : event._tag)
      )
      yield* until(words, (all) => all.includes("Ready"))
      yield* store.put("good", Uint8Array.of(0xff))
      yield* prices.put("good", { cents: 2 })
      yield* prices.delete("good")
      yield* until(words, (all) => all.includes("Removed"))
      assert.deepStrictEqual(yield* words, ["Undecodable", "good=1", "Ready", "Undecodable", "good=2", "Removed"])
      const [invalid] = events
      assert.isTrue(invalid?._tag === "Undecodable" && invalid.key === "bad" && invalid.revision === bad)
    }))
}
