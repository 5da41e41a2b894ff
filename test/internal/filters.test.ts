/** Filters over keys: which ones are left out of a list, and the one filter that covers a list. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { read, shown } from "../../src/internal/filters.ts"
import { matcher } from "../../src/internal/subjects.ts"

const filtersOf = (given: unknown) => Result.getOrThrow(read(given))

describe("a list of filters", () => {
  const cases: ReadonlyArray<
    readonly [given: ReadonlyArray<string>, list: ReadonlyArray<string>, cover: string]
  > = [
    [["a"], ["a"], "a"],
    [["a", "a"], ["a"], "a"],
    [["a", "b"], ["a", "b"], "*"],
    [["a.b", "a.c"], ["a.b", "a.c"], "a.*"],
    [["a.b", "a.c.d"], ["a.b", "a.c.d"], "a.>"],
    [["a", "a.b"], ["a", "a.b"], ">"],
    [["a.*", "a.b"], ["a.*"], "a.*"],
    [["a.>", "a.b", "a.*.c", "a.b.>"], ["a.>"], "a.>"],
    [["a.>", "a"], ["a.>", "a"], ">"],
    [["a.*", "*.b"], ["a.*", "*.b"], "*.*"],
    [["*.>", "a.b", "a"], ["*.>", "a"], ">"],
    [["a.*", "a.>"], ["a.>"], "a.>"],
    [["*.*", "a.>"], ["*.*", "a.>"], "*.>"],
    [["a.b.>", "a.c.d.e"], ["a.b.>", "a.c.d.e"], "a.*.>"],
    [[">", "a", "*.b"], [">"], ">"]
  ]
  for (const [given, list, cover] of cases) {
    it(`(${given.join(", ")}) is reduced to ${list.join(", ")}, and covered by ${cover}`, () => {
      const found = filtersOf(given)
      assert.deepStrictEqual([found.list, found.cover], [list, cover])
    })
  }

  it("of undefined is the filter of all keys", () => {
    assert.deepStrictEqual(filtersOf(undefined).list, [">"])
  })

  it("is shown as text, also one that is refused, up to a limit", () => {
    assert.strictEqual(shown(undefined), ">")
    assert.strictEqual(shown(["a", "b.*"]), "a, b.*")
    assert.strictEqual(shown(["a", 7]), "a, 7")
    assert.isBelow(shown(Array.from({ length: 1000 }, (_, index) => `key.${index}`)).length, 2100)
  })

  const someTokens = Schema.Array(Schema.Literals(["a", "b", "*"])).check(Schema.isMinLength(1), Schema.isMaxLength(3))
  const filter = Schema.Struct({ tokens: someTokens, open: Schema.Boolean })
  const textOf = ({ open, tokens }: typeof filter.Type) => [...tokens, ...open ? [">"] : []].join(".")

  it.effect.prop(
    "matches the keys that one of its filters matches, and its cover matches them all",
    {
      filters: Schema.Array(filter).check(Schema.isMinLength(1), Schema.isMaxLength(5)),
      key: Schema.Array(Schema.Literals(["a", "b"])).check(Schema.isMinLength(1), Schema.isMaxLength(4))
    },
    ({ filters, key }) =>
      Effect.sync(() => {
        const given = filters.map(textOf)
        const name = key.join(".")
        const { cover, list, matches } = filtersOf(given)
        const isWanted = given.some((one) => matcher(one)(name))
        assert.strictEqual(matches(name), isWanted)
        if (isWanted) assert.isTrue(matcher(cover)(name), `${cover} does not match ${name}`)
        assert.isTrue(list.every((one) => given.includes(one)))
      }),
    { arbitrary: { runs: 1000 } }
  )
})
