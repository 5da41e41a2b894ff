/**
 * Copies of the sources in temporary folders. A bug is planted in each copy, and simulations or a test run there.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { execFile, fork } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Edit } from "./models.ts"
import type { Answer, Request } from "./play.ts"

const project = fileURLToPath(new URL("../..", import.meta.url))

/** Files and folders that simulations and tests import. */
const parts = ["package.json", "vitest.config.ts", "src", "test", "tools", "examples"]

/** The files that must still compile with a planted bug. */
const compiled = ["src", "tools/simulation", "tools/mutants/play.ts", "tools/mutants/scenarios.ts"]

/** A planted bug may leave variables unused. It only has to compile. */
const tsconfig = {
  extends: join(project, "tsconfig.json"),
  compilerOptions: { noUnusedLocals: false, noUnusedParameters: false, rootDir: "." },
  include: compiled
}

/**
 * Milliseconds that a process may take for one portion of runs, and a test file for its run, before it counts as stuck.
 */
const patience = 300_000

/** A problem with the mutant or its process, not a result: it must be fixed before the run counts. */
export class Broken extends Data.TaggedError("Broken")<{ readonly problem: string }> {}

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-aegis-mutants-"))),
  (root) => Effect.sync(() => rmSync(root, { recursive: true, force: true }))
)

/** Copies the sources, so that edits during the run have no effect on it. */
export const snapshot = Effect.map(folder, (root) => {
  for (const part of parts) cpSync(join(project, part), join(root, part), { recursive: true })
  writeFileSync(join(root, "tsconfig.json"), JSON.stringify(tsconfig))
  symlinkSync(join(project, "node_modules"), join(root, "node_modules"))
  return root
})

/** Copies the snapshot and plants the edits in the copy. */
export const mutated = Effect.fnUntraced(function*(sources: string, edits: ReadonlyArray<Edit>) {
  const root = yield* folder
  cpSync(sources, root, { recursive: true, verbatimSymlinks: true })
  for (const edit of edits) {
    const path = join(root, edit.file)
    writeFileSync(path, yield* edited(readFileSync(path, "utf8"), edit))
  }
  yield* compile(root)
  return root
})

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)

const inAnyLayout = (text: string): RegExp => new RegExp(text.trim().split(/\s+/).map(escaped).join("\\s+"), "g")

const edited = (text: string, { file, find, replace }: Edit): Effect.Effect<string, Broken> => {
  const anchor = inAnyLayout(find)
  const count = Array.from(text.matchAll(anchor)).length
  if (count !== 1) return Effect.fail(new Broken({ problem: `${file} has ${count} matches, expected 1, of: ${find}` }))
  const changed = text.replace(anchor, () => replace)
  return changed === text
    ? Effect.fail(new Broken({ problem: `the edit of ${file} changes nothing` }))
    : Effect.succeed(changed)
}

/** A mutant that does not compile would fail in any scenario, so it must compile. */
const compile = (root: string): Effect.Effect<void, Broken> =>
  Effect.callback<void, Broken>((resume) => {
    const compiler = join(project, "node_modules/typescript/bin/tsc")
    const child = execFile(process.execPath, [compiler, "-p", root], (failed, output) =>
      resume(failed === null ? Effect.void : Effect.fail(new Broken({ problem: `it does not compile\n${output}` }))))
    return Effect.sync(() =>
      child.kill()
    )
  })

/** Runs a test in the copy and returns whether it fails. */
export const fails = (root: string, { file, name }: { readonly file: string; readonly name: string }) =>
  Effect.callback<boolean>((resume) => {
    const vitest = join(project, "node_modules/vitest/vitest.mjs")
    const args = [vitest, "run", "--project", "memory", "--root", root, file, "-t", escaped(name)]
    const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined }
    const child = execFile(process.execPath, args, { cwd: root, timeout: patience, env }, (failed, output) =>
      // vitest also exits with an error if it does not find the test.
      resume(Effect.succeed(failed !== null && /Tests {2}.*[1-9]\d* failed/.test(output))))
    return Effect.sync(() => child.kill())
  })

/** A process in the copy that runs simulations. */
export interface Player {
  readonly play: (request: Request) => Effect.Effect<Answer, Broken>
}

export const makePlayer = (root: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        fork(join(root, "tools/mutants/play.ts"), { cwd: root, stdio: ["ignore", "ignore", "pipe", "ipc"] })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child): Player => {
      let errors = ""
      child.stderr!.on("data", (data) => {
        errors = `${errors}${String(data)}`.slice(-2000)
      })
      return {
        play: (request) =>
          Effect.callback<Answer, Broken>((resume) => {
            const forget = () => child.off("message", onMessage).off("exit", onExit)
            const onMessage = (answer: unknown) => {
              forget()
              resume(Effect.succeed(answer as Answer))
            }
            const onExit = () => {
              forget()
              resume(Effect.fail(new Broken({ problem: `the simulation process ended\n${errors}` })))
            }
            child.once("message", onMessage).once("exit", onExit)
            child.send(request)
            return Effect.sync(forget)
          }).pipe(Effect.timeoutOrElse({
            duration: patience,
            orElse: () => Effect.fail(new Broken({ problem: "no answer from the simulation process for 5 minutes" }))
          }))
      }
    }
  )
