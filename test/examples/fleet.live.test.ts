/** Runs the example as its readers do. It imports the package by name, so it needs a build. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { type Ended, linesInOrder, runProgram } from "../support/program.ts"

const program = fileURLToPath(new URL("../../examples/fleet.ts", import.meta.url))

const onServer = (url: string) => runProgram([program], { env: { AEGIS_NATS_URL: url } })

const instances = ["orders-1", "orders-2", "orders-3", "billing-1", "billing-2"]

/** Leader, term and token of each term, in order. */
const termsIn = (stdout: string) => [...stdout.matchAll(/(\S+) +LEADS, term (\d+), fencing token (\S+)/g)]

const checkRun = ({ code, stderr, stdout }: Ended, where: RegExp) => {
  assert.strictEqual(code, 0, `${stdout}\n${stderr}`)
  assert.strictEqual(stderr, "")
  const terms = termsIn(stdout)
  assert.deepStrictEqual(
    terms.map(([, , term]) => term),
    [...terms.keys()].map((index) => String(index + Number(terms[0]![2])))
  )
  assert.strictEqual(new Set(terms.map(([, leader]) => leader)).size, 3, "three leaders")
  const tokens = terms.map(([, , , token]) => token!)
  assert.deepStrictEqual(tokens, tokens.toSorted(), "tokens increase")
  const first = terms[0]![1]
  linesInOrder(stdout, [
    where,
    new RegExp(`> ${first} crashes`),
    // Not "no leader": the next leader can win before the observer's wait for the end of the lease is over.
    /> \S+ resigns/,
    /> billing-2 shuts down/,
    /billing-2 +deregistered/,
    /> the others shut down/,
    /orders-\d +deregistered/
  ])
  // On a slow machine the heartbeats of billing-1 can stop before the other instances have registered.
  linesInOrder(stdout, [/billing-1 +expired/, /billing-1 +cleaned up/, /> the others shut down/])
  assert.match(stdout, new RegExp(`${first} +cleaned up`))
}

/** Every instance deregisters, except the first leader, which has crashed. */
const checkTermination = ({ code, stderr, stdout }: Ended) => {
  assert.strictEqual(code, 130, `${stdout}\n${stderr}`)
  assert.strictEqual(stderr, "")
  const shutdown = stdout.split("interrupted: the instances shut down")[1] ?? ""
  const deregistered = [...shutdown.matchAll(/(\S+) +deregistered/g)].map(([, instanceId]) => instanceId!)
  const crashed = termsIn(stdout)[0]![1]
  assert.deepStrictEqual(deregistered.toSorted(), instances.filter((one) => one !== crashed).toSorted(), stdout)
}

const terminateAt = /crashes/

describe("the fleet example", () => {
  it.live("runs in memory", () => Effect.map(runProgram([program]), (ended) => checkRun(ended, /in memory/)), 60_000)

  for (const line of ["2.10", "2.15"] as const) {
    it.live(
      `runs with a process for each instance on ${line}${line === "2.15" ? ", and again on the same bucket" : ""}`,
      () =>
        Effect.gen(function*() {
          const { url, version } = yield* startNatsServer({ line })
          const where = new RegExp(`on nats-server ${version}, with a process for each instance`)
          checkRun(yield* onServer(url), where)
          if (line === "2.15") checkRun(yield* onServer(url), where)
        }),
      90_000
    )
  }

  it.live(
    "deregisters its instances at SIGTERM, in memory",
    () => Effect.map(runProgram([program], { terminateAt }), checkTermination),
    60_000
  )

  it.live("deregisters its instances at SIGTERM, and ends after all its processes", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line: "2.15" })
      // The processes inherit stderr, which closes when the last of them ends: `runProgram` waits for that.
      checkTermination(yield* runProgram([program], { env: { AEGIS_NATS_URL: url }, terminateAt }))
    }), 60_000)

  for (const url of ["nats://127.0.0.1:1", "not a url"]) {
    it.live(`reports why AEGIS_NATS_URL="${url}" fails, and what to do`, () =>
      Effect.map(onServer(url), ({ code, stderr, stdout }) => {
        assert.strictEqual(code, 1)
        assert.strictEqual(stdout, "")
        assert.match(stderr, /^fleet: connect: [^\n]+\nStart a server [^\n]+AEGIS_NATS_URL[^\n]+\n$/)
      }))
  }
})
