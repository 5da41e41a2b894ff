/** The answers of a real server that is killed are linearizable: a short run of `node bench/run.ts linearizability`. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { judge } from "../../bench/linearizability.ts"
import { type Load, record } from "../../bench/support/processes.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { type Operation, recorder } from "../../src/testing/Linearizability.ts"
import { lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"

/** The server is killed once or twice, a client at most once. */
const load: Omit<Load, "line"> = {
  storage: "file",
  clients: 2,
  keys: 4,
  lasts: Duration.seconds(5),
  serverDies: Duration.seconds(2),
  clientDies: Duration.seconds(3)
}

/** A bucket in the memory of its server, and the recorded history of its answers. */
const openForgetful = Effect.fnUntraced(function*(url: string) {
  const context = yield* Layer.build(
    NatsKVStore.layer({ bucket: "recorded", storage: "memory" }).pipe(Layer.provide(NatsClient.layer({ servers: url })))
  )
  const history: Array<Operation> = []
  const recorded = recorder({ process: "one", now: () => performance.now(), history })
  return { history, store: recorded(Context.get(context, KVStore.KVStore)) }
})

/** Repeats a request until the server is available again. */
const onceAnswered = <A>(ask: Effect.Effect<A, KVStore.KVStoreError>) =>
  Effect.retry(ask, {
    schedule: Schedule.spaced("50 millis"),
    times: 600,
    while: ({ reason }) => reason._tag === "Unavailable"
  })

describe("the answers of a killed server to killed processes", () => {
  for (const line of lines) {
    it.live(`are linearizable: ${line}`, () =>
      Effect.gen(function*() {
        const { numbers, problems } = judge(yield* record({ ...load, line }), 3)
        assert.deepStrictEqual(problems, [])
        assert.isAtLeast(numbers.operations, 100)
        assert.isAtLeast(numbers.serverKills, 1)
        assert.strictEqual(numbers.changedRefused, 3)
      }), 60_000)
  }

  it.live("are not linearizable if the server loses acknowledged writes", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line: "2.15" })
      const { history, store } = yield* openForgetful(server.url)
      yield* store.put("key", new Uint8Array([1]))
      yield* server.kill
      yield* server.restart
      assert.deepStrictEqual(yield* onceAnswered(store.get("key")), Option.none())
      const recorded = { version: server.version, history, serverKills: 1, clientKills: 0, stuck: 0, broken: 0 }
      const { numbers, problems } = judge(recorded, 1)
      assert.strictEqual(numbers.verdict, "NotLinearizable")
      assert.include(problems[0], "not linearizable: key \"key\"")
    }), 60_000)
})
