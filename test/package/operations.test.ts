/** docs/operations.md has the log lines and the metrics that the library has. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import * as Metrics from "../../src/Metrics.ts"

const root = new URL("../../", import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), "utf8")

const operations = read("docs/operations.md")
const kvstore = read("docs/kvstore.md")

/** The source without the line breaks within the text of a log line. */
const source = readdirSync(new URL("src/", root), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => read(`src/${file}`).replaceAll(/["`] \+\s+["`]/g, ""))
  .join("\n")

/** The cells of the rows below a heading, without the head of the table. */
const rows = (text: string, heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [, section = ""] = text.split(`## ${heading}\n`)
  return section.split("\n## ")[0]!.split("\n").filter((line) => line.startsWith("| "))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
}

describe("docs/operations.md", () => {
  it("has only log lines that the source contains", () => {
    const lines = rows(operations, "The log").filter(([level]) => ["Info", "Warn", "Error"].includes(level!))
    assert.isAbove(lines.length, 25)
    for (const [, line] of lines) assert.isTrue(source.includes(line!), line)
  })

  it("and docs/kvstore.md have each metric of the module Metrics, and no other", () => {
    const known = Object.values(Metrics).map(({ id }) => id.replace("effect_aegis_", "")).toSorted()
    const described = [...rows(operations, "Metrics and alerts"), ...rows(kvstore, "Metrics and spans")]
      .map(([name]) => /^`([a-z_]+)`$/.exec(name!)?.[1]).filter((name) => name !== undefined)
    assert.deepStrictEqual(described.toSorted(), known)
  })
})
