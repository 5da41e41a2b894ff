/** Gauges of two candidates, registrations or views of a process that have the same attributes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Aegis from "../../src/Aegis.ts"
import * as Election from "../../src/Election.ts"
import { series } from "../../src/internal/metrics.ts"
import { observeConnection } from "../../src/internal/nats/connectionLog.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { makeServer } from "../support/fakeServer.ts"
import { logged } from "../support/suite.ts"

/** The values of a gauge of this library. */
const valuesOf = (name: string) =>
  Effect.map(
    Metric.snapshot,
    (all) => all.filter(({ id }) => id === `effect_aegis_${name}`).map(({ state }) => Number(Object(state).value))
  )

const settled = Effect.replicateEffect(TestClock.adjust(0), 20)

const withRegistry = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.provideService(test, Metric.MetricRegistry, new Map())

describe("a series with several holders", () => {
  const gauge = Metric.gauge("effect_aegis_shared")
  const values = valuesOf("shared")

  const two = (choose?: (...values: ReadonlyArray<number>) => number) =>
    Effect.gen(function*() {
      const scopes = [yield* Scope.make(), yield* Scope.make()] as const
      const make = series(gauge, { name: "a" }, choose)
      const [one, other] = [yield* Scope.provide(make, scopes[0]), yield* Scope.provide(make, scopes[1])]
      return { one, other, scopes }
    })

  it.effect("has the largest of their values, until the last of them ends", () =>
    Effect.gen(function*() {
      const { one, other, scopes } = yield* two()
      assert.deepStrictEqual(yield* values, [])
      yield* one.set(5)
      yield* other.set(3)
      assert.deepStrictEqual(yield* values, [5])
      yield* other.set(7)
      assert.deepStrictEqual(yield* values, [7])
      yield* other.set(2)
      assert.deepStrictEqual(yield* values, [5])
      yield* Scope.close(scopes[0], Exit.void)
      assert.deepStrictEqual(yield* values, [2])
      yield* Scope.close(scopes[1], Exit.void)
      assert.deepStrictEqual(yield* values, [])
    }).pipe(withRegistry))

  it.effect("can have the smallest of their values", () =>
    Effect.gen(function*() {
      const { one, other, scopes } = yield* two(Math.min)
      yield* one.set(1)
      yield* other.set(0)
      yield* one.set(1)
      assert.deepStrictEqual(yield* values, [0])
      yield* Scope.close(scopes[1], Exit.void)
      assert.deepStrictEqual(yield* values, [1])
      yield* Scope.close(scopes[0], Exit.void)
    }).pipe(withRegistry))

  it.effect("is another one in another registry, and with other attributes of the context", () =>
    Effect.scoped(Effect.gen(function*() {
      const one = yield* series(gauge, { name: "a" })
      const other = yield* series(gauge, { name: "a" }).pipe(
        Effect.provideService(Metric.CurrentMetricAttributes, { region: "eu" })
      )
      const registry = new Map()
      const elsewhere = yield* Effect.provideService(series(gauge, { name: "a" }), Metric.MetricRegistry, registry)
      yield* one.set(1)
      yield* other.set(2)
      yield* elsewhere.set(3)
      assert.sameMembers([...yield* values], [1, 2])
      assert.deepStrictEqual(yield* Effect.provideService(values, Metric.MetricRegistry, registry), [3])
    })).pipe(withRegistry))
})

