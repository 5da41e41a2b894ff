/**
 * Runs the README's program with the built package, in three processes on one server. The test checks the logs of the
 * processes, and reads registry and election as another client.
 */
import { assert, describe, it } from "@effect/vitest"
import { Aegis, Election, Registry } from "effect-aegis"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { eventually } from "../../tools/eventually.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** Milliseconds. More than a process needs to start and to log its first lines. */
const patience = 20_000

/**
 * Milliseconds from the signal until the next leader's work begins, at most. The hand-over itself takes about 10 ms.
 */
const handOver = 250

const readme = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1] ?? ""

/** A file inside the package's folder, so that the import of `effect-aegis` resolves to the built package. */
const programFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(join(root, ".cache"), { recursive: true })
      return mkdtempSync(join(root, ".cache", "readme-"))
    }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => {
    const file = join(folder, "program.ts")
    writeFileSync(file, readme)
    return file
  }
)

interface Process {
  readonly child: ChildProcess
  said: string
  /** When its work as leader began, by the clock of the test process. */
  ledAt: number | undefined
  readonly exit: Promise<number | string | null>
}

const start = (file: string, url: string): Process => {
  const child = spawn(process.execPath, [file], {
    cwd: root,
    env: { ...process.env, AEGIS_NATS_URL: url, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const exit = new Promise<number | string | null>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal))
  })
  const started: Process = { child, said: "", ledAt: undefined, exit }
  const hear = (chunk: unknown) => {
    started.said += String(chunk)
    if (started.ledAt === undefined && /leading: term/.test(started.said)) started.ledAt = performance.now()
  }
  child.stdout.on("data", hear)
  child.stderr.on("data", hear)
  return started
}

const startIn = (file: string, url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => start(file, url)),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

const until = <A>(read: Effect.Effect<A, unknown>, holds: (value: A) => boolean) =>
  Effect.timeout(eventually(false)(read, holds), patience)

describe("the README's program", () => {
  it("is a complete program", () => {
    assert.include(readme, "NodeRuntime.runMain")
  })

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(
      `has one leader among three processes; after ${signal} the leader hands over and deregisters`,
      () =>
        Effect.gen(function*() {
          const { url } = yield* startNatsServer({ line: "2.15" })
          const file = yield* programFile
          const all = yield* Effect.all(Array.from({ length: 3 }, () => startIn(file, url)), { concurrency: 3 })
          const said = () => all.map((one) => one.said).join("\n---\n")
          const leading = () => all.filter((one) => one.ledAt !== undefined)
          yield* Effect.gen(function*() {
            const registry = yield* Registry.Registry
            const election = yield* Election.Election
            yield* until(registry.list("orders"), (live) => live.length === 3)
            yield* until(Effect.sync(leading), (some) => some.length > 0)
            assert.strictEqual(leading().length, 1, said())
            const first = leading()[0] ?? assert.fail("no process is leader")
            const token = Option.getOrThrow(yield* election.leader("report")).token

            const asked = performance.now()
            first.child.kill(signal)
            const exitCode = yield* Effect.promise(() => first.exit)
            yield* until(Effect.sync(leading), (some) => some.length > 1)
            const next = leading().find((one) => one !== first) ?? assert.fail("no process is leader")
            assert.isBelow(next.ledAt! - asked, handOver, said())
            assert.include([130, 143], exitCode, said())
            // The third process still waits, and the instance was deregistered at once instead of expiring.
            assert.strictEqual(leading().length, 2, said())
            assert.strictEqual((yield* registry.list("orders", { includeExpired: true })).length, 2)
            const after = Option.getOrThrow(yield* election.leader("report")).token
            assert.isAbove(after.revision, token.revision)
          }).pipe(Effect.provide(Aegis.layerNats({ servers: url })))
        }),
      60_000
    )
  }
})
