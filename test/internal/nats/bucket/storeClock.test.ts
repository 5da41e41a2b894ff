/** The store's clock: the server's time, derived from samples of it. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as storeClock from "../../../../src/internal/nats/bucket/storeClock.ts"
import type { StreamInfo } from "../../../../src/internal/nats/jetstream/api.ts"
import type { LinkEvent, NatsPort } from "../../../../src/internal/nats/port.ts"
import { type KVStoreReason, Unavailable } from "../../../../src/KVStoreError.ts"

describe("the better of two readings", () => {
  const sample = (sent: number, roundTrip: number, serverTime: number) => ({
    serverTime,
    sent,
    received: sent + roundTrip
  })

  it("is the first one if there is no other", () => {
    assert.deepStrictEqual(storeClock.better(undefined, sample(100, 10, 5000)), {
      offset: 4895,
      error: 5,
      takenAt: 110
    })
  })

  it("is the one with the shorter round trip", () => {
    const slow = storeClock.better(undefined, sample(100, 40, 5000))
    const quick = storeClock.better(slow, sample(200, 2, 5090))
    assert.deepStrictEqual(quick, { offset: 4889, error: 1, takenAt: 202 })
    assert.strictEqual(storeClock.better(quick, sample(300, 40, 5215)), quick)
  })

  it("is the new one if the two contradict each other, as after a suspension of the host", () => {
    const before = storeClock.better(undefined, sample(100, 2, 5000))
    const anHourLater = 3_600_000
    assert.strictEqual(storeClock.better(before, sample(60_000, 100, 65_000 + anHourLater)).takenAt, 60_100)
  })

  it("is a new one with the same round trip", () => {
    const first = storeClock.better(undefined, sample(100, 10, 5000))
    assert.strictEqual(storeClock.better(first, sample(200, 10, 5100)).takenAt, 210)
  })

  it("is a new one with a longer round trip once the known one is old enough", () => {
    const quick = storeClock.better(undefined, sample(0, 2, 5000))
    const minute = 60_000
    assert.strictEqual(storeClock.better(quick, sample(minute, 70, 65_000)), quick)
    assert.notStrictEqual(storeClock.better(quick, sample(10 * minute, 70, 605_000)), quick)
  })

  it.effect.prop(
    "has an error within its bound, at whatever point of the round trip the server read its clock",
    {
      samples: Schema.NonEmptyArray(Schema.Struct({
        pause: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5000 })),
        there: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })),
        back: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))
      })),
      offset: Schema.Int
    },
    ({ offset, samples }) =>
      Effect.sync(() => {
        let now = 0
        let known: storeClock.ClockReading | undefined
        for (const { back, pause, there } of samples) {
          const sent = now + pause
          now = sent + there + back
          known = storeClock.better(known, { serverTime: sent + there + offset, sent, received: now })
          assert.isAtMost(Math.abs(known.offset - offset), known.error)
        }
      })
  )
})

describe("the store's clock", () => {
  it.effect("returns the server's time, extrapolated with the monotonic clock", () =>
    Effect.gen(function*() {
      const clock = storeClock.clockOf(yield* Clock.Clock, () => 1_795_000_000_000.25)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_001_500)
      assert.strictEqual(clock.currentTimeMillisUnsafe(), 1_795_000_001_500)
      assert.strictEqual(Number((yield* clock.currentTimeNanos) / 1_000_000n), 1_795_000_001_500)
      assert.strictEqual(clock.currentTimeNanosUnsafe(), yield* clock.currentTimeNanos)
    }))

  it.effect("does not change with a step of the host's wall clock in either direction", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_800_000_000_000)
      const host = yield* Clock.Clock
      const offset = 1_795_000_000_000 - Number(yield* Clock.monotonicTimeNanos) / 1_000_000
      const clock = storeClock.clockOf(host, () => offset)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.setTime(1_700_000_000_000)
      assert.strictEqual(yield* Clock.currentTimeMillis, 1_700_000_000_000)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_002_000)
    }))

  it.effect("uses a better reading as soon as there is one", () =>
    Effect.gen(function*() {
      let offset = 1000
      const clock = storeClock.clockOf(yield* Clock.Clock, () => offset)
      assert.strictEqual(yield* clock.currentTimeMillis, 1000)
      offset = 1003
      assert.strictEqual(yield* clock.currentTimeMillis, 1003)
    }))

  it.effect("sleeps by the host's clock", () =>
    Effect.gen(function*() {
      const clock = storeClock.clockOf(yield* Clock.Clock, () => 1_795_000_000_000)
      let woken = false
      yield* clock.sleep(Duration.seconds(1)).pipe(
        Effect.andThen(Effect.sync(() => {
          woken = true
        })),
        Effect.forkScoped
      )
      yield* TestClock.adjust("999 millis")
      assert.isFalse(woken)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(woken)
      assert.strictEqual(yield* clock.monotonicTimeNanos, yield* Clock.monotonicTimeNanos)
    }))
})

/** A server whose clock is ahead of the host's by `state.ahead` milliseconds. */
const makeServer = () => {
  const links = new Set<(event: LinkEvent) => void>()
  const state = { ahead: 0, asked: 0, fails: false }
  const port: Pick<NatsPort, "onLink"> = {
    onLink: (listener) => {
      links.add(listener)
      return () => links.delete(listener)
    }
  }
  const info: Effect.Effect<StreamInfo, KVStoreReason> = Effect.gen(function*() {
    state.asked++
    if (state.fails) return yield* new Unavailable({ problem: "not connected" })
    const now = yield* Clock.currentTimeMillis
    const ts = new Date(now + state.ahead).toISOString()
    return { config: {}, created: ts, ts, messages: 0, bytes: 0, lastRevision: 0, deleted: 0, hasLeader: true }
  })
  const reconnect = Effect.andThen(
    Effect.sync(() => links.forEach((listener) => listener({ _tag: "Connected" }))),
    Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
  )
  return { links, state, port, info, reconnect }
}

