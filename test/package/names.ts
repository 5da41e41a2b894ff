/**
 * Writes `docs/api.md` from the emitted declarations: every public name, by module, with the first sentence of its doc
 * comment. Run by `npm run names`; `npm run test:package` checks that the file is up to date.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Module, readModule } from "./declarations.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

export const apiFile = join(root, "docs/api.md")

const head = `# Public names

Each name that effect-aegis exports, by module, with the first sentence of its documentation.
Written by \`npm run names\`, from the declarations: change the doc comments, not this file. In a clone of the repository,
\`npm run docs\` writes the API reference, with all members, types and examples, to \`docs/api/index.html\`.
`

const namesOf = (title: string, { names }: Module): ReadonlyArray<string> =>
  names.map(({ name, summary }) => {
    if (summary === undefined) throw new Error(`${name} of ${title} has no doc comment`)
    return `- \`${name}\`: ${summary}`
  })

const section = (marks: string, title: string, module: Module): ReadonlyArray<string> => [
  `${marks} ${title}\n\n${module.summary}`,
  ...(module.names.length === 0 ? [] : [namesOf(title, module).join("\n")]),
  ...module.modules.flatMap(({ file, name }) => section(`${marks}#`, `\`${name}\``, readModule(file)))
]

/** The barrel's section. Its modules are also entries and have their own sections. */
const barrel = (module: Module): string =>
  `## \`effect-aegis\`\n\n${module.summary} Exports ${module.modules.map(({ name }) => `\`${name}\``).join(", ")}.`

/** Returns the text of `docs/api.md` for the package in a folder. */
export const apiOf = (folder: string): string => {
  const { exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  const sections = Object.entries<string | { readonly types: string }>(exports).flatMap(([entry, target]) => {
    if (typeof target === "string") return []
    const module = readModule(join(folder, target.types))
    return entry === "." ? [barrel(module)] : section("##", `\`effect-aegis${entry.slice(1)}\``, module)
  })
  return `${[head.trimEnd(), ...sections].join("\n\n")}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(apiFile, apiOf(root))
