/**
 * The package as its users get it: packed, checked by publint, installed into an
 * empty project, type-checked there without skipLibCheck for our own
 * declarations, and run. The program is the README's own.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { checkSurface } from "./surface.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const fixture = fileURLToPath(new URL("fixture", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

let passed = 0

let failed = 0

/** What cannot be done without ends the run; the rest is tried all the same. */
const attempt = (what: string, run: () => void) => {
  run()
  passed++
  console.log(`ok ${passed} - ${what}`)
}

const check = (what: string, run: () => void) => {
  try {
    attempt(what, run)
  } catch (error) {
    failed++
    console.log(`not ok - ${what}\n${problemOf(error)}`)
  }
}

/** A program that failed has said on its output why. */
const problemOf = (error: unknown): string => {
  const output = error instanceof Error && "stdout" in error ? String(error.stdout) : ""
  return `${error instanceof Error ? error.message : String(error)}\n${output}`.trim()
}

const run = (folder: string, command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })

const expect = (holds: boolean, problem: string) => {
  if (!holds) throw new Error(problem)
}

/** The first TypeScript program of the README. */
const readmeProgram = (): string => {
  const program = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1]
  if (program === undefined) throw new Error("the README has no TypeScript program")
  return program
}

const folder = mkdtempSync(join(tmpdir(), "effect-aegis-consumer-"))
try {
  // Packing builds: what an earlier build has left cannot be what is packed.
  rmSync(join(root, "dist"), { recursive: true, force: true })
  const tarball = run(root, "npm", "pack", "--silent", "--pack-destination", folder).trim()
  check("publint finds nothing", () => run(root, "npx", "publint", "--strict", join(folder, tarball)))

  cpSync(fixture, folder, { recursive: true })
  writeFileSync(join(folder, "readme.ts"), readmeProgram())
  const { effect, typescript } = manifest.devDependencies
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({
      name: "consumer",
      private: true,
      type: "module",
      dependencies: { "effect-aegis": `file:${tarball}`, effect },
      devDependencies: { typescript, "@types/node": manifest.devDependencies["@types/node"] }
    })
  )
  attempt("it installs", () => run(folder, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline"))
  check("a strict project type-checks", () => run(folder, "npx", "tsc", "-p", "tsconfig.json"))
  check("the README's program runs", () => {
    const said = run(folder, process.execPath, "readme.ts")
    expect(said.includes("1 alive") && said.includes("term 1, fencing token"), `it said: ${said}`)
  })
  check("every module is its own entry", () => {
    const said = run(folder, process.execPath, "entries.ts")
    expect(said.trim() === "entries are right", `it said: ${said}`)
  })
  check("the package nats is needed by NatsLegacy, and by nothing else", () => {
    const without = run(folder, process.execPath, "legacy.ts")
    expect(without.trim() === "nats is missing", `without it: ${without}`)
    run(
      folder,
      "npm",
      "install",
      "--no-audit",
      "--no-fund",
      "--prefer-offline",
      `nats@${manifest.devDependencies.nats}`
    )
    const withIt = run(folder, process.execPath, "legacy.ts")
    expect(withIt.includes("expected a NatsConnection of the package nats"), `with it: ${withIt}`)
  })
  check("the barrel's declarations name no NATS client", () => {
    const dist = join(folder, "node_modules/effect-aegis/dist")
    for (
      const module of [
        "index",
        "Aegis",
        "KVStore",
        "NatsKVStore",
        "NatsClient",
        "NatsLegacy",
        "Registry",
        "Election",
        "testing"
      ]
    ) {
      const declarations = readFileSync(join(dist, `${module}.d.ts`), "utf8").replace(/\/\*[\s\S]*?\*\//g, "")
      expect(!/(?:from|import\() ?"(?:@nats-io|nats")/.test(declarations), `${module}.d.ts names a client's types`)
    }
  })
  checkSurface(check, folder, (command, ...args) => run(folder, command, ...args))
} catch (error) {
  failed++
  console.error(problemOf(error))
} finally {
  console.log(`${passed} passed, ${failed} failed`)
  if (failed > 0) process.exitCode = 1
  rmSync(folder, { recursive: true, force: true })
}
