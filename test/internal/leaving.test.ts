/** The time that several services have to leave together. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { LeaveBudget } from "../../src/internal/leaving.ts"

const timeout = Duration.seconds(2)

const never = (budget: LeaveBudget) => budget.run({ timeout, leave: Effect.never, hasAnswered: () => false })

const answered = (budget: LeaveBudget) =>
  budget.run({ timeout, leave: Effect.sleep("1 second"), hasAnswered: () => true })

/** Runs an effect while time passes, and returns its result and how long it took. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const from = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(
      Effect.flatMap(effect, (value) => Effect.map(Clock.currentTimeMillis, (to) => [value, to - from] as const))
    )
    yield* TestClock.adjust("10 seconds")
    return yield* Fiber.join(fiber)
  })

describe("a LeaveBudget", () => {
  it.effect("counts the time of services that leave one after the other together", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      const [left, millis] = yield* timed(Effect.all([
        never(budget),
        never(budget),
        never(budget)
      ]))
      assert.deepStrictEqual(left, [Option.none(), Option.none(), Option.none()])
      assert.strictEqual(millis, 2100)
    }))

  it.effect("counts the time of a hundred services together, also if some of them have nothing to do", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      const nothing = budget.run({ timeout, leave: Effect.void, hasAnswered: () => false })
      const [, millis] = yield* timed(Effect.replicateEffect(Effect.andThen(never(budget), nothing), 100))
      assert.strictEqual(millis, 2100)
    }))

  it.effect("counts the time of services that leave at once together", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      const [, millis] = yield* timed(Effect.all(
        [never(budget), never(budget)],
        { concurrency: "unbounded" }
      ))
      assert.strictEqual(millis, 2000)
    }))

  it.effect("has its full time again after a service has left, and after a write was stored", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      yield* timed(answered(budget))
      assert.deepStrictEqual(yield* timed(never(budget)), [Option.none(), 2000])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* timed(never(budget)), [Option.none(), 100])
      yield* budget.answered
      assert.deepStrictEqual(yield* timed(never(budget)), [Option.none(), 2000])
    }))

  it.effect("leaves a store that is back a moment to answer, after its time was spent", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      yield* timed(never(budget))
      const soon = budget.run({ timeout, leave: Effect.sleep("50 millis"), hasAnswered: () => true })
      assert.deepStrictEqual(yield* timed(soon), [Option.some(undefined), 50])
      assert.deepStrictEqual(yield* timed(never(budget)), [Option.none(), 2000])
    }))

  it.effect("counts only the time in which a service waits for the store", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      const nothing = budget.run({ timeout, leave: Effect.void, hasAnswered: () => false })
      yield* timed(nothing)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* timed(never(budget)), [Option.none(), 2000])
      const other = new LeaveBudget()
      const waits = other.run({ timeout, leave: Effect.never, hasAnswered: () => false })
      yield* Effect.forkChild(Effect.timeoutOption(waits, "500 millis"))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* timed(waits), [Option.none(), 1500])
    }))

  it.effect("interrupts what does not end, also in a finalizer", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      const [, millis] = yield* timed(Effect.uninterruptible(never(budget)))
      assert.strictEqual(millis, 2000)
    }))
})
