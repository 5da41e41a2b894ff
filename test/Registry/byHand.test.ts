/** `heartbeat` and `deregister` beside a registration, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import { registryLost } from "../../src/Metrics.ts"
import { away, on } from "../support/links.ts"
import { logged, reasonOf } from "../support/suite.ts"
import { defaults, finish, key, test } from "./suite/inMemory.ts"
import { fieldsOf, listed, named, type Process, world } from "./suite/processes.ts"

const one = named("orders", "one")

type Entered = Effect.Success<ReturnType<Process["enter"]>>

describe("heartbeat of an instance that its registry has registered", () => {
  test("is a heartbeat of the registration, and writes what it is given", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(defaults)
      const { instance, whyLost } = yield* process.enter(one)
      const { nonce } = yield* fieldsOf(store, key)
      yield* process.registry.heartbeat({ ...one, version: "1.1.0", status: "STANDBY" })
      const fields = yield* fieldsOf(store, key)
      assert.deepStrictEqual([fields["version"], fields["status"], fields["nonce"]], ["1.1.0", "STANDBY", nonce])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* instance).version, "1.1.0")
      assert.isUndefined(yield* whyLost)
    }))

  test("does not end its draining", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(defaults)
      const { drain } = yield* process.enter(one)
      yield* Effect.forkScoped(drain(Effect.never, { timeout: "1 hour" }))
      yield* TestClock.adjust("1 second")
      yield* process.registry.heartbeat({ ...one, version: "1.1.0" })
      const { status, version } = yield* fieldsOf(store, key)
      assert.deepStrictEqual([status, version], ["DRAINING", "1.1.0"])
    }))

  test("after the registration has ended is one by hand", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { close } = yield* process.enter(one)
      yield* finish(close)
      yield* process.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))
})

describe("a cleanup by the registry of an instance", () => {
  test("ends nothing: the next heartbeat registers it again", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      yield* process.link.set(on("put", away))
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual((yield* process.registry.cleanup()).removed.map(({ instance }) => instance), [
        "orders/one"
      ])
      yield* process.link.set(undefined)
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))
})

describe("a write that finds that the registration was lost", () => {
  for (
    const [what, write] of [
      ["update", ({ update }: Entered) => update((current) => ({ ...current, status: "STANDBY" }))],
      ["heartbeat", (_: Entered, { registry }: Process) => registry.heartbeat(one)]
    ] as const
  ) {
    test(`ends it at once: ${what}`, () =>
      Effect.gen(function*() {
        const [, process, other] = yield* world(defaults)
        const entered = yield* process.enter(one)
        yield* other.enter(one, { onDuplicate: "replace" })
        yield* reasonOf(write(entered, process), "DuplicateInstance")
        yield* Effect.yieldNow
        assert.strictEqual(yield* entered.whyLost, "DuplicateInstance")
      }))
  }

  test("by the registry of another process is the next heartbeat", () =>
    Effect.gen(function*() {
      const [, process, other] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* Effect.yieldNow
      assert.isUndefined(yield* whyLost)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* whyLost, "Deregistered")
    }))
})

describe("deregister by the registry of an instance", () => {
  const names = { serviceName: "orders", instanceId: "one" }

  test("ends the registration at once, which logs and counts it once", () => {
    const log = logged()
    return Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      yield* process.registry.deregister(names)
      yield* Effect.yieldNow
      assert.strictEqual(yield* whyLost, "Deregistered")
      assert.deepStrictEqual((yield* process.registry.status).map(({ isRegistered }) => isRegistered), [false])
      const ours = { module: "Registry", service: "orders", instanceId: "one" }
      const count = Metric.value(Metric.withAttributes(registryLost, { service: "orders", reason: "Deregistered" }))
      assert.strictEqual((yield* count).count, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* count).count, 1)
      const lost = log.lines.findIndex((line) => line.startsWith("Error lost the registration of orders/one"))
      assert.deepStrictEqual(log.troubles(), [log.lines[lost]])
      assert.deepStrictEqual(log.subjects[lost], ours)
    }).pipe(Effect.scoped, Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  test("ends both registrations if one of this process has replaced the other", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const first = yield* process.enter(one)
      const second = yield* process.enter(one, { onDuplicate: "replace" })
      yield* process.registry.deregister(names)
      yield* Effect.yieldNow
      assert.deepStrictEqual([yield* first.whyLost, yield* second.whyLost], ["Deregistered", "Deregistered"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* listed(process), [])
    }))

  test("leaves a registration that waits for the id", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      const waiting = yield* Effect.forkChild(process.enter(one))
      yield* TestClock.adjust("1 second")
      yield* process.registry.deregister(names)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* whyLost, "Deregistered")
      const next = yield* Fiber.join(waiting)
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* next.whyLost)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("ends nothing if nothing is removed", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      const [old] = yield* process.registry.list("orders")
      assert.isFalse(yield* process.registry.deregister(names, { onlyIfExpired: true }))
      yield* TestClock.adjust("11 seconds")
      assert.isFalse(yield* process.registry.deregister(old!))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("ends nothing if the instance is expired, and its next heartbeat registers it again", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      yield* process.link.set(on("put", away))
      yield* TestClock.adjust("31 seconds")
      assert.isTrue(yield* process.registry.deregister(names, { onlyIfExpired: true }))
      yield* TestClock.adjust("1 second")
      yield* process.link.set(undefined)
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("ends the registration after an outage that has begun since", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      yield* process.link.set(on(["put", "history"], away))
      assert.isTrue(yield* process.registry.deregister(names))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* whyLost)
      yield* process.link.set(undefined)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* whyLost, "Deregistered")
    }))

  test("ends the registration as Deregistered, and the next heartbeat registers it again", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      assert.isTrue(yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" }))
      yield* process.registry.heartbeat(one)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* whyLost, "Deregistered")
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("of one that sends heartbeats by hand lets the next one register it again", () =>
    Effect.gen(function*() {
      const [, process, other] = yield* world(defaults)
      yield* process.registry.heartbeat(one)
      yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" })
      assert.deepStrictEqual(yield* listed(process), [])
      yield* process.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(process), ["one"])
      // That of another process stays final.
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* reasonOf(process.registry.heartbeat(one), "Deregistered")
    }))
})
