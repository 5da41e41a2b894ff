/** Whether a store is in reach: by its connection, and by the watches of its bucket. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { one } from "../../../../src/internal/filters.ts"
import * as config from "../../../../src/internal/kv/config.ts"
import { make as makeBackend } from "../../../../src/internal/nats/bucket/bucket.ts"
import { isInReach, type Reach } from "../../../../src/internal/nats/bucket/reach.ts"
import { requesterOf } from "../../../../src/internal/nats/service.ts"
import { Unavailable } from "../../../../src/KVStoreError.ts"
import * as NatsClient from "../../../../src/NatsClient.ts"
import * as Simulation from "../../../../src/testing/Simulation.ts"
import { keepAlive, makeServer, pass, settle, startWatch } from "../../../support/fakeServer.ts"

describe("a store is in reach", () => {
  const heard = { isHeard: true }
  const lost = { isHeard: false }
  const table = [
    ["with a connection and no watch", true, [], true],
    ["with a watch that hears its consumer", true, [heard], true],
    ["with one such watch of several", true, [lost, heard, lost], true],
    ["not with watches that hear nothing", true, [lost, lost], false],
    ["not without a connection", false, [], false],
    ["not without a connection, whatever was heard", false, [heard], false]
  ] as const
  for (const [when, isLinkUp, watches, is] of table) {
    it(when, () => assert.strictEqual(isInReach(isLinkUp, watches), is))
  }
})

describe("the reachability of a watched store", () => {
  /** Records the changes as `<state> <seconds>`. */
  const recordChanges = Effect.fnUntraced(function*(reach: Reach) {
    const changes: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(reach.changes, ({ _tag, at }) => Effect.sync(() => changes.push(`${_tag} ${at / 1000}`)))
    )
    yield* settle
    return changes
  })

  it.effect("ends with the last message of a consumer that is not heard any more, and begins with the next consumer", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { reach } = yield* startWatch(server)
      const changes = yield* recordChanges(reach)
      yield* keepAlive(server.consumers[0]!, 0, 10)
      assert.deepStrictEqual(changes, ["Reachable 0"])
      server.state.infoFails = new Unavailable({ problem: "not connected" })
      yield* pass(5000)
      assert.deepStrictEqual(changes, ["Reachable 0", "Unreachable 10"])
      server.state.infoFails = undefined
      yield* pass(2000)
      assert.strictEqual(changes.length, 3)
      assert.match(changes[2]!, /^Reachable 1[56]/)
    }))

  it.effect("is not lost by a gap, by another stream, or by the end of the watch", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { fiber, reach, restarts } = yield* startWatch(server)
      const changes = yield* recordChanges(reach)
      server.consumers[0]!.heartbeat(7)
      yield* pass(200)
      Object.assign(server.stream, { created: "2026-11-02T00:00:00Z", lastRevision: 7 })
      server.consumers[1]!.heartbeat(7)
      yield* pass(200)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([restarts, changes], [["gap", "gap"], ["Reachable 0"]])
    }))

  it.effect("ends with the connection, and returns with the consumer, not with the connection alone", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { reach } = yield* startWatch(server)
      const changes = yield* recordChanges(reach)
      yield* keepAlive(server.consumers[0]!, 0, 3)
      reach.link(false)
      yield* settle
      assert.deepStrictEqual(changes, ["Reachable 0", "Unreachable 3"])
      reach.link(true)
      yield* settle
      assert.strictEqual(changes.length, 2)
      server.tell({ _tag: "Connected" })
      yield* pass(100)
      assert.match(changes[2]!, /^Reachable 3/)
    }))

  it.effect("follows the connection without a watch", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { fiber, reach } = yield* startWatch(server)
      yield* Fiber.interrupt(fiber)
      const changes = yield* recordChanges(reach)
      yield* pass(1000)
      reach.link(false)
      yield* pass(1000)
      reach.link(true)
      yield* settle
      assert.deepStrictEqual(changes, ["Reachable 0", "Unreachable 1", "Reachable 2"])
    }))
})

describe("the reachability of a store in a simulation", () => {
  it.effect("follows the faults of the network and of the server", () =>
    Simulation.run(
      Effect.gen(function*() {
        const simulation = yield* Simulation.Simulation
        const node = yield* simulation.node("a")
        const changes: Array<string> = []
        const last = () => changes.at(-1)
        const within = Effect.fnUntraced(function*(state: string, millis: number) {
          for (let passed = 0; passed < millis && last() !== state; passed += 50) yield* Effect.sleep("50 millis")
          assert.strictEqual(last(), state)
        })
        yield* node.run(Effect.scoped(Effect.gen(function*() {
          const client = Context.get(yield* Layer.build(node.client), NatsClient.NatsClient)
          const backend = yield* makeBackend(requesterOf(client)!, yield* config.make({ bucket: "b" }))
          yield* Effect.forkScoped(
            Stream.runForEach(backend.reachability, ({ _tag }) => Effect.sync(() => changes.push(_tag)))
          )
          yield* Effect.forkScoped(Stream.runDrain(backend.follow(one(">"), "snapshot")))
          yield* Effect.sleep("20 seconds")
          assert.deepStrictEqual(changes, ["Reachable"])
          for (const direction of ["both", "replies"] as const) {
            yield* node.cut(direction, "8 seconds")
            yield* within("Unreachable", 6500)
            yield* within("Reachable", 12_000)
            yield* Effect.sleep("20 seconds")
          }
          yield* Effect.andThen(simulation.pauseServer("10 seconds"), within("Unreachable", 2500))
          yield* within("Reachable", 12_000)
          assert.strictEqual(changes.length, 7)
        })))
      })
    ))
})
