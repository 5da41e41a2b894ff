/** Runs the example as its readers do. It imports the package by name, so it needs a build. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { type Ended, linesInOrder, runProgram } from "../support/program.ts"

const program = fileURLToPath(new URL("../../examples/from-aegissdk.ts", import.meta.url))

const checkRun = (where: RegExp) => ({ code, stdout }: Ended) => {
  assert.strictEqual(code, 0, stdout)
  linesInOrder(stdout, [
    where,
    /live: effect-1, effect-2, python-1$/,
    /live: effect-1, python-1$/,
    /the loop of the document has removed effect-2$/,
    /live: effect-1$/,
    /cleanup has removed orders\/python-1: expired/,
    /stored: effect-1$/
  ])
}

describe("the from-aegissdk example", { concurrent: true }, () => {
  it.live(
    "runs in memory",
    () => Effect.map(runProgram([program], { env: { AEGIS_NATS_URL: "" } }), checkRun(/in memory/)),
    60_000
  )

  for (const line of lines) {
    it.live(`runs on a ${line} server, and again on the same bucket`, () =>
      Effect.gen(function*() {
        const { url } = yield* startNatsServer({ line })
        for (let run = 0; run < 2; run++) {
          checkRun(/on a NATS server/)(yield* runProgram([program], { env: { AEGIS_NATS_URL: url } }))
        }
      }), 60_000)
  }
})
