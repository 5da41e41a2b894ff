/** A `KVStore` whose connection to a server cannot be opened, is lost for some time, or is closed. */
import { assert, describe, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes, untyped } from "../../tools/values.ts"
import { freshName, record } from "../support/suite.ts"
import { reasonOf } from "../support/suite.ts"
import { read, shown } from "./suite/fixture.ts"

const until = eventually(false)

/** Opens a store over a client, until the scope closes. */
const storeOver = (
  client: Layer.Layer<NatsClient.NatsClient, KVStore.KVStoreError>,
  options: Parameters<typeof NatsKVStore.layer>[0]
) =>
  Effect.map(Layer.build(Layer.provideMerge(NatsKVStore.layer(options), client)), (context) => ({
    store: Context.get(context, KVStore.KVStore),
    client: Context.get(context, NatsClient.NatsClient)
  }))

const consumersOf = (client: NatsClient.NatsClient["Service"], bucket: string) =>
  Effect.promise(async () => {
    const { consumers } = await jetstreamManager(client.connection as NatsConnection)
    return (await consumers.list(`KV_${bucket}`).next()).map(({ name }) => name)
  })

/** Deletes the only consumer of a bucket, without notice to its watch. */
const loseConsumer = Effect.fnUntraced(function*(client: NatsClient.NatsClient["Service"], bucket: string) {
  const [name] = yield* consumersOf(client, bucket)
  yield* Effect.promise(async () => {
    const { consumers } = await jetstreamManager(client.connection as NatsConnection)
    await consumers.delete(`KV_${bucket}`, name!)
  })
})

/** A user that may receive only under its own inbox prefix, as is common for accounts shared by several users. */
const inboxesOfItsOwn = `authorization {
  users: [ { user: app, password: app, permissions: {
    publish: [ "$JS.API.>", "$KV.>" ],
    subscribe: [ "_INBOX_app.>" ]
  } } ]
}`

/** Runs an effect and measures its duration in milliseconds. */
const measured = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const clock = yield* Clock.Clock
  const before = clock.monotonicTimeNanosUnsafe()
  const exit = yield* Effect.exit(effect)
  return { exit, millis: Number(clock.monotonicTimeNanosUnsafe() - before) / 1_000_000 }
})

const tagOf = <A>(exit: Exit.Exit<A, KVStore.KVStoreError>): string =>
  Exit.match(exit, {
    onSuccess: () => "success",
    onFailure: (cause) => {
      const [reason] = cause.reasons
      return reason?._tag === "Fail" ? reason.error.reason._tag : String(cause)
    }
  })

type Test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) => void

const reaching = (test: Test, line: Line): void => {
  test("connecting to a stopped server fails with Unavailable within 5 s, and the error has its port", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      yield* server.kill
      const { exit, millis } = yield* measured(Layer.build(NatsClient.layer({ servers: server.url })))
      assert.strictEqual(tagOf(exit), "Unavailable")
      assert.isBelow(millis, 5000)
      const error = yield* Effect.flip(Layer.build(NatsClient.layer({ servers: server.url })))
      assert.include(error.message, `${server.port}`)
      assert.deepStrictEqual([error.operation, error.bucket, error.isRetryable], ["connect", undefined, true])
    }))

  test("connecting to a paused server fails with Unavailable within 5 s", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      yield* server.pause
      const { exit, millis } = yield* measured(Layer.build(NatsClient.layer({ servers: server.url })))
      assert.strictEqual(tagOf(exit), "Unavailable")
      assert.isBelow(millis, 5000)
    }))

  test("invalid servers fail with InvalidConfig at once", () =>
    Effect.gen(function*() {
      const none = [
        "",
        " ",
        "nats://",
        "not a server",
        "nats://host:99999",
        "http://host:4222",
        "nats://:4222",
        [],
        [
          ""
        ]
      ]
      for (const servers of [...none, ["127.0.0.1:4222", "a b"], untyped(undefined), untyped(7), untyped([7])]) {
        const { exit, millis } = yield* measured(Layer.build(NatsClient.layer({ servers })))
        assert.strictEqual(tagOf(exit), "InvalidConfig", JSON.stringify(servers))
        assert.isBelow(millis, 200)
      }
    }))

  test("a wrong password fails with PermissionDenied, and the error does not contain it", () =>
    Effect.gen(function*() {
      const config = `authorization { user: "u", password: "right" }`
      const server = yield* startNatsServer({ line, config })
      const at = (password: string) => `nats://u:${password}@127.0.0.1:${server.port}`
      const error = yield* Effect.flip(Layer.build(NatsClient.layer({ servers: at("secret-7") })))
      assert.strictEqual(error.reason._tag, "PermissionDenied")
      assert.notInclude(JSON.stringify(error) + error.message, "secret-7")
    }))

  test("a write without permission fails with PermissionDenied, which has the subject", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const config = `authorization { users: [ { user: "u", password: "p", permissions: {
        publish: { deny: "$KV.${bucket}.secret.>" } } } ] }`
      const server = yield* startNatsServer({ line, config })
      const servers = `nats://127.0.0.1:${server.port}`
      const connection = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers, user: "u", pass: "p" })),
        (connection) => Effect.promise(() => connection.close())
      )
      const { store } = yield* storeOver(NatsClient.layerFromConnection(connection), { bucket })
      yield* store.put("open.1", bytes("1"))
      const reason = yield* reasonOf(store.put("secret.1", bytes("1")), "PermissionDenied")
      assert.strictEqual(reason.subject, `$KV.${bucket}.secret.1`)
      assert.isTrue(Option.isNone(yield* store.get("secret.1")))
    }))
}

