/** The settings of a bucket's stream change while a store is open, on the simulated servers of both lines. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { bytes } from "../../tools/values.ts"
import { reasonOf } from "../support/suite.ts"
import { api, change, changes, outdatedReads } from "./changes/index.ts"

type Services = NatsClient.NatsClient | Scope.Scope

/** Runs a test in its own simulation, on one machine. */
const simulated = <E>(
  server: "2.10" | "2.15",
  body: (
    simulation: Simulation.Simulation["Service"],
    node: Simulation.SimulatedNode
  ) => Effect.Effect<void, E, Services>
) => {
  const program = Effect.gen(function*() {
    const simulation = yield* Simulation.Simulation
    const node = yield* simulation.node("a")
    const client = Context.get(yield* Layer.build(node.client), NatsClient.NatsClient)
    yield* node.run(
      Effect.scoped(Effect.provideService(body(simulation, node), NatsClient.NatsClient, client))
    )
  })
  return Effect.asVoid(Simulation.run(program, { server, limit: Duration.hours(24) }))
}

for (const server of ["2.10", "2.15"] as const) {
  describe(`simulated ${server}: a bucket that changes`, () => {
    changes((title, body) =>
      it.live(title, () =>
        simulated(server, (simulation) =>
          body({
            isOld: server === "2.10",
            dropConsumers: (bucket) => Effect.orDie(simulation.bucket(bucket).dropConsumers)
          })))
    )
  })
}

describe("simulated: a bucket that gets replicas", () => {
  const { whenKey } = KVStore.KVOptions

  /** Opens a bucket with one replica, and gives it three, of which two lag behind. */
  const grown = (simulation: Simulation.Simulation["Service"]) =>
    Effect.gen(function*() {
      const store = yield* NatsKVStore.make({ bucket: "b", historySize: 2 })
      yield* store.put("own", bytes("first"))
      yield* change("b", { num_replicas: 3 })
      yield* simulation.bucket("b").lag("100 millis")
      return store
    })

  it.live("reads that decide are current at once, all others within a minute", () =>
    simulated("2.15", (simulation) =>
      Effect.gen(function*() {
        const store = yield* grown(simulation)
        assert.strictEqual(yield* outdatedReads(store, 50, { fromLeader: true }), 0)
        assert.isAbove(yield* outdatedReads(store, 50), 0)
        yield* Effect.sleep("65 seconds")
        assert.strictEqual(yield* outdatedReads(store, 50), 0)
      })))

  it.live("createOnly, updateOnly and modify are not misled by an outdated replica", () =>
    simulated("2.15", (simulation) =>
      Effect.gen(function*() {
        const store = yield* grown(simulation)
        const texts = KVStore.typedWith(store, KVStore.StringFromUtf8)
        for (let n = 0; n < 20; n++) {
          yield* store.put("a", bytes("1"), KVStore.KVOptions.createOnly)
          yield* store.put("a", bytes("2"), KVStore.KVOptions.updateOnly)
          // Deletes the value, and would do nothing if it saw none.
          yield* texts.modify("a", () => Option.none())
        }
        assert.isTrue(Option.isNone(yield* store.get("a", { fromLeader: true })))
        assert.isAbove(yield* outdatedReads(store, 50), 0)
      })))

  it.live("a history that decides ends with the last message", () =>
    simulated("2.15", (simulation) =>
      Effect.gen(function*() {
        const store = yield* grown(simulation)
        for (let n = 0; n < 20; n++) {
          const revision = yield* store.put("a", bytes("1"))
          const [newest] = yield* store.history("a", { fromLeader: true })
          assert.strictEqual((newest as KVStore.Put).entry.revision, revision)
        }
        yield* store.purge("a")
        const removed = yield* store.history("a", { fromLeader: true })
        assert.deepStrictEqual(removed.map(({ _tag }) => _tag), ["Removed"])
      })))

  it.live("a read is current after a write of unknown outcome", () =>
    simulated("2.15", (simulation, node) =>
      Effect.gen(function*() {
        const store = yield* grown(simulation)
        yield* node.cut("replies", "2 seconds")
        yield* Effect.flip(Effect.timeout(store.put("own", bytes("sent")), "1 second"))
        yield* Effect.sleep("2 seconds")
        for (let n = 0; n < 20; n++) {
          yield* Effect.flatMap(api, (js) => js.publish("$KV.b.own", bytes(`${n}`), [], 5000))
          const { value } = Option.getOrThrow(yield* store.get("own"))
          assert.deepStrictEqual(value, bytes(`${n}`))
        }
      })))

  it.live("whenKey is refused within a minute, and at once for number 0 and after a reconnect", () =>
    simulated("2.15", (_simulation, node) =>
      Effect.gen(function*() {
        for (const how of ["a minute", "a reconnect"] as const) {
          const bucket = how === "a minute" ? "b" : "c"
          const store = yield* NatsKVStore.make({ bucket })
          const guard = yield* store.put("guard", bytes("1"))
          yield* store.put("a", bytes("1"), whenKey("guard", guard))
          yield* change(bucket, { num_replicas: 3 })
          const guarded = store.put("a", bytes("2"), whenKey("guard", guard))
          if (how === "a minute") {
            // Number 0 requests them.
            yield* guarded
            yield* reasonOf(store.put("a", bytes("2"), whenKey("none", 0)), "InvalidConfig")
            yield* reasonOf(guarded, "InvalidConfig")
            yield* change(bucket, { num_replicas: 1 })
            yield* Effect.sleep("65 seconds")
            yield* guarded
            yield* change(bucket, { num_replicas: 3 })
            yield* Effect.sleep("65 seconds")
          } else {
            yield* node.disconnect
          }
          // The first write that is sent after the reconnect.
          const sent = Effect.retry(guarded, {
            while: ({ isRetryable }) => isRetryable,
            schedule: Schedule.spaced("1 millis")
          })
          const { problem } = yield* reasonOf(sent, "InvalidConfig")
          assert.match(problem, /guardedWrites: true.*3 replicas/)
        }
      })))
})
