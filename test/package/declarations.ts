/** Reads names and doc comments from the text of the package's emitted declarations. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** A public name, and the first sentence of its doc comment. */
interface Named {
  readonly name: string
  readonly summary: string | undefined
}

/** A public module: its first sentence, its exported names, and the modules that it exports as namespaces. */
export interface Module {
  readonly summary: string
  readonly names: ReadonlyArray<Named>
  readonly modules: ReadonlyArray<{ readonly name: string; readonly file: string }>
}

/** The text of a doc comment, without the asterisks. */
const textOf = (comment: string): string =>
  comment.slice("/**".length, -"*/".length).split("\n").map((line) => line.replace(/^\s*\* ?/, "")).join("\n").trim()

/** The first sentence of a doc comment, on one line. */
const firstSentence = (comment: string): string => {
  const [paragraph = ""] = textOf(comment).split(/\n\s*\n|\n@/)
  const line = paragraph.replace(/\s+/g, " ").trim()
  return /^.*?[.!?](?= |$)/.exec(line)?.[0] ?? line
}

const docComment = /\/\*\*(?:[^*]|\*(?!\/))*\*\//

const commentBefore = (text: string, end: number): string | undefined => {
  const start = text.lastIndexOf("/**", end)
  const comment = start < 0 ? undefined : text.slice(start, end).trim()
  return comment !== undefined && comment.indexOf("*/") === comment.length - "*/".length ? comment : undefined
}

const declaration =
  /^export (?:declare )?(?:abstract )?(?:const|let|class|interface|type|function|namespace|enum) ([\w$]+)/gm

/** Matches `export { a, type b as c } from "./x.ts"`. */
const listed = /^export (?:type )?\{([^}]*)\}(?: from "(\.[^"]*)")?;/gm

const starred = /^export \*(?: as ([\w$]+))? from "(\.[^"]*)";/gm

/** The declaration file of a specifier: declarations import the names of source files. */
const fileOf = (from: string, specifier: string): string =>
  join(dirname(from), specifier.replace(/(?:\.d)?\.[jt]s$/, ".d.ts"))

export const readModule = (file: string): Module => {
  const text = readFileSync(file, "utf8")
  const names = new Map<string, string | undefined>()
  const modules: Array<{ readonly name: string; readonly file: string }> = []
  for (const match of text.matchAll(declaration)) {
    const comment = commentBefore(text, match.index)
    const name = match[1]!
    // A schema and its type have the same name. The doc comment is that of the schema, which comes first.
    if (!names.has(name)) names.set(name, comment === undefined ? undefined : firstSentence(comment))
  }
  for (const [, list = "", specifier] of text.matchAll(listed)) {
    const exported = list.split(",").map((one) => one.trim().replace(/^type /, "")).filter((one) => one !== "")
    if (exported.length === 0) continue
    if (specifier === undefined) throw new Error(`${file}: export at the declaration instead of in a list: ${list}`)
    const { names: theirs } = readModule(fileOf(file, specifier))
    for (const one of exported) {
      const [original, name = original] = one.split(" as ")
      const found = theirs.find((named) => named.name === original)
      if (found === undefined) throw new Error(`${file}: ${specifier} does not export ${original}`)
      names.set(name!, found.summary)
    }
  }
  for (const [, name, specifier] of text.matchAll(starred)) {
    const target = fileOf(file, specifier!)
    if (name === undefined) { for (const one of readModule(target).names) names.set(one.name, one.summary) }
    else modules.push({ name, file: target })
  }
  // The compiler may omit the module's doc comment together with an unused import, so it is read from the source.
  const source = file.replace(/([\\/])dist([\\/])(?!.*[\\/]dist[\\/])/, "$1src$2").replace(/\.d\.ts$/, ".ts")
  const header = docComment.exec(readFileSync(source, "utf8"))
  if (header === null || header.index !== 0) throw new Error(`${source}: the file must begin with a doc comment`)
  return {
    summary: firstSentence(header[0]),
    names: [...names].map(([name, summary]) => ({ name, summary })),
    modules
  }
}

const declarationsIn = (dist: string): ReadonlyArray<string> => {
  if (!existsSync(dist)) throw new Error(`${dist} does not exist: run npm run build`)
  return readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".d.ts")).toSorted()
}

const publicFiles = (dist: string) => declarationsIn(dist).filter((file) => !/(?:^|[\\/])internal[\\/]/.test(file))

/** Lines of public declarations that refer to a file of `internal/`. */
export const internalNames = (dist: string): ReadonlyArray<string> =>
  publicFiles(dist).flatMap((file) =>
    readFileSync(join(dist, file), "utf8")
      .replace(/\/\*[\s\S]*?\*\//g, "")
      .split("\n")
      .filter((line) => /["'][./]*\/internal\//.test(line))
      .map((line) => `${file}: ${line.trim()}`)
  )
