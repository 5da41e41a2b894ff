/** A client's connection over time: its status, logins that become invalid, and how it is closed. */
import { assert, describe, it } from "@effect/vitest"
import { connect, errors, type NatsConnection } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { rmSync, writeFileSync } from "node:fs"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import * as certificates from "../support/certificates.ts"
import { temporaryFile } from "../support/files.ts"
import { makeOperator, makeUser } from "../support/operator.ts"
import { reasonOf } from "../support/suite.ts"
import { freshName, record } from "../support/suite.ts"

type Test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) => void

const until = eventually(false)

/** Short waits between reconnects, so that a test sees several attempts. */
const soon = { reconnectWait: "20 millis", connectTimeout: "1 second" } as const

/** A connected client and a store on it. */
const connected = Effect.fnUntraced(function*(options: NatsClient.Options) {
  const stores = NatsKVStore.layer({ bucket: freshName(), timeout: "1 second" })
  const context = yield* Layer.build(Layer.provideMerge(stores, NatsClient.layer(options)))
  const store = Context.get(context, KVStore.KVStore)
  yield* store.put("a", bytes("1"))
  const client = Context.get(context, NatsClient.NatsClient)
  return { store, client, connection: client.connection as NatsConnection }
})

/** Waits until the store can read again. */
const worksAgain = (store: KVStore.KVStore["Service"]) =>
  Effect.retry(store.get("a"), { while: (error) => error.isRetryable, schedule: Schedule.spaced("10 millis") })

/** Counts the logins that the server refuses from now on. */
const refusals = (connection: NatsConnection) =>
  Effect.sync(() => {
    let count = 0
    const follow = async () => {
      for await (const status of connection.status()) {
        if (status.type === "error" && status.error instanceof errors.AuthorizationError) count++
      }
    }
    void follow()
    return () => count
  })

const measured = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const clock = yield* Clock.Clock
  const before = clock.monotonicTimeNanosUnsafe()
  yield* effect
  return Number(clock.monotonicTimeNanosUnsafe() - before) / 1_000_000
})

const states = (test: Test, line: Line): void => {
  test("status emits the current state, then every change, and ends after closed", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      const scope = yield* Scope.make()
      const { client, store } = yield* Scope.provide(connected({ servers: server.url, ...soon }), scope)
      const first = yield* record(client.status)
      yield* until(Effect.sync(() => first.events), (events) => events.length === 1)
      yield* server.kill
      yield* until(Effect.sync(() => first.events), (events) => events.includes("reconnecting"))
      const second = yield* record(client.status)
      yield* until(Effect.sync(() => second.events), (events) => events.length > 0)
      yield* server.restart
      yield* worksAgain(store)
      yield* until(Effect.sync(() => first.events), (events) => events.at(-1) === "connected")
      yield* Scope.close(scope, Exit.void)
      for (const { fiber } of [first, second]) yield* Effect.timeout(Fiber.join(fiber), "5 seconds")
      const all = ["connected", "disconnected", "reconnecting", "connected", "closed"]
      assert.deepStrictEqual(first.events, all)
      assert.strictEqual(second.events[0], "disconnected")
      assert.deepStrictEqual(second.events.slice(-2), ["connected", "closed"])
      const later = yield* record(client.status)
      yield* Effect.timeout(Fiber.join(later.fiber), "5 seconds")
      assert.deepStrictEqual(later.events, ["closed"])
    }))

  test("status stops for an interrupted reader, and continues for the others", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      const { client, store } = yield* connected({ servers: server.url, ...soon })
      const [left, stays] = [yield* record(client.status), yield* record(client.status)]
      yield* until(Effect.sync(() => stays.events.length + left.events.length), (count) => count === 2)
      yield* Fiber.interrupt(left.fiber)
      yield* server.restart
      yield* worksAgain(store)
      yield* until(Effect.sync(() => stays.events), (events) => events.at(-1) === "connected" && events.length > 1)
      assert.deepStrictEqual(left.events, ["connected"])
    }))
}

