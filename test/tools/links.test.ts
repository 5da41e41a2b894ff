/** The check of links and anchors: what `npm run links` reports for Markdown, and `npm run docs` for the generated pages. */
import { assert, describe, it } from "@effect/vitest"
import { check } from "../../tools/links/check.ts"
import { readPage } from "../../tools/links/html.ts"
import { readMarkdown } from "../../tools/links/markdown.ts"

type Texts = Readonly<Record<string, string>>

/** The problems of a repository with these Markdown files, and with other files that are not read. */
const problemsOf = (texts: Texts, others: ReadonlyArray<string> = []) =>
  check(
    new Map(Object.entries(texts).map(([file, text]) => [file, readMarkdown(text)])),
    new Set([...Object.keys(texts), ...others])
  ).problems

const problemsOfPages = (texts: Texts, others: ReadonlyArray<string> = []) =>
  check(
    new Map(Object.entries(texts).map(([file, text]) => [file, readPage(text)])),
    new Set([...Object.keys(texts), ...others])
  ).problems

const anchorsOf = (text: string) => [...readMarkdown(text).anchors]

const targetsOf = (text: string) => readMarkdown(text).links.map(({ target }) => target)

describe("links of Markdown files", () => {
  it("to existing files, folders, headings and lines are no problems", () => {
    const problems = problemsOf({
      "README.md":
        "# Title\n[a](docs/a.md) [b](docs/a.md#two-words) [c](#title) [d](docs) [e](docs/#docs) [f](src/x.ts#L3)",
      "docs/README.md": "# Docs\n[root](/README.md#title) [up](../README.md) [this](README.md) [space](<a b.md>)",
      "docs/a.md": "## Two words\n[x](../src/x.ts) [encoded](a%20b.md \"a title\")",
      "docs/a b.md": ""
    }, ["src/x.ts"])
    assert.deepStrictEqual(problems, [])
  })

  it("to a file that does not exist are reported with file and line", () => {
    assert.deepStrictEqual(
      problemsOf({ "docs/a.md": "text\n\n[missing](b.md#x) and [other](c.md)", "docs/c.md": "" }),
      [
        { file: "docs/a.md", line: 3, target: "b.md#x", problem: "docs/b.md does not exist" }
      ]
    )
  })

  it("to a heading that does not exist are reported, in the same file and in others", () => {
    const problems = problemsOf({ "a.md": "# Here\n[x](#there) [y](b.md#here)", "b.md": "# There" })
    assert.deepStrictEqual(problems.map(({ problem, target }) => [target, problem]), [
      ["#there", "a.md has no anchor \"there\""],
      ["b.md#here", "b.md has no anchor \"here\""]
    ])
  })

  it("to a place in a file without headings, outside of the repository, or to nothing are reported", () => {
    const problems = problemsOf({ "docs/a.md": "[x](../src/x.ts#name) [y](../../other/a.md) [z]() [p](100%.md)" }, [
      "src/x.ts"
    ])
    assert.deepStrictEqual(problems.map(({ problem }) => problem), [
      "src/x.ts has no anchor \"name\"",
      "is outside of the repository",
      "has no target",
      "has a malformed escape"
    ])
  })

  it("are found in images, references, definitions, HTML, tables and text of several lines", () => {
    assert.deepStrictEqual(
      targetsOf([
        "![image](a.png) [![badge](b.svg)](c.md)",
        "| [cell](d.md) | text |",
        "[text of",
        "two lines](e.md)",
        "[reference][One] and [one][]",
        "<a href=\"f.md\">f</a> <img src=\"g.png\">",
        "",
        "[one]: h.md \"title\""
      ].join("\n")),
      ["a.png", "b.svg", "c.md", "d.md", "e.md", "f.md", "g.png", "h.md"]
    )
  })

  it("to a reference without a definition are reported", () => {
    assert.deepStrictEqual(problemsOf({ "a.md": "[text][nowhere] [text][here]\n\n[here]: a.md" }), [
      { file: "a.md", line: 1, target: "[nowhere]", problem: "has no definition" }
    ])
  })

  it("in code blocks, code spans and comments are ignored", () => {
    assert.deepStrictEqual(
      targetsOf([
        "```md",
        "[a](a.md)",
        "``` not the end",
        "~~~",
        "```",
        "- item",
        "  ~~~~ts [x](x.md)",
        "  ```",
        "  ~~~",
        "  [b](b.md)",
        "  ~~~~",
        "`[c](c.md)` ``[d`](d.md)`` <!-- [e](e.md) --> \\[f\\](f.md)",
        "[g](g.md)"
      ].join("\n")),
      ["g.md"]
    )
  })

  it("to other servers are listed and not checked", () => {
    const pages = new Map([[
      "a.md",
      readMarkdown("[x](https://example.org/#y) <https://example.com> mailto:a@b [z](tel:1)")
    ]])
    const { external, problems } = check(pages, new Set(["a.md"]))
    assert.deepStrictEqual(external, ["https://example.com", "https://example.org/#y", "tel:1"])
    assert.deepStrictEqual(problems, [])
  })
})

