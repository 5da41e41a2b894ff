/** Failures: the log lines, and the operations that end. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"

import { away, countOf, delayed, type Fault, lostOnTheWay, on, silent } from "../support/links.ts"
import { logged, record } from "../support/suite.ts"
import { reasonOf } from "../support/suite.ts"
import { again, defaults, finish, key, test, until } from "./suite/inMemory.ts"
import { lastOf, listed, named, openBucket, startProcess, tagsOf, underneath } from "./suite/processes.ts"

describe("Registry in memory, failures", () => {
  test("closing a scope does not wait for a registration that waits for another process's record to expire", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const store = yield* openBucket()
      const [other, process] = [yield* startProcess(store, defaults), yield* startProcess(store, defaults)]
      yield* other.registry.heartbeat(named("orders", "one"))
      const scope = yield* Scope.make()
      // The finalizer of the registration runs before its fiber is interrupted.
      yield* Effect.forkIn(Scope.provide(process.registry.register(named("orders", "one")), scope), scope)
      yield* TestClock.adjust(500)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(0)
      assert.isDefined(closing.pollUnsafe(), "the scope closes at once")
      assert.strictEqual(countOf(process.link, "put"), 0)
      assert.deepStrictEqual(lines.map((line) => line.replace(/, whose.*/, "")), [
        "Warn orders/one has another registration"
      ])
    }).pipe(Effect.provide(layer))
  })

  test("a registration fails if the outcome of a read is unknown", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      yield* process.link.set(on("history", lostOnTheWay))
      const reason = yield* reasonOf(
        finish(Effect.scoped(process.registry.register(named("orders", "one")))),
        "KVStoreError"
      )
      assert.strictEqual(reason.reason._tag, "OutcomeUnknown")
      assert.strictEqual(countOf(process.link, "put"), 0)
    }))

  /** A read whose result is 100 ms old when it is returned. */
  const slowRead = on("history", (_, run) => Effect.tap(run, () => Effect.sleep(100)))

  test("two concurrent heartbeats, one of them a duplicate, do not undo a later deregistration", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const [other, process] = [yield* startProcess(store, defaults), yield* startProcess(store, defaults)]
      yield* other.registry.heartbeat(named("orders", "one"))
      const byHand = Effect.exit(process.registry.heartbeat(named("orders", "one")))
      yield* process.link.set(slowRead)
      const first = yield* Effect.forkChild(byHand)
      yield* TestClock.adjust(20)
      yield* store.purge(key)
      const second = yield* Effect.forkChild(byHand)
      yield* finish(Effect.all([Fiber.join(first), Fiber.join(second)]))
      yield* process.link.set(undefined)
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* reasonOf(finish(process.registry.heartbeat(named("orders", "one"))), "Deregistered")
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("two concurrent duplicate heartbeats, one of them repeated, do not undo a later deregistration", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const [other, process] = [yield* startProcess(store, defaults), yield* startProcess(store, defaults)]
      const byHand = process.registry.heartbeat(named("orders", "one"))
      yield* byHand
      yield* underneath(store, key, { nonce: "another process" })
      yield* process.link.set(slowRead)
      const first = yield* Effect.forkChild(Effect.catch(byHand, () => Effect.andThen(store.purge(key), byHand)))
      const second = yield* Effect.forkChild(Effect.exit(byHand))
      yield* finish(Effect.all([Fiber.join(first), Fiber.join(second)]))
      yield* process.link.set(undefined)
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* reasonOf(finish(byHand), "Deregistered")
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  const stuck: ReadonlyArray<readonly [what: string, fault: Fault]> = [
    ["a read", on("history", silent)],
    ["a delete", on("delete", silent)],
    ["any request", silent]
  ]

  for (const [what, fault] of stuck) {
    for (const how of ["is done", "is interrupted"] as const) {
      test(`after work that ${how}, leaving takes at most twice the timeout if the store does not answer ${what}`, () =>
        Effect.gen(function*() {
          const process = yield* startProcess(yield* openBucket({ timeout: "5 seconds" }), defaults)
          const done = Latch.makeUnsafe(false)
          const fiber = yield* process.registry.register(named("orders", "one")).pipe(
            Effect.andThen(done.await),
            Effect.scoped,
            Effect.forkScoped
          )
          yield* until(listed(process), (ids) => ids.length === 1)
          yield* process.link.set(fault)
          if (how === "is done") yield* done.open
          else fiber.interruptUnsafe()
          yield* TestClock.adjust("10 seconds")
          assert.isDefined(fiber.pollUnsafe())
        }))
    }
  }

  test("the record of a first write that lands long after its registration was interrupted expires after maxAge", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const observer = yield* startProcess(store, defaults)
      const { fault, open } = yield* delayed
      yield* backend.link.set(on("put", fault))
      const fiber = yield* Effect.forkScoped(Effect.scoped(backend.registry.register(named("orders", "one"))))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count === 1)
      yield* finish(Fiber.interrupt(fiber))
      yield* open
      yield* until(listed(observer), (ids) => ids.length === 1)
      yield* TestClock.adjust("30001 millis")
      assert.deepStrictEqual(yield* listed(observer), [])
    }))

  test("layerInstance logs an error if its registration is lost", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      const scope = yield* Scope.make()
      yield* Registry.layerInstance(named("orders", "one")).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
        Layer.build,
        Scope.provide(scope),
        Effect.provide(layer)
      )
      yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* TestClock.adjust("11 seconds")
      yield* finish(Scope.close(scope, Exit.void))
      assert.isTrue(lines.some((line) => line.startsWith("Error") && line.includes("registration")), lines.join("\n"))
    }))

  test("a registration that closes normally logs that it begins and ends", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      const { close } = yield* process.enter(named("orders", "one")).pipe(Effect.provide(layer))
      yield* TestClock.adjust("1 minute")
      yield* finish(close)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(lines, ["Info registered orders/one", "Info deregistered orders/one"])
    }))

  test("a drained registration makes no calls and logs nothing while its scope stays open", () =>
    Effect.gen(function*() {
      const { layer, troubles } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      const { drain, visibility, whyLost } = yield* process.enter(named("orders", "one")).pipe(Effect.provide(layer))
      const told = yield* record(tagsOf(visibility))
      yield* finish(drain(Effect.void, { timeout: "1 minute" }))
      const calls = process.link.calls.length
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(process.link.calls.length, calls)
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(told.events, ["Visible", "Invisible"])
      assert.deepStrictEqual(troubles(), [])
    }))

  test("a new subscriber does not receive a failed watch, even while a slow subscriber has not seen the failure", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const broken = yield* Deferred.make<never, KVStore.KVStoreError>()
      const watches: Array<string> = []
      /** The first watch can be made to fail; later watches are those of the store. */
      const breakable: typeof store = {
        ...store,
        watch: (filter = ">", options) =>
          Stream.suspend(() => {
            const isFirst = watches.push(String(filter)) === 1
            const watch = store.watch(filter, options)
            return isFirst ? Stream.interruptWhen(watch, Deferred.await(broken)) : watch
          })
      }
      const process = yield* startProcess(breakable, defaults)
      yield* process.registry.heartbeat(named("orders", "one"))
      const gate = Latch.makeUnsafe(false)
      const busy = yield* process.registry.watch().pipe(Stream.runForEach(() => gate.await), Effect.forkScoped)
      const first = yield* record(process.registry.watch())
      yield* until(first.all, (all) => all.some((event) => event._tag === "Ready"))
      const problem = new KVStore.Unavailable({ problem: "broken" })
      yield* Deferred.fail(
        broken,
        new KVStore.KVStoreError({ bucket: "b", operation: "watch", key: undefined, reason: problem })
      )
      yield* until(Effect.sync(() => first.fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
      // A new subscriber gets a new watch at its first attempt.
      const events = yield* record(process.registry.watch())
      const more = yield* record(process.registry.watch())
      yield* until(events.all, (all) => all.some((event) => event._tag === "Ready"))
      yield* process.registry.heartbeat(named("orders", "two"))
      for (const { all } of [events, more]) {
        yield* until(all, (seen) => seen.some((event) => event._tag === "Up" && event.instance.instanceId === "two"))
      }
      assert.strictEqual(watches.length, 2)
      assert.isUndefined(busy.pollUnsafe())
      // The slow subscriber continues and fails too. The new watches are not affected.
      yield* gate.open
      yield* until(Effect.sync(() => busy.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
      const last = yield* record(process.registry.watch())
      yield* until(last.all, (all) => all.some((event) => event._tag === "Ready"))
      assert.strictEqual(watches.length, 2)
      assert.isUndefined(events.fiber.pollUnsafe())
    }))

  test("layerCleanup logs one line for each removal, each failed removal and each failed run", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      for (const id of ["one", "two"]) yield* process.registry.heartbeat(named("orders", id))
      yield* process.link.set((call, run) =>
        call.key.endsWith("two") && call.operation === "purge" ? away(call, run) : run
      )
      yield* Registry.layerCleanup({ schedule: "20 seconds", confirm: false }).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
        Layer.build,
        Effect.provide(layer)
      )
      yield* until(Effect.sync(() => lines.length), (count) => count >= 2, Duration.minutes(1))
      assert.deepStrictEqual(
        lines.map((line) => line.replace(/(clean up orders.two): .*/, "$1: ...").replace(/\d\d.*s$/, "...")),
        [
          "Warn could not clean up orders/two: ...",
          "Info cleaned up orders/one: expired: no heartbeat for ..."
        ]
      )
      lines.length = 0
      yield* process.link.set(on("entries", away))
      yield* TestClock.adjust("24 seconds")
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warn the cleanup failed: .*cannot be reached/)
    }))

  test("layerCleanup with dryRun logs the instances it would remove", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* Registry.layerCleanup({ dryRun: true, confirm: false }).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
        Layer.build,
        Effect.provide(layer)
      )
      yield* until(Effect.sync(() => lines.length), (count) => count >= 1, Duration.minutes(2))
      assert.match(lines.join(), /^Info would clean up orders\/one: expired: no heartbeat for \d\d.*s$/)
      assert.strictEqual(countOf(process.link, "purge"), 0)
    }))

  test("a cleanup logs a warning with the name of a service that self-preservation skips", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      for (const n of Array.from({ length: 10 }, (_, index) => index)) {
        yield* process.registry.heartbeat(named("orders", `i${n}`))
      }
      yield* TestClock.adjust("1 minute")
      yield* again(5, process.registry.cleanup()).pipe(Effect.provide(layer))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warn .*orders/)
    }))
})
