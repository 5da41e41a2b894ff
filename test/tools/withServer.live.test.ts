import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { runProgram } from "../support/program.ts"

const wrapper = fileURLToPath(new URL("../../tools/withServer.ts", import.meta.url))

const connects = `
  import * as Net from "node:net"
  const { hostname, port } = new URL(process.env.AEGIS_NATS_URL)
  const greeting = () => new Promise((resolve, reject) => {
    Net.connect(Number(port), hostname).once("data", (text) => resolve(text.subarray(0, 4))).once("error", reject)
  })
`

const script = (text: string) => [process.execPath, "--input-type=module", "-e", text]

const run = (args: ReadonlyArray<string>, options?: Parameters<typeof runProgram>[1]) =>
  runProgram([wrapper, ...args], options)

describe("tools/withServer.ts", () => {
  for (const line of ["2.10", "2.15"]) {
    it.live(`runs the command with a server of the line ${line} and exits with the command's code`, () =>
      Effect.gen(function*() {
        const program = `${connects} console.log(String(await greeting())); process.exit(7)`
        const { code, stderr, stdout } = yield* run(["--line", line, "--", ...script(program)])
        assert.deepStrictEqual([code, stdout], [7, "INFO\n"], stderr)
      }))
  }

  it.live("forwards SIGTERM to the command and stops the server after the command has ended", () =>
    Effect.gen(function*() {
      const program = `${connects}
        process.on("SIGTERM", async () => {
          console.log(String(await greeting()))
          process.exit(3)
        })
        setInterval(() => undefined, 1000)
        console.log(process.env.AEGIS_NATS_URL)
      `
      const { code, stderr, stdout } = yield* run(["--", ...script(program)], { terminateAt: /\n/ })
      assert.strictEqual(code, 3, stderr)
      const [url = "", greeting] = stdout.split("\n")
      assert.strictEqual(greeting, "INFO")
      const env = { AEGIS_NATS_URL: url }
      const after = yield* run(
        ["--", ...script(`${connects} await greeting().catch(({ code }) => console.log(code))`)],
        {
          env
        }
      )
      assert.strictEqual(after.stdout, "ECONNREFUSED\n")
    }))

  it.live("starts no server if AEGIS_NATS_URL is set or --nats is missing with --on-request", () =>
    Effect.gen(function*() {
      const print = script("console.log(String(process.env.AEGIS_NATS_URL))")
      const set = yield* run(["--", ...print], { env: { AEGIS_NATS_URL: "nats://example:4222" } })
      assert.strictEqual(set.stdout, "nats://example:4222\n")
      const notRequested = yield* run(["--on-request", "--", ...print])
      assert.strictEqual(notRequested.stdout, "undefined\n")
      const requested = yield* run(["--on-request", "--", ...print, "--", "--nats"])
      assert.match(requested.stdout, /^nats:\/\/127\.0\.0\.1:\d+\n$/)
    }))

  it.live("exits with 137 if SIGKILL ended the command, and with 2 if no command was given", () =>
    Effect.gen(function*() {
      const killed = yield* run(["--on-request", "--", ...script("process.kill(process.pid, 'SIGKILL')")])
      assert.strictEqual(killed.code, 137)
      const none = yield* run([])
      assert.deepStrictEqual([none.code, none.stdout], [2, ""])
      assert.match(none.stderr, /^withServer: there is no command\nnode tools\/withServer\.ts/)
    }))
})
