/** Valid keys and filters, and the keys that a filter matches. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { checkKey, checkStoredKey, everything, isFilter, matcher } from "../../src/internal/subjects.ts"
import { badKeys, foreignKeys, tooLong, unreadableKeys } from "../support/badKeys.ts"

const goodKeys = [
  "foo",
  "_foo",
  "-foo",
  "_kv_foo",
  "foo123",
  "123",
  "a/b/c",
  "a.b.c",
  "x=y",
  "A.Z-_/=",
  "x".repeat(1024),
  `${"x".repeat(511)}.${"y".repeat(512)}`
]

const goodFilters = [
  ">",
  "*",
  "a",
  "a.b",
  "a.*",
  "*.b",
  "a.>",
  "*.*",
  "*.>",
  "a.*.c",
  "a.*.>",
  "_kv.=/-.>",
  "x".repeat(1024)
]

const badFilters = [
  "",
  " ",
  ".",
  "..",
  ".a",
  "a.",
  "a..b",
  ">.a",
  "a.>.b",
  ">.>",
  "a*",
  "*a",
  "a>",
  "**",
  "a.**",
  "a.>>",
  "a.* ",
  "grüße",
  "a\n",
  tooLong
]

const notText = [undefined, null, 7, {}, ["a"], Symbol.iterator, new String("a")]

const untyped = (value: unknown) => value as never

describe("a key", () => {
  for (const key of goodKeys) {
    it(`may be ${JSON.stringify(key.slice(0, 20))} (${key.length})`, () => {
      assert.isUndefined(checkKey(key))
      assert.isTrue(isFilter(key))
    })
  }

  for (const key of badKeys) {
    it(`may not be ${JSON.stringify(key.slice(0, 20))} (${key.length})`, () => {
      assert.strictEqual(checkKey(key)?._tag, "InvalidKey")
    })
  }

  it("to be read may be one of another client, but nothing that no server stores", () => {
    for (const key of [...goodKeys, ...foreignKeys]) assert.isUndefined(checkStoredKey(key), key)
    for (const key of [...unreadableKeys, ...notText.map(untyped)]) {
      assert.strictEqual(checkStoredKey(key)?._tag, "InvalidKey", key)
    }
  })

  it("is text", () => {
    for (const key of notText) assert.strictEqual(checkKey(untyped(key))?._tag, "InvalidKey")
  })

  it("that is refused gives an error with the rules for keys", () => {
    const message = checkKey("a b")!.message
    for (const word of ["letters", "digits", "- / _ =", "single dots", "1024"]) assert.include(message, word)
  })
})

describe("a filter", () => {
  for (const filter of goodFilters) {
    it(`may be ${JSON.stringify(filter.slice(0, 20))} (${filter.length})`, () => {
      assert.isTrue(isFilter(filter))
    })
  }

  for (const filter of badFilters) {
    it(`may not be ${JSON.stringify(filter.slice(0, 20))} (${filter.length})`, () => {
      assert.isFalse(isFilter(filter))
    })
  }

  it("is text", () => {
    for (const filter of notText) assert.isFalse(isFilter(filter))
  })
})

const asked: ReadonlyArray<readonly [filter: string, yes: ReadonlyArray<string>, no: ReadonlyArray<string>]> = [
  [everything, ["a", "a.b", "a.b.c"], []],
  ["a", ["a"], ["b", "a.b", "aa", "A"]],
  ["a.b", ["a.b"], ["a", "b", "a.c", "a.b.c", "axb"]],
  ["*", ["a", "abc"], ["a.b", "a.b.c"]],
  ["a.*", ["a.b", "a.c"], ["a", "b.b", "a.b.c"]],
  ["*.b", ["a.b", "b.b"], ["b", "a.c", "a.a.b"]],
  ["a.*.c", ["a.b.c", "a.x.c"], ["a.c", "a.b.d", "a.b.b.c"]],
  ["a.>", ["a.b", "a.b.c", "a.b.c.d"], ["a", "b", "b.a", "ab.c"]],
  ["*.>", ["a.b", "a.b.c"], ["a"]],
  ["*.*.>", ["a.b.c", "a.b.c.d"], ["a", "a.b"]],
  ["a.*.>", ["a.b.c", "a.b.c.d"], ["a.b", "b.b.c"]],
  ["a-b.c_d", ["a-b.c_d"], ["a.b.c_d", "a-b.c"]]
]

describe("a filter matches", () => {
  for (const [filter, yes, no] of asked) {
    it(`${filter}: ${yes.join(", ")}${no.length === 0 ? "" : `, but not ${no.join(", ")}`}`, () => {
      const matches = matcher(filter)
      for (const key of yes) assert.isTrue(matches(key), key)
      for (const key of no) assert.isFalse(matches(key), key)
    })
  }
})

/** The documented matching rule of the server, token by token. */
const asks = (filter: ReadonlyArray<string>, key: ReadonlyArray<string>): boolean => {
  const [want, ...wants] = filter
  const [token, ...tokens] = key
  if (want === undefined || token === undefined) return want === token
  if (want === ">") return true
  return (want === "*" || want === token) && asks(wants, tokens)
}

const someTokens = <const Tokens extends ReadonlyArray<string>>(tokens: Tokens) =>
  Schema.Array(Schema.Literals(tokens)).check(Schema.isMinLength(1), Schema.isMaxLength(4))

describe("generated filters and keys", () => {
  it.effect.prop(
    "a filter matches the keys that the documented rule matches",
    { filter: someTokens(["a", "b", "*"]), key: someTokens(["a", "b"]), open: Schema.Boolean },
    ({ filter, key, open }) =>
      Effect.sync(() => {
        const tokens = open ? [...filter, ">"] : filter
        assert.isTrue(isFilter(tokens.join(".")))
        assert.isUndefined(checkKey(key.join(".")))
        assert.strictEqual(matcher(tokens.join("."))(key.join(".")), asks(tokens, key))
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop(
    "a key is accepted exactly if its tokens are not empty and have only characters that NATS stores",
    { chars: Schema.Array(Schema.Literals(["a", "Z", "7", "-", "_", "/", "=", ".", ".", " ", "*", "\n", "ü"])) },
    ({ chars }) =>
      Effect.sync(() => {
        const text = chars.join("")
        const tokens = text.split(".")
        const isGood = text.length <= 1024 && tokens.every((token) =>
          token !== "" &&
          [...token].every((char) =>
            "-/_=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".includes(char)
          )
        )
        assert.strictEqual(checkKey(text) === undefined, isGood)
      }),
    { arbitrary: { runs: 500 } }
  )
})
