/** Texts of other writers in log lines. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as Aegis from "../../src/Aegis.ts"
import { Undecodables } from "../../src/internal/logs.ts"
import { escaped, quoted, reasonOf, shortened } from "../../src/internal/texts.ts"
import * as Registry from "../../src/Registry.ts"
import { logged } from "../support/suite.ts"

describe("a text of another writer", () => {
  const cases: ReadonlyArray<readonly [what: string, text: string, shown: string]> = [
    ["letters of any language", "größe-42 日本 😀", "größe-42 日本 😀"],
    ["line breaks", "a\r\nERROR b\u2028c", "a\\u{d}\\u{a}ERROR b\\u{2028}c"],
    ["codes of a terminal", "\u001b[31mred\u009b0m\u0000\u007f", "\\u{1b}[31mred\\u{9b}0m\\u{0}\\u{7f}"],
    ["a change of the writing direction", "a\u202Eb\u2066c", "a\\u{202e}b\\u{2066}c"],
    ["half of a pair", "a\ud800b", "a\\u{d800}b"]
  ]
  for (const [what, text, expected] of cases) {
    it(`with ${what} is shown on one line, without control characters`, () => {
      assert.strictEqual(escaped(text), expected)
      assert.strictEqual(quoted(text), `"${expected}"`)
    })
  }

  it("in quotes cannot end them", () => {
    assert.strictEqual(quoted("a\" b\\"), "\"a\\\" b\\\\\"")
  })

  it("is cut at 200 characters", () => {
    assert.strictEqual(quoted("a".repeat(200)), `"${"a".repeat(200)}"`)
    assert.strictEqual(quoted("a".repeat(500_000)), `"${"a".repeat(200)}..."`)
    assert.strictEqual(shortened("a".repeat(201)), `${"a".repeat(200)}...`)
    assert.strictEqual(shortened("\n".repeat(200)), "\\u{a}".repeat(200))
  })

  it("as the reason of a failure is the message of an error, or the text", () => {
    assert.strictEqual(reasonOf(new Error("a\n  at \u001bb")), "a at \\u{1b}b")
    assert.strictEqual(reasonOf({ message: "Missing key\n  at [\"a\"]" }), "Missing key at [\"a\"]")
    assert.strictEqual(reasonOf("a"), "a")
    assert.strictEqual(reasonOf(undefined), "undefined")
  })

  it.effect("as a key is shortened in the line of a record that does not decode", () => {
    const log = logged()
    return new Undecodables().log(`a\u001b${"x".repeat(1000)}`, 1, new Error("b\nc")).pipe(
      Effect.provide(log.layer),
      Effect.map(() =>
        assert.deepStrictEqual(log.lines, [
          `Warn the record a\\u{1b}${"x".repeat(198)}... does not decode (revision 1): b c`
        ])
      )
    )
  })

  it.effect("as a key is on one line in the lines of a cleanup", () =>
    Effect.gen(function*() {
      const log = logged()
      const hostile = "a\u001b"
      const report: Registry.CleanupReport = {
        scanned: 2,
        removed: [{ instance: hostile, reason: "expired" }],
        conflicts: 0,
        failed: [{ instance: hostile, reason: `purge "${hostile}"` }],
        undecodable: [],
        preserved: []
      }
      const registry = { ...yield* Registry.Registry, cleanup: () => Effect.succeed(report) }
      yield* Layer.build(Registry.layerCleanup({ schedule: "90 minutes" })).pipe(
        Effect.andThen(TestClock.adjust("2 hours")),
        Effect.provideService(Registry.Registry, registry),
        Effect.provide(log.layer),
        Effect.scoped
      )
      assert.deepStrictEqual(log.lines, [
        "Warn could not clean up a\\u{1b}: purge \"a\\u{1b}\"",
        "Info cleaned up a\\u{1b}: expired"
      ])
    }).pipe(Effect.provide(Layer.provideMerge(Aegis.layerMemory(), logged().layer))))
})