describe("the server's time", () => {
  it.effect("is sampled at the start, once a minute, and after each reconnect", () =>
    Effect.gen(function*() {
      const { info, links, port, reconnect, state } = makeServer()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* storeClock.make(port, info)
        assert.strictEqual(state.asked, 3)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(state.asked, 3)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(state.asked, 4)
        yield* reconnect
        assert.strictEqual(state.asked, 7)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(state.asked, 7)
      }))
      assert.strictEqual(links.size, 0)
    }))

  it.effect("is sampled at the next reading of the clock if the host's clocks have diverged", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      const clock = yield* storeClock.make(port, info)
      yield* TestClock.adjust("50 seconds")
      yield* TestClock.setTime(49_600)
      clock.currentTimeMillisUnsafe()
      yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
      assert.strictEqual(state.asked, 3)
      yield* TestClock.setTime(30_000)
      clock.currentTimeMillisUnsafe()
      yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
      assert.strictEqual(state.asked, 6)
      clock.currentTimeMillisUnsafe()
      yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
      assert.strictEqual(state.asked, 6)
    }))

  it.effect("is sampled within five seconds after a divergence, even if the clock is not read", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      yield* storeClock.make(port, info)
      yield* TestClock.adjust("12 seconds")
      yield* TestClock.setTime(10_000)
      assert.strictEqual(state.asked, 3)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(state.asked, 6)
    }))

  it.effect("is requested every second while requests fail and the clocks have diverged, however often it is read", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      const clock = yield* storeClock.make(port, info)
      yield* TestClock.adjust("50 seconds")
      yield* TestClock.setTime(30_000)
      state.fails = true
      const asked = state.asked
      for (let look = 0; look < 100; look++) {
        clock.currentTimeMillisUnsafe()
        yield* TestClock.adjust("100 millis")
      }
      assert.approximately(state.asked - asked, 10, 1)
    }))

  it.effect("is requested every five seconds while requests fail, if the clocks have not diverged", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      const clock = yield* storeClock.make(port, info)
      yield* TestClock.adjust("59 seconds")
      state.fails = true
      const asked = state.asked
      for (let look = 0; look < 160; look++) {
        clock.currentTimeMillisUnsafe()
        yield* TestClock.adjust("100 millis")
      }
      assert.strictEqual(state.asked - asked, 4)
    }))

  /** The host's clock runs slower than the server's, by more than two clocks drift. */
  const slowly = (clock: Clock.Clock): Clock.Clock => {
    const nanos = () => BigInt(Math.round(Number(clock.monotonicTimeNanosUnsafe()) * 0.992))
    return {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() * 0.992,
      currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now * 0.992),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => clock.sleep(duration)
    }
  }

  for (const paused of [1, 2, 3, 4]) {
    it.effect(`is known also if the process is paused for 18 s while sample ${paused} is under way`, () =>
      Effect.gen(function*() {
        const { info, port, state } = makeServer()
        const real = yield* Clock.Clock
        // The request leaves the host after the pause, and its answer comes at once.
        const pausing = Effect.suspend(() => state.asked === paused - 1 ? Effect.delay(info, "18 seconds") : info)
        const made = yield* storeClock.make(port, Effect.provideService(pausing, Clock.Clock, real)).pipe(
          Effect.provideService(Clock.Clock, slowly(real)),
          Effect.forkScoped
        )
        yield* TestClock.adjust("18 seconds")
        if (paused === 4) yield* TestClock.adjust("62 seconds")
        const clock = yield* Fiber.join(made)
        assert.isAtMost(Math.abs(clock.currentTimeMillisUnsafe() - real.currentTimeMillisUnsafe()), 500)
        assert.isAtMost(state.asked, 6)
      }))
  }

  it.effect("is sampled three more times, and not without end, over a link with a round trip of more than a second", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      yield* Effect.forkScoped(storeClock.make(port, Effect.delay(info, "2 seconds")))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(state.asked, 6)
    }))

  it.effect("is corrected after a reconnect, and is kept while requests fail", () =>
    Effect.gen(function*() {
      const { info, port, reconnect, state } = makeServer()
      state.ahead = 5000
      const clock = yield* storeClock.make(port, info)
      const ahead = Effect.map(Clock.currentTimeMillis, (now) => clock.currentTimeMillisUnsafe() - now)
      assert.strictEqual(yield* ahead, 5000)
      state.fails = true
      state.ahead = 9000
      yield* reconnect
      assert.strictEqual(yield* ahead, 5000)
      state.fails = false
      yield* reconnect
      assert.strictEqual(yield* ahead, 9000)
    }))
})
