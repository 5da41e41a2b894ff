/** What a first-time reader needs from README.md: its commands, links, pictures and variables are those of the repository. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"

const root = new URL("../../", import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), "utf8")

const readme = read("README.md")
const manifest: {
  readonly exports: { readonly [entry: string]: unknown }
  readonly files: ReadonlyArray<string>
  readonly scripts: { readonly [name: string]: string }
} = JSON.parse(read("package.json"))

/** The lines of a first program that a reader sees without scrolling far. */
const firstLines = 60

/** The files to which the README links, without the anchors. */
const links = [...readme.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target!)

const markdownIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(new URL(folder, root)).filter((file) => file.endsWith(".md")).map((file) => `${folder}${file}`)

const pictures = readdirSync(new URL("docs/images/", root)).map((file) => `docs/images/${file}`)

describe("README.md", () => {
  it("has its whole first program within the first 60 lines", () => {
    const before = readme.slice(0, readme.indexOf("```", readme.indexOf("```ts") + 5))
    assert.isAtMost(before.split("\n").length, firstLines)
  })

  it("links to every guide", () => {
    for (const guide of [...markdownIn("docs/"), ...markdownIn("docs/operations/")]) assert.include(links, guide)
  })

  it("names only scripts of the package", () => {
    const named = [...readme.matchAll(/`npm (?:run )?([a-z:-]+)/g)].map(([, name]) => name!)
      .filter((name) => !["ci", "install", "pkg"].includes(name))
    assert.isAbove(named.length, 10)
    for (const name of named) assert.property(manifest.scripts, name)
  })

  it("names every entry of the package", () => {
    for (const entry of Object.keys(manifest.exports).filter((entry) => entry !== "." && entry !== "./package.json")) {
      assert.match(readme, new RegExp(`\`(?:effect-aegis/)?${entry.slice(2)}\``), entry)
    }
  })

  it("shows every picture, with a text for those who do not see it", () => {
    assert.isAbove(pictures.length, 1)
    for (const picture of pictures) assert.match(readme, new RegExp(`!\\[[^\\]]{40,}\\]\\(${picture}\\)`), picture)
  })
})

describe("docs/images", () => {
  it("is part of the package", () => {
    assert.include(manifest.files, "docs/images/*.svg")
  })

  it.each(pictures)("%s needs no script and no other file, and has colours for dark themes", (picture) => {
    const svg = read(picture)
    assert.notMatch(svg, /<script|<foreignObject|\son\w+=|@import|@font-face|href=|url\((?!#)/i)
    assert.deepStrictEqual([...svg.matchAll(/https?:[^"'\s)]+/g)].map(([url]) => url), ["http://www.w3.org/2000/svg"])
    assert.include(svg, "@media (prefers-color-scheme: dark)")
    assert.match(svg, /<title>[^<]+<\/title>\s*<desc>[^<]+<\/desc>/)
  })
})

describe("docs/configuration.md", () => {
  const variablesIn = (text: string): ReadonlyArray<string> =>
    [...new Set(text.match(/\bAEGIS_[A-Z_]+[A-Z]\b/g))].toSorted()

  it("has a row for each variable that the code reads, and for no other", () => {
    const rows = read("docs/configuration.md").split("\n").filter((line) => line.startsWith("| `AEGIS_"))
    const described = rows.map((row) => row.split("|")[1]!).join(" ")
    assert.deepStrictEqual(variablesIn(described), variablesIn(read("src/internal/aegis/variables.ts")))
  })

  it("is part of the doc comment of Aegis.layerConfig", () => {
    const [comment] = /Provides the registry and elections as configured[\s\S]*?\*\//.exec(read("src/Aegis.ts"))!
    for (const variable of variablesIn(read("src/internal/aegis/variables.ts"))) assert.include(comment, variable)
  })
})
