/**
 * Settings of typedoc, which checks that every public member is documented, and writes the API reference to `docs/api`.
 * The modules of the reference are the entries of package.json: a new entry needs no line here.
 */
import { readFileSync } from "node:fs"
import { Comment, Converter, MinimalSourceFile, ReflectionKind } from "typedoc"

const read = (file) => readFileSync(new URL(`../${file}`, import.meta.url), "utf8")
const { description, exports } = JSON.parse(read("package.json"))

/** The import name of each entry, by its source file. */
const entries = new Map(
  Object.keys(exports).filter((entry) => entry !== "./package.json").map((entry) => [
    `src/${entry === "." ? "index" : entry.slice("./".length)}.ts`,
    `effect-aegis${entry.slice(".".length)}`
  ])
)

/** The text of the comment at the beginning of a file. typedoc reads it as that of a module only if it has a tag `@module`. */
const headOf = (file) => {
  const head = /^\/\*\*([\s\S]*?)\*\//.exec(read(file))?.[1]
  if (head === undefined) throw new Error(`${file} does not begin with a doc comment`)
  return head.replaceAll(/^ *\* ?/gm, "").replace(/^@[\s\S]*/m, "").trim()
}

/** The first page: each entry, with the first paragraph of its comment. */
const firstPage = (modules) => [
  { kind: "text", text: `${description}\n\n` },
  ...modules.flatMap((module) => [
    { kind: "text", text: "- " },
    { kind: "inline-tag", tag: "@link", target: module, text: module.name },
    { kind: "text", text: `: ${headOf(module.sources[0].fileName).split("\n\n")[0].replaceAll("\n", " ")}\n` }
  ])
]

const modulesByImportName = (application) => {
  const { converter } = application
  // Before links are resolved: those in the comments of modules are checked too.
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module | ReflectionKind.Namespace)) {
      const source = module.sources[0]
      if (!source.fileName.startsWith("src/")) throw new Error(`${module.name} is of no file in src`)
      const text = new MinimalSourceFile(headOf(source.fileName), source.fullFileName)
      module.comment = new Comment(converter.parseRawComment(text, project.files).content)
    }
  }, -1000)
  converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const module of project.children) module.name = entries.get(module.sources[0].fileName)
    project.readme = firstPage(project.children)
    // The pages are read without the sources.
    for (const { sources = [] } of Object.values(project.reflections)) {
      for (const source of sources) source.url = undefined
    }
  })
}

export default {
  entryPoints: Array.from(entries.keys(), (file) => `../${file}`),
  tsconfig: "../tsconfig.build.json",
  plugin: [modulesByImportName],
  out: "api",
  name: "effect-aegis",
  includeVersion: true,
  basePath: "..",
  readme: "none",
  hideGenerator: true,
  sortEntryPoints: false,
  disableGit: true,
  sourceLinkTemplate: "{path}#{line}",
  excludeExternals: true,
  excludeInternal: true,
  intentionallyNotExported: ["src/NatsClient.ts:Only"],
  blockTags: ["@category", "@deprecated", "@see", "@since"],
  validation: { notDocumented: true, invalidLink: true, notExported: true },
  treatValidationWarningsAsErrors: true
}
