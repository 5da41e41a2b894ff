/** Reads the links and the anchors of a Markdown file. Anchors follow GitHub's rules for headings. */
import { lineOf, type Link, type Page } from "./page.ts"

/** Replaces text by spaces: places and lines of the rest stay the same. */
const blank = (text: string): string => text.replaceAll(/[^\n]/g, " ")

const frontMatter = /^---\n[\s\S]*?\n---(?=\n|$)/

const comment = /<!--[\s\S]*?(?:-->|$)/g

/** Of one to any number of backticks, as many at the end as at the beginning, within a paragraph. */
const codeSpan = /(?<![\\`])(`+)(?!`)((?:(?!\n\s*\n)[\s\S])*?[^`])\1(?!`)/g

/** The beginning of a code block, also in a quote or in an item of a list. */
const fence = /^[\s>]*(?:(?:[-*+]|\d+[.)])\s+)?(?:(`{3,})[^`]*|(~{3,}).*)$/

const withoutCodeBlocks = (text: string): string => {
  let open: string | undefined
  return text.split("\n").map((line) => {
    if (open === undefined) {
      const [, backticks, tildes] = fence.exec(line) ?? []
      open = backticks ?? tildes
      return open === undefined ? line : blank(line)
    }
    const end = line.replace(/^[\s>]*/, "").trimEnd()
    if (end.length >= open.length && end === open[0]!.repeat(end.length)) open = undefined
    return blank(line)
  }).join("\n")
}

/** A target in `<>`, or one without spaces, whose parentheses are balanced. Then there may be a title. */
const target = String.raw`<([^<>\n]*)>|((?:[^\s()<]|\([^\s()]*\))*)`
const inlineLink = new RegExp(String.raw`(?<!\\)\]\(\s*(?:${target})(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)`, "g")
const definition = new RegExp(String.raw`^ {0,3}\[([^\]^][^\]]*)\]:\s*(?:${target})`, "gm")
const reference = /(?<!\\)\[([^[\]]*)\]\[([^[\]^]*)\]/g
const htmlLink = /<(?:a|img)\s(?:[^>]*\s)?(?:href|src)="([^"]*)"/g
const plainLink = /(?<![("\w])https?:\/\/[^\s<>()[\]"'`|]+/g

const linksIn = (text: string): ReadonlyArray<Link> => {
  const labelOf = (name: string) => name.replaceAll(/\s+/g, " ").toLowerCase()
  const definitions = [...text.matchAll(definition)]
  const defined = new Set(definitions.map(([, name = ""]) => labelOf(name)))
  const isUndefined = (name: string) => !defined.has(labelOf(name))
  const found = [
    ...Array.from(
      [...text.matchAll(inlineLink), ...text.matchAll(htmlLink)],
      ({ 1: quoted, 2: plain, index }) => ({ target: quoted ?? plain ?? "", index })
    ),
    ...definitions.map(({ 2: quoted, 3: plain, index }) => ({ target: quoted ?? plain ?? "", index })),
    ...Array.from(text.matchAll(plainLink), ({ 0: url, index }) => ({ target: url.replace(/[.,;:!?]+$/, ""), index })),
    ...Array.from(
      text.matchAll(reference),
      ({ 1: label = "", 2: name = "", index }) => ({ name: name || label, index })
    )
      .filter(({ name }) => isUndefined(name)).map(({ index, name }) => ({
        target: `[${name}]`,
        index,
        isReference: true
      }))
  ]
  return found.toSorted((one, other) => one.index - other.index).map((link) => ({
    target: link.target,
    line: lineOf(text, link.index),
    problem: "isReference" in link ? "has no definition" : link.target === "" ? "has no target" : undefined
  }))
}

const heading =
  /^ {0,3}(?:#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$|(?![ \t]*(?:[#>|]|[-*+][ \t]|\d+[.)][ \t]))(.*\S.*)\n {0,3}(?:=+|-+)[ \t]*$)/gm

/** The text that a reader sees, without the marks of Markdown. Code is kept as it is. */
const shownText = (markdown: string): string =>
  markdown.split(/(`+[^`]+`+)/).map((part, index) =>
    index % 2 === 1
      ? part.replaceAll("`", "")
      : part
        .replaceAll(/!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])/g, "")
        .replaceAll(/<[^>]*>|&#?\w+;/g, "")
        .replaceAll(/(?<![\p{L}\p{N}_])_+(\S(?:.*?\S)?)_+(?![\p{L}\p{N}_])/gu, "$1")
  ).join("").replaceAll(/\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])?/g, "$1")

const slugOf = (markdown: string): string =>
  shownText(markdown).trim().toLowerCase()
    .replaceAll(/[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\- ]/gu, "")
    .replaceAll(" ", "-")

const anchorsIn = (text: string): ReadonlySet<string> => {
  /** How often each anchor has occurred. */
  const counts = new Map<string, number>()
  for (const [, marked, underlined] of text.matchAll(heading)) {
    const slug = slugOf(marked ?? underlined ?? "")
    let anchor = slug
    while (counts.has(anchor)) {
      const count = counts.get(slug)! + 1
      counts.set(slug, count)
      anchor = `${slug}-${count}`
    }
    counts.set(anchor, 0)
  }
  const named = Array.from(text.matchAll(/<\w+\s(?:[^>]*\s)?(?:id|name)="([^"]+)"/g), ([, name = ""]) => name)
  return new Set([...counts.keys(), ...named])
}

export const readMarkdown = (text: string): Page => {
  const shown = withoutCodeBlocks(text.replace(frontMatter, blank)).replaceAll(comment, blank)
  return { links: linksIn(shown.replaceAll(codeSpan, blank)), anchors: anchorsIn(shown) }
}
