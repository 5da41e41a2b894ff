/** `isExpired`: the edges as a table, and the rule as a property. */
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

/** Any time except 0, so that a test notices if an absolute time is used instead of a difference. */
const epoch = Date.UTC(2026, 10, 1)

interface Case {
  readonly title: string
  /** Milliseconds since the last heartbeat; undefined without a heartbeat. */
  readonly age: number | undefined
  readonly maxAge?: Duration.Input
  readonly expired: boolean
}

const cases: ReadonlyArray<Case> = [
  { title: "a heartbeat younger than maxAge is live", age: 9_999, maxAge: "10 seconds", expired: false },
  { title: "a heartbeat that is exactly maxAge old is live", age: 10_000, maxAge: "10 seconds", expired: false },
  {
    title: "a heartbeat one millisecond older than maxAge is expired",
    age: 10_001,
    maxAge: "10 seconds",
    expired: true
  },
  { title: "a heartbeat years older than maxAge is expired", age: 1e11, maxAge: "10 seconds", expired: true },
  { title: "a heartbeat of age 0 is live", age: 0, maxAge: "10 seconds", expired: false },
  { title: "a heartbeat in the future is live", age: -1, maxAge: "10 seconds", expired: false },
  {
    title: "a heartbeat further in the future than maxAge is live",
    age: -3_600_000,
    maxAge: "10 seconds",
    expired: false
  },
  { title: "an instance without a heartbeat is expired", age: undefined, maxAge: "10 seconds", expired: true },
  { title: "by default a heartbeat of 30 seconds is live", age: 30_000, expired: false },
  { title: "by default a heartbeat one millisecond older than 30 seconds is expired", age: 30_001, expired: true },
  { title: "by default an instance without a heartbeat is expired", age: undefined, expired: true },
  {
    title: "with a maxAge in milliseconds a heartbeat of exactly maxAge is live",
    age: 250,
    maxAge: 250,
    expired: false
  },
  { title: "with a maxAge in milliseconds an older heartbeat is expired", age: 251, maxAge: 250, expired: true },
  {
    title: "with a Duration as maxAge a heartbeat of exactly maxAge is live",
    age: 120_000,
    maxAge: Duration.minutes(2),
    expired: false
  },
  {
    title: "with a Duration as maxAge an older heartbeat is expired",
    age: 120_001,
    maxAge: Duration.minutes(2),
    expired: true
  },
  { title: "with a maxAge of zero a heartbeat of age 0 is live", age: 0, maxAge: 0, expired: false },
  {
    title: "with a maxAge of zero a heartbeat one millisecond old is expired",
    age: 1,
    maxAge: Duration.zero,
    expired: true
  },
  { title: "with a maxAge of zero a heartbeat in the future is live", age: -1, maxAge: 0, expired: false },
  { title: "with an infinite maxAge every heartbeat is live", age: 1e14, maxAge: Duration.infinity, expired: false },
  {
    title: "with a maxAge of Infinity milliseconds every heartbeat is live",
    age: 1e14,
    maxAge: Number.POSITIVE_INFINITY,
    expired: false
  },
  {
    title: "with an infinite maxAge an instance without a heartbeat is expired",
    age: undefined,
    maxAge: Infinity,
    expired: true
  }
]

/** An instance whose last heartbeat is `age` milliseconds old by the current clock. */
const heartbeatAgo = (age: number | undefined) =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    lastHeartbeat: age === undefined ? undefined : DateTime.makeUnsafe(now - age)
  }))

const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4e12 }))
const Age = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e6 }))
/** A few milliseconds around the edge, where errors are likely. */
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

  it.effect("uses the default maxAge without options", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(epoch)
      const expired = isExpired(yield* Clock.Clock)
      assert.isFalse(expired(yield* heartbeatAgo(Duration.toMillis(defaultMaxAge))))
      assert.isTrue(expired(yield* heartbeatAgo(Duration.toMillis(defaultMaxAge) + 1)))
    }))

  it.effect("reads the clock on each call", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(epoch)
      const expired = isExpired(yield* Clock.Clock, { maxAge: "10 seconds" })
      const subject = yield* heartbeatAgo(0)
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(expired(subject))
      yield* TestClock.adjust("1 milli")
      assert.isTrue(expired(subject))
      // The wall clock is set back: the heartbeat is in the future.
      yield* TestClock.setTime(epoch - 1)
      assert.isFalse(expired(subject))
    }))

  it.effect("reads the clock that was passed, not the clock of the fiber", () =>
    Effect.gen(function*() {
      const other = yield* TestClock.make()
      const expired = isExpired(other, { maxAge: "10 seconds" })
      const subject = yield* heartbeatAgo(0)
      yield* TestClock.adjust("1 hour")
      assert.isFalse(expired(subject))
    }))

  it.effect.prop(
    "returns true if and only if more than maxAge has passed since the heartbeat",
    { heartbeat: Millis, now: Millis, maxAge: Age },
    ({ heartbeat, maxAge, now }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now)
        const expired = isExpired(yield* Clock.Clock, { maxAge })
        assert.strictEqual(expired({ lastHeartbeat: DateTime.makeUnsafe(heartbeat) }), now - heartbeat > maxAge)
      })
  )

  it.effect.prop(
    "changes at exactly maxAge for every heartbeat and maxAge",
    { heartbeat: Millis, fromEdge: FromEdge, maxAge: Age },
    ({ fromEdge, heartbeat, maxAge }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(heartbeat + maxAge + fromEdge)
        const expired = isExpired(yield* Clock.Clock, { maxAge })
        assert.strictEqual(expired({ lastHeartbeat: DateTime.makeUnsafe(heartbeat) }), fromEdge > 0)
      })
  )

  it.effect.prop(
    "never returns to false while the clock advances",
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
      ["a text that is not a duration", { maxAge: "30 bananas" }],
      ["NaN, which Effect converts to 0", { maxAge: Number.NaN }],
      ["a negative duration", { maxAge: -1 }],
      ["an object that is not a duration", { maxAge: { second: 3 } }],
      ["an unknown option", { maxage: "1 minute" }],
      ["null", null]
    ] as const
  ) {
    it.effect(`throws InvalidConfig for ${what}`, () =>
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
