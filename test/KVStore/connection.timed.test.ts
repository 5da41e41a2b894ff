/** What a `KVStore` does about its connection to a server: one that cannot be had, is lost for a while, or is closed. */
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

/** A store over a client, for as long as the scope is open. */
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

/** Deletes the one consumer of a bucket behind the back of its watch. */
const loseConsumer = Effect.fnUntraced(function*(client: NatsClient.NatsClient["Service"], bucket: string) {
  const [name] = yield* consumersOf(client, bucket)
  yield* Effect.promise(async () => {
    const { consumers } = await jetstreamManager(client.connection as NatsConnection)
    await consumers.delete(`KV_${bucket}`, name!)
  })
})

/** Users of an application, each with inboxes of its own: common where one account serves several. */
const inboxesOfItsOwn = `authorization {
  users: [ { user: app, password: app, permissions: {
    publish: [ "$JS.API.>", "$KV.>" ],
    subscribe: [ "_INBOX_app.>" ]
  } } ]
}`

/** How long an effect took, in milliseconds. */
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
  test("a server that is not there is Unavailable, soon, and says where it was looked for", () =>
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

  test("a server that takes connections and says nothing is Unavailable, soon", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      yield* server.pause
      const { exit, millis } = yield* measured(Layer.build(NatsClient.layer({ servers: server.url })))
      assert.strictEqual(tagOf(exit), "Unavailable")
      assert.isBelow(millis, 5000)
    }))

  test("servers that are none are InvalidConfig before anything is sent", () =>
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

  test("a wrong password is PermissionDenied, and is not shown", () =>
    Effect.gen(function*() {
      const config = `authorization { user: "u", password: "right" }`
      const server = yield* startNatsServer({ line, config })
      const at = (password: string) => `nats://u:${password}@127.0.0.1:${server.port}`
      const error = yield* Effect.flip(Layer.build(NatsClient.layer({ servers: at("secret-7") })))
      assert.strictEqual(error.reason._tag, "PermissionDenied")
      assert.notInclude(JSON.stringify(error) + error.message, "secret-7")
    }))

  test("what the server does not let a user write is PermissionDenied, by subject", () =>
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
  test("a server that dies fails every operation in time, and a watch goes on after its restart", () =>
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

      // At once, when the client may not know yet, and when it does.
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
      // Now that it is known, nothing is sent, and nobody waits for what cannot come.
      for (const attempt of [store.get("a"), store.put("c", bytes("1")), store.delete("c")]) {
        const { exit, millis } = yield* measured<unknown, KVStore.KVStoreError, never>(attempt)
        assert.strictEqual(tagOf(exit), "Unavailable")
        assert.isBelow(millis, 250)
      }

      yield* server.restart
      // Another client writes before this one is back.
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
      // a=2 may be superseded before the watch is back; nothing else may be missing, and nothing comes twice.
      assert.deepStrictEqual(words.slice(3).filter((word) => word !== "a=2"), ["delete b", "e=1", "a=3"])
      const newest = watch.events.at(-1)!
      assert.isTrue(newest._tag === "Put" && newest.entry.revision === last)
    }))

  test("a server that hangs ends every operation in time: a write is OutcomeUnknown, a read Unavailable", () =>
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
      // What was unknown has landed, or lands now.
      yield* until(store.get("b"), Option.isSome)
    }))

  for (const [how, fault] of [["hangs", "pause"], ["is gone", "kill"]] as const) {
    test(`whoever no longer wants to wait for a server that ${how} does not have to`, () =>
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
  test("a watch whose consumer is lost goes on with another, and gives nothing twice", () =>
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

  test("a watch from a revision that is still to come waits for it, also when its consumer is lost", () =>
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
      // It has another one once it has noticed.
      yield* until(consumersOf(client, store.config.bucket), (names) => names.length === 1)
      yield* Effect.forEach(["1", "2", "3", "4"], (value) => store.put("a", bytes(value)))
      yield* until(Effect.sync(() => watch.events.map(shown)), (words) => words.includes("a=4"))
      assert.deepStrictEqual(watch.events.map(shown), ["ready", "a=3", "a=4"])
    }))

  test("a slow reader misses nothing, and is given nothing twice, when its consumer is lost meanwhile", () =>
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
  test("a connection with inboxes of its own is listed and watched over like any other", () =>
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

  test("a connection that the program has is used, and left open", () =>
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

  test("a client from configuration connects to the servers that are named there", () =>
    Effect.gen(function*() {
      const { port, url } = yield* startNatsServer({ line })
      const config = ConfigProvider.layer(ConfigProvider.fromUnknown({ AEGIS_NATS_URL: url }))
      const client = NatsClient.layerConfig({ servers: Config.String("AEGIS_NATS_URL") })
      const context = yield* Layer.build(Layer.provide(client, config))
      const { connection } = Context.get(context, NatsClient.NatsClient)
      assert.strictEqual((connection as NatsConnection).getServer(), `127.0.0.1:${port}`)
    }))

  test("what is no connection is InvalidConfig", () =>
    Effect.gen(function*() {
      for (const connection of [undefined, null, 7, {}, { subscribe: () => undefined }]) {
        const { exit } = yield* measured(Layer.build(NatsClient.layerFromConnection(connection)))
        assert.strictEqual(tagOf(exit), "InvalidConfig")
      }
    }))

  test("a connection of the layer's own is closed with it", () =>
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

// Each has a server of its own, and most of their time is the client's waiting: they wait together.
describe.concurrent("a connection to a server", () => {
  for (const line of lines) {
    const test: Test = (title, body) => it.live(`${line}: ${title}`, body)
    reaching(test, line)
    outages(test, line)
    lostConsumers(test, line)
    lifetimes(test, line)
  }
})
