/** Waiting for a condition, with a bound, on the clock that a test has. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"

/** Short enough for a prompt test, long enough not to move past what a test wants to see. */
const virtualStep = Duration.millis(10)

const pollInterval = Duration.millis(3)

/** Of the TestClock, or of the real one: far beyond anything waited for here. */
const patience = Duration.seconds(15)

const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * Repeats `effect` until its result is as wanted, and gives that result. Virtual time is moved in steps; on the real
 * clock it polls. A condition that never comes fails the test, and says what was there instead.
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
          return assert.fail(`not within ${Duration.format(within)}; the last was ${JSON.stringify(value)}`)
        }
        yield* wait
      }
    })
}

export type Until = ReturnType<typeof eventually>
