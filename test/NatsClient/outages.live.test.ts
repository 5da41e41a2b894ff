/** What a client logs of an outage, a start before its server, and a connection that the program closes. */
import { assert, describe, it } from "@effect/vitest"
import { connect as connectCurrent } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { connect as connectLegacy } from "nats"
import * as Buckets from "../../src/Buckets.ts"
import * as Election from "../../src/Election.ts"
import type { ElectionError } from "../../src/ElectionError.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsLegacy from "../../src/NatsLegacy.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { freePort } from "../../tools/natsServer/cluster.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import { logged, record } from "../support/suite.ts"
import { nameOf, type World, worlds } from "../support/worlds.ts"

const until = eventually(false)

/** A client over a connection that the program has opened, and closes. */
const overOwnConnection = Effect.fnUntraced(function*({ client }: World, servers: string) {
  if (client === "legacy") {
    const connection = yield* Effect.promise(() =>
      connectLegacy({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
    )
    return { connection, layer: NatsLegacy.layerFromConnection(connection) }
  }
  const connection = yield* Effect.promise(() =>
    connectCurrent({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
  )
  return { connection, layer: NatsClient.layerFromConnection(connection) }
})

const linesOf = (log: ReturnType<typeof logged>, word: string) => log.lines.filter((line) => line.includes(word))

for (const world of worlds) {
  describe(`a client, ${nameOf(world)}`, () => {
    it.live("logs an outage of its server from beginning to end in four lines", () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line: world.line })
        const { layer } = yield* overOwnConnection(world, server.url)
        const log = logged()
        yield* Effect.gen(function*() {
          yield* Layer.build(layer)
          yield* until(Effect.sync(() => linesOf(log, "connected to").length), (count) => count === 1)
          yield* server.kill
          yield* until(Effect.sync(() => linesOf(log, "cannot reconnect").length), (count) => count === 1)
          yield* Effect.sleep("1 second")
          yield* server.restart
          yield* until(Effect.sync(() => linesOf(log, "reconnected to").length), (count) => count === 1)
        }).pipe(Effect.scoped, Effect.provide(log.layer))
        const at = `127.0.0.1:${server.port} \\(nats-server ${server.version}\\)`
        const expected = [
          `^Info connected to ${at}$`,
          `^Warn disconnected from ${at}.*; reconnecting$`,
          `^Warn cannot reconnect: 127.0.0.1:${server.port}: connection refused`,
          `^Info reconnected to ${at} after [\\d.]+(s|ms)`
        ]
        assert.strictEqual(log.lines.length, expected.length, log.lines.join("\n"))
        for (const [index, line] of log.lines.entries()) assert.match(line, new RegExp(expected[index]!))
      }), 30_000)

    it.live("ends what depends on a connection that the program has closed", () =>
      Effect.gen(function*() {
        const { url } = yield* startNatsServer({ line: world.line })
        const { connection, layer } = yield* overOwnConnection(world, url)
        const log = logged()
        yield* Effect.gen(function*() {
          const store = yield* KVStore.make({ bucket: "orders" })
          const elections = yield* Election.make().pipe(Effect.provideService(KVStore.KVStore, store))
          const registry = yield* Registry.make().pipe(
            Effect.provideServiceEffect(KVStore.KVStore, KVStore.make({ bucket: "registry" }))
          )
          const registration = yield* registry.register({ serviceName: "orders", version: "1.0.0" }, {
            heartbeat: "200 millis"
          })
          const leadership = yield* elections.campaign("job", { candidateId: "one" })
          const watch = yield* Effect.forkChild(Stream.runDrain(store.watch()))
          const changes = yield* Effect.forkChild(Stream.runDrain(registry.watch("orders")))
          const standby = yield* Effect.forkChild(Effect.scoped(elections.campaign("job", { candidateId: "two" })))
          const leaders = yield* record(elections.observe("job"))
          const observed = leaders.fiber
          // The observer reads the epoch of the bucket before its first event, and nothing after it.
          yield* until(Effect.sync(() => leaders.events.length), (count) => count > 0)
          yield* Effect.promise(async () => {
            await connection.close()
          })
          const closed = (error: KVStore.KVStoreError) => {
            assert.strictEqual(error.reason._tag, "Unavailable")
            assert.isFalse(error.isRetryable)
            assert.match(error.message, /the connection was closed.*open a new connection/)
          }
          const inElection = ({ reason }: ElectionError) =>
            reason._tag === "KVStoreError" ? closed(reason) : assert.fail(reason._tag)
          const inRegistry = ({ reason }: Registry.RegistryError) =>
            reason._tag === "KVStoreError" ? closed(reason) : assert.fail(reason._tag)
          closed(yield* Effect.flip(store.get("a")))
          closed(yield* Effect.flip(store.put("a", bytes("1"))))
          closed(yield* Effect.flip(store.keys()))
          closed(yield* Effect.flip((yield* Buckets.Buckets).list()))
          closed(yield* Effect.flip(Fiber.join(watch)))
          closed(yield* Effect.flip(KVStore.make({ bucket: "other" })))
          inRegistry(yield* registration.lost)
          inRegistry(yield* Effect.flip(Fiber.join(changes)))
          inElection(yield* Effect.flip(Fiber.join(standby)))
          inElection(yield* Effect.flip(Fiber.join(observed)))
          inElection(yield* Effect.flip(Effect.scoped(elections.campaign("other"))))
          // A leader leads until its deadline.
          assert.isTrue(yield* leadership.isValid)
        }).pipe(
          Effect.scoped,
          Effect.timeout("15 seconds"),
          Effect.provide(Buckets.layerNats.pipe(Layer.provideMerge(layer), Layer.provideMerge(log.layer)))
        )
        assert.strictEqual(linesOf(log, "is closed and does not reconnect").length, 1, log.lines.join("\n"))
      }), 30_000)
  })
}

