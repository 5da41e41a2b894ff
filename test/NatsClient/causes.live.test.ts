/** Errors name the cause of a refused or lost connection, and what to do: at the first connect, and while reconnecting. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { connect as connectLegacy, credsAuthenticator } from "nats"
import { writeFileSync } from "node:fs"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as NatsLegacy from "../../src/NatsLegacy.ts"
import { eventually } from "../../tools/eventually.ts"
import { type NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import * as certificates from "../support/certificates.ts"
import { temporaryFile } from "../support/files.ts"
import { makeOperator, makeUser } from "../support/operator.ts"
import { freshName } from "../support/suite.ts"
import { nameOf, type World, worlds } from "../support/worlds.ts"

type Test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) => void

const until = eventually(false)

/** Short waits, so that a test sees several attempts. */
const soon = { reconnectWait: "20 millis", connectTimeout: "400 millis" } as const

/** A login or a certificate, for both clients. */
interface Way {
  readonly password?: string
  readonly credentials?: string
  /** The files of the client's certificate and key, and the CAs of the server. */
  readonly tls?: { readonly ca: string; readonly certFile?: string; readonly keyFile?: string }
}

const loginOf = ({ credentials, password }: Way): NatsClient.Login => {
  if (password !== undefined) return { user: "orders", password: Redacted.make(password) }
  return credentials === undefined ? {} : { credentials: Redacted.make(credentials) }
}

const current = (servers: ReadonlyArray<string>, way: Way) =>
  NatsClient.layer({
    servers,
    ...soon,
    waitOnFirstConnect: true,
    ...loginOf(way),
    ...(way.tls === undefined ? {} : { tls: way.tls })
  })

/** The client compares certificates with the name `localhost`. Its types lack the option of Node that prevents it. */
const withoutNames = (tls: object): object => ({ ...tls, checkServerIdentity: () => undefined })

const legacy = (servers: ReadonlyArray<string>, { credentials, password, tls }: Way) =>
  Layer.unwrap(Effect.map(
    Effect.acquireRelease(
      Effect.promise(() =>
        connectLegacy({
          servers: servers.map((url) => url.replace("nats://", "")),
          maxReconnectAttempts: -1,
          ignoreAuthErrorAbort: true,
          reconnectTimeWait: 50,
          // An attempt is short, for the errors of reconnects. On a busy machine, the first one can take longer.
          timeout: Duration.toMillis(soon.connectTimeout),
          waitOnFirstConnect: true,
          ...(password === undefined ? {} : { user: "orders", pass: password }),
          ...(credentials === undefined ? {} : { authenticator: credsAuthenticator(bytes(credentials)) }),
          ...(tls === undefined ? {} : { tls: withoutNames(tls) })
        })
      ),
      (connection) => Effect.promise(() => connection.close())
    ),
    NatsLegacy.layerFromConnection
  ))

/** Opens a store over a client of the world, and writes a value. */
const open = Effect.fnUntraced(function*(world: World, servers: ReadonlyArray<string>, way: Way = {}) {
  const client = world.client === "current" ? current(servers, way) : legacy(servers, way)
  const stores = NatsKVStore.layer({ bucket: freshName(), timeout: "1 second" })
  const store = Context.get(yield* Layer.build(Layer.provide(stores, client)), KVStore.KVStore)
  yield* store.put("a", bytes("1"))
  return store
})

/** Waits until a read fails with these words, asserts that it can be retried, and returns its cause. */
const failsWith = Effect.fnUntraced(function*(store: KVStore.KVStore["Service"], ...words: ReadonlyArray<string>) {
  const failure = Effect.match(store.get("a"), { onFailure: (error) => error, onSuccess: () => undefined })
  const error = yield* until(failure, (error) => words.every((word) => error?.message.includes(word) === true))
  assert.deepStrictEqual([error?.reason._tag, error?.isRetryable], ["Unavailable", true], error?.message)
  const write = yield* Effect.flip(store.put("a", bytes("2")))
  assert.strictEqual(write.reason._tag, "Unavailable")
  assert.include(write.message, "nothing was written")
  return error?.reason._tag === "Unavailable" ? error.reason.cause : undefined
})

const worksAgain = (store: KVStore.KVStore["Service"]) =>
  until(Effect.result(store.put("a", bytes("3"))), ({ _tag }) => _tag === "Success")

/** Kills a server, and starts another one at its port and store. The returned effect kills that one. */
const replace = Effect.fnUntraced(function*({ line }: World, { kill, port, storeDir }: NatsServer, config: string) {
  yield* kill
  return yield* startNatsServer({ line, port, storeDir, config })
})

const login = (password: string) => `authorization { user: orders, password: "${password}" }`

/** Both CAs, so that a certificate is refused only because it has expired. */
const trusted = certificates.ca.text + certificates.expiredCa.text

