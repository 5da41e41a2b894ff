/** What a registry logs: each line once, with the instance, and bounded. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Registry from "../../src/Registry.ts"
import { bytes } from "../../tools/values.ts"
import { away, closed, on } from "../support/links.ts"
import { logged, numbers } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { defaults, finish, test, until } from "./suite/inMemory.ts"
import { keyOf, listed, named, watched, world } from "./suite/processes.ts"

describe("Registry in memory: log", () => {
  test("a heartbeat that fails is logged once per reason and minute, and again after it has succeeded", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [, process] = yield* world({ maxAge: "10 minutes", heartbeat: "1 second" })
        const scope = yield* Scope.make()
        yield* Scope.provide(process.registry.register(named("orders", "one")), scope)
        yield* process.link.set(on("put", away))
        yield* TestClock.adjust("50 seconds")
        assert.strictEqual(log.troubles().length, 1, log.troubles().join("\n"))
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(log.troubles().length, 2)
        yield* process.link.set(undefined)
        yield* TestClock.adjust("5 seconds")
        yield* process.link.set(on("put", away))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(log.troubles().length, 3)
        yield* process.link.set(undefined)
        yield* TestClock.adjust("5 seconds")
        yield* finish(Scope.close(scope, Exit.void))
      }).pipe(Effect.provide(log.layer))
      for (const line of log.troubles()) assert.match(line, /^Warn a heartbeat of orders\/one failed and is retried: /)
      assert.deepStrictEqual([log.lines[0], log.lines.at(-1)], [
        "Info registered orders/one",
        "Info deregistered orders/one"
      ])
      for (const subject of log.subjects) {
        assert.deepStrictEqual(subject, { module: "Registry", service: "orders", instanceId: "one" })
      }
    }))

  test("an instance that may be expired is logged, and its next heartbeat, too", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [, process] = yield* world({ maxAge: "10 seconds", heartbeat: "1 second" })
        yield* process.registry.register(named("orders", "one"))
        yield* process.link.set(on("put", away))
        yield* TestClock.adjust("15 seconds")
        yield* process.link.set(undefined)
        yield* TestClock.adjust("5 seconds")
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines.map((line) => line.replace(/ failed.*/s, "")), [
        "Info registered orders/one",
        "Warn a heartbeat of orders/one",
        "Warn no heartbeat of orders/one has been stored for 10s (the store cannot be reached (disconnected)): " +
        "other services may consider this instance expired",
        "Info heartbeats of orders/one are stored again",
        "Info deregistered orders/one"
      ])
    }))

  test("a replacement, and the instances of a service that expire at once, are one line each", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [, process, other] = yield* world(defaults)
        const events = yield* watched(other)
        for (const index of numbers(12)) yield* process.registry.heartbeat(named("orders", `i${index}`))
        yield* process.registry.heartbeat(named("stock", "one"))
        yield* Effect.scoped(other.registry.register(named("stock", "one"), { onDuplicate: "replace" }))
        yield* process.registry.heartbeat(named("stock", "two"))
        yield* until(events.all, contains("up stock/two"))
        yield* TestClock.adjust("31 seconds")
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      const some = (labels: ReadonlyArray<string>) => `${labels.join(", ")} and 2 more`
      const orders = numbers(10).map((index) => `orders/i${index}`)
      assert.deepStrictEqual(log.lines.filter((line) => /replaced|expired/.test(line)), [
        "Info replaced another registration of stock/one",
        `Info expired: no heartbeat of ${some(orders)} for longer than maxAge`,
        "Info expired: no heartbeat of stock/two for longer than maxAge"
      ])
    }))

  test("a cleanup that fails is logged once a minute, and ends with an error once the connection is closed", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [, process] = yield* world(defaults)
        const cleanup = Registry.layerCleanup({ schedule: "2 seconds" })
        yield* Layer.build(Layer.provide(cleanup, Layer.succeed(Registry.Registry, process.registry)))
        yield* process.link.set(away)
        yield* TestClock.adjust("50 seconds")
        assert.strictEqual(log.troubles().length, 1, log.troubles().join("\n"))
        yield* process.link.set(closed)
        yield* TestClock.adjust("10 minutes")
      }).pipe(Effect.provide(log.layer))
      const lines = log.troubles().map((line) => line.replace(/:.*/s, ""))
      assert.deepStrictEqual(lines, [
        "Warn the cleanup failed",
        "Error the cleanup failed"
      ])
      assert.deepStrictEqual(log.unnamed(), [])
    }))

  test("a record that does not decode is logged once per revision, by lists and watches together", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [store, process] = yield* world(defaults)
        yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
        yield* Effect.replicateEffect(listed(process), 5)
        assert.strictEqual(log.troubles().length, 1)
        yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
        yield* Effect.replicateEffect(listed(process), 5)
      }).pipe(Effect.provide(log.layer))
      assert.strictEqual(log.troubles().length, 2, log.troubles().join("\n"))
      for (const line of log.troubles()) assert.match(line, /^Warn the record .*bad does not decode \(revision \d+\)/)
    }))

  test("of more than a thousand records that do not decode a thousand are logged, and one line says so", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [store, process] = yield* world(defaults)
        yield* Effect.forEach(numbers(1010), (index) => store.put(keyOf("orders", `bad${index}`), bytes("x")))
        yield* listed(process)
        yield* listed(process)
      }).pipe(Effect.provide(log.layer))
      assert.strictEqual(log.troubles().length, 1001)
      assert.include(log.troubles().at(-1)!, "more than 1000 records do not decode")
    }))
})
