/** Finds links to files and anchors that do not exist. */
import { posix } from "node:path"
import type { Link, Page } from "./page.ts"

interface Problem {
  readonly file: string
  readonly line: number
  readonly target: string
  readonly problem: string
}

interface Report {
  readonly problems: ReadonlyArray<Problem>
  /** The links to other servers, which are not checked. */
  readonly external: ReadonlyArray<string>
}

const isExternal = ({ target }: Link): boolean => /^(?:[a-z][a-z\d+.-]*:|\/\/)/i.test(target)

/** A line of a source file, as GitHub writes it. */
const lines = /^L\d+(?:-L\d+)?$/

/** Paths are relative to the root of the repository. `files` are all files that can be linked to, those of `pages` too. */
export const check = (pages: ReadonlyMap<string, Page>, files: ReadonlySet<string>): Report => {
  const folders = new Set(
    [...files].flatMap((file) => {
      const parts = file.split("/").slice(0, -1)
      return parts.map((_, index) => parts.slice(0, index + 1).join("/"))
    }).concat(".")
  )

  const problemOf = (file: string, link: Link): string | undefined => {
    if (link.problem !== undefined) return link.problem
    if (isExternal(link)) return link.loaded === true ? "is loaded from another server" : undefined
    // A "%" that begins no escape is malformed.
    if (/%(?![\da-f]{2})/i.test(link.target)) return "has a malformed escape"
    const [path = "", anchor = ""] = link.target.split("#").map(decodeURIComponent)
    const from = path.startsWith("/") ? "." : posix.dirname(file)
    const linked = path === "" ? file : posix.join(from, path).replace(/\/$/, "")
    if (linked === ".." || linked.startsWith("../")) return "is outside of the repository"
    if (!files.has(linked) && !folders.has(linked)) return `${linked} does not exist`
    if (anchor === "") return undefined
    const page = pages.get(linked) ?? pages.get(posix.join(linked, "README.md"))
    const exists = page === undefined ? files.has(linked) && lines.test(anchor) : page.anchors.has(anchor)
    return exists ? undefined : `${linked} has no anchor "${anchor}"`
  }

  const links = [...pages].flatMap(([file, page]) => page.links.map((link) => ({ file, link })))
  return {
    problems: links.flatMap(({ file, link }) => {
      const problem = problemOf(file, link)
      return problem === undefined ? [] : [{ file, line: link.line, target: link.target, problem }]
    }),
    external: [...new Set(links.map(({ link }) => link).filter(isExternal).map(({ target }) => target))].toSorted()
  }
}
