/** `Aegis.health`: what a process knows of its registrations and elections, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as Aegis from "../../src/Aegis.ts"
import * as Buckets from "../../src/Buckets.ts"
import * as Election from "../../src/Election.ts"
import * as Registry from "../../src/Registry.ts"
import { quiet } from "../support/suite.ts"

const orders = { serviceName: "orders", instanceId: "orders-1", version: "1.0.0" } as const

const seconds = Option.map((age: Duration.Duration) => Math.round(Duration.toSeconds(age)))

describe("Aegis.health", () => {
  it.effect("of a process without registrations and elections is ready and connected", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Aegis.health, { ready: true, connected: true, registrations: [], elections: [] })
    }).pipe(Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))

  it.effect("has the ages of the last heartbeat and the last renewal", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      const election = yield* Election.Election
      yield* registry.register(orders)
      yield* election.campaign("job", { candidateId: "orders-1" })
      yield* TestClock.adjust("7 seconds")
      const { elections, ready, registrations } = yield* Aegis.health
      assert.isTrue(ready)
      assert.deepStrictEqual(registrations.map(({ heartbeatAge }) => seconds(heartbeatAge)), [Option.some(7)])
      assert.deepStrictEqual(
        registrations.map(({ instanceId, isRegistered, status }) => [instanceId, isRegistered, status]),
        [
          ["orders-1", true, "ACTIVE"]
        ]
      )
      assert.deepStrictEqual(elections.map(({ renewalAge }) => seconds(renewalAge)), [Option.some(3)])
      assert.deepStrictEqual(elections.map(({ leaseEndsIn }) => seconds(leaseEndsIn)), [Option.some(17)])
      assert.deepStrictEqual(elections.map(({ candidateId, election, state }) => [candidateId, election, state]), [
        ["orders-1", "job", "Leading"]
      ])
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))

  it.effect("is not ready while a registration waits for the record of another process", () =>
    Effect.gen(function*() {
      const own = Layer.fresh(Aegis.layer())
      const other = yield* Layer.build(own)
      yield* Effect.provide(Registry.Registry.use((registry) => registry.heartbeat(orders)), other)
      yield* Effect.gen(function*() {
        const registry = yield* Registry.Registry
        const fiber = yield* Effect.forkScoped(registry.register(orders))
        yield* TestClock.adjust("10 seconds")
        assert.isFalse((yield* Aegis.health).ready)
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.join(fiber)
        assert.isTrue((yield* Aegis.health).ready)
      }).pipe(Effect.provide(own))
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Buckets.layerMemory, quiet))))

  it.effect("is not ready while a registration drains", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      const registration = yield* registry.register(orders)
      const done = yield* Deferred.make<void>()
      const drain = yield* Effect.forkScoped(registration.drain(Deferred.await(done), { timeout: "1 minute" }))
      yield* TestClock.adjust("1 second")
      assert.isFalse((yield* Aegis.health).ready)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(drain)
      const { ready, registrations } = yield* Aegis.health
      assert.deepStrictEqual([ready, registrations.map(({ isRegistered }) => isRegistered)], [false, [false]])
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))

  it.effect("shows a campaign, and a leadership whose work stops", () =>
    Effect.gen(function*() {
      const election = yield* Election.Election
      const states = Effect.map(Aegis.health, ({ elections }) =>
        elections.map(({ candidateId, state }) => `${candidateId} ${state}`))
      const stopping = yield* Deferred.make<void>()
      const work = Effect.onInterrupt(Effect.never, () =>
        Deferred.await(stopping))
      const one = yield* Effect.forkScoped(election.whileLeader("job", () => work, { candidateId: "one" }))
      yield* TestClock.adjust("1 second")
      yield* Effect.forkScoped(election.whileLeader("job", () => Effect.never, { candidateId: "two" }))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* states).toSorted(), ["one Leading", "two Campaigning"])
      yield* Effect.forkScoped(Fiber.interrupt(one))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* states).toSorted(), ["one Releasing", "two Campaigning"])
      yield* Deferred.succeed(stopping, undefined)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* states, ["two Leading"])
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))

  for (
    const [status, ready] of [["STARTING", false], ["ACTIVE", true], ["STANDBY", true], ["UNHEALTHY", false]] as const
  ) {
    it.effect(`of an instance with the status ${status} is ${ready ? "ready" : "not ready"}`, () =>
      Effect.gen(function*() {
        const registry = yield* Registry.Registry
        yield* registry.register({ ...orders, status })
        assert.strictEqual((yield* Aegis.health).ready, ready)
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))
  }

  it.effect("is JSON through its schema: ages in milliseconds, times as texts, and null for none", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      const election = yield* Election.Election
      yield* registry.register(orders)
      yield* election.campaign("job", { candidateId: "orders-1" })
      yield* Effect.forkScoped(election.campaign("job", { candidateId: "orders-2" }))
      yield* TestClock.adjust("2 seconds")
      const health = yield* Aegis.health
      const json = yield* Schema.encodeEffect(Schema.fromJsonString(Aegis.Health))(health)
      assert.deepStrictEqual(JSON.parse(json), {
        ready: true,
        connected: true,
        registrations: [{
          serviceName: "orders",
          instanceId: "orders-1",
          isRegistered: true,
          status: "ACTIVE",
          lastHeartbeat: "1970-01-01T00:00:00.000Z",
          heartbeatAge: 2000
        }],
        elections: [
          {
            election: "job",
            candidateId: "orders-1",
            state: "Leading",
            since: "1970-01-01T00:00:00.000Z",
            lastRenewal: "1970-01-01T00:00:00.000Z",
            leaseEndsIn: 18_000,
            renewalAge: 2000
          },
          {
            election: "job",
            candidateId: "orders-2",
            state: "Campaigning",
            since: "1970-01-01T00:00:00.000Z",
            lastRenewal: null,
            leaseEndsIn: null,
            renewalAge: null
          }
        ]
      })
      assert.deepStrictEqual(yield* Schema.decodeEffect(Schema.fromJsonString(Aegis.Health))(json), health)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))

  it.effect("of a leadership that was handed over has no lease", () =>
    Effect.gen(function*() {
      const election = yield* Election.Election
      const { resign } = yield* election.campaign("job", { candidateId: "orders-1" })
      yield* TestClock.adjust("1 second")
      yield* resign
      const [status] = (yield* Aegis.health).elections
      assert.deepStrictEqual([status?.state, status?.leaseEndsIn], ["Releasing", Option.none()])
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))

  it.effect("has no negative ages after the clock of the host was set back", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      yield* TestClock.setTime(3_600_000)
      yield* registry.register(orders)
      yield* TestClock.setTime(0)
      const [registration] = (yield* Aegis.health).registrations
      assert.deepStrictEqual(registration?.heartbeatAge, Option.some(Duration.zero))
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))
})
