/**
 * The promises of a `KVStore`, kept by real servers of both lines: the suite that memory passes, what only a server
 * has (consumers, a bucket that is there already, other clients), and what happens to the connection.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect, headers, type NatsConnection } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KVStore from "../src/KVStore.ts"
import * as NatsClient from "../src/NatsClient.ts"
import * as NatsKVStore from "../src/NatsKVStore.ts"
import {
  Buckets,
  bytes,
  eventually,
  freshName,
  openBucket,
  read,
  reasonOf,
  record,
  shown,
  suite
} from "./KVStoreSuite.ts"
import { type Line, lines } from "./support/natsBinaries.ts"
import { layerNatsServer, NatsServer, startNatsServer } from "./support/natsServer.ts"

// -----------------------------------------------------------------------------
// helpers
// -----------------------------------------------------------------------------

const onRealTime = { excludeTestServices: true, timeout: "30 seconds" } as const

const until = eventually(false)

/** The server's own view, by the client that the store uses. */
const manager = Effect.flatMap(
  NatsClient.NatsClient,
  ({ connection }) => Effect.promise(() => jetstreamManager(connection as NatsConnection))
)

const layerClient = Layer.unwrap(Effect.map(NatsServer, ({ url }) => NatsClient.layer({ servers: url })))

const layerBuckets = Layer.effect(
  Buckets,
  Effect.gen(function*() {
    const client = yield* NatsClient.NatsClient
    const streams = (yield* manager).streams
    return {
      layer: (options) => Layer.provide(NatsKVStore.layer(options), Layer.succeed(NatsClient.NatsClient, client)),
      drop: (bucket) => Effect.promise(() => streams.delete(`KV_${bucket}`))
    }
  })
)

const layerLine = (line: Line) =>
  layerBuckets.pipe(Layer.provideMerge(layerClient), Layer.provideMerge(layerNatsServer(line)))

const consumers = (bucket: string) =>
  Effect.flatMap(
    manager,
    ({ streams }) => Effect.promise(async () => (await streams.info(`KV_${bucket}`)).state.consumer_count)
  )

/** Long before the server would remove by itself one that nobody listens to. */
const noConsumerOf = (bucket: string) => until(consumers(bucket), (count) => count === 0, Duration.seconds(3))

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

// -----------------------------------------------------------------------------
// what only a server has
// -----------------------------------------------------------------------------

