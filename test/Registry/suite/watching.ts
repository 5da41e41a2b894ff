/** The operation `watch`. All watches of a process share one watch of the store. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

import { away, countOf, delayed, on } from "../../support/links.ts"
import { numbers } from "../../support/suite.ts"
import { brisk, calm, contains, type Tools } from "./fixture.ts"
import { keyOf, listed, named, sendHeartbeat, watched, world } from "./processes.ts"

export const watching = ({ finish, test, until }: Tools) => {
  test("a watch of an empty registry emits Ready, then new instances", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      assert.deepStrictEqual(events.events, ["ready", "up orders/one"])
    }))

  test("a watch emits Up for the live instances, then Ready, then the changes", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "gone"))
      yield* process.registry.deregister({ serviceName: "orders", instanceId: "gone" })
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* process.registry.heartbeat(named("payments", "two"))
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      assert.deepStrictEqual(events.events, ["up orders/one", "up payments/two", "ready"])
      yield* store.purge(keyOf("orders", "one"))
      yield* process.registry.deregister({ serviceName: "payments", instanceId: "two" })
      yield* process.registry.heartbeat(named("orders", "three"))
      yield* until(events.all, contains("up orders/three"))
      assert.deepStrictEqual(events.events.slice(3), [
        "down orders/one cleanedUp",
        "down payments/two deregistered",
        "up orders/three"
      ])
    }))

  test("a watch does not emit expired instances until they send a heartbeat again", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(brisk)
      yield* sendHeartbeat(process, named("orders", "one"))
      yield* until(listed(process), (ids) => ids.length === 0)
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      assert.deepStrictEqual(events.events, ["ready"])
      yield* sendHeartbeat(process, named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      yield* until(events.all, contains("down orders/one expired"))
      assert.deepStrictEqual(events.events, ["ready", "up orders/one", "down orders/one expired"])
    }))

  test("a watch of one service emits no events of other services", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* process.registry.heartbeat(named("payments", "one"))
      const events = yield* watched(process, "payments")
      yield* until(events.all, contains("ready"))
      yield* process.registry.heartbeat(named("orders", "two"))
      yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* process.registry.heartbeat(named("payments", "two"))
      yield* until(events.all, contains("up payments/two"))
      assert.deepStrictEqual(events.events, ["up payments/one", "ready", "up payments/two"])
    }))

  test("all watches of a process share one watch of the store, and each emits all live instances", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const first = yield* watched(process)
      yield* until(first.all, contains("ready"))
      yield* process.registry.heartbeat(named("payments", "two"))
      yield* until(first.all, contains("up payments/two"))
      const second = yield* watched(process)
      const third = yield* watched(process, "payments")
      yield* until(second.all, contains("ready"))
      yield* until(third.all, contains("ready"))
      assert.deepStrictEqual(second.events, ["up orders/one", "up payments/two", "ready"])
      assert.deepStrictEqual(third.events, ["up payments/two", "ready"])
      yield* process.registry.heartbeat(named("payments", "three"))
      for (const { all } of [first, second, third]) yield* until(all, contains("up payments/three"))
      assert.strictEqual(countOf(process.link, "watch"), 1)
      assert.strictEqual(countOf(process.link, "entries"), 0)
      for (const { fiber } of [first, second, third]) yield* finish(Fiber.interrupt(fiber))
      const fourth = yield* watched(process, "orders")
      yield* until(fourth.all, contains("ready"))
      assert.strictEqual(countOf(process.link, "watch"), 2)
    }))

  test("a failed watch of the store fails all watches that share it, and the next watch starts a new one", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const { fault, open } = yield* delayed
      yield* process.link.set(on("watch", (call, run) => fault(call, Effect.andThen(away(call, run), run))))
      const watches = yield* Effect.forEach(numbers(3), () => watched(process))
      yield* until(Effect.sync(() => countOf(process.link, "watch")), (count) => count === 1)
      yield* open
      for (const { fiber } of watches) {
        const error = yield* Effect.flip(finish(Fiber.join(fiber)))
        assert.strictEqual(error.reason._tag, "KVStoreError")
      }
      yield* process.link.set(undefined)
      const again = yield* Effect.forEach(numbers(2), () => watched(process))
      yield* process.registry.heartbeat(named("orders", "one"))
      for (const { all } of again) yield* until(all, contains("up orders/one"))
      assert.strictEqual(countOf(process.link, "watch"), 2)
    }))
}
