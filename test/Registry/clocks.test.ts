/** Hosts with a wrong wall clock; needs simulated time. */
import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"

import { away, on } from "../support/links.ts"
import { record } from "../support/suite.ts"
import { again, defaults, test } from "./suite/inMemory.ts"
import { keyOf, listed, named, openBucket, startProcess, tagsOf, underneath, watched } from "./suite/processes.ts"

/** The clock of a host whose wall clock is off by `offset` milliseconds. Its monotonic clock is correct. */
const hostOffBy = (offset: () => number) =>
  Effect.map(Clock.Clock, (clock): Clock.Clock => {
    const millis = () => clock.currentTimeMillisUnsafe() + offset()
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(offset()) * 1_000_000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration)
    }
  })

const hour = Duration.toMillis("1 hour")

describe("Registry in memory, hosts with a wrong wall clock", () => {
  for (const [what, offset] of [["an hour ahead", hour], ["an hour behind", -hour]] as const) {
    test(`on a host that is ${what} instances expire after maxAge, and other instances look live`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(10 * hour)
        const store = yield* openBucket()
        const host = yield* hostOffBy(() => offset)
        const onHost = Effect.provideService(Clock.Clock, host)
        const wrong = yield* onHost(startProcess(store, defaults))
        const right = yield* startProcess(store, defaults)
        const byWrong = yield* onHost(watched(wrong))
        const byRight = yield* watched(right)
        const { update } = yield* onHost(wrong.enter(named("orders", "wrong")))
        yield* right.enter(named("orders", "right"))
        yield* again(
          20,
          Effect.gen(function*() {
            yield* TestClock.adjust("5 seconds")
            assert.deepStrictEqual(yield* listed(right), ["right", "wrong"])
            assert.deepStrictEqual(yield* onHost(listed(wrong)), ["right", "wrong"])
            assert.deepStrictEqual((yield* onHost(wrong.registry.cleanup())).removed, [])
          })
        )
        yield* onHost(update((current) => current))
        const got = Option.getOrThrow(yield* right.registry.get("orders", "wrong"))
        assert.strictEqual(got.lastHeartbeat.epochMilliseconds, yield* Clock.currentTimeMillis)

        yield* wrong.link.set(on("put", away))
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* listed(right), ["right", "wrong"])
        yield* TestClock.adjust("1 milli")
        assert.deepStrictEqual(yield* listed(right), ["right"])
        assert.deepStrictEqual(yield* onHost(listed(wrong)), ["right"])
        for (const { events } of [byWrong, byRight]) {
          assert.deepStrictEqual(events.filter((event) => event.startsWith("down")), ["down orders/wrong expired"])
        }
      }))
  }

  test("steps of the wall clock, by an hour and back, affect neither heartbeats nor expiry", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      let offset = 0
      const store = yield* openBucket()
      const host = yield* hostOffBy(() => offset)
      const onHost = Effect.provideService(Clock.Clock, host)
      const process = yield* onHost(startProcess(store, defaults))
      const events = yield* onHost(watched(process))
      const { visibility, whyLost } = yield* onHost(process.enter(named("orders", "one")))
      const told = yield* onHost(record(tagsOf(visibility)))
      for (const step of [hour + 4_000, -7_000, -hour - 5_000, 0, -1_000]) {
        offset = step
        yield* again(
          20,
          Effect.gen(function*() {
            yield* TestClock.adjust("3 seconds")
            assert.deepStrictEqual(yield* onHost(listed(process)), ["one"])
          })
        )
      }
      // The first write, and a heartbeat every nine to ten seconds: the monotonic clock determines heartbeats.
      assert.isAtLeast(process.link.landed.length, 31)
      assert.isAtMost(process.link.landed.length, 34)
      assert.deepStrictEqual(told.events, ["Visible"])
      assert.deepStrictEqual(events.events.filter((event) => event !== "ready"), ["up orders/one"])
      assert.isUndefined(yield* whyLost)
    }))

  test("a restarted process on a host that is an hour off also waits for maxAge", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      for (const offset of [hour, -hour]) {
        const store = yield* openBucket()
        const onHost = Effect.provideService(Clock.Clock, yield* hostOffBy(() => offset))
        const old = yield* startProcess(store, defaults)
        const next = yield* onHost(startProcess(store, defaults))
        yield* old.registry.heartbeat(named("orders", "one"))
        yield* Effect.forkScoped(onHost(next.enter(named("orders", "one"))))
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(next.link.landed.length, 0)
        yield* TestClock.adjust("1 milli")
        assert.strictEqual(next.link.landed.length, 1)
      }
    }))

  test("with the local clock the written lastHeartbeat determines the age", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      const store = yield* openBucket()
      const local = yield* startProcess(store, { ...defaults, clock: "local" })
      const byStore = yield* startProcess(store, defaults)
      const written = (millis: number) => DateTime.formatIso(DateTime.makeUnsafe(millis))
      const now = yield* Clock.currentTimeMillis
      yield* byStore.registry.heartbeat(named("orders", "edge"))
      yield* byStore.registry.heartbeat(named("orders", "future"))
      yield* byStore.registry.heartbeat(named("orders", "past"))
      yield* underneath(store, keyOf("orders", "edge"), { lastHeartbeat: written(now - 30_000) })
      yield* underneath(store, keyOf("orders", "future"), { lastHeartbeat: written(now + hour) })
      yield* underneath(store, keyOf("orders", "past"), { lastHeartbeat: written(now - 30_001) })
      assert.deepStrictEqual(yield* listed(local), ["edge", "future"])
      assert.deepStrictEqual(yield* listed(byStore), ["edge", "future", "past"])
      const past = Option.getOrThrow(yield* local.registry.get("orders", "past", { includeExpired: true }))
      assert.strictEqual(past.lastHeartbeat.epochMilliseconds, now - 30_001)
      assert.isTrue(Option.isNone(yield* local.registry.get("orders", "past")))
      const { removed } = yield* local.registry.cleanup()
      assert.deepStrictEqual(removed.map(({ instance }) => instance), ["orders/past"])

      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(local), ["future"])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* listed(local), ["future"])
      assert.deepStrictEqual(yield* listed(byStore), [])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* listed(local), [])
    }))

  test("with the local clock live instances look expired on a host that is an hour ahead, as documented", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      const store = yield* openBucket()
      const onHost = Effect.provideService(Clock.Clock, yield* hostOffBy(() => hour))
      const ahead = yield* onHost(startProcess(store, { ...defaults, clock: "local" }))
      const right = yield* startProcess(store, { ...defaults, clock: "local" })
      yield* right.registry.heartbeat(named("orders", "one"))
      assert.deepStrictEqual(yield* listed(right), ["one"])
      assert.deepStrictEqual(yield* onHost(listed(ahead)), [])
    }))
})