describe("a client with waitOnFirstConnect", () => {
  it.live("waits for its server, and logs that once", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const log = logged()
      const client = NatsClient.make({
        servers: `nats://127.0.0.1:${port}`,
        waitOnFirstConnect: true,
        reconnectWait: "50 millis"
      })
      const fiber = yield* Effect.forkScoped(Effect.provide(client, log.layer))
      yield* until(Effect.sync(() => linesOf(log, "waiting").length), (count) => count === 1)
      yield* Effect.sleep("1 second")
      yield* startNatsServer({ line: "2.15", port })
      const { status } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Stream.runHead(status), Option.some("connected"))
      assert.match(log.lines[0]!, /^Warn waiting for a server, 127.0.0.1:\d+: .*connection refused/)
      assert.match(log.lines[1]!, /^Info connected to 127.0.0.1/)
      assert.strictEqual(log.lines.length, 2, log.lines.join("\n"))
    }).pipe(Effect.scoped))

  it.live("fails at once if its login is refused", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line: "2.15", config: `authorization { token: "t" }` })
      const client = NatsClient.make({ servers: url, waitOnFirstConnect: true })
      const error = yield* Effect.flip(Effect.scoped(client)).pipe(Effect.timeout("5 seconds"))
      assert.strictEqual(error.reason._tag, "PermissionDenied")
    }).pipe(Effect.scoped))

  it.live("can be interrupted while it waits", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const client = NatsClient.make({ servers: `nats://127.0.0.1:${port}`, waitOnFirstConnect: true })
      const ended = yield* Effect.scoped(client).pipe(
        Effect.provide(logged().layer),
        Effect.timeoutOption("700 millis")
      )
      assert.isTrue(Option.isNone(ended))
    }))
})

describe("a client with two servers", () => {
  for (const waitOnFirstConnect of [false, true]) {
    it.live(`connects to the one that was down at its start, with waitOnFirstConnect ${waitOnFirstConnect}`, () =>
      Effect.gen(function*() {
        const [down, up] = [yield* freePort, yield* freePort]
        const first = yield* startNatsServer({ line: "2.15", port: up })
        const log = logged()
        yield* Effect.gen(function*() {
          yield* NatsClient.make({
            servers: [`nats://127.0.0.1:${down}`, `nats://127.0.0.1:${up}`],
            waitOnFirstConnect,
            reconnectWait: "50 millis"
          })
          yield* startNatsServer({ line: "2.15", port: down })
          yield* first.kill
          yield* until(
            Effect.sync(() => linesOf(log, `reconnected to 127.0.0.1:${down}`).length),
            (count) => count === 1
          )
        }).pipe(Effect.scoped, Effect.provide(log.layer))
      }))
  }
})
