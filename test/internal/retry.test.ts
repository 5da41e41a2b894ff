/** Work that ends when it makes no more progress. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { whileProgressing } from "../../src/internal/retry.ts"

const timeout = Duration.seconds(5)

/** Reports progress `times` times, 4 s apart, then waits for `last`. */
const work = (times: number, last: Duration.Duration) => (progress: () => void) =>
  Effect.sleep("4 seconds").pipe(
    Effect.andThen(Effect.sync(progress)),
    Effect.replicateEffect(times, { discard: true }),
    Effect.andThen(Effect.sleep(last)),
    Effect.as("done")
  )

describe("work that reports its progress", () => {
  it.effect("may take longer than the timeout in total", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(whileProgressing(timeout, Effect.fail("silent"), work(10, Duration.zero)))
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(yield* fiber.pollUnsafe() ?? Effect.succeed("not ended"), "done")
    }))

  it.effect("fails when it has reported nothing for the timeout, and is interrupted", () =>
    Effect.gen(function*() {
      let isInterrupted = false
      const silent = (progress: () => void) =>
        Effect.onInterrupt(work(2, Duration.hours(1))(progress), () =>
          Effect.sync(() => {
            isInterrupted = true
          }))
      const fiber = yield* Effect.forkChild(Effect.flip(whileProgressing(timeout, Effect.fail("silent"), silent)))
      yield* TestClock.adjust("12.9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* fiber.pollUnsafe() ?? Effect.succeed("not ended"), "silent")
      assert.isTrue(isInterrupted)
    }))
})