describe("anchors of headings", () => {
  it.each([
    ["## Two words", "two-words"],
    [
      "### K17. `streamMaxAge` removes every message, the latest value included",
      "k17-streammaxage-removes-every-message-the-latest-value-included"
    ],
    ["## With a [link](x.md) and a [reference][y]", "with-a-link-and-a-reference"],
    ["## Größe & Ähnliches", "größe--ähnliches"],
    ["## *Emphasis*, **strong**, _under_ and snake_case", "emphasis-strong-under-and-snake_case"],
    ["## `snake_case` and `__init__` ##", "snake_case-and-__init__"],
    ["## a -- b / c (d) — e", "a----b--c-d--e"],
    ["## <a name=\"x\"></a>With HTML &amp; entities", "with-html--entities"],
    ["#   Spaces   ", "spaces"],
    ["Setext\n------", "setext"]
  ])("%s", (text, anchor) => {
    assert.include(anchorsOf(text), anchor)
  })

  it("are numbered if a heading occurs again", () => {
    assert.deepStrictEqual(anchorsOf("# Same\n## Same\n## Same 1\n## Same"), ["same", "same-1", "same-1-1", "same-2"])
  })

  it("do not come from code blocks, text without a space, and front matter", () => {
    assert.deepStrictEqual(anchorsOf("---\n# title: x\n---\n```sh\n# a comment\n```\n#hashtag\n# Real"), ["real"])
  })

  it("include the names and ids of HTML", () => {
    assert.deepStrictEqual(anchorsOf("<a name=\"one\"></a> <p id=\"two\">"), ["one", "two"])
  })
})

describe("generated pages", () => {
  it("without broken links have no problems", () => {
    const problems = problemsOfPages({
      "index.html":
        "<script src=\"assets/main.js\"></script><a href=\"modules/a.html#make\">a</a> <a href=\"https://effect.website\">e</a>",
      "assets/icons.svg": "<svg><g id=\"icon-1\"></g></svg>",
      "modules/a.html":
        "<a href=\"\">here</a> <use href=\"../assets/icons.svg#icon-1\"></use> <h3 id=\"make\">make</h3> <a href=\"../index.html\">up</a> <a href=\"#make\">this</a> <code>href=&quot;x&quot;</code>"
    }, ["assets/main.js"])
    assert.deepStrictEqual(problems, [])
  })

  it("with broken files and anchors are reported", () => {
    const problems = problemsOfPages({
      "index.html":
        "<a class=\"x\" href=\"modules/b.html\">b</a>\n<a href=\"index.html#none\">c</a> <img src=\"x.png\"/>"
    })
    assert.deepStrictEqual(problems.map(({ line, problem }) => [line, problem]), [
      [1, "modules/b.html does not exist"],
      [2, "index.html has no anchor \"none\""],
      [2, "x.png does not exist"]
    ])
  })

  it.each([
    "<script src=\"https://cdn.example.org/a.js\"></script>",
    "<script src=\"//cdn.example.org/a.js\"></script>",
    "<link rel=\"stylesheet\" href=\"https://fonts.example.org/css\"/>",
    "<img src=\"http://example.org/a.png\">",
    "<style>@import \"https://fonts.example.org/css\";</style>",
    "<style>a { background: url(https://example.org/a.png) }</style>"
  ])("that load a file from another server are reported: %s", (text) => {
    const problems = problemsOfPages({ "index.html": text })
    assert.deepStrictEqual(problems.map(({ problem }) => problem), ["is loaded from another server"])
  })
})
