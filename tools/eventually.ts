/** Waits for a condition, with a timeout, on the clock of the test. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"

/** Short, so that the `TestClock` does not pass a state that a test waits for. */
const virtualStep = Duration.millis(10)

const pollInterval = Duration.millis(3)

/** The default timeout, on the `TestClock` or the real clock: far longer than any wait in the tests. */
const patience = Duration.seconds(15)

const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * Repeats `effect` until `predicate` accepts its result, and returns that result. If `virtual` is true, the `TestClock`
 * moves by `step` between two attempts; otherwise the real clock is used. A timeout fails the test with the last
 * result.
 */
export const eventually = (virtual: boolean, step: Duration.Duration = virtualStep) => {
  const wait = virtual ? TestClock.adjust(step) : Effect.sleep(pollInterval)
  return <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    predicate: (value: A) => boolean,
    within: Duration.Duration = patience
  ): Effect.Effect<A, E, R> =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const end = monotonicMillis(clock) + Duration.toMillis(within)
      while (true) {
        const value = yield* effect
        if (predicate(value)) return value
        if (monotonicMillis(clock) > end) {
          return assert.fail(
            `the condition did not hold within ${Duration.format(within)}; the last value was ${JSON.stringify(value)}`
          )
        }
        yield* wait
      }
    })
}

export type Until = ReturnType<typeof eventually>
