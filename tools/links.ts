/**
 * Checks that the files and anchors exist to which documents link:
 *
 *   node tools/links.ts                  in all Markdown files of the repository
 *   node tools/links.ts --pages <folder> in generated HTML pages, which must load nothing from other servers
 *
 * Links to other servers are listed, and not fetched. The exit code is 1 if there is a problem.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { check } from "./links/check.ts"
import { readPage } from "./links/html.ts"
import { readMarkdown } from "./links/markdown.ts"
import type { Page } from "./links/page.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The files that git has or would add: a link to a generated file works on this machine only. */
const filesOfRepository = (): ReadonlyArray<string> =>
  execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" })
    .split("\0").filter((file) => file !== "" && existsSync(join(root, file)))

const filesIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))

/** Returns the number of problems. */
const report = (
  folder: string,
  files: ReadonlyArray<string>,
  kind: RegExp,
  read: (text: string) => Page
): number => {
  const pages = new Map(
    files.filter((file) => kind.test(file)).map((file) => [file, read(readFileSync(join(folder, file), "utf8"))])
  )
  const { external, problems } = check(pages, new Set(files))
  if (pages.size === 0) throw new Error(`no documents in ${folder}`)
  for (const url of external) console.log(`not fetched: ${url}`)
  for (const { file, line, problem, target } of problems) console.error(`${file}:${line}: ${target}: ${problem}`)
  const links = [...pages.values()].reduce((sum, page) => sum + page.links.length, 0)
  console.log(`${links} links in ${pages.size} files, ${problems.length} problems`)
  return problems.length
}

const { values } = parseArgs({ options: { pages: { type: "string" } } })
const problems = values.pages === undefined
  ? report(root, filesOfRepository(), /\.md$/, readMarkdown)
  : report(join(root, values.pages), filesIn(join(root, values.pages)), /\.(?:html|css|svg)$/, readPage)
if (problems > 0) process.exitCode = 1
