/** Programs that a test runs as separate processes, and checks of their output. */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"

export interface Ended {
  /** Exit code, or the name of the signal that ended the process. */
  readonly code: number | string | null
  readonly stdout: string
  readonly stderr: string
}

interface Options {
  /** Environment variables. `AEGIS_NATS_URL` is unset unless it is given here. */
  readonly env?: { readonly [name: string]: string }
  /** Sends SIGTERM as soon as the output matches. */
  readonly terminateAt?: RegExp
}

/** Milliseconds until a program is killed. The longest program takes about 10 s, longer on a busy machine. */
const timeout = 40_000

/** Runs `node <args>` until it ends. */
export const runProgram = (args: ReadonlyArray<string>, { env, terminateAt }: Options = {}) =>
  Effect.callback<Ended>((resume) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, AEGIS_NATS_URL: undefined, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout,
      killSignal: "SIGKILL"
    })
    let [stdout, stderr] = ["", ""]
    let terminated = false
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text
      if (terminated || terminateAt?.test(stdout) !== true) return
      terminated = true
      child.kill("SIGTERM")
    })
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text
    })
    child.once("close", (code, signal) => resume(Effect.succeed({ code: code ?? signal, stdout, stderr })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Fails unless each pattern matches a line after the line of the previous pattern. */
export const linesInOrder = (output: string, patterns: ReadonlyArray<RegExp>): void => {
  const lines = output.split("\n")
  let next = 0
  for (const pattern of patterns) {
    const found = lines.findIndex((line, index) => index >= next && pattern.test(line))
    if (found < 0) throw new Error(`${pattern} matches no line from line ${next + 1}:\n${output}`)
    next = found + 1
  }
}
