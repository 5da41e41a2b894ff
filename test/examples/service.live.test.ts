/** `examples/service`: two processes, a crash of the leader, an outage of the server, and SIGTERM. */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Aegis from "../../src/Aegis.ts"
import { eventually } from "../../tools/eventually.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { linesInOrder, runProgram } from "../support/program.ts"

const until = eventually(false)
const pathOf = (file: string) => fileURLToPath(new URL(`../../examples/${file}`, import.meta.url))

it.live("two processes count together, another one leads after a crash, and both end", () =>
  Effect.gen(function*() {
    const { url } = yield* startNatsServer({ line: "2.15" })
    const { code, stdout } = yield* runProgram([pathOf("service.ts")], { env: { AEGIS_NATS_URL: url } })
    assert.strictEqual(code, 0, stdout)
    linesInOrder(stdout, [
      /counts 1 apples/,
      /counts 2 apples/,
      /orders-\d reports 2 apples/,
      /> kill orders-\d, which leads/,
      /elected leader of "report" in term 2/,
      /orders-(\d) leads; its health: registered orders-\1, report: Leading/,
      /> SIGTERM to orders-\d/,
      /handed over the leadership of "report"/,
      /deregistered orders\/orders-\d/,
      /no live instances/
    ])
  }), 60_000)

it.live(
  "a process is healthy and ready during an outage of the server, drains after SIGTERM, and ends",
  () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line: "2.15" })
      const ended = yield* Deferred.make<number | string | null>()
      let output = ""
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const env = { ...process.env, AEGIS_NATS_URL: server.url, AEGIS_TIMINGS: "fast" }
          const child = spawn(process.execPath, [pathOf("service/main.ts"), "orders-1"], {
            env,
            stdio: ["ignore", "pipe", 2]
          })
          child.stdout!.setEncoding("utf8").on("data", (text) => {
            output += text
          })
          child.once("close", (code, signal) => Deferred.doneUnsafe(ended, Effect.succeed(code ?? signal)))
          return child
        }),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const has = (text: string) => until(Effect.sync(() => output.includes(text)), (isThere) => isThere)
      yield* has("elected leader of \"report\" in term 1")
      const port = /Listening on \S+:(\d+)/.exec(output)![1]!
      const answer = Effect.promise(() => fetch(`http://127.0.0.1:${port}/health`))
      const decode = Schema.decodeUnknownEffect(Aegis.Health)
      const health = Effect.gen(function*() {
        const response = yield* answer
        const { connected, elections, registrations } = yield* decode(yield* Effect.promise(() => response.json()))
        return [
          response.status,
          connected,
          ...registrations.map(({ instanceId }) => instanceId),
          ...elections.map(({ election, state }) => `${election}: ${state}`)
        ]
      })
      const state = (connected: boolean, election: string) => [200, connected, "orders-1", election]
      assert.deepStrictEqual(yield* health, state(true, "report: Leading"))
      yield* server.kill
      yield* has("lost the leadership of \"report\"")
      // Its work stops first.
      yield* until(health, (now) => now.at(-1) === "report: Campaigning")
      assert.deepStrictEqual(yield* health, state(false, "report: Campaigning"))
      yield* server.restart
      yield* has("elected leader of \"report\" in term 2")
      assert.deepStrictEqual(yield* health, state(true, "report: Leading"))
      child.kill("SIGTERM")
      yield* has("draining orders/orders-1")
      // The server answers while the instance drains, so that a load balancer sees it leave.
      assert.strictEqual((yield* answer).status, 503)
      assert.strictEqual(yield* Deferred.await(ended), 130, output)
      assert.include(output, "deregistered orders/orders-1")
    }),
  60_000
)
