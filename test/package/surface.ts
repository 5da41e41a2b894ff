/**
 * Checks the public surface of the installed package: importable paths, declarations without `internal/`, declarations
 * of a project that builds on the package, and `docs/api.md`.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { internalNames } from "./declarations.ts"
import { apiFile, apiOf } from "./names.ts"

/** Runs a program in the project and returns its output. */
export type Run = (command: string, ...args: ReadonlyArray<string>) => string

export type Check = (what: string, run: () => void) => void

const expect = (holds: boolean, problem: string) => {
  if (!holds) throw new Error(problem)
}

const sameLines = (what: string, actual: string, expected: string) => {
  const [left, right] = [actual.split("\n"), expected.split("\n")]
  const at = right.findIndex((line, index) => line !== left[index])
  const differs = at < 0 ? Math.min(left.length, right.length) : at
  expect(
    actual === expected,
    `${what}, line ${differs + 1}: expected ${JSON.stringify(right[differs])}, got ${JSON.stringify(left[differs])}`
  )
}

/** `folder` is a project in which the package is installed. */
export const checkSurface = (check: Check, folder: string, run: Run): void => {
  const installed = join(folder, "node_modules/effect-aegis")
  const dist = join(installed, "dist")
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))

  check("exactly the entries can be imported", () => {
    const { opened, tried } = JSON.parse(run(process.execPath, "importable.ts"))
    const entries = Object.keys(manifest.exports).map((entry) => `effect-aegis${entry.slice(1)}`).toSorted()
    expect(tried > 500, `only ${tried} paths were tried, expected more than 500`)
    sameLines("importable paths", opened.join("\n"), entries.join("\n"))
  })

  check("no public declaration refers to an internal file", () => {
    const found = internalNames(dist)
    expect(found.length === 0, `${found.length} lines refer to an internal file:\n${found.join("\n")}`)
  })

  check("a project with declaration: true can export values that use the package", () => {
    run("npx", "tsc", "-p", "declarations/tsconfig.json")
    const emitted = join(folder, "declarations/emitted")
    const text = readdirSync(emitted).map((file) => readFileSync(join(emitted, file), "utf8")).join("\n")
    expect(text.includes("export declare const everything"), "no declarations were emitted")
    expect(!/effect-aegis\/(?:dist|src|internal)/.test(text), "a declaration refers to a file that cannot be imported")
  })

  check(
    "docs/api.md is up to date (if not: npm run names)",
    () => sameLines("docs/api.md", readFileSync(apiFile, "utf8"), apiOf(installed))
  )
}
