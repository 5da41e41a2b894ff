/** Runs the example as its readers do. It imports the package by name, so it needs a build. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { type Ended, linesInOrder, runProgram } from "../support/program.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const program = `${root}examples/kv-expiration.ts`

const onServer = (url: string) => runProgram([program], { env: { AEGIS_NATS_URL: url } })

const reported = /a watch has reported: price \(expire\)/
const unsupported = /not on this server: .*expiryMarkers.*2\.11.*2\.10\.\d+/

const checkRun = (where: RegExp, ofMarkers: RegExp) => ({ code, stderr, stdout }: Ended) => {
  assert.strictEqual(code, 0, `${stdout}\n${stderr}`)
  assert.strictEqual(stderr, "")
  const lines = [
    /price was written three times: its history has 3 values/,
    /price has expired, its latest value too: its history has 0 values/,
    /a watch has reported [01] removals/,
    ...(ofMarkers === reported ? [/price was written$/] : []),
    ofMarkers,
    /live: worker-1, worker-2$/,
    /live: worker-1$/,
    /stored: worker-1, worker-2$/,
    /found expired: worker-2; its next heartbeat comes before the removal/,
    /worker-2 was written since, and is kept/,
    /worker-2 was removed/,
    /getUnexpired returns Ann's/,
    /session has expired: get returns Ann's, getUnexpired returns none/,
    /getUnexpired has removed it: get returns none/
  ]
  linesInOrder(stdout, [where, ...lines])
  const timed = stdout.split("\n").filter((line) => /^ +\d+\.\d\d s /.test(line))
  assert.strictEqual(timed.length, lines.length, stdout)
}

// Concurrent, since each of these tests mostly waits.
describe("the kv-expiration example", { concurrent: true }, () => {
  it.live(
    "runs in memory if AEGIS_NATS_URL is empty",
    () => Effect.map(runProgram([program], { env: { AEGIS_NATS_URL: "" } }), checkRun(/in memory/, reported)),
    60_000
  )

  it.live("runs on a server that tools/withServer.ts starts on request", () =>
    Effect.map(
      runProgram([`${root}tools/withServer.ts`, "--on-request", "--", process.execPath, program, "--nats"]),
      checkRun(/on nats-server 2\.1[5-9]/, reported)
    ), 60_000)

  for (const line of ["2.10", "2.15"] as const) {
    it.live(`runs on a ${line} server, and again on the same buckets`, () =>
      Effect.gen(function*() {
        const { url, version } = yield* startNatsServer({ line })
        const check = checkRun(new RegExp(`on nats-server ${version}`), line === "2.10" ? unsupported : reported)
        check(yield* onServer(url))
        check(yield* onServer(url))
      }), 60_000)
  }

  it.live("ends at SIGTERM", () =>
    Effect.map(runProgram([program], { terminateAt: /three times/ }), ({ code, stderr, stdout }) => {
      assert.strictEqual(code, 130)
      assert.strictEqual(stderr, "")
      assert.match(stdout, /interrupted\n$/)
    }))

  for (const url of ["nats://127.0.0.1:1", "not a url"]) {
    it.live(`reports why AEGIS_NATS_URL="${url}" fails, and what to do`, () =>
      Effect.map(onServer(url), ({ code, stderr, stdout }) => {
        assert.strictEqual(code, 1)
        assert.strictEqual(stdout, "")
        assert.match(stderr, /^kv-expiration: connect: [^\n]+\nStart a server [^\n]+AEGIS_NATS_URL[^\n]+\n$/)
      }))
  }
})
