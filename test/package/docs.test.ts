/** Checks statements of the documents against the code. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"

const root = new URL("../../", import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), "utf8")

/** The cells of the table under a heading, row by row. */
const table = (text: string, heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const section = text.split(/^## /m).find((part) => part.startsWith(heading)) ?? assert.fail(`no heading "${heading}"`)
  const lines = section.split("\n").filter((line) => line.startsWith("|")).slice(2)
  return lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
}

const titlesIn = (files: ReadonlyArray<string>) =>
  files.flatMap((file) =>
    [...read(file).matchAll(/(?:test|it\.effect)\(\s*"((?:[^"\\]|\\.)*)"/g)].map(([, title]) => title)
  )

/** With templates, whose values are "...". */
const titlesWithTemplatesIn = (files: ReadonlyArray<string>) =>
  files.flatMap((file) =>
    [
      ...read(file).matchAll(
        /(?:test|it|it\.effect|it\.live|it\.prop|it\.effect\.prop)\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g
      )
    ]
      .map(([, title, template = ""]) => title ?? template.replaceAll(/\$\{[^}]*\}/g, "..."))
  )

describe("docs/kvstore.md", () => {
  const text = read("docs/kvstore.md")

  it("cites an existing test for every difference between backends", () => {
    const suite = readdirSync(new URL("test/KVStore/suite/", root)).map((file) => `test/KVStore/suite/${file}`)
    const titles = new Set(titlesIn([...suite, "test/KVStore/KVStore.test.ts", "test/KVStore/KVStore.live.test.ts"]))
    const rows = table(text, "Where backends differ")
    assert.isAtLeast(rows.length, 10)
    for (const row of rows) assert.isTrue(titles.has(row.at(-1)!), `there is no test "${row.at(-1)}"`)
  })

  it("lists exactly the reasons of KVStoreError", () => {
    const reasons = /KVStoreReason = Schema\.Union\(\[([^\]]*)\]/.exec(read("src/KVStoreError.ts"))![1]!
      .split(",").map((name) => name.trim())
    const named = table(text, "Errors").flatMap(([cell]) =>
      cell!.split(",").map((name) => name.replaceAll("`", "").trim())
    )
    assert.deepStrictEqual(named.toSorted(), reasons.toSorted())
  })
})

describe("docs/migration-from-aegissdk.md", () => {
  const tests = readdirSync(new URL("test/", root), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `test/${file}`)

  it("cites an existing test for every sentence of AegisSDK's document", () => {
    const titles = new Set(titlesWithTemplatesIn(tests))
    const rows = table(read("docs/migration-from-aegissdk.md"), "The document, sentence by sentence")
    assert.isAtLeast(rows.length, 30)
    for (const row of rows) assert.isTrue(titles.has(row.at(-1)!), `there is no test "${row.at(-1)}"`)
  })
})

describe("docs/protocols", () => {
  const documents = ["K", "R", "E"] as const
  const files = { K: "kv", R: "registry", E: "election" }
  const rules = new Set(
    documents.flatMap((letter) =>
      [...read(`docs/protocols/${files[letter]}.md`).matchAll(/^### ([KRE]\d+)\. /gm)].map(([, rule]) => rule!)
    )
  )

  /** The rules that a text cites. "E13 to E20" cites eight rules. */
  const citedIn = (text: string): ReadonlyArray<string> =>
    [...text.matchAll(/\b([KRE])(\d+)(?: to(?:\s+\*)?\s+\1(\d+))?\b/g)].flatMap(([, letter, first, last]) =>
      Array.from(
        { length: Number(last ?? first) - Number(first) + 1 },
        (_, index) => `${letter}${Number(first) + index}`
      )
    )

  const sources = ["src/", "tools/mutants/"].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => folder + file)
  )
  const cited = new Map(sources.map((file) => [file, citedIn(read(file))]))

  it("number their rules without gaps", () => {
    for (const letter of documents) {
      const own = [...rules].filter((rule) => rule.startsWith(letter))
      assert.isAtLeast(own.length, 20)
      assert.deepStrictEqual(own, own.map((_, index) => `${letter}${index + 1}`))
    }
  })

  it("contain every rule that the code or a planted bug cites", () => {
    for (const [file, all] of cited) assert.deepStrictEqual(all.filter((rule) => !rules.has(rule)), [], file)
  })

  it("are cited by the code or by a planted bug, each rule at least once", () => {
    const all = new Set([...cited.values()].flat())
    assert.deepStrictEqual([...rules].filter((rule) => !all.has(rule)), [])
  })

  it("cite an existing test for every scenario of another library", () => {
    const tests = readdirSync(new URL("test/", root), { recursive: true, encoding: "utf8" })
      .filter((file) =>
        /^(?:Election|internal\/election)\/.*\.ts$/.test(file) || file === "KVStore/rights.live.test.ts"
      )
    const titles = new Set(titlesWithTemplatesIn(tests.map((file) => `test/${file}`)))
    const rows = table(read("docs/protocols/election.md"), "Scenarios of other libraries")
    assert.isAtLeast(rows.length, 60)
    for (const [, scenario, title] of rows) {
      const holds = title!.startsWith("does not apply: ") || titles.has(title!)
      assert.isTrue(holds, `${scenario}: there is no test "${title}"`)
    }
  })
})

describe("docs/decisions", () => {
  const folder = "docs/decisions/"
  const pages = readdirSync(new URL(folder, root)).filter((file) => file !== "README.md").toSorted()

  it("are numbered without gaps, in the name of the file and in the title", () => {
    assert.isAtLeast(pages.length, 6)
    for (const [index, page] of pages.entries()) {
      assert.match(page, new RegExp(`^${String(index + 1).padStart(4, "0")}-[a-z0-9-]+\\.md$`))
      assert.isTrue(read(folder + page).startsWith(`# ${index + 1}. `), page)
    }
  })

  it("have the same sections, none of them empty", () => {
    for (const page of pages) {
      const sections = read(folder + page).split(/^## /m).slice(1)
      assert.deepStrictEqual(
        sections.map((section) => section.split("\n")[0]),
        ["Context", "Decision", "Consequences", "Measured"],
        page
      )
      for (const section of sections) assert.isAbove(section.length, 100, page)
    }
  })

  it("are listed in the README, in order", () => {
    const listed = [...read(`${folder}README.md`).matchAll(/\]\((\d{4}-[^)]*)\)/g)].map(([, page]) => page)
    assert.deepStrictEqual(listed, pages)
  })
})