const outages = (test: Test, line: Line): void => {
  test("after a server is killed every operation fails in time, and a watch continues after the restart", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      const bucket = freshName()
      const { client, store } = yield* storeOver(NatsClient.layer({ servers: server.url }), {
        bucket,
        timeout: "1 second"
      })
      const states = yield* record(client.status)
      yield* store.put("a", bytes("1"))
      yield* store.put("b", bytes("1"))
      const watch = yield* record(store.watch())
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("ready"))
      yield* server.kill

      // First at once, when the client may not have noticed yet, then later.
      for (const attempt of [1, 2, 3]) {
        const get = yield* measured(store.get("a"))
        assert.strictEqual(tagOf(get.exit), "Unavailable")
        const put = yield* measured(store.put("c", bytes(`${attempt}`)))
        assert.include(["Unavailable", "OutcomeUnknown"], tagOf(put.exit))
        const create = yield* measured(store.put("d", bytes("1"), KVStore.KVOptions.createOnly))
        assert.include(["Unavailable", "OutcomeUnknown"], tagOf(create.exit))
        const keys = yield* measured(store.keys())
        assert.strictEqual(tagOf(keys.exit), "Unavailable")
        for (const { millis } of [get, put, create, keys]) assert.isBelow(millis, 1500)
      }
      yield* until(Effect.sync(() => states.events), (events) => events.includes("disconnected"))
      // The client has noticed: nothing is sent, and operations fail at once.
      for (const attempt of [store.get("a"), store.put("c", bytes("1")), store.delete("c")]) {
        const { exit, millis } = yield* measured<unknown, KVStore.KVStoreError, never>(attempt)
        assert.strictEqual(tagOf(exit), "Unavailable")
        assert.isBelow(millis, 250)
      }

      yield* server.restart
      // Another client writes before this client has reconnected.
      const other = yield* storeOver(NatsClient.layer({ servers: server.url }), { bucket })
      yield* other.store.put("a", bytes("2"))
      yield* other.store.delete("b")
      yield* other.store.put("e", bytes("1"))
      yield* Effect.retry(store.get("a"), {
        while: (error) => error.isRetryable,
        schedule: Schedule.spaced("10 millis")
      })
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
      assert.strictEqual(states.events.at(-1), "connected")
      const last = yield* store.put("a", bytes("3"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("a=3"))
      const words = watch.events.map(shown)
      assert.deepStrictEqual(words.slice(0, 3), ["a=1", "b=1", "ready"])
      // a=2 may be overwritten before the watch resumes; every other event has to arrive once.
      assert.deepStrictEqual(words.slice(3).filter((word) => word !== "a=2"), ["delete b", "e=1", "a=3"])
      const newest = watch.events.at(-1)!
      assert.isTrue(newest._tag === "Put" && newest.entry.revision === last)
    }))

  test("with a paused server reads and updateOnly fail in time with Unavailable, other writes with OutcomeUnknown", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      const { store } = yield* storeOver(NatsClient.layer({ servers: server.url }), {
        bucket: freshName(),
        timeout: "300 millis"
      })
      yield* store.put("a", bytes("1"))
      yield* server.pause
      const expected: ReadonlyArray<readonly [tag: string, attempt: Effect.Effect<unknown, KVStore.KVStoreError>]> = [
        ["Unavailable", store.get("a")],
        ["OutcomeUnknown", store.put("b", bytes("1"))],
        ["OutcomeUnknown", store.put("c", bytes("1"), KVStore.KVOptions.createOnly)],
        ["Unavailable", store.put("a", bytes("2"), KVStore.KVOptions.updateOnly)],
        ["OutcomeUnknown", store.delete("d")],
        ["Unavailable", store.keys()],
        ["Unavailable", store.history("a")],
        ["Unavailable", store.status]
      ]
      const ends = yield* Effect.forEach(expected, ([, attempt]) => measured(attempt), { concurrency: "unbounded" })
      assert.deepStrictEqual(ends.map(({ exit }) => tagOf(exit)), expected.map(([tag]) => tag))
      for (const { millis } of ends) assert.isBelow(millis, 1000)

      yield* server.resume
      // The write of unknown outcome is applied, now or earlier.
      yield* until(store.get("b"), Option.isSome)
    }))

  for (const [how, fault] of [["paused", "pause"], ["killed", "kill"]] as const) {
    test(`operations and watches on a ${how} server end at once if interrupted`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const { store } = yield* storeOver(NatsClient.layer({ servers: server.url }), { bucket: freshName() })
        const watch = yield* record(store.watch())
        yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("ready"))
        yield* server[fault]
        const attempts: ReadonlyArray<Effect.Effect<unknown, KVStore.KVStoreError>> = [
          store.get("a"),
          store.put("a", bytes("1")),
          store.put("a", bytes("1"), KVStore.KVOptions.createOnly),
          store.keys(),
          Stream.runDrain(store.watch())
        ]
        const others = yield* Effect.forEach(attempts, (attempt) => Effect.forkScoped(attempt))
        yield* Effect.yieldNow
        for (const fiber of [watch.fiber, ...others]) {
          const { millis } = yield* measured(Fiber.interrupt(fiber))
          assert.isBelow(millis, 500)
        }
        if (fault === "pause") yield* server.resume
      }))
  }
}

