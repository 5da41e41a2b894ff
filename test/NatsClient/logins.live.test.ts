/** Each authentication method on a server configured for it: with the right secret, with a wrong one, and without. */
import { assert, describe, it } from "@effect/vitest"
import { nkeys } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { inspect } from "node:util"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import { read } from "../KVStore/suite/fixture.ts"
import * as certificates from "../support/certificates.ts"
import { temporaryFile } from "../support/files.ts"
import { makeOperator, makeUser, seedOf } from "../support/operator.ts"
import { allShown } from "../support/shown.ts"
import { freshName } from "../support/suite.ts"

type Test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) => void

/** No error may contain these. */
const secrets = ["right-7", "wrong-7"]

const right = Redacted.make("right-7")
const wrong = Redacted.make("wrong-7")

/** Connects, writes a value to a bucket, and reads it. */
const works = Effect.fnUntraced(function*(options: NatsClient.Options) {
  const stores = NatsKVStore.layer({ bucket: freshName() })
  const context = yield* Layer.build(Layer.provideMerge(stores, NatsClient.layer(options)))
  const store = Context.get(context, KVStore.KVStore)
  yield* store.put("a", bytes("1"))
  assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
  return Context.get(context, NatsClient.NatsClient)
})

/** Asserts that connecting fails with a final reason, whose message contains the words and no secret. */
const isRefused = Effect.fnUntraced(function*(
  options: NatsClient.Options,
  tag: "PermissionDenied" | "InvalidConfig",
  words: ReadonlyArray<string>,
  more: ReadonlyArray<string> = []
) {
  const error = yield* Effect.flip(Layer.build(NatsClient.layer(options)))
  assert.strictEqual(error.reason._tag, tag, error.message)
  assert.deepStrictEqual([error.operation, error.bucket, error.isRetryable], ["connect", undefined, false])
  for (const word of words) assert.include(error.message, word)
  for (const secret of [...secrets, ...more]) assert.notInclude(allShown(error), secret)
})

const passwordsAndTokens = (test: Test, line: Line): void => {
  test("the right user and password are accepted, in options and in the URL, and all others are refused", () =>
    Effect.gen(function*() {
      const config = `authorization { user: orders, password: "right-7" }`
      const { port, url: servers } = yield* startNatsServer({ line, config })
      const by = (login: string) => ({ servers: `nats://${login}@127.0.0.1:${port}` })
      yield* works({ servers, user: "orders", password: right })
      yield* works(by("orders:right-7"))
      const refusals: ReadonlyArray<readonly [NatsClient.Options, string]> = [
        [{ servers, user: "orders", password: wrong }, `user "orders"`],
        [{ servers, user: "others", password: right }, `user "others"`],
        [{ servers, token: right }, "a token"],
        [{ servers }, "no login"],
        [by("orders:wrong-7"), `user "orders"`],
        [by("wrong-7"), "a token"]
      ]
      for (const [options, who] of refusals) yield* isRefused(options, "PermissionDenied", [`127.0.0.1:${port}`, who])
    }))

  test("the right token is accepted, in options and in the URL, and all others are refused", () =>
    Effect.gen(function*() {
      const { port, url: servers } = yield* startNatsServer({ line, config: `authorization { token: "right-7" }` })
      const by = (login: string) => ({ servers: `nats://${login}@127.0.0.1:${port}` })
      yield* works({ servers, token: right })
      yield* works(by("right-7"))
      for (const options of [{ servers, token: wrong }, by("wrong-7"), { servers }]) {
        yield* isRefused(options, "PermissionDenied", [`127.0.0.1:${port}`])
      }
    }))

  test("a user who may use only inboxes with a prefix works with inboxPrefix", () =>
    Effect.gen(function*() {
      const permissions = `{ publish: [ "$JS.API.>", "$KV.>" ], subscribe: [ "_INBOX_app.>" ] }`
      const config = `authorization { users: [ { user: app, password: "right-7", permissions: ${permissions} } ] }`
      const { url: servers } = yield* startNatsServer({ line, config })
      yield* works({ servers, user: "app", password: right, inboxPrefix: "_INBOX_app" })
      const error = yield* Effect.flip(works({ servers, user: "app", password: right }))
      assert.strictEqual(error.reason._tag, "PermissionDenied")
      assert.include(error.message, "_INBOX")
    }))
}