const jetStream = (test: Test, world: World) => {
  test("on a server that was restarted without JetStream operations fail with Unavailable, which says so", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line: world.line })
      const store = yield* open(world, [server.url])
      const without = yield* replace(world, server, "jetstream: disabled")
      yield* failsWith(store, "the server has no JetStream", "start it with --jetstream")
      yield* without.kill
      yield* server.restart
      yield* worksAgain(store)
    }))
}

const reconnecting = (test: Test, world: World) => {
  test("while a server is down, errors name it and the refused connection", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line: world.line })
      const store = yield* open(world, [server.url])
      yield* server.kill
      const cause = yield* failsWith(store, "not connected", `127.0.0.1:${server.port}`, "connection refused")
      assert.instanceOf(cause, Error)
      yield* server.restart
      yield* worksAgain(store)
    }))

  test("while the login is refused, errors say so and keep the client's error as cause", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line: world.line, config: login("right-7") })
      const store = yield* open(world, [server.url], { password: "right-7" })
      const other = yield* replace(world, server, login("another"))
      const cause = yield* failsWith(
        store,
        "not connected",
        `127.0.0.1:${server.port}: the server refuses the login`,
        "Authorization Violation",
        "correct the login"
      )
      assert.include(String(cause), "Authorization Violation")
      yield* other.kill
      yield* server.restart
      yield* worksAgain(store)
    }))

  test("of several servers each has its own cause in the error", () =>
    Effect.gen(function*() {
      const { line } = world
      const [first, second] = [
        yield* startNatsServer({ line, config: login("right-7") }),
        yield* startNatsServer({ line, config: login("right-7") })
      ]
      const store = yield* open(world, [first.url, second.url], { password: "right-7" })
      yield* second.kill
      yield* replace(world, first, login("another"))
      yield* failsWith(
        store,
        `127.0.0.1:${first.port}: the server refuses the login`,
        `127.0.0.1:${second.port}: connection refused`
      )
    }))

  test("after credentials have expired, errors say so", () =>
    Effect.gen(function*() {
      const operator = makeOperator()
      const { port, url } = yield* startNatsServer({ line: world.line, config: operator.config })
      const clock = yield* Clock.Clock
      const { credentials } = makeUser(operator.account, Math.ceil(clock.currentTimeMillisUnsafe() / 1000) + 1)
      const store = yield* open(world, [url], { credentials })
      yield* failsWith(store, `127.0.0.1:${port}: `, "the credentials have expired", "renew them")
    }))

  for (
    const [how, config, way, words] of [
      ["", "", {}, ["the server refuses the connection (maximum connections exceeded)", "raise its max_connections"]],
      // With TLS the refusal is in plain text, and so no answer to a handshake. Some attempts end before it arrives.
      [" with TLS", certificates.serverTls(certificates.address), { tls: { ca: trusted } }, ["max_connections"]]
    ] as const
  ) {
    test(`while the server has reached max_connections${how}, errors say so`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line: world.line, config })
        const [one, two] = [yield* open(world, [server.url], way), yield* open(world, [server.url], way)]
        yield* replace(world, server, `max_connections: 1\n${config}`)
        // One of the two has the only connection.
        const reads = Effect.forEach([one, two], (store) =>
          Effect.match(store.get("a"), { onFailure: ({ message }) => message, onSuccess: () => "" }))
        yield* until(reads, (all) =>
          all.some((message) => words.every((word) => message.includes(word))))
      }))
  }

  test("while the server's certificate has expired, errors say so", () =>
    Effect.gen(function*() {
      const { address, expiredAddress, serverTls } = certificates
      const server = yield* startNatsServer({ line: world.line, config: serverTls(address) })
      const store = yield* open(world, [server.url], { tls: { ca: trusted } })
      const expired = yield* replace(world, server, serverTls(expiredAddress))
      const cause = yield* failsWith(store, "the server's certificate has expired (CERT_HAS_EXPIRED): renew it")
      assert.propertyVal(cause, "code", "CERT_HAS_EXPIRED")
      yield* expired.kill
      yield* server.restart
      yield* worksAgain(store)
    }))

  test("while the client's certificate has expired, errors say so, and a renewed one is used", () =>
    Effect.gen(function*() {
      const { address, client, expiredClient, serverTls } = certificates
      const [certFile, keyFile] = [yield* temporaryFile(client.cert.text), yield* temporaryFile(client.key.text)]
      const config = serverTls(address, "verify: true", yield* temporaryFile(trusted))
      const server = yield* startNatsServer({ line: world.line, config })
      const store = yield* open(world, [server.url], { tls: { ca: trusted, certFile, keyFile } })
      yield* server.kill
      writeFileSync(certFile, expiredClient.cert.text)
      writeFileSync(keyFile, expiredClient.key.text)
      yield* server.restart
      yield* failsWith(store, "the client certificate has expired", "renew it")
      writeFileSync(certFile, client.cert.text)
      writeFileSync(keyFile, client.key.text)
      yield* worksAgain(store)
    }))
}

