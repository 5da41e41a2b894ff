/** Draining in memory, in virtual time: outages, bounds, and the layer that drains when it is released. */
import { assert, describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Registry from "../../src/Registry.ts"
import { untyped } from "../../tools/values.ts"
import { away } from "../support/links.ts"
import { logged, reasonOf } from "../support/suite.ts"
import { defaults, finish, key, test } from "./suite/inMemory.ts"
import { fieldsOf, lastOf, listed, named, type Process, world } from "./suite/processes.ts"

const one = named("orders", "one")

/** Whether a fiber has ended. */
const hasEnded = (fiber: Fiber.Fiber<unknown, unknown>) => Effect.sync(() => fiber.pollUnsafe() !== undefined)

const statusOf = (process: Process) =>
  Effect.map(process.registry.status, (all) => all.map(({ status }) => status).join())

const layerOf = <E = never, R = never>(
  { registry }: Process,
  instance: Registry.InstanceOptions | Effect.Effect<Registry.InstanceOptions, E, R>,
  options?: Registry.InstanceLayerOptions
) => Layer.provide(Registry.layerInstance(instance, options), Layer.succeed(Registry.Registry, registry))

describe("Registry in memory, draining during an outage", () => {
  test("drain waits for its work, and removes the record if the store comes back within leaveTimeout", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(defaults)
      const { drain } = yield* process.enter(one)
      yield* process.link.set(away)
      const done = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkScoped(drain(Deferred.await(done), { timeout: "1 hour" }))
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* hasEnded(fiber))
      yield* Deferred.succeed(done, undefined)
      yield* TestClock.adjust("1 second")
      assert.isFalse(yield* hasEnded(fiber))
      yield* process.link.set(undefined)
      yield* finish(Fiber.join(fiber))
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("the status is DRAINING at once for the process itself, and for others with the first record that is stored", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(defaults)
      const { drain, update } = yield* process.enter(one)
      yield* process.link.set(away)
      const fiber = yield* Effect.forkScoped(drain(Effect.never, { timeout: "1 hour" }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* statusOf(process), "DRAINING")
      assert.strictEqual((yield* fieldsOf(store, key))["status"], "ACTIVE")
      yield* process.link.set(undefined)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* fieldsOf(store, key))["status"], "DRAINING")
      // An update does not end the draining.
      yield* finish(update((current) => ({ ...current, metadata: { a: 1 } })))
      const refused = yield* reasonOf(update((current) => ({ ...current, status: "ACTIVE" })), "InvalidConfig")
      assert.include(refused.problem, "status: expected \"DRAINING\", because the instance drains, got \"ACTIVE\"")
      const { metadata, status } = yield* fieldsOf(store, key)
      assert.deepStrictEqual([status, metadata], ["DRAINING", { a: 1 }])
      yield* Fiber.interrupt(fiber)
    }))

  test("drain ends at its timeout and leaveTimeout at the latest, with the error of the store", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { drain } = yield* process.enter(one)
      yield* process.link.set(away)
      const fiber = yield* Effect.forkScoped(drain(Effect.never, { timeout: "5 seconds" }))
      yield* TestClock.adjust("6900 millis")
      assert.isFalse(yield* hasEnded(fiber))
      yield* TestClock.adjust("200 millis")
      assert.isTrue(yield* hasEnded(fiber))
      const { reason } = yield* reasonOf(Fiber.join(fiber), "KVStoreError")
      assert.strictEqual(reason._tag, "Unavailable")
    }))

  test("drain of an instance that another process deregisters meanwhile waits for its work, and fails with Deregistered", () =>
    Effect.gen(function*() {
      const [, process, other] = yield* world(defaults)
      const { drain } = yield* process.enter(one)
      const fiber = yield* Effect.forkScoped(drain(Effect.sleep("25 seconds"), { timeout: "1 hour" }))
      yield* TestClock.adjust("1 second")
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* TestClock.adjust("23 seconds")
      assert.isFalse(yield* hasEnded(fiber))
      yield* TestClock.adjust("2 seconds")
      yield* reasonOf(Fiber.join(fiber), "Deregistered")
    }))

  test("drain of an instance that has left or was lost fails at once, without its work", () =>
    Effect.gen(function*() {
      const log = logged()
      const [, process, other] = yield* world(defaults)
      const left = yield* process.enter(one).pipe(Effect.provide(log.layer))
      yield* finish(left.drain(Effect.void, { timeout: "1 second" }))
      const lost = yield* process.enter(named("orders", "two"))
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "two" })
      yield* TestClock.adjust("11 seconds")
      const before = log.lines.length
      for (const { drain } of [left, lost]) {
        yield* reasonOf(drain(Effect.die("not run"), { timeout: "1 hour" }), "Deregistered")
      }
      assert.strictEqual(log.lines.length, before)
    }))

  for (
    const [what, work] of [
      ["cannot be interrupted", Effect.uninterruptible(Effect.never)],
      ["hangs when it is interrupted", Effect.onInterrupt(Effect.never, () => Effect.never)]
    ] as const
  ) {
    test(`drain ends at its timeout if its work ${what}`, () =>
      Effect.gen(function*() {
        const [store, process] = yield* world(defaults)
        const { drain } = yield* process.enter(one)
        const fiber = yield* Effect.forkScoped(Effect.uninterruptible(drain(work, { timeout: "5 seconds" })))
        yield* TestClock.adjust("5100 millis")
        assert.isTrue(yield* hasEnded(fiber))
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* lastOf(store, key), "delete")
      }))
  }

  test("drain that is interrupted interrupts its work, and the instance stays DRAINING until it leaves", () =>
    Effect.gen(function*() {
      let isInterrupted = false
      const [store, process] = yield* world(defaults)
      const { close, drain } = yield* process.enter(one)
      const work = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          isInterrupted = true
        }))
      const fiber = yield* Effect.forkScoped(drain(work, { timeout: "1 hour" }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 second")
      assert.isTrue(isInterrupted)
      assert.strictEqual(yield* statusOf(process), "DRAINING")
      yield* finish(close)
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("draining is logged with the instance, and ends with one line", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [, process] = yield* world(defaults)
        const { close, drain } = yield* process.enter(one)
        yield* finish(drain(Effect.void, { timeout: "5 seconds" }))
        yield* finish(close)
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines, [
        "Info registered orders/one",
        "Info draining orders/one for at most 5s",
        "Info deregistered orders/one"
      ])
      for (const subject of log.subjects) {
        assert.deepStrictEqual(subject, { module: "Registry", service: "orders", instanceId: "one" })
      }
    }))
})

