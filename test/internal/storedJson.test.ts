/** Limits of stored JSON: its levels are counted outside of strings, and metadata that can be stored can be decoded. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { toMetadata } from "../../src/internal/metadata.ts"
import { isDeeperThan, mostLevels, mostLevelsOfMetadata, textOfRecord } from "../../src/internal/storedJson.ts"
import { bytes } from "../../tools/values.ts"

const lists = (levels: number) => `${"[".repeat(levels)}1${"]".repeat(levels)}`

describe("levels of JSON text", () => {
  const cases: ReadonlyArray<readonly [text: string, levels: number]> = [
    ["1", 0],
    ["\"[[[[\"", 0],
    ["[1, 2, 3, 4, 5, 6, 7]", 1],
    ["[[1], [2], [[3]], {\"a\": 1}]", 3],
    ["{\"a\": {\"b\": [\"]\", \"}\", \"\\\"[[\", \"\\\\\"]}}", 3],
    ["[\"\\\\\", [[\"\\\\\\\"[[[[\"]]]", 3],
    [lists(40), 40]
  ]
  for (const [text, levels] of cases) {
    it(`of ${text.slice(0, 40)} are ${levels}`, () => {
      // Spaces, so that the text is not short for its levels.
      const padded = text + " ".repeat(200)
      if (levels > 0) assert.isTrue(isDeeperThan(levels - 1, padded))
      assert.isFalse(isDeeperThan(levels, padded))
    })
  }

  it("of text that is cut off are counted to its end", () => {
    assert.isTrue(isDeeperThan(3, `["a", [[["b" ${" ".repeat(20)}`))
    assert.isFalse(isDeeperThan(3, `["a", ["[[[[[[[[[[[[ ${" ".repeat(20)}\\`))
  })
})

describe("metadata", () => {
  const nested = (levels: number): unknown => JSON.parse(`{"a":${lists(levels - 1)}}`)

  it("of the most levels can be stored in a record that is decoded", () => {
    const metadata = Result.getOrThrow(toMetadata(nested(mostLevelsOfMetadata)))
    assert.isTrue(Result.isSuccess(textOfRecord(bytes(JSON.stringify({ metadata })))))
  })

  for (const levels of [mostLevelsOfMetadata + 1, 1500, 4000]) {
    it(`of ${levels} levels is refused`, () => {
      const problem = Result.getOrThrow(Result.flip(toMetadata(nested(levels)))).message
      assert.include(problem, `got an object of more than ${mostLevelsOfMetadata} levels`)
    })
  }
})

describe("a stored record", () => {
  it("of more than 1 MiB is not decoded", () => {
    const text = (size: number) => `"${"x".repeat(size - 2)}"`
    assert.isTrue(Result.isSuccess(textOfRecord(bytes(text(1024 * 1024)))))
    assert.deepStrictEqual(
      textOfRecord(bytes(text(1024 * 1024 + 1))),
      Result.fail("expected a record of at most 1048576 bytes, got 1048577")
    )
  })

  it("of too many levels is not decoded", () => {
    assert.isTrue(Result.isSuccess(textOfRecord(bytes(lists(mostLevels)))))
    assert.deepStrictEqual(
      textOfRecord(bytes(lists(mostLevels + 1))),
      Result.fail("expected JSON of at most 256 levels, got more")
    )
  })
})
