/** The numbers of `bench:election`, and the part of `results/summary.md` about them. */
import * as Schema from "effect/Schema"
import { type Cell, toMarkdown } from "./markdown.ts"

const Quantity = Schema.NullOr(Schema.Finite)

const Row = Schema.Struct({
  what: Schema.String,
  samples: Schema.Finite,
  unit: Schema.String,
  /** Null if no sample was measured. */
  least: Quantity,
  median: Quantity,
  /** 99 of 100 samples are at most this. */
  p99: Quantity,
  most: Quantity,
  bound: Schema.String,
  problems: Schema.Array(Schema.String)
})

export type ElectionRow = typeof Row.Type

export const electionNumbers = {
  election: Schema.Struct({ server: Schema.String, rows: Schema.Array(Row) })
}

const Numbers = Schema.Struct(electionNumbers)

export type ElectionNumbers = typeof Numbers.Type

export const electionTitles = ["measured", "samples", "unit", "least", "median", "p99", "most", "bound", "problems"]

export const electionCells = (
  { bound, least, median, most, p99, problems, samples, unit, what }: ElectionRow
): ReadonlyArray<
  Cell
> => [what, samples, unit, least ?? "-", median ?? "-", p99 ?? "-", most ?? "-", bound, problems.length]

export const electionResults = ({ election }: ElectionNumbers): string =>
  `Elections, on one server. The times of one machine: the server and all processes run on it.

${toMarkdown(electionTitles, election.rows.map(electionCells))}`
