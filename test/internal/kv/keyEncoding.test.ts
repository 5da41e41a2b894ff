/** The encoding of any text as a key: valid, unique, and reversible. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { decodeKey, encodeKey } from "../../../src/internal/kv/keyEncoding.ts"
import { checkKey } from "../../../src/internal/subjects.ts"

/** Pieces of text that are special in the encoding, and any text. */
const Piece = Schema.Union([
  Schema.Literals([".", "..", "=", "=2E", "=20", "=C3=A9", "/", "a", "A", "Z9-_", " ", "é", "👋", "\uFEFF", "*", ">"]),
  Schema.String
])
const Text = Schema.Array(Piece)
const toText = (pieces: ReadonlyArray<string>) => pieces.join("").toWellFormed()

/** Pieces of keys that another client could write into the bucket. */
const StoredPiece = Schema.Literals([
  "=",
  "2",
  "E",
  "=2E",
  "=20",
  "=C3",
  "=A9",
  "=c3",
  "a",
  "F",
  "/",
  "-",
  "=3D",
  "=41"
])

describe("the encoding of keys", () => {
  it("leaves ordinary keys unchanged", () => {
    for (const key of ["a", "users/42", "orders.7.items", "Z-_9", "/foo/bar", "a/.b", "x".repeat(1024)]) {
      assert.strictEqual(encodeKey(key), key)
      assert.strictEqual(decodeKey(key), key)
    }
  })

  it("writes other characters as = and their bytes", () => {
    const table = [
      ["", "="],
      ["=", "=3D"],
      [" ", "=20"],
      ["a b", "a=20b"],
      ["name=ü", "name=3D=C3=BC"],
      ["👋", "=F0=9F=91=8B"],
      ["users:42", "users=3A42"],
      ["\0\n", "=00=0A"],
      [".", "=2E"],
      ["..", "=2E=2E"],
      [".a", "=2Ea"],
      ["a.", "a=2E"],
      ["a.b", "a.b"],
      ["a..b", "a.=2Eb"],
      ["a...b", "a.=2E=2Eb"],
      ["a. .b", "a.=20.b"]
    ] as const
    for (const [text, key] of table) {
      assert.strictEqual(encodeKey(text), key)
      assert.strictEqual(decodeKey(key), text)
    }
  })

  it("has no key for text with unpaired surrogates", () => {
    for (const text of ["\uD800", "\uDC00", "a\uD83D", "\uDC4B\uD83D"]) assert.strictEqual(encodeKey(text), undefined)
  })

  it("does not decode keys that are not the encoding of a text", () => {
    const others = ["==", "x=", "a=b", "=4", "=41", "=2Eb=", "=2e", "=c3=a9", "=C3", "=ED=A0=80", "=FF", "a=2Eb", "=ZZ"]
    for (const key of others) assert.strictEqual(decodeKey(key), undefined, key)
  })

  it.effect.prop(
    "gives a valid key that decodes to the same text",
    { pieces: Text },
    ({ pieces }) =>
      Effect.sync(() => {
        const text = toText(pieces)
        const key = encodeKey(text)!
        assert.strictEqual(decodeKey(key), text)
        if (key.length <= 1024) assert.strictEqual(checkKey(key), undefined, key)
      })
  )

  it.effect.prop(
    "gives different keys for different texts",
    { one: Text, other: Text },
    ({ one, other }) =>
      Effect.sync(() => {
        assert.strictEqual(encodeKey(toText(one)) === encodeKey(toText(other)), toText(one) === toText(other))
      })
  )

  it.effect.prop(
    "decodes only the one key of a text",
    { stored: Schema.Array(StoredPiece) },
    ({ stored }) =>
      Effect.sync(() => {
        const key = stored.join("")
        const text = decodeKey(key)
        if (text !== undefined) assert.strictEqual(encodeKey(text), key)
      })
  )
})
