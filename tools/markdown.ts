/** Formats tables of documents. */

/** Null: there is no number. */
export type Cell = string | number | null

const cellOf = (cell: Cell): string =>
  cell === null ? "none" : typeof cell === "number" ? cell.toLocaleString("en") : cell

const rowOf = (cells: ReadonlyArray<Cell>) => `| ${cells.map(cellOf).join(" | ")} |`

/** A table in Markdown. */
export const toMarkdown = (heading: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string =>
  [rowOf(heading), rowOf(heading.map(() => "---")), ...rows.map(rowOf)].join("\n")
