/** The conversion between text and UTF-8: exact in both directions, or refused. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fromUtf8, toUtf8 } from "../../src/internal/utf8.ts"
import { StringFromUtf8 } from "../../src/KVStore.ts"

const someInt = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Any UTF-16 code units, with many unpaired surrogates. */
const CodeUnits = Schema.Array(Schema.Union([someInt(0, 0xffff), someInt(0xd800, 0xdfff), someInt(0x20, 0x7e)]))
const textOf = (units: ReadonlyArray<number>) => String.fromCharCode(...units)

describe("text as UTF-8", () => {
  it.effect.prop(
    "is decoded to the same text if it is well-formed, and is refused otherwise",
    { units: CodeUnits },
    ({ units }) =>
      Effect.sync(() => {
        const text = textOf(units)
        const bytes = toUtf8(text)
        assert.strictEqual(bytes !== undefined, text.isWellFormed())
        if (bytes !== undefined) assert.strictEqual(fromUtf8(bytes), text)
      })
  )

  it.effect.prop(
    "is decoded only from the bytes to which it is encoded",
    { bytes: Schema.Array(someInt(0, 255)) },
    ({ bytes }) =>
      Effect.sync(() => {
        const stored = Uint8Array.from(bytes)
        const text = fromUtf8(stored)
        if (text !== undefined) assert.deepStrictEqual(toUtf8(text), stored)
      })
  )

  it("refuses invalid UTF-8, also sequences that many decoders accept", () => {
    const bad = [[0xff], [0x80], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]
    for (const bytes of bad) assert.strictEqual(fromUtf8(Uint8Array.from(bytes)), undefined)
  })

  it.effect.prop(
    "has a codec (StringFromUtf8) with the same rules",
    { units: CodeUnits },
    ({ units }) =>
      Effect.gen(function*() {
        const text = textOf(units)
        const exit = yield* Effect.exit(Schema.encodeEffect(StringFromUtf8)(text))
        assert.strictEqual(exit._tag, text.isWellFormed() ? "Success" : "Failure")
        if (exit._tag === "Success") {
          assert.strictEqual(yield* Schema.decodeEffect(StringFromUtf8)(exit.value), text)
        }
      })
  )
})
