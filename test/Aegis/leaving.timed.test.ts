/** A process ends at SIGTERM and SIGINT: soon if its server answers, within `leaveTimeout` if it does not. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { type NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"

const program = fileURLToPath(new URL("leaving/program.ts", import.meta.url))

const may = (publish: string) =>
  `authorization { users: [ { user: app, password: app, permissions: { publish: ${publish}, subscribe: "_INBOX.>" } } ] }`

const everything = may(`">"`)
const noWrites = may(`{ allow: ">", deny: "$KV.>" }`)

/** Starts the process, runs `before` once it is ready, sends the signal, and returns how long it took to end. */
const endOf = Effect.fnUntraced(function*(
  line: Line,
  signal: "SIGTERM" | "SIGINT",
  before: (server: NatsServer) => Effect.Effect<unknown, unknown>
) {
  const server = yield* startNatsServer({ line, config: everything })
  const ready = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<number | string | null>()
  let output = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [program, server.url], { stdio: ["ignore", "pipe", "inherit"] })
      child.stdout.setEncoding("utf8").on("data", (text) => {
        output += text
        if (output.includes("ready")) Deferred.doneUnsafe(ready, Effect.void)
      })
      child.once("close", (code, signal) => Deferred.doneUnsafe(ended, Effect.succeed(code ?? signal)))
      return child
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  yield* Deferred.await(ready)
  yield* before(server)
  const from = yield* Clock.currentTimeMillis
  child.kill(signal)
  const code = yield* Effect.timeout(Deferred.await(ended), "20 seconds")
  const millis = (yield* Clock.currentTimeMillis) - from
  return { code, millis, output }
})

for (const line of lines) {
  describe(`a process that registers and leads, ${line}`, () => {
    const cases = [
      ["with its server there", "SIGTERM", () => Effect.void, 1000],
      ["with its server there", "SIGINT", () => Effect.void, 1000],
      ["with its server away", "SIGTERM", ({ kill }) => Effect.andThen(kill, Effect.sleep("300 millis")), 3500],
      ["with its server frozen", "SIGTERM", ({ pause }) => pause, 4000],
      ["with its writes refused", "SIGTERM", ({ reload }) => reload(noWrites), 1500]
    ] as const satisfies ReadonlyArray<
      readonly [string, "SIGTERM" | "SIGINT", (server: NatsServer) => Effect.Effect<unknown, unknown>, number]
    >
    // The older line differs in nothing but its answers.
    for (const [what, signal, before, limit] of line === "2.15" ? cases : cases.slice(-2)) {
      it.live(
        `ends ${what} within ${Duration.format(Duration.millis(limit))} of ${signal}`,
        () =>
          Effect.gen(function*() {
            const { code, millis, output } = yield* endOf(line, signal, before)
            assert.isAtMost(millis, limit, output)
            assert.strictEqual(code, 130, output)
          }),
        40_000
      )
    }
  })
}