describe("Registry.layerInstance", () => {
  test("drains when it is released, and the instance is listed with the status DRAINING meanwhile", () =>
    Effect.gen(function*() {
      const [store, process, observer] = yield* world(defaults)
      const scope = yield* Scope.make()
      const drain = { done: Effect.sleep("3 seconds"), timeout: "10 seconds" } as const
      yield* Scope.provide(Layer.build(layerOf(process, one, { drain })), scope)
      const fiber = yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 seconds")
      const [instance] = yield* observer.registry.list("orders")
      assert.strictEqual(instance?.status, "DRAINING")
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* hasEnded(fiber))
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("without work to finish it drains for its timeout", () =>
    Effect.gen(function*() {
      const [, process, observer] = yield* world(defaults)
      const scope = yield* Scope.make()
      yield* Scope.provide(Layer.build(layerOf(process, one, { drain: { timeout: "5 seconds" } })), scope)
      yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("4900 millis")
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* listed(observer), [])
    }))

  test("released during an outage it ends at the timeout of its work and leaveTimeout, and logs it once", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [, process] = yield* world(defaults)
        const scope = yield* Scope.make()
        yield* Scope.provide(Layer.build(layerOf(process, one, { drain: { timeout: "5 seconds" } })), scope)
        yield* process.link.set(away)
        const fiber = yield* Effect.forkScoped(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("6900 millis")
        assert.isFalse(yield* hasEnded(fiber))
        yield* TestClock.adjust("400 millis")
        assert.isTrue(yield* hasEnded(fiber))
        yield* process.link.set(undefined)
      }).pipe(Effect.provide(log.layer))
      assert.strictEqual(log.lines.filter((line) => line.includes("could not be deregistered")).length, 1)
    }))

  test("provides its registration, of options that an effect returns", () =>
    Effect.gen(function*() {
      const [, process, observer] = yield* world(defaults)
      const port = Effect.delay(Effect.succeed(8080), "2 seconds")
      const instance = Effect.map(port, (port) => ({ serviceName: "orders", version: "1.0.0", metadata: { port } }))
      const built = yield* Effect.forkScoped(Layer.build(layerOf(process, instance)))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* listed(observer), [])
      yield* TestClock.adjust("2 seconds")
      const registration = Context.get(yield* Fiber.join(built), Registry.CurrentRegistration)
      const { instanceId, metadata } = yield* registration.instance
      assert.deepStrictEqual(metadata, { port: 8080 })
      assert.deepStrictEqual(yield* listed(observer), [instanceId])
    }))

  test("fails with the error of the effect, and registers nothing", () =>
    Effect.gen(function*() {
      const [, process, observer] = yield* world(defaults)
      const error = yield* Effect.flip(Layer.build(layerOf(process, Effect.fail("no port"))))
      assert.strictEqual(error, "no port")
      assert.deepStrictEqual(yield* listed(observer), [])
    }))

  for (
    const [what, options, said] of [
      ["drain that is a time", { drain: "5 seconds" }, "drain: expected an object with drain.done, drain.timeout"],
      ["drain without a timeout", { drain: {} }, "drain.timeout: expected"],
      ["drain with another option", { drain: { timeout: 1, atMost: 2 } }, "no option \"drain.atMost\""],
      ["work that is a promise", { drain: { timeout: 1, done: Promise.resolve() } }, "drain.done: expected an Effect"],
      ["options that are null", null, "options: expected an object"],
      ["an unknown option", { drian: { timeout: 1 } }, "no option \"drian\""]
    ] as const
  ) {
    test(`refuses ${what} when it is built, and registers nothing`, () =>
      Effect.gen(function*() {
        const [, process, observer] = yield* world(defaults)
        const { problem } = yield* reasonOf(Layer.build(layerOf(process, one, untyped(options))), "InvalidConfig")
        assert.include(problem, said)
        assert.deepStrictEqual(yield* listed(observer), [])
      }))
  }
})