/** Asserts that connecting fails with this reason and these words. */
const isRefused = Effect.fnUntraced(function*(
  options: NatsClient.Options,
  tag: "Unavailable" | "InvalidConfig" | "PermissionDenied",
  ...words: ReadonlyArray<string>
) {
  const error = yield* Effect.flip(Layer.build(NatsClient.layer({ ...options, ...soon })))
  assert.deepStrictEqual([error.reason._tag, error.isRetryable], [tag, tag === "Unavailable"], error.message)
  for (const word of words) assert.include(error.message, word)
})

const connecting = (test: Test, { line }: World) => {
  const { address, expiredAddress, expiredClient, expiry, serverTls } = certificates

  for (
    const [how, config, tls] of [
      ["", "", undefined],
      [" with TLS", serverTls(address), { ca: trusted }],
      [" with handshake_first", serverTls(address, "handshake_first: true"), { ca: trusted, handshakeFirst: true }]
    ] as const
  ) {
    test(`connecting to a server at max_connections${how} fails with Unavailable, which says so`, () =>
      Effect.gen(function*() {
        const { port, url: servers } = yield* startNatsServer({ line, config: `max_connections: 1\n${config}` })
        const options = { servers, ...(tls === undefined ? {} : { tls }) }
        yield* Layer.build(NatsClient.layer(options))
        const refused = isRefused(
          options,
          "Unavailable",
          `127.0.0.1:${port}: the server refuses the connection (maximum connections exceeded)`,
          "raise its max_connections"
        )
        // With TLS the client's error depends on whether the refusal, in plain text, arrives with INFO or after it.
        yield* Effect.replicateEffect(refused, tls === undefined ? 1 : 4)
      }))
  }

  test("connecting to a server with an expired certificate fails with InvalidConfig, which says when it expired", () =>
    Effect.gen(function*() {
      for (const [more, handshakeFirst] of [["", undefined], ["handshake_first: true", true]] as const) {
        const { port, url: servers } = yield* startNatsServer({ line, config: serverTls(expiredAddress, more) })
        yield* isRefused(
          { servers, tls: { ca: trusted, handshakeFirst } },
          "InvalidConfig",
          `the certificate of 127.0.0.1:${port} has expired on ${expiry}`,
          "renew it on the server"
        )
      }
    }))

  test("connecting with an expired client certificate fails with PermissionDenied, which says when it expired", () =>
    Effect.gen(function*() {
      const config = serverTls(address, "verify: true", yield* temporaryFile(trusted))
      const { url: servers } = yield* startNatsServer({ line, config })
      const tls = { ca: trusted, cert: expiredClient.cert.text, key: Redacted.make(expiredClient.key.text) }
      yield* isRefused(
        { servers, tls },
        "PermissionDenied",
        `this client certificate, which expired on ${expiry} and must be renewed`
      )
    }))

  test("connecting with expired credentials fails with PermissionDenied, which says when they expired", () =>
    Effect.gen(function*() {
      const operator = makeOperator()
      const { url: servers } = yield* startNatsServer({ line, config: operator.config })
      const { credentials } = makeUser(operator.account, 1_700_000_001)
      yield* isRefused(
        { servers, credentials: Redacted.make(credentials) },
        "PermissionDenied",
        "credentials of orders",
        "which expired on 2023-11-14T22:13:21.000Z"
      )
    }))

  test("after credentials have expired during an outage, errors say so, although the server only refuses them", () =>
    Effect.gen(function*() {
      const operator = makeOperator()
      const server = yield* startNatsServer({ line, config: operator.config })
      const clock = yield* Clock.Clock
      const expires = Math.ceil(clock.currentTimeMillisUnsafe() / 1000) + 1
      const { credentials } = makeUser(operator.account, expires)
      const logins: ReadonlyArray<NatsClient.Login> = [
        { credentials: Redacted.make(credentials) },
        { credentialsFile: yield* temporaryFile(credentials) }
      ]
      const stores = yield* Effect.forEach(logins, (login) => {
        const client = NatsClient.layer({ servers: server.url, ...soon, ...login })
        const layer = Layer.provide(NatsKVStore.layer({ bucket: freshName(), timeout: "1 second" }), client)
        return Effect.map(Layer.build(layer), Context.get(KVStore.KVStore))
      })
      yield* server.kill
      yield* until(Effect.sync(() => clock.currentTimeMillisUnsafe()), (now) => now > expires * 1000)
      yield* server.restart
      for (const store of stores) {
        yield* failsWith(store, "the credentials have expired (Authorization Violation): renew them")
      }
    }))
}

// Each test has its own server, and mostly waits: the tests run concurrently.
describe.concurrent("causes", () => {
  for (const world of worlds) {
    const test: Test = (title, body) => it.live(`${nameOf(world)}: ${title}`, body)
    jetStream(test, world)
    reconnecting(test, world)
    // With the legacy client, the program connects itself and gets the error from that client.
    if (world.client === "current") connecting(test, world)
  }
})
