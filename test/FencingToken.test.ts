/** Fencing tokens: their order, and the strings that sort in the same order. */
import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as FencingToken from "../src/FencingToken.ts"

describe("a fencing token", () => {
  const token = (epoch: number, revision: number) => new FencingToken.FencingToken({ epoch, revision })
  const sign = (left: string, right: string) => left < right ? -1 : left > right ? 1 : 0
  const largest = Number.MAX_SAFE_INTEGER

  const order: ReadonlyArray<
    readonly [what: string, older: readonly [number, number], newer: readonly [number, number]]
  > = [
    ["revision in the same epoch", [1, 9], [1, 10]],
    ["epoch, regardless of the revision", [1, largest], [2, 0]],
    ["epoch if both parts are higher", [9, 1], [10, 2]],
    ["revision for the largest numbers", [1, largest - 1], [1, largest]]
  ]
  for (const [what, older, newer] of order) {
    it(`is lower by its ${what}, also as a string`, () => {
      const [one, two] = [token(...older), token(...newer)]
      assert.strictEqual(FencingToken.Order(one, two), -1)
      assert.strictEqual(FencingToken.Order(two, one), 1)
      assert.strictEqual(FencingToken.Order(one, one), 0)
      assert.strictEqual(sign(FencingToken.encode(one), FencingToken.encode(two)), -1)
    })
  }

  it("is encoded as two numbers with the same number of digits", () => {
    assert.strictEqual(FencingToken.encode(token(1_795_400_293_793, 17)), "0001795400293793-0000000000000017")
  })

  const { FencingToken: Token } = FencingToken
  it.prop("decodes to the token that was encoded", { token: Token }, ({ token }) => {
    assert.isTrue(Equal.equals(FencingToken.decode(FencingToken.encode(token)), Option.some(token)))
  })

  it.prop(
    "sorts as a string in the same order as by Order",
    { one: Token, two: Token, same: Schema.Boolean },
    (pair) => {
      const two = pair.same ? token(pair.one.epoch, pair.two.revision) : pair.two
      const strings = sign(FencingToken.encode(pair.one), FencingToken.encode(two))
      assert.strictEqual(FencingToken.Order(pair.one, two), strings)
    },
    { arbitrary: { runs: 500 } }
  )

  const garbage = [
    "",
    "-",
    "1-2",
    "0001795400293793",
    "0001795400293793-",
    "-0001795400293793",
    "0001795400293793-000000000000017",
    "0001795400293793-00000000000000017",
    "0001795400293793_0000000000000017",
    " 0001795400293793-0000000000000017",
    "0001795400293793-0000000000000017\n",
    "0001795400293793-000000000000001x",
    "000179540029379.-0000000000000017",
    "-001795400293793-0000000000000017",
    "0001795400293793-00000000000001e1",
    "9999999999999999-0000000000000017",
    "0001795400293793-9007199254740992",
    "٠٠٠١٧٩٥٤٠٠٢٩٣٧٩٣-0000000000000017"
  ]
  for (const text of garbage) {
    it(`is not decoded from ${JSON.stringify(text)}`, () => {
      assert.isTrue(Option.isNone(FencingToken.decode(text)))
    })
  }

  it.prop("is decoded only from the string that encode returns", { text: Schema.String }, ({ text }) => {
    const decoded = FencingToken.decode(text)
    if (Option.isSome(decoded)) assert.strictEqual(FencingToken.encode(decoded.value), text)
  })

  const wrong: ReadonlyArray<readonly [epoch: number, revision: number, field: string]> = [
    [-1, 1, "epoch"],
    [1, -1, "revision"],
    [1.5, 1, "epoch"],
    [1, Number.NaN, "revision"],
    [2 ** 53, 1, "epoch"],
    [1, Infinity, "revision"]
  ]
  for (const [epoch, revision, field] of wrong) {
    it(`cannot be constructed from ${epoch} and ${revision}, and an object with them cannot be encoded`, () => {
      assert.throws(() => token(epoch, revision))
      // The strings of such numbers would not sort as the tokens do.
      assert.throws(() => FencingToken.encode({ epoch, revision }), RangeError, `${field}: expected a whole number`)
    })
  }
})
