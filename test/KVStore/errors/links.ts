/** Servers and links that are missing, paused, or closed: operations end in time, with the known outcome of writes. */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import { bytes } from "../../../tools/values.ts"
import { record } from "../../support/suite.ts"
import type { World } from "../../support/worlds.ts"
import { shown } from "../suite/fixture.ts"
import { clientOver, connectionTo, everyOperation, refused, server, type Test, until } from "./fixture.ts"

/** A store over an existing connection. */
const overTheirs = Effect.fnUntraced(function*(world: World) {
  const { url } = yield* server(world)
  const connection = yield* connectionTo(world, { servers: url })
  const layer = Layer.provide(NatsKVStore.layer({ bucket: "orders" }), clientOver(world, connection))
  const store = Context.get(yield* Layer.build(layer), KVStore.KVStore)
  yield* store.put("a", bytes("1"))
  return { connection, store }
})

/** Only messages about writes add that nothing was written. */
const unwritten = { read: [], write: ["nothing was written"] } as const

const watching = Effect.fnUntraced(function*(store: KVStore.KVStore["Service"]) {
  const { events, fiber } = yield* record(store.watch())
  yield* until(Effect.sync(() => events.map(shown)), (words) => words.includes("ready"))
  return fiber
})

export const links = (test: Test, world: World) => {
  if (world.client === "current") {
    test("connecting to a stopped server fails with Unavailable", () =>
      Effect.gen(function*() {
        const { clientFor, kill, port } = yield* server(world)
        yield* kill
        yield* refused(Layer.build(clientFor()), {
          at: "connect",
          reason: "Unavailable",
          says: [`127.0.0.1:${port}`],
          isRetryable: true,
          within: 4000
        })
      }))
  }

  test("with a paused server reads fail with Unavailable, and writes with OutcomeUnknown", () =>
    Effect.gen(function*() {
      const { openAs, pause, resume } = yield* server(world)
      const timeout = Duration.millis(400)
      const store = yield* openAs(undefined, { bucket: "orders", historySize: 5, timeout })
      yield* store.put("a", bytes("1"))
      yield* pause
      yield* Effect.forEach(
        everyOperation(store),
        ([at, kind, attempt]) =>
          refused<unknown, never, "OutcomeUnknown" | "Unavailable">(attempt, {
            at,
            reason: kind === "write" ? "OutcomeUnknown" : "Unavailable",
            isRetryable: kind === "read",
            says: kind === "write" ? ["may have been stored", "read before writing again"] : ["in time"],
            within: Duration.toMillis(timeout) + 500
          }),
        { concurrency: "unbounded" }
      )
      yield* resume
    }))

  test("operations in flight end when the server is killed, before their timeout", () =>
    Effect.gen(function*() {
      const { kill, openAs, pause } = yield* server(world)
      const store = yield* openAs(undefined, { bucket: "orders", historySize: 5, timeout: "10 seconds" })
      yield* store.put("a", bytes("1"))
      yield* pause
      const attempts = yield* Effect.forEach(everyOperation(store), ([at, kind, attempt]) =>
        Effect.forkScoped(
          refused<unknown, never, "OutcomeUnknown" | "Unavailable">(attempt, {
            at,
            reason: kind === "write" ? "OutcomeUnknown" : "Unavailable",
            isRetryable: kind === "read",
            says: kind === "write" ? ["may have been stored"] : ["the connection was lost"],
            within: 2000
          })
        ))
      yield* Effect.sleep("100 millis")
      yield* kill
      yield* Effect.forEach(attempts, Fiber.join)
    }))

  test("while disconnected operations fail at once with Unavailable, and writes report that nothing was written", () =>
    Effect.gen(function*() {
      const { kill, openAs } = yield* server(world)
      const store = yield* openAs(undefined, { bucket: "orders", historySize: 5 })
      yield* store.put("a", bytes("1"))
      yield* kill
      yield* until(Effect.flip(store.get("a")), ({ message }) => message.includes("not connected"))
      for (const [at, kind, attempt] of everyOperation(store)) {
        yield* refused(attempt, {
          at,
          reason: "Unavailable",
          isRetryable: true,
          says: ["not connected", ...unwritten[kind]],
          within: 250
        })
      }
    }))

  test("put with whenKey while disconnected fails with Unavailable, if the last server supported whenKey", () =>
    Effect.gen(function*() {
      const { kill, openAs } = yield* server(world)
      const store = yield* openAs(undefined, { bucket: "orders" })
      const guarded = store.put("a", bytes("1"), KVStore.KVOptions.whenKey("guard", 0))
      if (world.line === "2.10") {
        yield* refused(guarded, { at: `put "a"`, reason: "InvalidConfig", says: ["whenKey", "2.11", "2.10."] })
        return
      }
      yield* guarded
      yield* kill
      yield* until(Effect.flip(store.get("a")), ({ message }) => message.includes("not connected"))
      // Also while the client is reconnecting, and has no information about a server.
      for (const pause of [0, 300, 700, 1100]) {
        yield* Effect.sleep(pause)
        yield* refused(guarded, {
          at: `put "a"`,
          reason: "Unavailable",
          isRetryable: true,
          says: ["not connected"],
          within: 250
        })
      }
    }))

  for (const how of ["close", "drain"] as const) {
    test(`after ${how} of an existing connection operations and watches fail with Unavailable`, () =>
      Effect.gen(function*() {
        const { connection, store } = yield* overTheirs(world)
        const watch = yield* watching(store)
        yield* Effect.promise(() => connection[how]())
        for (const [at, kind, attempt] of everyOperation(store)) {
          yield* refused(attempt, {
            at,
            reason: "Unavailable",
            isRetryable: false,
            says: unwritten[kind],
            within: 500
          })
        }
        yield* refused(Stream.runDrain(store.watch()), { at: `watch ">"`, reason: "Unavailable", isRetryable: false })
        // A running watch fails too, since its connection will not reconnect.
        yield* refused(Fiber.join(watch), {
          at: `watch ">"`,
          reason: "Unavailable",
          isRetryable: false,
          says: ["closed"],
          within: 5000
        })
      }))
  }

  for (const how of ["close", "drain"] as const) {
    test(`opening a bucket on an existing connection after its ${how} fails with Unavailable`, () =>
      Effect.gen(function*() {
        const { url } = yield* server(world)
        const connection = yield* connectionTo(world, { servers: url })
        yield* Effect.promise(() => connection[how]())
        const layer = Layer.provide(NatsKVStore.layer({ bucket: "orders" }), clientOver(world, connection))
        const error = yield* Effect.flip(Layer.build(layer))
        assert.strictEqual(error.reason._tag, "Unavailable", error.message)
      }))
  }

  test("watches that start while their connection drains fail with Unavailable", () =>
    Effect.gen(function*() {
      const { url } = yield* server(world)
      const turn = Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))
      // The progress of a watch when its connection drains depends on event loop turns: each number of turns is tried.
      for (const turns of Array.from({ length: 48 }, (_, index) => index % 6)) {
        const connection = yield* connectionTo(world, { servers: url })
        const layer = Layer.provide(NatsKVStore.layer({ bucket: "orders" }), clientOver(world, connection))
        const store = Context.get(yield* Layer.build(layer), KVStore.KVStore)
        const watches = yield* Effect.forEach(
          Array.from({ length: 6 }),
          () => Effect.tap(Effect.forkScoped(Stream.runDrain(store.watch())), () => turn)
        )
        yield* Effect.replicateEffect(turn, turns)
        yield* Effect.promise(() => connection.drain())
        for (const watch of watches) {
          const { reason } = yield* Effect.flip(Fiber.join(watch))
          assert.strictEqual(reason._tag, "Unavailable")
        }
      }
    }))

  test("operations that start while their connection drains fail with Unavailable", () =>
    Effect.gen(function*() {
      const { connection, store } = yield* overTheirs(world)
      const drained = connection.drain()
      for (const [at, , attempt] of everyOperation(store)) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error.reason._tag, "Unavailable", `${at}: ${error.message}`)
      }
      yield* Effect.promise(() => drained)
    }))
}