const logins = (test: Test, line: Line): void => {
  test("continues to reconnect while its password is refused, and works once the password is valid again", () =>
    Effect.gen(function*() {
      const config = (password: string) => `authorization { user: orders, password: "${password}" }`
      const server = yield* startNatsServer({ line, config: config("right-7") })
      const { port, storeDir, url: servers } = server
      const { client, connection, store } = yield* connected({
        servers,
        user: "orders",
        password: Redacted.make("right-7"),
        ...soon
      })
      const states = yield* record(client.status)
      const refused = yield* refusals(connection)
      yield* server.kill
      const other = yield* Scope.make()
      const another = startNatsServer({ line, port, storeDir, config: config("another") })
      const second = yield* Scope.provide(another, other)
      // By default the NATS client gives up after two refusals.
      yield* until(Effect.sync(refused), (count) => count >= 5)
      yield* reasonOf(store.get("a"), "Unavailable")
      yield* reasonOf(store.put("a", bytes("2")), "Unavailable")
      assert.notInclude(states.events, "closed")
      yield* second.kill
      yield* Scope.close(other, Exit.void)
      yield* server.restart
      yield* worksAgain(store)
      yield* store.put("a", bytes("3"))
    }))

  test("reads its credentials file again after expiry, and logs a warning if the file cannot be read", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        said.push(`${logLevel} ${String(message)}`)
      })
      const operator = makeOperator()
      const { url: servers } = yield* startNatsServer({ line, config: operator.config })
      const clock = yield* Clock.Clock
      const soonOver = Math.ceil(clock.currentTimeMillisUnsafe() / 1000) + 2
      const expiring = makeUser(operator.account, soonOver)
      const file = yield* temporaryFile(expiring.credentials)
      const { client, connection, store } = yield* connected({ servers, credentialsFile: file, ...soon }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      const states = yield* record(client.status)
      const refused = yield* refusals(connection)
      rmSync(file)
      yield* until(Effect.sync(() => states.events), (events) => events.includes("disconnected"))
      yield* until(Effect.sync(refused), (count) => count >= 5)
      yield* reasonOf(store.get("a"), "Unavailable")
      const warnings = said.filter((line) => line.startsWith("Warn"))
      assert.isTrue(warnings.some((line) => line.includes(file) && line.includes("cannot be read")), said.join("\n"))

      writeFileSync(file, "half of a")
      yield* until(Effect.succeed(said), (said) => said.some((line) => line.includes("expected a JWT and a seed")))
      writeFileSync(file, makeUser(operator.account).credentials)
      yield* worksAgain(store)
      assert.notInclude(said.join("\n"), expiring.seed)
    }))

  test("reads its certificate again when it reconnects", () =>
    Effect.gen(function*() {
      const config = certificates.serverTls(certificates.address, "verify: true")
      const server = yield* startNatsServer({ line, config })
      const { client, stranger } = certificates
      const certFile = yield* temporaryFile(client.cert.text)
      const keyFile = yield* temporaryFile(client.key.text)
      const tls = { ca: certificates.ca.text, certFile, keyFile }
      const working = yield* connected({ servers: server.url, tls, ...soon })
      const { store } = working
      writeFileSync(certFile, stranger.cert.text)
      writeFileSync(keyFile, stranger.key.text)
      const states = yield* record(working.client.status)
      yield* server.restart
      yield* until(Effect.sync(() => states.events), (events) => events.includes("reconnecting"))
      // With a valid certificate it would have reconnected much earlier.
      yield* Effect.repeat(
        reasonOf(store.get("a"), "Unavailable"),
        Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 10 }))
      )
      writeFileSync(certFile, client.cert.text)
      writeFileSync(keyFile, client.key.text)
      yield* worksAgain(store)
    }))
}

const ends = (test: Test, line: Line): void => {
  test("sends all published messages before it closes", () =>
    Effect.gen(function*() {
      const { url: servers } = yield* startNatsServer({ line })
      const listener = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers })),
        (connection) => Effect.promise(() => connection.close())
      )
      let received = 0
      listener.subscribe("last.words", { callback: () => void received++ })
      yield* Effect.promise(() => listener.flush())
      const scope = yield* Scope.make()
      const { connection } = yield* Scope.provide(connected({ servers }), scope)
      for (let sent = 0; sent < 100; sent++) connection.publish("last.words", new Uint8Array(100_000))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([connection.isClosed(), connection.isDraining()], [true, true])
      yield* until(Effect.sync(() => received), (count) => count === 100)
    }))

  for (const [how, fault, within] of [["has stopped", "kill", 250], ["is paused", "pause", 1500]] as const) {
    test(`closes soon if the server ${how}`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const scope = yield* Scope.make()
        const options = { servers: server.url, reconnectWait: "1 minute", connectTimeout: "1 second" } as const
        const { client, connection } = yield* Scope.provide(connected(options), scope)
        const states = yield* record(client.status)
        yield* server[fault]
        if (fault === "kill") {
          yield* until(Effect.sync(() => states.events), (events) => events.includes("disconnected"))
        }
        const millis = yield* measured(Scope.close(scope, Exit.void))
        assert.isBelow(millis, within)
        assert.isTrue(connection.isClosed())
        if (fault === "pause") yield* server.resume
      }))
  }
}

// Each test has its own server, and the client waits most of the time: the tests run concurrently.
describe.concurrent("a client", () => {
  for (const line of lines) {
    const test: Test = (title, body) => it.live(`${line}: ${title}`, body)
    states(test, line)
    logins(test, line)
    ends(test, line)
  }
})