const lostConsumers = (test: Test, line: Line): void => {
  test("a watch whose consumer is deleted continues with a new consumer, and emits no event twice", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line })
      const { client, store } = yield* storeOver(NatsClient.layer({ servers: url }), { bucket: freshName() })
      const watch = yield* record(store.watch())
      yield* store.put("a", bytes("1"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("a=1"))
      yield* loseConsumer(client, store.config.bucket)
      yield* store.put("b", bytes("1"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("b=1"))
      assert.deepStrictEqual(watch.events.map(shown).filter((word) => word !== "ready"), ["a=1", "b=1"])
      assert.strictEqual(watch.events.filter(({ _tag }) => _tag === "Ready").length, 1)
    }))

  test("a watch from a future revision waits for it, also after its consumer is deleted", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line })
      const { client, store } = yield* storeOver(NatsClient.layer({ servers: url }), {
        bucket: freshName(),
        historySize: 5
      })
      const last = yield* store.put("a", bytes("0"))
      const watch = yield* record(store.watch(undefined, { from: { revision: last + 3 } }))
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("ready"))
      yield* loseConsumer(client, store.config.bucket)
      // The watch creates a new consumer once it has noticed.
      yield* until(consumersOf(client, store.config.bucket), (names) => names.length === 1)
      yield* Effect.forEach(["1", "2", "3", "4"], (value) => store.put("a", bytes(value)))
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("a=4"))
      assert.deepStrictEqual(watch.events.map(shown), ["ready", "a=3", "a=4"])
    }))

  test("a slow reader receives each event once if its consumer is deleted", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line })
      const { client, store } = yield* storeOver(NatsClient.layer({ servers: url }), { bucket: freshName() })
      const keys = Array.from({ length: 1000 }, (_, n) => `k.${n}`)
      const mayGoOn = yield* Deferred.make<void>()
      const watch = yield* record(
        Stream.tap(store.watch(), (event) => event._tag === "Ready" ? Effect.void : Deferred.await(mayGoOn))
      )
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("ready"))
      yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 32 })
      const lost = yield* consumersOf(client, store.config.bucket)
      yield* loseConsumer(client, store.config.bucket)
      yield* until(
        consumersOf(client, store.config.bucket),
        (names) => names.length === 1 && names[0] !== lost[0]
      )
      yield* Deferred.succeed(mayGoOn, undefined)
      yield* store.put("end", bytes("1"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("end=1"))
      const words = watch.events.map(shown).slice(1)
      assert.strictEqual(words.length, new Set(words).size)
      assert.deepStrictEqual(words.toSorted(), [...keys, "end"].map((key) => `${key}=1`).toSorted())
    }))
}

