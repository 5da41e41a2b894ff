/** Times of expiry, heartbeats and takeover, to the millisecond; needs simulated time. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { isExpired } from "../../src/Expiration.ts"
import type { ServiceInstance } from "../../src/ServiceInstance.ts"

import { away, countOf, silent, times } from "../support/links.ts"
import { record } from "../support/suite.ts"
import { reasonOf } from "../support/suite.ts"
import { again, defaults, key, test, until } from "./suite/inMemory.ts"
import { fieldsOf, listed, named, openBucket, startProcess, tagsOf, underneath, watched } from "./suite/processes.ts"

/** An update without a change: a heartbeat at a certain time. */
const unchanged = (current: ServiceInstance) => current

describe("Registry in memory, to the millisecond", () => {
  test("an instance is live for exactly maxAge after its last heartbeat, in reads and in watches", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const early = yield* startProcess(store, defaults)
      const late = yield* startProcess(store, defaults)
      const fromTheStart = yield* watched(early)
      yield* until(fromTheStart.all, (all) => all.includes("ready"))
      const { update } = yield* backend.enter(named("orders", "one"))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(backend.link.landed.length, 2)
      yield* update(unchanged)
      yield* backend.link.set(away)
      yield* TestClock.adjust("15 seconds")
      const fromTheMiddle = yield* watched(late)

      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(yield* listed(early), ["one"])
      assert.isTrue(Option.isSome(yield* early.registry.get("orders", "one")))
      assert.deepStrictEqual(fromTheStart.events, ["ready", "up orders/one"])
      assert.deepStrictEqual(fromTheMiddle.events, ["up orders/one", "ready"])

      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(early), [])
      assert.isTrue(Option.isNone(yield* early.registry.get("orders", "one")))
      assert.strictEqual((yield* early.registry.listAll()).size, 0)
      assert.deepStrictEqual(fromTheStart.events.at(-1), "down orders/one expired")
      assert.deepStrictEqual(fromTheMiddle.events.at(-1), "down orders/one expired")
    }))

  test("visibility becomes invisible after maxAge, and not before", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const { update, visibility } = yield* backend.enter(named("orders", "one"))
      const told = yield* record(tagsOf(visibility))
      yield* TestClock.adjust("10 seconds")
      yield* update(unchanged)
      yield* backend.link.set(away)
      yield* TestClock.adjust("29999 millis")
      assert.deepStrictEqual(told.events, ["Visible"])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(told.events, ["Visible", "Invisible"])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(told.events, ["Visible", "Invisible"])
      yield* backend.link.set(undefined)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(told.events, ["Visible", "Invisible", "Visible"])
      assert.deepStrictEqual(yield* listed(backend), ["one"])
    }))

  test("visibility measures from the time a heartbeat was sent, not from its answer", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const observer = yield* startProcess(store, defaults)
      const { update, visibility } = yield* backend.enter(named("orders", "one"))
      const told = yield* record(tagsOf(visibility))
      yield* TestClock.adjust("1 second")
      yield* backend.link.set(times(1, "put", (_, run) => Effect.tap(run, () => Effect.sleep("1900 millis"))))
      const updated = yield* Effect.forkChild(update(unchanged))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(updated)
      yield* backend.link.set(away)
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(observer), [])
      assert.deepStrictEqual(told.events, ["Visible", "Invisible"])
    }))

  test("a cleanup keeps an instance that is exactly maxAge old, and removes it a millisecond later", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual((yield* process.registry.cleanup()).removed, [])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual((yield* process.registry.cleanup()).removed, [
        { instance: "orders/one", reason: "expired: no heartbeat for 30s" }
      ])
    }))

  for (const [what, fault] of [["cannot be reached", away], ["does not answer", silent]] as const) {
    test(`instances stay live if the store ${what} for ten seconds, in every phase of the heartbeat`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const observer = yield* startProcess(store, defaults)
        const events = yield* watched(observer)
        const phases = Array.from({ length: 10 }, (_, phase) => phase)
        const backends = yield* Effect.forEach(phases, (phase) =>
          Effect.gen(function*() {
            const backend = yield* startProcess(store, defaults)
            const registration = yield* backend.enter(named("orders", `phase-${phase}`))
            return { ...backend, ...registration }
          }))
        for (const moment of Array.from({ length: 50 }, (_, index) => index)) {
          for (const [phase, { link }] of backends.entries()) {
            if (moment === phase) yield* link.set(fault)
            if (moment === phase + 10) yield* link.set(undefined)
          }
          yield* TestClock.adjust("1 second")
          assert.strictEqual((yield* listed(observer)).length, phases.length)
        }
        for (const { link, whyLost } of backends) {
          assert.isAtLeast(link.landed.length, 5)
          assert.isAtMost(link.landed.length, 7)
          assert.isUndefined(yield* whyLost)
        }
        assert.deepStrictEqual(events.events.filter((event) => event.startsWith("down")), [])
      }))
  }

  test("heartbeats are retried during an outage, at least every three seconds", () =>
    Effect.gen(function*() {
      const backend = yield* startProcess(yield* openBucket(), defaults)
      yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(away)
      yield* TestClock.adjust("10 seconds")
      yield* again(
        100,
        Effect.gen(function*() {
          const before = countOf(backend.link, "put")
          yield* TestClock.adjust("3 seconds")
          assert.isAbove(countOf(backend.link, "put"), before)
        })
      )
    }))

  test("a heartbeat without an answer times out after two seconds and is retried", () =>
    Effect.gen(function*() {
      const backend = yield* startProcess(yield* openBucket(), defaults)
      yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "put", silent))
      const puts = Effect.sync(() => countOf(backend.link, "put"))
      yield* until(puts, (count) => count === 2)
      yield* TestClock.adjust("1989 millis")
      assert.strictEqual(yield* puts, 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* puts, 3)
      assert.strictEqual(backend.link.landed.length, 2)
    }))

  test("a heartbeat whose read after a conflict gets no answer times out and is retried", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* underneath(store, key, { team: "blue" })
      yield* backend.link.set(times(1, "history", silent))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(backend.link.landed.length, 2)
      assert.strictEqual((yield* fieldsOf(store, key))["team"], "blue")
      assert.isUndefined(yield* whyLost)
    }))

  test("a restarted process registers one millisecond after maxAge, and not before", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const old = yield* startProcess(store, defaults)
      const next = yield* startProcess(store, defaults)
      yield* old.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("12 seconds")
      yield* Effect.forkScoped(next.enter(named("orders", "one")))
      yield* TestClock.adjust("18 seconds")
      assert.strictEqual(next.link.landed.length, 0)
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(next.link.landed.length, 1)
    }))

  test("onDuplicate fail and heartbeat take an id one millisecond after maxAge, and not before", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const old = yield* startProcess(store, defaults)
      const byHand = yield* startProcess(store, defaults)
      const next = yield* startProcess(store, defaults)
      yield* old.registry.heartbeat(named("orders", "one"))
      yield* old.registry.heartbeat(named("orders", "two"))
      yield* TestClock.adjust("30 seconds")
      yield* reasonOf(next.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* reasonOf(byHand.registry.heartbeat(named("orders", "two")), "DuplicateInstance")
      yield* TestClock.adjust("1 milli")
      yield* next.enter(named("orders", "one"), { onDuplicate: "fail" })
      yield* byHand.registry.heartbeat(named("orders", "two"))
      assert.deepStrictEqual(yield* listed(old), ["one", "two"])
    }))

  test("isExpired with the store's clock agrees with list at every millisecond", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      for (const n of [0, 1, 2, 3, 4]) {
        yield* process.registry.heartbeat(named("orders", `i${n}`))
        yield* TestClock.adjust(n)
      }
      const expired = isExpired(store.clock)
      yield* TestClock.adjust("29980 millis")
      const counts: Array<number> = []
      yield* again(
        40,
        Effect.gen(function*() {
          const all = yield* process.registry.list("orders", { includeExpired: true })
          const alive = all.filter((instance) => !expired(instance)).map(({ instanceId }): string => instanceId)
          assert.deepStrictEqual(yield* listed(process), alive)
          counts.push(alive.length)
          yield* TestClock.adjust("1 milli")
        })
      )
      assert.strictEqual(counts[0], 5)
      assert.strictEqual(counts.at(-1), 0)
    }))
})
