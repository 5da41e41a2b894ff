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
        budget.run(timeout, Effect.never),
        budget.run(timeout, Effect.never),
        budget.run(timeout, Effect.never)
      ]))
      assert.deepStrictEqual(left, [Option.none(), Option.none(), Option.none()])
      assert.strictEqual(millis, 2200)
    }))

  it.effect("counts the time of services that leave at once together", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      const [, millis] = yield* timed(Effect.all(
        [budget.run(timeout, Effect.never), budget.run(timeout, Effect.never)],
        { concurrency: "unbounded" }
      ))
      assert.strictEqual(millis, 2000)
    }))

  it.effect("begins anew after a service has left, and after a while", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      yield* timed(budget.run(timeout, Effect.sleep("1 second")))
      assert.deepStrictEqual(yield* timed(budget.run(timeout, Effect.never)), [Option.none(), 2000])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* timed(budget.run(timeout, Effect.never)), [Option.none(), 2000])
    }))

  it.effect("interrupts what does not end, also in a finalizer", () =>
    Effect.gen(function*() {
      const budget = new LeaveBudget()
      const [, millis] = yield* timed(Effect.uninterruptible(budget.run(timeout, Effect.never)))
      assert.strictEqual(millis, 2000)
    }))
})