const lifetimes = (test: Test, line: Line): void => {
  test("listings and watches work on a connection with its own inbox prefix", () =>
    Effect.gen(function*() {
      const { port } = yield* startNatsServer({ line, config: inboxesOfItsOwn })
      const options = { servers: `127.0.0.1:${port}`, user: "app", pass: "app" }
      const open = (inboxPrefix: string) =>
        Effect.acquireRelease(
          Effect.promise(() => connect({ ...options, inboxPrefix })),
          (connection) => Effect.promise(() => connection.close())
        )
      const { store } = yield* storeOver(NatsClient.layerFromConnection(yield* open("_INBOX_app")), { bucket: "apps" })
      const { events } = yield* record(store.watch())
      yield* store.put("a", bytes("1"))
      yield* until(Effect.sync(() => events.length), (count) => count >= 2)
      assert.deepStrictEqual(yield* store.keys(), ["a"])
    }))

  test("an existing connection is used, and not closed", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line })
      const connection = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers: url })),
        (connection) => Effect.promise(() => connection.close())
      )
      const scope = yield* Scope.make()
      const { store } = yield* Scope.provide(
        storeOver(NatsClient.layerFromConnection(connection), { bucket: freshName() }),
        scope
      )
      yield* store.put("a", bytes("1"))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(connection.isClosed())
      assert.isFalse(connection.isDraining())
      yield* Effect.promise(() => connection.flush())
    }))

  test("a client from configuration connects to the configured server", () =>
    Effect.gen(function*() {
      const { port, url } = yield* startNatsServer({ line })
      const config = ConfigProvider.layer(ConfigProvider.fromUnknown({ AEGIS_NATS_URL: url }))
      const client = NatsClient.layerConfig({ servers: Config.String("AEGIS_NATS_URL") })
      const context = yield* Layer.build(Layer.provide(client, config))
      const { connection } = Context.get(context, NatsClient.NatsClient)
      assert.strictEqual((connection as NatsConnection).getServer(), `127.0.0.1:${port}`)
    }))

  test("layerFromConnection fails with InvalidConfig for a value that is not a connection", () =>
    Effect.gen(function*() {
      for (const connection of [undefined, null, 7, {}, { subscribe: () => undefined }]) {
        const { exit } = yield* measured(Layer.build(NatsClient.layerFromConnection(connection)))
        assert.strictEqual(tagOf(exit), "InvalidConfig")
      }
    }))

  test("a connection that the layer opened is closed with the layer", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line })
      const scope = yield* Scope.make()
      const { client, store } = yield* Scope.provide(
        storeOver(NatsClient.layer({ servers: url }), { bucket: freshName() }),
        scope
      )
      const states = yield* record(client.status)
      yield* until(Effect.sync(() => states.events), (events) => events.includes("connected"))
      yield* Scope.close(scope, Exit.void)
      assert.isTrue((client.connection as NatsConnection).isClosed())
      yield* until(Effect.sync(() => states.events), (events) => events.at(-1) === "closed")
      assert.strictEqual(tagOf(yield* Effect.exit(store.get("a"))), "Unavailable")
    }))
}

// Each test has its own server and mostly waits, so the tests run concurrently.
describe.concurrent("the connection of a store", () => {
  for (const line of lines) {
    const test: Test = (title, body) => it.live(`${line}: ${title}`, body)
    reaching(test, line)
    outages(test, line)
    lostConsumers(test, line)
    lifetimes(test, line)
  }
})
