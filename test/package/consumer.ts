/**
 * Tests the packed package: it is checked by publint, installed into an empty
 * project, type-checked there without `skipLibCheck`, and used by programs,
 * among them the program of the README.
 */
import { execFileSync, spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { checkCodeBlocks } from "./codeBlocks.ts"
import { checkExamples } from "./examples.ts"
import { brokenLinksIn } from "./packedLinks.ts"
import { checkSurface } from "./surface.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const fixture = fileURLToPath(new URL("fixture", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

let passed = 0

let failed = 0

/** Runs a required step. A failure ends the run, while a failure in `check` is counted. */
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

/** The message of an error, and the output of the program that failed. */
const problemOf = (error: unknown): string => {
  const output = error instanceof Error && "stdout" in error ? String(error.stdout) : ""
  return `${error instanceof Error ? error.message : String(error)}\n${output}`.trim()
}

const run = (folder: string, command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, AEGIS_NATS_URL: undefined }
  })

const expect = (holds: boolean, problem: string) => {
  if (!holds) throw new Error(problem)
}

/** The first TypeScript program of the README. */
const readmeProgram = (): string => {
  const program = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1]
  if (program === undefined) throw new Error("the README has no TypeScript program")
  return program
}

/** Milliseconds. Longer than the program takes to start and to end on any machine. */
const patience = 30_000

/** Runs the README's program in memory, sends SIGTERM after its last line, and returns its output and exit code. */
const runReadme = (folder: string): Promise<{ readonly said: string; readonly code: number | null }> =>
  new Promise((resolve) => {
    const env = { ...process.env, AEGIS_BACKEND: "memory", NO_COLOR: "1" }
    const child = spawn(process.execPath, ["readme.ts"], { cwd: folder, env, timeout: patience, killSignal: "SIGKILL" })
    let said = ""
    const hear = (chunk: unknown) => {
      said += String(chunk)
      if (said.includes("live instances:")) child.kill("SIGTERM")
    }
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.on("close", (code) => resolve({ said, code }))
  })

const folder = mkdtempSync(join(tmpdir(), "effect-aegis-consumer-"))
try {
  // `npm pack` builds the package. Removing an old build proves that.
  rmSync(join(root, "dist"), { recursive: true, force: true })
  const tarball = run(root, "npm", "pack", "--silent", "--pack-destination", folder).trim()
  check("publint reports no problem", () => run(root, "npx", "publint", "--strict", join(folder, tarball)))

  cpSync(fixture, folder, { recursive: true })
  writeFileSync(join(folder, "readme.ts"), readmeProgram())
  const { "@effect/platform-node": platform, effect, typescript } = manifest.devDependencies
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({
      name: "consumer",
      private: true,
      type: "module",
      dependencies: { "effect-aegis": `file:${tarball}`, effect, "@effect/platform-node": platform },
      devDependencies: {
        typescript,
        "@types/node": manifest.devDependencies["@types/node"],
        // Imported by code blocks that are tests.
        "@effect/vitest": manifest.devDependencies["@effect/vitest"],
        vitest: manifest.devDependencies.vitest
      }
    })
  )
  attempt("npm install succeeds", () => run(folder, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline"))
  check("a project with strict options compiles", () => run(folder, "npx", "tsc", "-p", "tsconfig.json"))
  const { code, said } = await runReadme(folder)
  check("the README's program becomes leader and ends on SIGTERM", () => {
    expect(/term 1, fencing token \d+-\d+/.test(said), `output: ${said}`)
    expect(/live instances: orders-[0-9a-z]{8}\b/.test(said), `output: ${said}`)
    expect(code === 130 || code === 143, `exit code ${code}, output: ${said}`)
  })
  check("every module can be imported as an entry", () => {
    const said = run(folder, process.execPath, "entries.ts")
    expect(said.trim() === "entries are right", `output: ${said}`)
  })
  check("only NatsLegacy needs the package nats", () => {
    const without = run(folder, process.execPath, "legacy.ts")
    expect(without.trim() === "nats is missing", `output without nats: ${without}`)
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
    expect(withIt.includes("expected a NatsConnection of the package nats"), `output with nats: ${withIt}`)
  })
  check("the declarations of public modules contain no types of a NATS client", () => {
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
        "Compat",
        "testing"
      ]
    ) {
      const declarations = readFileSync(join(dist, `${module}.d.ts`), "utf8").replace(/\/\*[\s\S]*?\*\//g, "")
      expect(!/(?:from|import\() ?"(?:@nats-io|nats")/.test(declarations), `${module}.d.ts has NATS client types`)
    }
  })
  check("the files and headings exist to which the packed documents link", () => {
    const broken = brokenLinksIn(join(folder, "node_modules/effect-aegis"))
    expect(broken.length === 0, broken.join("\n"))
  })
  const inProject = (command: string, ...args: ReadonlyArray<string>) => run(folder, command, ...args)
  checkSurface(check, folder, inProject)
  checkCodeBlocks(check, folder, inProject)
  checkExamples(check, folder, inProject)
} catch (error) {
  failed++
  console.error(problemOf(error))
} finally {
  console.log(`${passed} passed, ${failed} failed`)
  if (failed > 0) process.exitCode = 1
  rmSync(folder, { recursive: true, force: true })
}
