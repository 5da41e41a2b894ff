/**
 * Saves the results of a command to a file in `.cache/results`, with the commit and the versions that were measured,
 * but without data about the machine. `npm run results` writes `results/summary.md` from these files.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { lines, provideNatsServer } from "./natsServer/binaries.ts"

const project = fileURLToPath(new URL("..", import.meta.url))

const git = (...args: ReadonlyArray<string>) => execFileSync("git", args, { cwd: project, encoding: "utf8" }).trim()

/**
 * Date, commit and versions of the measurement. With uncommitted changes the commit alone does not identify the code.
 */
const about = Effect.gen(function*() {
  const servers = yield* Effect.forEach(lines, provideNatsServer)
  const date = DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis))
  return {
    date,
    commit: git("rev-parse", "HEAD"),
    uncommittedChanges: git("status", "--porcelain", "--", "src", "package-lock.json") !== "",
    node: process.version,
    servers: servers.map(({ version }) => version)
  }
})

/** Writes each row of an array on its own line, so that a diff of two results shows the rows that changed. */
const toText = (numbers: Readonly<Record<string, unknown>>): string => {
  const members = Object.entries(numbers).map(([name, value]) => {
    const rows = Array.isArray(value) ? value.map((row) => `\n    ${JSON.stringify(row)}`) : undefined
    return `  "${name}": ${rows === undefined ? JSON.stringify(value) : `[${rows.join(",")}\n  ]`}`
  })
  return `{\n${members.join(",\n")}\n}`
}

export const save = Effect.fnUntraced(function*(name: string, numbers: Readonly<Record<string, unknown>>) {
  const text = toText({ ...(yield* about), ...numbers })
  mkdirSync(`${project}.cache/results`, { recursive: true })
  writeFileSync(`${project}.cache/results/${name}.json`, `${text}\n`)
  return text
})
