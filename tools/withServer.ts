/**
 * Starts a nats-server and runs a command with the server's URL in `AEGIS_NATS_URL`:
 *
 *   node tools/withServer.ts [--line 2.10 | 2.15] [--on-request] -- <command...>
 *
 * No server is started if `AEGIS_NATS_URL` is already set, or if `--on-request` is given and the command has no
 * argument `--nats`. SIGINT, SIGTERM and SIGHUP are forwarded to the command. The server stops after the command has
 * ended. The exit code is that of the command, or 128 plus the number of the signal that ended it.
 */
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { parseArgs } from "node:util"
import { lines } from "./natsServer/binaries.ts"
import { startNatsServer } from "./natsServer/server.ts"

class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly message: string }> {}

const usage = "node tools/withServer.ts [--line 2.10 | 2.15] [--on-request] -- <command...>"

/** The exit code if the command could not be run. */
const notRun = 2

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/**
 * npm runs scripts in a shell that does not forward SIGTERM. When the shell has ended, the parent process id changes.
 */
const isNpmScript = process.env.npm_lifecycle_event !== undefined
const parentCheckInterval = 200

/** Runs the command, forwards signals to it, and returns its exit code. */
const run = (file: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv) =>
  Effect.callback<number, CommandFailed>((resume) => {
    const child = spawn(file, args, { stdio: "inherit", env })
    const pass = (signal: NodeJS.Signals) => child.kill(signal)
    for (const signal of signals) process.on(signal, pass)
    const { ppid } = process
    const parentCheck = isNpmScript
      ? setInterval(() => process.ppid === ppid || child.kill("SIGTERM"), parentCheckInterval)
      : undefined
    const settle = (ended: Effect.Effect<number, CommandFailed>) => {
      clearInterval(parentCheck)
      for (const signal of signals) process.off(signal, pass)
      resume(ended)
    }
    child.once("error", ({ message }) => settle(Effect.fail(new CommandFailed({ message }))))
    child.once(
      "exit",
      (code, signal) => settle(Effect.succeed(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
    )
  })

const parse = () => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { line: { type: "string", default: "2.15" }, "on-request": { type: "boolean", default: false } }
  })
  const line = lines.find((known) => known === values.line)
  if (line === undefined) throw new Error(`--line: expected ${lines.join(" or ")}, got ${values.line}`)
  const [file, ...args] = positionals
  if (file === undefined) throw new Error("there is no command")
  return { line, file, args, onRequest: values["on-request"] }
}

const main = Effect.gen(function*() {
  const { args, file, line, onRequest } = yield* Effect.try({
    try: parse,
    catch: (error) => new CommandFailed({ message: `${error instanceof Error ? error.message : error}\n${usage}` })
  })
  // An empty variable counts as not set, as in Effect's Config.
  const hasServer = (process.env.AEGIS_NATS_URL ?? "") !== ""
  const needsServer = !hasServer && (!onRequest || args.includes("--nats"))
  if (!needsServer) return yield* run(file, args, process.env)
  // Ctrl-C signals every process in the terminal's group; `detached` keeps the server running until the command ends.
  const { url } = yield* startNatsServer({ line, detached: true })
  return yield* run(file, args, { ...process.env, AEGIS_NATS_URL: url })
}).pipe(
  Effect.scoped,
  Effect.catch(({ message }) => Effect.as(Console.error(`withServer: ${message}`), notRun))
)

process.exitCode = await Effect.runPromise(main)
