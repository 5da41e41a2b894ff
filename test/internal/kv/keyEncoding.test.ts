/** Any text as a key: one for each, valid, and back again. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { decodeKey, encodeKey } from "../../../src/internal/kv/keyEncoding.ts"
import { checkKey } from "../../../src/internal/subjects.ts"

/** Text of what is hard for the encoding, and of anything. */
const Piece = Schema.Union([
  Schema.Literals([".", "..", "=", "=2E", "=20", "=C3=A9", "/", "a", "A", "Z9-_", " ", "é", "👋", "\uFEFF", "*", ">"]),
  Schema.String
])
const Text = Schema.Array(Piece)
const toText = (pieces: ReadonlyArray<string>) => pieces.join("").toWellFormed()

/** As a stranger might write them into the bucket. */
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

describe("a key for any text", () => {
  it("keeps ordinary keys as they are", () => {
    for (const key of ["a", "users/42", "orders.7.items", "Z-_9", "/foo/bar", "a/.b", "x".repeat(1024)]) {
      assert.strictEqual(encodeKey(key), key)
      assert.strictEqual(decodeKey(key), key)
    }
  })

  it("writes everything else as = and its bytes", () => {
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

  it("has none for what is no text", () => {
    for (const text of ["\uD800", "\uDC00", "a\uD83D", "\uDC4B\uD83D"]) assert.strictEqual(encodeKey(text), undefined)
  })

  it("does not take somebody else's key for one of its own", () => {
    const others = ["==", "x=", "a=b", "=4", "=41", "=2Eb=", "=2e", "=c3=a9", "=C3", "=ED=A0=80", "=FF", "a=2Eb", "=ZZ"]
    for (const key of others) assert.strictEqual(decodeKey(key), undefined, key)
  })

  it.effect.prop(
    "comes back as the text that it was, and is valid",
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
    "is another one for every other text",
    { one: Text, other: Text },
    ({ one, other }) =>
      Effect.sync(() => {
        assert.strictEqual(encodeKey(toText(one)) === encodeKey(toText(other)), toText(one) === toText(other))
      })
  )

  it.effect.prop(
    "is the only one for its text",
    { stored: Schema.Array(StoredPiece) },
    ({ stored }) =>
      Effect.sync(() => {
        const key = stored.join("")
        const text = decodeKey(key)
        if (text !== undefined) assert.strictEqual(encodeKey(text), key)
      })
  )
})