const onServers = (line: Line): void =>
  layer(layerLine(line), onRealTime)(`${line}: a bucket on a server`, (it) => {
    const hasMarkers = line !== "2.10"

    it.effect("a watch has one consumer, and none when it has ended", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const { bucket } = store.config
        yield* store.put("a", bytes("1"))
        const { events } = yield* record(Stream.take(store.watch(), 3))
        yield* until(Effect.sync(() => events.length), (length) => length === 2)
        assert.strictEqual(yield* consumers(bucket), 1)
        yield* store.put("a", bytes("2"))
        yield* until(Effect.sync(() => events.length), (length) => length === 3)
        yield* noConsumerOf(bucket)
      }))

    it.effect("a watch that is interrupted leaves no consumer", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const { bucket } = store.config
        const watches = yield* Effect.forEach([1, 2, 3], () => record(store.watch()))
        yield* until(consumers(bucket), (count) => count === 3)
        yield* Effect.forEach(watches, ({ fiber }) => Fiber.interrupt(fiber))
        yield* noConsumerOf(bucket)
      }))

    it.effect("a watch that is interrupted before it is ready leaves no consumer", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const { bucket } = store.config
        const watches = yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7], () => record(store.watch()))
        for (const { fiber } of watches) {
          yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        yield* store.put("a", bytes("1"))
        yield* noConsumerOf(bucket)
      }))

    it.effect("listings and histories leave no consumer", () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store.put("a", bytes("2"))
        const listing = Effect.all([store.keys(), store.entries("a"), store.history("a")])
        yield* Effect.forEach(Array.from({ length: 30 }), () => listing, { concurrency: 10 })
        yield* noConsumerOf(store.config.bucket)
      }))

    it.effect("a bucket that is there is opened with what it holds", () =>
      Effect.gen(function*() {
        const options = {
          bucket: freshName(),
          historySize: 3,
          maxValueSize: 1000,
          maxBytes: 1_000_000,
          streamMaxAge: "1 hour",
          storage: "memory"
        } as const
        const first = yield* openBucket(options)
        const revision = yield* first.put("a", bytes("1"))
        const second = yield* openBucket(options)
        assert.strictEqual(Option.getOrThrow(yield* second.get("a")).revision, revision)
        assert.isAbove(yield* second.put("a", bytes("2")), revision)
        assert.deepStrictEqual(yield* read(first, "a"), Option.some("2"))
        assert.deepStrictEqual((yield* first.status).created, (yield* second.status).created)
      }))

    it.effect("a bucket that is there with another configuration is refused, difference by difference", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        yield* openBucket({ bucket, historySize: 3, streamMaxAge: "1 hour" })
        const other = openBucket({
          bucket,
          maxValueSize: 1000,
          maxBytes: 5000,
          storage: "memory",
          streamMaxAge: "1 minute"
        })
        const error = yield* Effect.flip(other)
        assert.deepStrictEqual([error.reason._tag, error.operation, error.bucket], ["ConfigMismatch", "open", bucket])
        const { differences } = yield* reasonOf(other, "ConfigMismatch")
        assert.deepStrictEqual(differences, [
          { setting: "historySize", expected: "1", actual: "3" },
          { setting: "maxValueSize", expected: "1000", actual: "1048576" },
          { setting: "maxBytes", expected: "5000", actual: "unlimited" },
          { setting: "streamMaxAge", expected: "1m", actual: "1h" },
          { setting: "storage", expected: "memory", actual: "file" }
        ])
        for (const { actual, expected, setting } of differences) {
          assert.include(error.message, `${setting} is ${actual}, not ${expected}`)
        }
      }))

    it.effect("a bucket that is there with another configuration is taken as it is where that is accepted", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        yield* openBucket({ bucket, historySize: 3 })
        const store = yield* openBucket({ bucket, historySize: 5, onMismatch: "accept" })
        yield* Effect.forEach(["1", "2", "3", "4"], (value) => store.put("a", bytes(value)))
        assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=4", "a=3", "a=2"])
      }))

    it.effect("a bucket that is there with another configuration is changed where that is wanted", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const before = yield* openBucket({ bucket })
        yield* before.put("a", bytes("0"))
        const wanted = {
          bucket,
          historySize: 3,
          maxValueSize: 1000,
          maxBytes: 100_000,
          streamMaxAge: "1 minute"
        } as const
        const store = yield* openBucket({ ...wanted, onMismatch: "update" })
        yield* Effect.forEach(["1", "2", "3"], (value) => store.put("a", bytes(value)))
        assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=3", "a=2", "a=1"])
        // Who asks for the same now finds no difference.
        yield* openBucket(wanted)
        // And back again.
        yield* openBucket({ bucket, onMismatch: "update" })
        yield* openBucket({ bucket })
      }))

    it.effect("what no server can change is refused where a change is wanted", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        yield* openBucket({ bucket })
        const error = yield* Effect.flip(openBucket({ bucket, storage: "memory", onMismatch: "update" }))
        assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["Rejected", false])
        yield* openBucket({ bucket })
      }))

    if (hasMarkers) {
      it.effect("markers can be turned on and off in a bucket that is there", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          yield* openBucket({ bucket, streamMaxAge: "300 millis", storage: "memory" })
          const marked = { bucket, streamMaxAge: "300 millis", storage: "memory", expiryMarkers: "1 second" } as const
          const { differences } = yield* reasonOf(openBucket(marked), "ConfigMismatch")
          assert.deepStrictEqual(differences, [{ setting: "expiryMarkers", expected: "1s", actual: "none" }])
          const store = yield* openBucket({ ...marked, onMismatch: "update" })
          const { events } = yield* record(store.watch())
          yield* store.put("a", bytes("1"))
          yield* until(Effect.sync(() => events.map(shown)), (words) => words.includes("expire a"))
          yield* openBucket({ bucket, streamMaxAge: "300 millis", storage: "memory", onMismatch: "update" })
        }))
    }

    it.effect("a bucket that is not there is not made where that is not allowed", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const error = yield* Effect.flip(openBucket({ bucket, create: false }))
        assert.deepStrictEqual([error.reason._tag, error.operation, error.bucket], ["BucketNotFound", "open", bucket])
        yield* openBucket({ bucket })
        yield* openBucket({ bucket, create: false })
      }))

    it.effect("many who make one bucket at once all get the same one", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const stores = yield* Effect.forEach(Array.from({ length: 10 }), () => openBucket({ bucket }), {
          concurrency: "unbounded"
        })
        yield* stores[0]!.put("a", bytes("1"))
        for (const store of stores) assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
      }))

    it.effect("a new bucket begins above every revision that this process has seen of its name", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const { streams } = yield* manager
        // As if the host's clock had been an hour ahead when it was made.
        const first_seq = (Date.now() + 3_600_000) * 1000
        yield* Effect.promise(() =>
          streams.add({ name: `KV_${bucket}`, subjects: [`$KV.${bucket}.>`], max_msgs_per_subject: 1, first_seq })
        )
        const ahead = yield* openBucket({ bucket, onMismatch: "accept" })
        const last = yield* ahead.put("a", bytes("1"))
        assert.strictEqual(last, first_seq)
        yield* (yield* Buckets).drop(bucket)
        const anew = yield* openBucket({ bucket })
        assert.strictEqual(yield* anew.put("a", bytes("1")), last + 1)
      }))

    it.effect("a bucket that is lost is BucketNotFound in every operation, and never none", () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 2 })
        yield* store.put("a", bytes("1"))
        yield* (yield* Buckets).drop(store.config.bucket)
        const attempts: ReadonlyArray<Effect.Effect<unknown, KVStore.KVStoreError>> = [
          store.get("a"),
          store.put("a", bytes("2")),
          store.put("a", bytes("2"), KVStore.KVOptions.createOnly),
          store.put("a", bytes("2"), KVStore.KVOptions.updateOnly),
          store.delete("a"),
          store.purge("a"),
          store.history("a"),
          store.keys(),
          store.entries(),
          store.status,
          Stream.runDrain(store.watch())
        ]
        for (const attempt of attempts) yield* reasonOf(attempt, "BucketNotFound")
      }))

    it.effect("a bucket of another client, made without direct reads, is read and written like one's own", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const { streams } = yield* manager
        const connection = (yield* NatsClient.NatsClient).connection as NatsConnection
        yield* Effect.promise(() =>
          streams.add({
            name: `KV_${bucket}`,
            subjects: [`$KV.${bucket}.>`],
            max_msgs_per_subject: 5,
            allow_rollup_hdrs: true
          })
        )
        const send = (key: string, value: string, operation?: string) =>
          Effect.promise(() => {
            const list = headers()
            if (operation !== undefined) list.set("KV-Operation", operation)
            return connection.request(`$KV.${bucket}.${key}`, value, { timeout: 2000, headers: list })
          })
        const store = yield* openBucket({ bucket, create: false, onMismatch: "accept" })
        yield* send("a", "theirs")
        yield* send("b", "theirs")
        yield* send("b", "", "DEL")
        assert.deepStrictEqual(yield* read(store, "a"), Option.some("theirs"))
        assert.isTrue(Option.isNone(yield* store.get("b")))
        assert.deepStrictEqual((yield* store.history("b")).map(shown), ["delete b", "b=theirs"])
        // Numbers begin at 1 in a bucket that others made.
        assert.strictEqual(yield* store.put("a", bytes("ours"), KVStore.KVOptions.atRevision(1)), 4)
        yield* store.purge("b")
        const direct = yield* Effect.promise(() =>
          streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.b` })
        )
        assert.deepStrictEqual([direct?.header.get("KV-Operation"), direct?.header.get("Nats-Rollup")], [
          "PURGE",
          "sub"
        ])
        const ours = yield* Effect.promise(() =>
          streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.a` })
        )
        assert.strictEqual(ours?.string(), "ours")
      }))

    it.effect("a value that is larger than the server's payload is ValueTooLarge, and nothing is written", () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ maxValueSize: 4 * 1024 * 1024 })
        const large = new Uint8Array(1024 * 1024)
        for (const [key, options] of [["b", undefined], ["c", KVStore.KVOptions.createOnly]] as const) {
          const reason = yield* reasonOf(store.put("a", large, options), "ValueTooLarge")
          assert.strictEqual(reason.size, large.length)
          assert.isBelow(reason.limit!, large.length)
          yield* store.put(key, new Uint8Array(reason.limit!), options)
        }
        assert.isTrue(Option.isNone(yield* store.get("a")))
      }))

    it.effect("a value that is larger than what the bucket has been made for is ValueTooLarge", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        yield* openBucket({ bucket, maxValueSize: 100 })
        const store = yield* openBucket({ bucket, onMismatch: "accept" })
        const reason = yield* reasonOf(store.put("a", new Uint8Array(10_000)), "ValueTooLarge")
        assert.strictEqual(reason.size, 10_000)
        assert.isTrue(Option.isNone(yield* store.get("a")))
      }))

    it.effect("more copies than the server has are refused in the server's own words", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(openBucket({ replicas: 3 }))
        assert.deepStrictEqual([error.reason._tag, error.operation, error.isRetryable], ["Rejected", "open", false])
        assert.match(error.message, /replicas/)
      }))
  })

