/** The schedules of heartbeats and of the cleanup, in simulated time. */
import { assert, describe } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"

import { countOf } from "../support/links.ts"
import { logged } from "../support/suite.ts"
import { reasonOf } from "../support/suite.ts"
import { defaults, key, test, until } from "./suite/inMemory.ts"
import { lastOf, listed, named, openBucket, startProcess } from "./suite/processes.ts"

describe("Registry in memory, schedules", () => {
  test("a Duration is the interval of heartbeats, and the option of register overrides that of the layer", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), { ...defaults, heartbeat: "5 seconds" })
      yield* process.enter(named("orders", "one"))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed.length, 5)
      yield* process.enter(named("orders", "two"), { heartbeat: "2 seconds" })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed.length, 5 + 4 + 1 + 10)
    }))

  test("a clock between two whole milliseconds does not cause a flood of heartbeats", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      for (const fraction of [1 / 3, 0.1, 0.7, Math.PI % 1]) {
        yield* TestClock.adjust(Duration.millis(fraction))
        yield* process.enter(named("orders", `f${Math.round(fraction * 1000)}`))
      }
      yield* TestClock.adjust("5 minutes")
      // Four instances send thirty heartbeats each, of which a few may be sent twice.
      assert.approximately(process.link.landed.length, 150, 30)
    }))

  test("a Schedule determines the times of heartbeats", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), { ...defaults, heartbeat: Schedule.spaced("4 seconds") })
      yield* process.enter(named("orders", "one"))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed.length, 6)
      yield* process.enter(named("orders", "two"), { heartbeat: Schedule.fixed("10 seconds") })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed.length, 6 + 5 + 1 + 2)
    }))

  test("the end of a Schedule is logged, and the instance expires", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      const heartbeat = Schedule.spaced("5 seconds").pipe(Schedule.upTo({ times: 2 }))
      yield* process.enter(named("orders", "one"), { heartbeat }).pipe(Effect.provide(layer))
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(process.link.landed.length, 3)
      assert.deepStrictEqual(yield* listed(process), ["one"])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(process), [])
      assert.isTrue(lines.some((line) => line.startsWith("Warn") && line.includes("has ended")), lines.join("\n"))
    }))

  test("a Schedule with a delay above half of maxAge logs a warning, and a delay of half does not", () =>
    Effect.gen(function*() {
      const { layer, troubles } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      const enter = (id: string, heartbeat: Schedule.Schedule<unknown>) =>
        process.enter(named("orders", id), { heartbeat }).pipe(Effect.provide(layer))
      yield* enter("one", Schedule.spaced("15 seconds"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(troubles(), [])
      yield* enter("two", Schedule.spaced("16 seconds"))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(troubles().length > 0)
      for (const line of troubles()) assert.match(line, /^Warn .*orders\/two/)
    }))

  const impossible = ["15001 millis", 0, -1, Number.POSITIVE_INFINITY] as const

  for (const heartbeat of impossible) {
    test(`the layer and register refuse a heartbeat of ${heartbeat}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const layer = Layer.build(
          Registry.layer({ heartbeat }).pipe(Layer.provide(Layer.succeed(KVStore.KVStore, store)))
        )
        assert.include((yield* reasonOf(layer, "InvalidConfig")).message, "heartbeat")
        const process = yield* startProcess(store, defaults)
        const entering = process.enter(named("orders", "one"), { heartbeat })
        assert.include((yield* reasonOf(entering, "InvalidConfig")).message, "heartbeat")
        assert.deepStrictEqual(process.link.calls, [])
      }))
  }

  test("layerCleanup runs every 30 seconds, and removes a record that two runs found expired", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      yield* Layer.build(
        Registry.layerCleanup().pipe(Layer.provide(Layer.succeed(Registry.Registry, process.registry)))
      )
      yield* process.registry.heartbeat(named("orders", "one"))
      // An interval varies by up to a fifth.
      yield* TestClock.adjust("23 seconds")
      assert.strictEqual(countOf(process.link, "entries"), 0)
      yield* TestClock.adjust("13 seconds")
      assert.strictEqual(countOf(process.link, "entries"), 1)
      yield* until(lastOf(store, key), (last) => last === "purge", Duration.minutes(2))
      assert.isAtLeast(countOf(process.link, "entries"), 2)
    }))

  test("layerCleanup accepts a Schedule and the options of cleanup", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, { ...defaults, heartbeat: "2 seconds" })
      yield* Layer.build(
        Registry.layerCleanup({ schedule: Schedule.spaced("1 second"), confirm: false, maxAge: "5 seconds" }).pipe(
          Layer.provide(Layer.succeed(Registry.Registry, process.registry))
        )
      )
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* lastOf(store, key), "purge")
    }))
})
