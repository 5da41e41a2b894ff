/** The time of a server, as it is known from its answers. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as storeClock from "../../../../src/internal/nats/bucket/storeClock.ts"

describe("the better of two readings", () => {
  const sample = (sent: number, roundTrip: number, serverTime: number) => ({
    serverTime,
    sent,
    received: sent + roundTrip
  })

  it("is the only one there is", () => {
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

  it("is the new one where the two cannot both be right: this host has slept", () => {
    const before = storeClock.better(undefined, sample(100, 2, 5000))
    const anHourLater = 3_600_000
    assert.strictEqual(storeClock.better(before, sample(60_000, 100, 65_000 + anHourLater)).takenAt, 60_100)
  })

  it("is a new one with the same round trip", () => {
    const first = storeClock.better(undefined, sample(100, 10, 5000))
    assert.strictEqual(storeClock.better(first, sample(200, 10, 5100)).takenAt, 210)
  })

  it("is a slower one in the end: what is known gets worse with its age", () => {
    const quick = storeClock.better(undefined, sample(0, 2, 5000))
    const minute = 60_000
    assert.strictEqual(storeClock.better(quick, sample(minute, 70, 65_000)), quick)
    assert.notStrictEqual(storeClock.better(quick, sample(10 * minute, 70, 605_000)), quick)
  })

  it.effect.prop(
    "is off by no more than it says, whatever part of the round trip went by before the server looked at its clock",
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
  it.effect("reads the server's time, and goes on with the monotonic one", () =>
    Effect.gen(function*() {
      const clock = storeClock.make(yield* Clock.Clock, () => 1_795_000_000_000.25)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_001_500)
      assert.strictEqual(clock.currentTimeMillisUnsafe(), 1_795_000_001_500)
      assert.strictEqual(Number((yield* clock.currentTimeNanos) / 1_000_000n), 1_795_000_001_500)
      assert.strictEqual(clock.currentTimeNanosUnsafe(), yield* clock.currentTimeNanos)
    }))

  it.effect("is not moved by a step of the host's wall clock, back or forth", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_800_000_000_000)
      const host = yield* Clock.Clock
      const offset = 1_795_000_000_000 - Number(yield* Clock.monotonicTimeNanos) / 1_000_000
      const clock = storeClock.make(host, () => offset)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.setTime(1_700_000_000_000)
      assert.strictEqual(yield* Clock.currentTimeMillis, 1_700_000_000_000)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_002_000)
    }))

  it.effect("follows a better reading when there is one", () =>
    Effect.gen(function*() {
      let offset = 1000
      const clock = storeClock.make(yield* Clock.Clock, () => offset)
      assert.strictEqual(yield* clock.currentTimeMillis, 1000)
      offset = 1003
      assert.strictEqual(yield* clock.currentTimeMillis, 1003)
    }))

  it.effect("waits as the host does", () =>
    Effect.gen(function*() {
      const clock = storeClock.make(yield* Clock.Clock, () => 1_795_000_000_000)
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