// -----------------------------------------------------------------------------
// connections
// -----------------------------------------------------------------------------

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
      const { store } = yield* storeOver(NatsClient.fromConnection(connection), { bucket })
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
  test("a connection that the program has is used, and left open", () =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line })
      const connection = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers: url })),
        (connection) => Effect.promise(() => connection.close())
      )
      const scope = yield* Scope.make()
      const { store } = yield* Scope.provide(
        storeOver(NatsClient.fromConnection(connection), { bucket: freshName() }),
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
      const config = ConfigProvider.layer(ConfigProvider.fromUnknown({ NATS_URL: url }))
      const client = NatsClient.layerConfig({ servers: Config.String("NATS_URL") })
      const context = yield* Layer.build(Layer.provide(client, config))
      const { connection } = Context.get(context, NatsClient.NatsClient)
      assert.strictEqual((connection as NatsConnection).getServer(), `127.0.0.1:${port}`)
    }))

  test("what is no connection is InvalidConfig", () =>
    Effect.gen(function*() {
      for (const connection of [undefined, null, 7, {}, { subscribe: () => undefined }]) {
        const { exit } = yield* measured(Layer.build(NatsClient.fromConnection(connection)))
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

/** What no type allows, and JavaScript does. */
const untyped = (value: unknown) => value as never

for (const line of lines) {
  const buckets = layerLine(line)
  suite(`KVStore on a server of the line ${line}`, { kind: "nats", virtual: false, markers: line !== "2.10", buckets })
  onServers(line)
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