describe("the gauges of two candidates with one name", () => {
  it.effect("are those of the leader, also while the other one waits and after it has ended", () =>
    Effect.gen(function*() {
      const election = yield* Election.Election
      const gauges = Effect.all([
        valuesOf("election_is_leader"),
        valuesOf("election_is_healthy"),
        valuesOf("election_last_renewal_timestamp_seconds")
      ])
      const run = (isHealthy: boolean) =>
        Effect.forkChild(
          election.whileLeader("x", () => Effect.never, { candidateId: "a", healthCheck: Effect.succeed(isHealthy) })
        )
      const leader = yield* run(true)
      yield* TestClock.adjust("1 second")
      const [, , [first = 0]] = yield* gauges
      const waiting = yield* run(false)
      yield* TestClock.adjust("1 minute")
      const [isLeader, isHealthy, [renewed = 0]] = yield* gauges
      assert.deepStrictEqual([isLeader, isHealthy], [[1], [1]])
      assert.isAtLeast(renewed, first + 50)
      yield* Fiber.interrupt(waiting)
      yield* settled
      const [isStillLeader, isStillHealthy, lastRenewal] = yield* gauges
      assert.deepStrictEqual([isStillLeader, isStillHealthy, lastRenewal.length], [[1], [1], 1])
      yield* Fiber.interrupt(leader)
      assert.deepStrictEqual(yield* gauges, [[], [], []])
    }).pipe(Effect.provide(Layer.provideMerge(Aegis.layerMemory(), logged().layer)), withRegistry))
})

describe("the gauges of two registries of a process", () => {
  const instance = { serviceName: "orders", instanceId: "a", version: "1.0.0" } as const

  it.effect("are the last heartbeat of two registrations with one id, until both have ended", () =>
    Effect.gen(function*() {
      const heartbeats = valuesOf("registry_last_heartbeat_timestamp_seconds")
      const registry = yield* Registry.Registry
      const scopes = [yield* Scope.make(), yield* Scope.make()] as const
      yield* Scope.provide(registry.register(instance), scopes[0])
      const [first = 0] = yield* heartbeats
      yield* TestClock.adjust("1 second")
      yield* Scope.provide(registry.register(instance, { onDuplicate: "replace" }), scopes[1])
      assert.deepStrictEqual(yield* heartbeats, [first + 1])
      yield* Scope.close(scopes[0], Exit.void)
      assert.deepStrictEqual(yield* heartbeats, [first + 1])
      yield* Scope.close(scopes[1], Exit.void)
      assert.deepStrictEqual(yield* heartbeats, [])
    }).pipe(Effect.provide(Layer.provideMerge(Aegis.layerMemory(), logged().layer)), withRegistry))

  it.effect("are the instances of two watches, until both have ended", () =>
    Effect.gen(function*() {
      const instances = valuesOf("registry_instances")
      const registries = [yield* Registry.make(), yield* Registry.make()] as const
      yield* registries[0].register(instance)
      const watch = (registry: Registry.Registry["Service"]) =>
        Effect.tap(Effect.forkChild(Stream.runDrain(registry.watch())), settled)
      const [one, other] = [yield* watch(registries[0]), yield* watch(registries[1])]
      assert.deepStrictEqual(yield* instances, [1])
      yield* Fiber.interrupt(one)
      assert.deepStrictEqual(yield* instances, [1])
      yield* Fiber.interrupt(other)
      assert.deepStrictEqual(yield* instances, [])
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.provideMerge(KVStore.layerMemory({ bucket: "instances" }), logged().layer)),
      withRegistry
    ))
})

describe("the gauge of two connections with one name", () => {
  it.effect("is 0 while one of them is down", () =>
    Effect.gen(function*() {
      const connected = valuesOf("nats_connected")
      const { js: { port } } = yield* makeServer
      const scopes = [yield* Scope.make(), yield* Scope.make()] as const
      yield* Scope.provide(observeConnection({ ...port, isConnected: () => false }, "a"), scopes[0])
      yield* Scope.provide(observeConnection(port, "a"), scopes[1])
      assert.deepStrictEqual(yield* connected, [0])
      yield* Scope.close(scopes[0], Exit.void)
      assert.deepStrictEqual(yield* connected, [1])
      yield* Scope.close(scopes[1], Exit.void)
      assert.deepStrictEqual(yield* connected, [])
    }).pipe(Effect.provide(logged().layer), withRegistry))
})
