/** The part of results/summary.md about elections, and the rows that the benchmark makes. */
import { assert, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { leftOutRow, measuredRow, mistakesRow } from "../../bench/support/electionRows.ts"
import { electionNumbers, electionResults } from "../../tools/electionResults.ts"

const hundred = Array.from({ length: 100 }, (_, n) => n + 1)

it("has each row with its quantiles, its bound, and the number of its problems", () => {
  const rows = [
    measuredRow("hand-over", "ms", [...hundred, 1200], { p99: 1000 }),
    mistakesRow("first isValid is true", 20, ["one was valid"]),
    leftOutRow("hand-over of etcd", "no archive")
  ]
  const numbers = Schema.decodeUnknownSync(Schema.Struct(electionNumbers))({ election: { server: "2.15.1", rows } })
  assert.deepStrictEqual(electionResults(numbers).split("\n").filter((line) => line.startsWith("| ")), [
    "| measured | samples | unit | least | median | p99 | most | bound | problems |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    "| hand-over | 101 | ms | 1 | 51 | 100 | 1,200 | p99 at most 1000 | 0 |",
    "| first isValid is true | 20 | mistakes | - | - | - | 1 | 0 | 1 |",
    "| hand-over of etcd: left out, no archive | 0 | - | - | - | - | - | none | 0 |"
  ])
})

it.each([
  { what: "a number below the least", numbers: [2999.9, 3010], bounds: { least: 3000 } },
  { what: "a number above the most", numbers: [1, 3500.1], bounds: { most: 3500 } },
  { what: "a 99th percentile that is too large", numbers: [...hundred, 101], bounds: { p99: 99 } },
  { what: "a number that was not reached", numbers: [1, undefined], bounds: { most: 3500 } }
])("has a problem for $what", ({ bounds, numbers }) => {
  assert.strictEqual(measuredRow("a time", "ms", numbers, bounds).problems.length, 1)
})

it("has no problem for numbers at their bounds", () => {
  assert.deepStrictEqual(measuredRow("a time", "ms", [3000, 3500], { least: 3000, most: 3500, p99: 3500 }).problems, [])
})
