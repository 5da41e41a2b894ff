/** How a client logs in to a server, reads its configuration, and ends attempts to connect. */
import { assert, describe, it } from "@effect/vitest"
import { nkeys } from "@nats-io/transport-node"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import type { Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import * as NatsClient from "../../src/NatsClient.ts"

import { eventually } from "../../tools/eventually.ts"
import { temporaryFile } from "../support/files.ts"
import { introduces, nonce, refuses, silent, startListener, welcomes } from "../support/listener.ts"
import { makeOperator, makeUser } from "../support/operator.ts"
import { allShown } from "../support/shown.ts"
import { record } from "../support/suite.ts"

const until = eventually(false)

const secret = "tell-nobody-7"
const user = makeUser(makeOperator().account)

type Said = Record<string, unknown>

/** The CONNECT message that a client with these options sends to the server. */
const told = Effect.fnUntraced(function*(options: (url: string, port: number) => NatsClient.Options) {
  const said: Array<Said> = []
  const { port, url } = yield* startListener(welcomes(said))
  yield* Effect.scoped(Layer.build(NatsClient.layer(options(url, port))))
  assert.strictEqual(said.length, 1)
  return said[0]!
})

const login = ({ auth_token, jwt, nkey, pass, user }: Said) => ({ auth_token, jwt, nkey, pass, user })

const nothing = { auth_token: undefined, jwt: undefined, nkey: undefined, pass: undefined, user: undefined }

/** Whether the message is signed with the key that it names. */
const isSigned = ({ nkey, sig }: Said) =>
  nkeys.fromPublic(String(nkey)).verify(Buffer.from(nonce), Buffer.from(String(sig), "base64"))

describe("a client sends to the server", () => {
  it.live("its name, and no credentials if it has no login", () =>
    Effect.gen(function*() {
      const said = yield* told((servers) => ({ servers, name: "orders-1" }))
      assert.deepStrictEqual([said.name, login(said)], ["orders-1", nothing])
    }))

  it.live("a user and a password, unchanged", () =>
    Effect.gen(function*() {
      const password = ` p@ss:w/ö"rd\n`
      const said = yield* told((servers) => ({ servers, user: "u:1", password: Redacted.make(password) }))
      assert.deepStrictEqual(login(said), { ...nothing, user: "u:1", pass: password })
    }))

  it.live("a token, unchanged", () =>
    Effect.gen(function*() {
      const said = yield* told((servers) => ({ servers, token: Redacted.make(`${secret} ü`) }))
      assert.deepStrictEqual(login(said), { ...nothing, auth_token: `${secret} ü` })
    }))

  it.live("the user and the password in a URL, decoded, for all servers", () =>
    Effect.gen(function*() {
      const said = yield* told((url, port) => ({
        servers: `nats://u%3A1:p%40ss%2Cw@127.0.0.1:1, ${url}, nats://u%3A1:p%40ss%2Cw@127.0.0.1:${port}`
      }))
      assert.deepStrictEqual(login(said), { ...nothing, user: "u:1", pass: "p@ss,w" })
    }))

  it.live("a user without a password in a URL, as a token", () =>
    Effect.gen(function*() {
      const said = yield* told((_, port) => ({ servers: `${secret}@127.0.0.1:${port}` }))
      assert.deepStrictEqual(login(said), { ...nothing, auth_token: secret })
    }))

  it.live("the public key of its nkey, and a signature", () =>
    Effect.gen(function*() {
      const said = yield* told((servers) => ({ servers, nkey: Redacted.make(`${user.seed}\n`) }))
      assert.deepStrictEqual(login(said), { ...nothing, nkey: user.publicKey })
      assert.isTrue(isSigned(said))
    }))

  for (const [what, text] of [["", user.credentials], [" from Windows", user.credentials.replaceAll("\n", "\r\n")]]) {
    it.live(`the JWT of its credentials${what}, and a signature`, () =>
      Effect.gen(function*() {
        const said = yield* told((servers) => ({ servers, credentials: Redacted.make(text!) }))
        assert.deepStrictEqual([said.jwt, said.nkey], [user.jwt, user.publicKey])
        assert.isTrue(isSigned(said))
      }))
  }

  it.live("the login in its configuration, and errors of the configuration show no secret", () =>
    Effect.gen(function*() {
      const said: Array<Said> = []
      const { url } = yield* startListener(welcomes(said))
      const client = NatsClient.layerConfig({
        servers: Config.String("URL"),
        user: Config.String("NATS_USER"),
        password: Config.Redacted("NATS_PASSWORD"),
        pingInterval: Config.Duration("PING")
      })
      const from = (config: unknown) => Layer.provide(client, ConfigProvider.layer(ConfigProvider.fromUnknown(config)))
      const good = { URL: url, NATS_USER: "u", NATS_PASSWORD: secret, PING: "5 seconds" }
      yield* Effect.scoped(Layer.build(from(good)))
      assert.deepStrictEqual(said.map(login), [{ ...nothing, user: "u", pass: secret }])
      for (
        const [bad, word] of [
          [{ ...good, URL: `nats://${secret}@a b` }, "servers"],
          [{ ...good, NATS_USER: undefined }, "NATS_USER"],
          [{ ...good, PING: "0 seconds" }, "pingInterval"],
          [{ ...good, PING: "often" }, "PING"]
        ] as const
      ) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(from(bad))))
        assert.include(allShown(error), word)
        assert.notInclude(allShown(error), secret)
      }
    }))

  it.live("nothing if its credentials file or CA file cannot be read, and fails with the path", () =>
    Effect.gen(function*() {
      const client = NatsClient.layerConfig({
        servers: Config.String("URL"),
        credentialsFile: Config.String("CREDS"),
        tls: { caFile: Config.String("CA"), keyFile: Config.succeed(undefined) }
      })
      const credentials = yield* temporaryFile(user.credentials)
      for (
        const [files, word] of [[{ CREDS: "/none", CA: "/a" }, "/none"], [
          { CREDS: credentials, CA: "/a" },
          "/a"
        ]] as const
      ) {
        const config = ConfigProvider.fromUnknown({ URL: "127.0.0.1:1", ...files })
        const error = yield* Effect.flip(Layer.build(Layer.provide(client, ConfigProvider.layer(config))))
        assert.include(error.message, `cannot read "${word}" (ENOENT)`)
      }
    }))

  it.live("a secret that neither the printed client nor the log contains", () =>
    Effect.gen(function*() {
      const shown: Array<string> = []
      const logger = Logger.make((entry) => {
        shown.push(inspect(entry.message), inspect(entry.cause))
      })
      const { url: servers } = yield* startListener(welcomes([]))
      const logins: ReadonlyArray<NatsClient.Options> = [
        { servers, user: "u", password: Redacted.make(secret) },
        { servers, token: Redacted.make(secret) },
        { servers: servers.replace("//", `//u:${secret}@`) },
        { servers, nkey: Redacted.make(user.seed) },
        { servers, credentials: Redacted.make(user.credentials) }
      ]
      for (const options of logins) {
        yield* NatsClient.NatsClient.use((client) => Effect.logInfo("connected", client, client.connection)).pipe(
          Effect.provide(Layer.provideMerge(NatsClient.layer(options), Logger.layer([logger]))),
          Effect.provideService(References.MinimumLogLevel, "All")
        )
      }
      assert.isAtLeast(shown.length, logins.length)
      for (const one of [secret, user.seed, user.jwt]) assert.notInclude(shown.join("\n"), one)
    }))
})