const keys = (test: Test, line: Line): void => {
  test("the right nkey is accepted, and all others are refused", () =>
    Effect.gen(function*() {
      const [known, unknown] = [nkeys.createUser(), nkeys.createUser()]
      const config = `authorization { users: [ { nkey: ${known.getPublicKey()} } ] }`
      const { url: servers } = yield* startNatsServer({ line, config })
      yield* works({ servers, nkey: Redacted.make(seedOf(known)) })
      const seed = seedOf(unknown)
      yield* isRefused({ servers, nkey: Redacted.make(seed) }, "PermissionDenied", [unknown.getPublicKey()], [seed])
      yield* isRefused({ servers }, "PermissionDenied", ["no login"])
    }))

  test("credentials of the server's operator are accepted, as a text and as a file, and all others are refused", () =>
    Effect.gen(function*() {
      const operator = makeOperator()
      const known = makeUser(operator.account)
      const unknown = makeUser(makeOperator().account)
      const { url: servers } = yield* startNatsServer({ line, config: operator.config })
      yield* works({ servers, credentials: Redacted.make(known.credentials) })
      yield* works({ servers, credentialsFile: yield* temporaryFile(known.credentials) })
      const hidden = [unknown.seed, unknown.jwt]
      for (
        const options of [
          { servers, credentials: Redacted.make(unknown.credentials) },
          { servers, credentialsFile: yield* temporaryFile(unknown.credentials) }
        ]
      ) yield* isRefused(options, "PermissionDenied", ["credentials of orders", unknown.publicKey], hidden)
      yield* isRefused({ servers, nkey: Redacted.make(known.seed) }, "PermissionDenied", [known.publicKey], [
        known.seed
      ])
      yield* isRefused({ servers }, "PermissionDenied", ["no login"])
    }))

  test("expired credentials are refused", () =>
    Effect.gen(function*() {
      const operator = makeOperator()
      const { credentials, seed } = makeUser(operator.account, 1_700_000_001)
      const { url: servers } = yield* startNatsServer({ line, config: operator.config })
      yield* isRefused({ servers, credentials: Redacted.make(credentials) }, "PermissionDenied", ["orders"], [seed])
    }))
}

const { address, ca, client, localhost, otherCa, stranger } = certificates

