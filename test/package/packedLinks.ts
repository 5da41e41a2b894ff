/** Checks the links of the packed documents: a file that is not packed cannot be read beside them. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { check } from "../../tools/links/check.ts"
import { readMarkdown } from "../../tools/links/markdown.ts"

/** The links in the documents of an installed package to files and headings that it does not have. */
export const brokenLinksIn = (folder: string): ReadonlyArray<string> => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => !file.startsWith("node_modules"))
  const documents = files.filter((file) => file.endsWith(".md"))
  if (!documents.includes("AGENTS.md")) throw new Error("the packed documents were not found")
  const pages = new Map(documents.map((file) => [file, readMarkdown(readFileSync(join(folder, file), "utf8"))]))
  return check(pages, new Set(files)).problems.map(({ file, line, problem, target }) =>
    `${file}:${line}: ${target}: ${problem}`
  )
}