interface ClientOptions {
  readonly [name: string]: unknown
  readonly reconnectDelayHandler: () => number
}

/** The options that the NATS client received. */
const optionsOf = Effect.fnUntraced(function*(options: Omit<NatsClient.ConnectionOptions, "servers">) {
  const { url: servers } = yield* startListener(welcomes([]))
  const context = yield* Layer.build(NatsClient.layer({ servers, ...options }))
  const { connection } = Context.get(context, NatsClient.NatsClient)
  return (connection as { readonly options: ClientOptions }).options
})

describe("a connected client", () => {
  const waits = (options: ClientOptions) => Array.from({ length: 500 }, () => options.reconnectDelayHandler())

  it.live("reconnects without limit, after a random time of 250 ms to 1 s", () =>
    Effect.gen(function*() {
      const options = yield* optionsOf({})
      const { ignoreAuthErrorAbort, maxPingOut, maxReconnectAttempts, pingInterval, timeout } = options
      assert.deepStrictEqual([maxReconnectAttempts, ignoreAuthErrorAbort], [-1, true])
      assert.deepStrictEqual([timeout, pingInterval, maxPingOut], [2000, 3000, 2])
      const all = waits(options)
      assert.isAtLeast(Math.min(...all), 250)
      assert.isAtMost(Math.max(...all), 1000)
      assert.isAbove(Math.max(...all) - Math.min(...all), 500)
    }))

  it.live("takes its times from its options", () =>
    Effect.gen(function*() {
      const options = yield* optionsOf({ connectTimeout: 700, reconnectWait: "2 seconds", pingInterval: "1 minute" })
      assert.deepStrictEqual([options.timeout, options.pingInterval], [700, 60_000])
      const all = waits(options)
      assert.isAtLeast(Math.min(...all), 2000)
      assert.isAtMost(Math.max(...all), 8000)
    }))

  it.live("disconnects after two unanswered pings", () =>
    Effect.gen(function*() {
      let pings = 0
      const listener = yield* startListener((socket) => {
        introduces(socket)
        socket.on("data", (data) => {
          // The first ping is part of connecting, and is answered.
          const news = String(data).split("PING\r\n").length - 1
          if (pings === 0 && news > 0) socket.write("PONG\r\n")
          pings += news
        })
      })
      const options = { servers: listener.url, pingInterval: "30 millis", reconnectWait: "1 minute" } as const
      const context = yield* Layer.build(NatsClient.layer(options))
      const { events } = yield* record(Context.get(context, NatsClient.NatsClient).status)
      yield* until(Effect.sync(() => events), (events) => events.includes("disconnected"))
      assert.strictEqual(pings, 3)
    }))
})

