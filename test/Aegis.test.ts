import { assert, describe, it } from "@effect/vitest"
import { Aegis, Election, Registry } from "effect-aegis"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { eventually } from "./KVStoreSuite/fixture.ts"
import { client } from "./support/certificates.ts"
import { temporaryFile } from "./support/files.ts"
import { startListener, welcomes } from "./support/listener.ts"
import { makeOperator, makeUser } from "./support/operator.ts"
import { allShown } from "./support/shown.ts"

const withConfig = (config: unknown) =>
  Layer.provide(Aegis.layerConfig, ConfigProvider.layer(ConfigProvider.fromUnknown(config)))

const registersAndLeads = Effect.gen(function*() {
  const registry = yield* Registry.Registry
  const election = yield* Election.Election
  yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
  const leadership = yield* election.campaign("job", { candidateId: "orders-1" })
  const alive = yield* registry.list("orders")
  const leader = yield* election.leader("job")
  assert.deepStrictEqual(alive.map((instance): string => instance.instanceId), ["orders-1"])
  assert.deepStrictEqual(Option.map(leader, (record) => record.token), Option.some(leadership.token))
})

describe("Aegis, memory", () => {
  it.effect("gives a registry and elections that work together", () =>
    registersAndLeads.pipe(Effect.scoped, Effect.provide(Aegis.layerMemory)))

  it.effect("keeps its buckets apart: an hour ages an instance out, and no leader", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      const election = yield* Election.Election
      yield* registry.heartbeat({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
      const leadership = yield* election.campaign("job")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* registry.list("orders", { includeExpired: true })).length, 0)
      assert.isTrue(yield* leadership.isValid)
    }).pipe(Effect.scoped, Effect.provide(Aegis.layerMemory)))

  it.effect("stays in memory where no URL is set, and says so", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const logger = Logger.make((entry) => {
        said.push(String(entry.message))
      })
      yield* registersAndLeads.pipe(
        Effect.scoped,
        Effect.provide(Layer.provideMerge(withConfig({}), Logger.layer([logger])))
      )
      assert.isTrue(said.some((line) => line.includes("AEGIS_NATS_URL is not set")), said.join("\n"))
    }))

  for (
    const [name, value] of [
      ["AEGIS_NATS_CREDS", "/run/orders.creds"],
      ["AEGIS_NATS_TOKEN", "tell-nobody-7"],
      ["AEGIS_NATS_PASSWORD", "tell-nobody-7"],
      ["AEGIS_NATS_CA", "/run/ca.pem"]
    ] as const
  ) {
    it.live(`does not stay in memory where no URL is set, and ${name} is`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(withConfig({ [name]: value }))))
        assert.match(error.message, /AEGIS_NATS_URL: expected/)
        assert.notInclude(allShown(error), "tell-nobody-7")
      }))
  }

  it.live("tells a server who it is by any of its settings", () =>
    Effect.gen(function*() {
      const user = makeUser(makeOperator().account)
      const file = yield* temporaryFile(user.credentials)
      const logins = [
        [{ AEGIS_NATS_USER: "u", AEGIS_NATS_PASSWORD: "p" }, { user: "u", pass: "p" }],
        [{ AEGIS_NATS_TOKEN: "t" }, { auth_token: "t" }],
        [{ AEGIS_NATS_NKEY: user.seed }, { nkey: user.publicKey }],
        [{ AEGIS_NATS_CREDS: file }, { nkey: user.publicKey, jwt: user.jwt }]
      ] as const
      for (const [config, expected] of logins) {
        const said: Array<Record<string, unknown>> = []
        const { url } = yield* startListener(welcomes(said))
        // It is no NATS server, so there will be no buckets on it.
        const layer = withConfig({ AEGIS_NATS_URL: url, ...config })
        const fiber = yield* Effect.forkScoped(Effect.exit(Layer.build(layer)))
        yield* eventually(false)(Effect.sync(() => said.length), (count) => count === 1)
        yield* Fiber.interrupt(fiber)
        for (const [name, value] of Object.entries(expected)) assert.strictEqual(said[0]![name], value)
      }
    }))

  for (
    const [what, config, problem] of [
      ["a URL that is none", { AEGIS_NATS_URL: "not a url" }, /servers: expected nats:\/\/host:port, got "not a url"/],
      [
        "too many replicas",
        { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_REPLICAS: "9" },
        /replicas|cannot be reached/
      ],
      ["replicas that are no number", { AEGIS_REPLICAS: "many" }, /REPLICAS|many/],
      [
        "two logins",
        { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_TOKEN: "t", AEGIS_NATS_CREDS: "a.creds" },
        /one way to log in, got token, credentialsFile/
      ],
      ["half a login", { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_USER: "u" }, /password: expected/],
      ["a certificate alone", { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_CERT: client.cert.file }, /key/],
      ["a CA that is not there", { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_CA: "/none" }, /tls.caFile.*ENOENT/]
    ] as const
  ) {
    it.live(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(withConfig(config))))
        assert.match(error.message, problem)
      }))
  }
})
