/**
 * What the packed package shows of itself, each as a check that throws: which paths open, that no declaration names a
 * file of `internal/`, that a project can export what it builds on it, and `docs/api.md`.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { internalNames } from "./declarations.ts"
import { apiFile, apiOf } from "./names.ts"

/** Runs a program in the project that has the package, and gives what it printed. */
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

/** `folder` is the project; the package is installed there. */
export const checkSurface = (check: Check, folder: string, run: Run): void => {
  const installed = join(folder, "node_modules/effect-aegis")
  const dist = join(installed, "dist")
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))

  check("every entry can be imported, and no other file", () => {
    const { opened, tried } = JSON.parse(run(process.execPath, "importable.ts"))
    const entries = Object.keys(manifest.exports).map((entry) => `effect-aegis${entry.slice(1)}`).toSorted()
    expect(tried > 500, `only ${tried} paths were tried`)
    sameLines("what can be imported", opened.join("\n"), entries.join("\n"))
  })

  check("no public declaration names an internal file", () => {
    const found = internalNames(dist)
    expect(found.length === 0, `${found.length} lines:\n${found.join("\n")}`)
  })

  check("a project that emits declarations can export what it builds on the package", () => {
    run("npx", "tsc", "-p", "declarations/tsconfig.json")
    const emitted = join(folder, "declarations/emitted")
    const text = readdirSync(emitted).map((file) => readFileSync(join(emitted, file), "utf8")).join("\n")
    expect(text.includes("export declare const everything"), "no declarations were emitted")
    expect(!/effect-aegis\/(?:dist|src|internal)/.test(text), "a declaration names a file that cannot be imported")
  })

  check(
    "docs/api.md has the names that there are: npm run names",
    () => sameLines("docs/api.md", readFileSync(apiFile, "utf8"), apiOf(installed))
  )
}