/** Runs a program to its end, and returns its output. */
const run = (...args: ReadonlyArray<string>) =>
  Effect.callback<string, Error>((resume) => {
    const program = fileURLToPath(new URL("../support/connectAndLeave.ts", import.meta.url))
    const child = execFile(process.execPath, [program, ...args], { timeout: 15_000 }, (error, stdout) => {
      resume(error === null ? Effect.succeed(stdout) : Effect.fail(error))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** The names and codes of an error and of its causes. */
const causesOf = (cause: unknown): ReadonlyArray<string> =>
  cause instanceof Error
    ? [
      ...(typeof Reflect.get(cause, "code") === "string" ? [String(Reflect.get(cause, "code"))] : []),
      cause.name,
      ...causesOf(cause.cause)
    ]
    : []

describe("the error of a client that cannot connect", () => {
  it.live("has the system's error as its cause if the connection is refused", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.scoped(startListener())
      const error = yield* Effect.flip(Layer.build(NatsClient.layer({ servers: `127.0.0.1:${port}` })))
      const { reason } = error
      assert.isTrue(reason._tag === "Unavailable")
      if (reason._tag !== "Unavailable") return
      assert.include(causesOf(reason.cause), "ECONNREFUSED")
      assert.notInclude(error.message, "nothing was written")
    }))

  it.live("has the NATS client's error as its cause if the server does not answer", () =>
    Effect.gen(function*() {
      const { url: servers } = yield* startListener(silent)
      const { reason } = yield* Effect.flip(Layer.build(NatsClient.layer({ servers, connectTimeout: "100 millis" })))
      assert.isTrue(reason._tag === "Unavailable" && causesOf(reason.cause).includes("TimeoutError"))
    }))

  it.live("has the server's error as its cause if the login is refused", () =>
    Effect.gen(function*() {
      const { url: servers } = yield* startListener(refuses)
      const error = yield* Effect.flip(Layer.build(NatsClient.layer({ servers, token: Redacted.make(secret) })))
      const { reason } = error
      assert.isTrue(reason._tag === "PermissionDenied" && causesOf(reason.cause).includes("AuthorizationError"))
      assert.notInclude(allShown(error), secret)
    }))
})

describe("a client with several servers that fails", () => {
  // The servers are tried in random order: sixteen attempts try each of them first at least once.
  const times = 16

  for (const [what, talk] of [["is down", undefined], ["sends nothing", silent]] as const) {
    it.live(`reports the server that refuses the login, also if another one ${what}`, () =>
      Effect.gen(function*() {
        const refusing = yield* startListener(refuses)
        const other = yield* Effect.scoped(startListener())
        const { url } = talk === undefined ? other : yield* startListener(talk)
        const client = NatsClient.layer({ servers: [url, refusing.url], connectTimeout: "50 millis" })
        const failed = Effect.flip(Effect.scoped(Layer.build(client)))
        for (const { reason } of yield* Effect.replicateEffect(failed, times)) {
          assert.strictEqual(reason._tag, "PermissionDenied")
          assert.include(reason.message, refusing.url.slice("nats://".length))
        }
      }))
  }

  it.live("connects to the one that accepts the login", () =>
    Effect.gen(function*() {
      const [refusing, good] = [yield* startListener(refuses), yield* startListener(welcomes([]))]
      const client = NatsClient.layer({ servers: [refusing.url, good.url] })
      yield* Effect.replicateEffect(Effect.scoped(Layer.build(client)), times, { discard: true })
      assert.strictEqual(good.taken(), times)
      assert.isAbove(refusing.taken(), 0)
    }))

  it.live("has the problem of each server in its message, in the order of the option", () =>
    Effect.gen(function*() {
      const mute = yield* startListener()
      const down = yield* Effect.scoped(startListener())
      const servers = [down.url, mute.url]
      const error = yield* Effect.flip(Layer.build(NatsClient.layer({ servers, connectTimeout: "50 millis" })))
      assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["Unavailable", true])
      assert.include(
        error.message,
        `127.0.0.1:${down.port}: connection refused; 127.0.0.1:${mute.port}: no answer within 50ms`
      )
    }))
})

describe("a client that stops connecting", () => {
  for (const [what, talk] of [["sends nothing", silent], ["sends only INFO", introduces]] as const) {
    it.live(`because it is interrupted leaves no socket at a server that ${what}`, () =>
      Effect.gen(function*() {
        const listener = yield* startListener(talk)
        const client = Layer.build(NatsClient.layer({ servers: listener.url, connectTimeout: "20 seconds" }))
        const fiber = yield* Effect.forkScoped(client)
        yield* until(Effect.sync(listener.open), (open) => open === 1)
        yield* Effect.timeout(Fiber.interrupt(fiber), "1 second")
        yield* until(Effect.sync(listener.open), (open) => open === 0)
        assert.strictEqual(listener.taken(), 1)
      }))

    it.live(`because of a timeout leaves no socket at a server that ${what}`, () =>
      Effect.gen(function*() {
        const listener = yield* startListener(talk)
        const client = NatsClient.layer({ servers: listener.url, connectTimeout: "100 millis" })
        const error = yield* Effect.flip(Layer.build(client))
        assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["Unavailable", true])
        assert.include(error.message, "no answer within 100ms")
        yield* until(Effect.sync(listener.open), (open) => open === 0)
      }))
  }

  it.live("does not try the other servers, and does not affect other connections", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* startListener(), yield* startListener()]
      const servers = [first.url, second.url]
      const client = Layer.build(NatsClient.layer({ servers, connectTimeout: "20 seconds" }))
      const [one, other] = [yield* Effect.forkScoped(client), yield* Effect.forkScoped(Effect.exit(client))]
      const open = Effect.sync(() => first.open() + second.open())
      yield* until(open, (count) => count === 2)
      yield* Fiber.interrupt(one)
      yield* until(open, (count) => count === 1)
      assert.strictEqual(first.taken() + second.taken(), 2)
      assert.isUndefined(other.pollUnsafe())
    }))

  it.live("leaves no socket at servers that it tried before it connected to another", () =>
    Effect.gen(function*() {
      const [mute, good] = [yield* startListener(), yield* startListener(welcomes([]))]
      // The order is random: in sixteen attempts each server is tried first at least once.
      for (let attempts = 0; attempts < 16; attempts++) {
        const scope = yield* Scope.make()
        const client = NatsClient.layer({ servers: [mute.url, good.url], connectTimeout: "200 millis" })
        yield* Scope.provide(Layer.build(client), scope)
        yield* until(Effect.sync(mute.open), (open) => open === 0)
        assert.strictEqual(good.open(), 1)
        yield* Scope.close(scope, Exit.void)
        yield* until(Effect.sync(good.open), (open) => open === 0)
      }
      assert.isAbove(mute.taken(), 0)
      assert.strictEqual(good.taken(), 16)
    }))

  it.live("because it is released leaves no socket of an attempt to reconnect", () =>
    Effect.gen(function*() {
      const first: Array<Socket> = []
      const listener = yield* startListener((socket) => {
        if (first.push(socket) === 1) welcomes([])(socket)
      })
      const scope = yield* Scope.make()
      const options = { servers: listener.url, reconnectWait: "1 millis", connectTimeout: "20 seconds" } as const
      yield* Scope.provide(Layer.build(NatsClient.layer(options)), scope)
      first[0]!.destroy()
      yield* until(Effect.sync(() => [listener.taken(), listener.open()]), ([taken, open]) => taken === 2 && open === 1)
      yield* Effect.timeout(Scope.close(scope, Exit.void), "1 second")
      yield* until(Effect.sync(listener.open), (open) => open === 0)
      assert.strictEqual(listener.taken(), 2)
    }))

  for (const handshake of ["plain", "tls"]) {
    for (const how of ["fails", "interrupted"]) {
      it.live(`does not keep its process alive (${how}, ${handshake})`, () =>
        Effect.gen(function*() {
          const listener = yield* startListener()
          const said = yield* run(how, listener.url, handshake)
          assert.isBelow(Number(said), 500)
          assert.isAbove(listener.taken(), 0)
        }), 20_000)
    }
  }
})
