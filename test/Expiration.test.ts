/** When a heartbeat is too old: every edge, and the rule itself as a property. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { defaultMaxAge, isExpired } from "../src/Expiration.ts"
import type { InvalidConfig } from "../src/Registry.ts"
import { untyped } from "../tools/values.ts"

/** Any time will do, and one that is not 0 shows that differences are taken. */
const epoch = Date.UTC(2026, 10, 1)

interface Case {
  readonly title: string
  /** Milliseconds since the last heartbeat; undefined: there was none. */
  readonly age: number | undefined
  readonly maxAge?: Duration.Input
  readonly expired: boolean
}

const cases: ReadonlyArray<Case> = [
  { title: "younger than maxAge is alive", age: 9_999, maxAge: "10 seconds", expired: false },
  { title: "exactly maxAge is alive", age: 10_000, maxAge: "10 seconds", expired: false },
  { title: "one millisecond over maxAge is expired", age: 10_001, maxAge: "10 seconds", expired: true },
  { title: "years over maxAge is expired", age: 1e11, maxAge: "10 seconds", expired: true },
  { title: "a heartbeat of this very moment is alive", age: 0, maxAge: "10 seconds", expired: false },
  { title: "a heartbeat from the future is alive", age: -1, maxAge: "10 seconds", expired: false },
  { title: "a heartbeat from a future beyond maxAge is alive", age: -3_600_000, maxAge: "10 seconds", expired: false },
  { title: "no heartbeat is expired", age: undefined, maxAge: "10 seconds", expired: true },
  { title: "the default of 30 seconds is alive at 30 seconds", age: 30_000, expired: false },
  { title: "the default of 30 seconds is expired a millisecond later", age: 30_001, expired: true },
  { title: "no heartbeat is expired by default too", age: undefined, expired: true },
  { title: "a maxAge in milliseconds is alive at its end", age: 250, maxAge: 250, expired: false },
  { title: "a maxAge in milliseconds is expired after it", age: 251, maxAge: 250, expired: true },
  { title: "a maxAge as a Duration is alive at its end", age: 120_000, maxAge: Duration.minutes(2), expired: false },
  { title: "a maxAge as a Duration is expired after it", age: 120_001, maxAge: Duration.minutes(2), expired: true },
  { title: "with a maxAge of zero only this very moment is alive", age: 0, maxAge: 0, expired: false },
  { title: "with a maxAge of zero a millisecond is too old", age: 1, maxAge: Duration.zero, expired: true },
  { title: "with a maxAge of zero the future is alive", age: -1, maxAge: 0, expired: false },
  { title: "with no end to maxAge nothing is too old", age: 1e14, maxAge: Duration.infinity, expired: false },
  { title: "Infinity milliseconds are no end either", age: 1e14, maxAge: Number.POSITIVE_INFINITY, expired: false },
  { title: "with no end to maxAge no heartbeat is still expired", age: undefined, maxAge: Infinity, expired: true }
]

/** What sent its last heartbeat so long ago, by the clock as it stands. */
const heartbeatAgo = (age: number | undefined) =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    lastHeartbeat: age === undefined ? undefined : DateTime.makeUnsafe(now - age)
  }))

const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4e12 }))
const Age = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e6 }))
/** Most of the interest is within a few milliseconds of the edge. */
const FromEdge = Schema.Int.check(Schema.isBetween({ minimum: -3, maximum: 3 }))

describe("isExpired", () => {
  for (const { age, expired, maxAge, title } of cases) {
    it.effect(title, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(epoch)
        const clock = yield* Clock.Clock
        assert.strictEqual(isExpired(clock, { maxAge })(yield* heartbeatAgo(age)), expired)
      }))
  }

  it.effect("takes the default where there are no options at all", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(epoch)
      const expired = isExpired(yield* Clock.Clock)
      assert.isFalse(expired(yield* heartbeatAgo(Duration.toMillis(defaultMaxAge))))
      assert.isTrue(expired(yield* heartbeatAgo(Duration.toMillis(defaultMaxAge) + 1)))
    }))

  it.effect("reads the clock anew each time it is asked", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(epoch)
      const expired = isExpired(yield* Clock.Clock, { maxAge: "10 seconds" })
      const subject = yield* heartbeatAgo(0)
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(expired(subject))
      yield* TestClock.adjust("1 milli")
      assert.isTrue(expired(subject))
      // The wall clock was set back: the heartbeat is young, or from the future.
      yield* TestClock.setTime(epoch - 1)
      assert.isFalse(expired(subject))
    }))

  it.effect("reads the clock that it was given, and not the fiber's", () =>
    Effect.gen(function*() {
      const other = yield* TestClock.make()
      const expired = isExpired(other, { maxAge: "10 seconds" })
      const subject = yield* heartbeatAgo(0)
      yield* TestClock.adjust("1 hour")
      assert.isFalse(expired(subject))
    }))

  it.effect.prop(
    "is true where, and only where, more than maxAge has passed since the heartbeat",
    { heartbeat: Millis, now: Millis, maxAge: Age },
    ({ heartbeat, maxAge, now }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now)
        const expired = isExpired(yield* Clock.Clock, { maxAge })
        assert.strictEqual(expired({ lastHeartbeat: DateTime.makeUnsafe(heartbeat) }), now - heartbeat > maxAge)
      })
  )

  it.effect.prop(
    "turns at the edge, whatever the heartbeat and maxAge",
    { heartbeat: Millis, fromEdge: FromEdge, maxAge: Age },
    ({ fromEdge, heartbeat, maxAge }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(heartbeat + maxAge + fromEdge)
        const expired = isExpired(yield* Clock.Clock, { maxAge })
        assert.strictEqual(expired({ lastHeartbeat: DateTime.makeUnsafe(heartbeat) }), fromEdge > 0)
      })
  )

  it.effect.prop(
    "never takes back, while the clock goes on, that something is expired",
    { heartbeat: Millis, fromEdge: FromEdge, maxAge: Age, later: Age },
    ({ fromEdge, heartbeat, later, maxAge }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(heartbeat + maxAge + fromEdge)
        const expired = isExpired(yield* Clock.Clock, { maxAge })
        const subject = { lastHeartbeat: DateTime.makeUnsafe(heartbeat) }
        const before = expired(subject)
        yield* TestClock.adjust(later)
        assert.isTrue(!before || expired(subject))
      })
  )

  for (
    const [what, options] of [
      ["a text that is no duration", { maxAge: "30 bananas" }],
      ["NaN, which Effect takes for 0", { maxAge: Number.NaN }],
      ["a time below 0", { maxAge: -1 }],
      ["an object of other names", { maxAge: { second: 3 } }],
      ["an option of another name", { maxage: "1 minute" }],
      ["no object", null]
    ] as const
  ) {
    it.effect(`throws InvalidConfig for ${what}, and expires nothing`, () =>
      Effect.gen(function*() {
        const clock = yield* Clock.Clock
        const error = yield* Effect.flip(Effect.try({
          try: () => isExpired(clock, untyped(options)),
          catch: (error) => error as InvalidConfig
        }))
        assert.strictEqual(error._tag, "InvalidConfig")
        assert.match(error.message, /maxage|maxAge|options/)
      }))
  }
})
