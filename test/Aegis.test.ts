import { assert, describe, it } from "@effect/vitest"
import { Aegis, Election, Registry } from "effect-aegis"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"

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
    const [what, config, problem] of [
      ["a URL that is none", { AEGIS_NATS_URL: "not a url" }, /servers: expected nats:\/\/host:port, got "not a url"/],
      [
        "too many replicas",
        { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_REPLICAS: "9" },
        /replicas|cannot be reached/
      ],
      ["replicas that are no number", { AEGIS_REPLICAS: "many" }, /REPLICAS|many/]
    ] as const
  ) {
    it.live(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(withConfig(config))))
        assert.match(error.message, problem)
      }))
  }
})