const tls = (test: Test, line: Line): void => {
  test("a server is trusted if tls.ca or tls.caFile has its CA, with any login", () =>
    Effect.gen(function*() {
      const config = `${certificates.serverTls(address)}\nauthorization { user: orders, password: "right-7" }`
      const { port, url: servers } = yield* startNatsServer({ line, config })
      const login = { user: "orders", password: right }
      yield* works({ servers, ...login, tls: { ca: ca.text } })
      yield* works({ servers: servers.replace("nats:", "tls:"), ...login, tls: { caFile: ca.file } })
      yield* isRefused({ servers, ...login, password: wrong, tls: { ca: ca.text } }, "PermissionDenied", ["orders"])
      for (const tls of [undefined, {}, { ca: otherCa.text }, { caFile: otherCa.file }]) {
        yield* isRefused({ servers, ...login, tls }, "InvalidConfig", [
          `127.0.0.1:${port}`,
          "cannot be verified",
          "tls.ca"
        ])
      }
    }))

  test("a server certificate is accepted only for its own address or host name", () =>
    Effect.gen(function*() {
      const byAddress = yield* startNatsServer({ line, config: certificates.serverTls(address) })
      const byName = yield* startNatsServer({ line, config: certificates.serverTls(localhost) })
      const tls = { ca: ca.text }
      yield* works({ servers: `127.0.0.1:${byAddress.port}`, tls })
      yield* works({ servers: `localhost:${byName.port}`, tls })
      const words = ["ERR_TLS_CERT_ALTNAME_INVALID"]
      yield* isRefused({ servers: `localhost:${byAddress.port}`, tls }, "InvalidConfig", [...words, "localhost"])
      // Without a name, Node compares the certificate with localhost; an address must not be accepted as localhost.
      yield* isRefused({ servers: `127.0.0.1:${byName.port}`, tls }, "InvalidConfig", [...words, "127.0.0.1"])
    }))

  test("a server without TLS is refused if the options require TLS", () =>
    Effect.gen(function*() {
      const { port, url: servers } = yield* startNatsServer({ line })
      const refusals: ReadonlyArray<readonly [NatsClient.Options, string]> = [
        [{ servers, tls: {} }, "does not offer TLS"],
        [{ servers: `tls://127.0.0.1:${port}` }, "does not offer TLS"],
        [{ servers: [servers, `tls://127.0.0.1:${port}`] }, "does not offer TLS"],
        [{ servers, tls: { handshakeFirst: true } }, "without tls.handshakeFirst"]
      ]
      for (const [options, word] of refusals) yield* isRefused(options, "InvalidConfig", ["tls", `${port}`, word])
    }))

  for (
    const [what, more, handshakeFirst] of [
      ["", "", undefined],
      [", also with handshake_first", ", handshake_first: true", true]
    ] as const
  ) {
    test(`a client is accepted only with a certificate of the server's CA${what}`, () =>
      Effect.gen(function*() {
        const config = certificates.serverTls(address, `verify: true${more}`)
        const { port, url: servers } = yield* startNatsServer({ line, config })
        const options = (tls: NatsClient.TlsOptions): NatsClient.Options => ({
          servers,
          tls: { ca: ca.text, handshakeFirst, ...tls }
        })
        const key = Redacted.make(client.key.text)
        const connected = yield* works(options({ cert: client.cert.text, key }))
        yield* works(options({ certFile: client.cert.file, keyFile: client.key.file }))
        const hidden = client.key.text.split("\n")[1]!
        assert.notInclude(inspect(connected) + inspect(connected.connection), hidden)
        yield* isRefused(options({}), "PermissionDenied", [`${port}`, "no client certificate"])
        const others = options({ cert: stranger.cert.text, key: Redacted.make(stranger.key.text) })
        yield* isRefused(others, "PermissionDenied", [`${port}`, "this client certificate", "UNKNOWN_CA"])
      }))
  }

  test("a client certificate can be the login: it names the user", () =>
    Effect.gen(function*() {
      const users = (user: string) => `authorization { users: [ { user: "${user}" } ] }`
      const config = (user: string) => `${certificates.serverTls(address, "verify_and_map: true")}\n${users(user)}`
      const known = yield* startNatsServer({ line, config: config("orders@example.com") })
      const unknown = yield* startNatsServer({ line, config: config("others@example.com") })
      const tls = { ca: ca.text, cert: client.cert.text, key: Redacted.make(client.key.text) }
      yield* works({ servers: known.url, tls })
      yield* isRefused({ servers: unknown.url, tls }, "PermissionDenied", ["no login"])
    }))

  test("the error for a server with handshake_first names tls.handshakeFirst", () =>
    Effect.gen(function*() {
      const { url: servers } = yield* startNatsServer({
        line,
        config: certificates.serverTls(address, "handshake_first: true")
      })
      const client = NatsClient.layer({ servers, connectTimeout: "300 millis", tls: { ca: ca.text } })
      const error = yield* Effect.flip(Layer.build(client))
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.include(error.message, "tls.handshakeFirst")
    }))
}

// Each test has its own server, and the client waits most of the time: the tests run concurrently.
describe.concurrent("logging in to a server", () => {
  for (const line of lines) {
    const test: Test = (title, body) => it.live(`${line}: ${title}`, body)
    passwordsAndTokens(test, line)
    keys(test, line)
    tls(test, line)
  }
})
