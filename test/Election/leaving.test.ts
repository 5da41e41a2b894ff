/** The end of a leadership's scope while the store is away or refuses: how long it takes, and what it logs. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { away, denied, on, silent } from "../support/links.ts"
import { logged } from "../support/suite.ts"
import { now } from "./suite/fixture.ts"
import { settled, test, two } from "./suite/inMemory.ts"
import { tagIn } from "./suite/processes.ts"

/** Closes the scope of the leader, and returns after how many milliseconds it has closed. */
const closing = (seat: Effect.Success<ReturnType<typeof two>>["one"]) =>
  Effect.gen(function*() {
    const from = yield* now
    yield* seat.close
    return (yield* now) - from
  })

describe("Election in memory: leaving", () => {
  for (const [what, fault] of [["is away", away], ["does not answer", silent]] as const) {
    test(`gives up after leaveTimeout if the store ${what}, and nothing extends the lease`, () =>
      Effect.gen(function*() {
        const { link, one, store, two: other } = yield* two({ timings: Election.resilient })
        const log = logged()
        yield* link.set(fault)
        const millis = yield* Effect.provide(closing(one), log.layer)
        assert.isAtLeast(millis, 2000)
        assert.isAtMost(millis, 2100)
        yield* link.set(undefined)
        link.calls.length = 0
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(link.calls.length, 0)
        assert.strictEqual(yield* tagIn(store), "Held")
        yield* TestClock.adjust("20 seconds")
        assert.isTrue(yield* other.hasWon)
      }))
  }

  test("hands over if the store comes back within leaveTimeout", () =>
    Effect.gen(function*() {
      const { link, one, two: other } = yield* two({ timings: Election.resilient })
      yield* link.set(away)
      const fiber = yield* Effect.forkChild(closing(one))
      yield* TestClock.adjust("1 second")
      yield* link.set(undefined)
      yield* TestClock.adjust("900 millis")
      assert.isBelow(yield* Fiber.join(fiber), 2000)
      yield* settled
      assert.isTrue(yield* other.hasWon)
    }))

  test("gives up at once if the store refuses the hand-over for good", () =>
    Effect.gen(function*() {
      const { link, one } = yield* two({ timings: Election.resilient })
      yield* link.set(on("put", denied))
      const fiber = yield* Effect.forkChild(closing(one))
      yield* settled
      assert.isAtMost(yield* Fiber.join(fiber), 100)
    }))

  test("logs why another candidate has to wait, once", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { link, one } = yield* two({ timings: Election.resilient })
        yield* link.set(away)
        yield* closing(one)
      }).pipe(Effect.provide(log.layer))
      const lines = log.lines.filter((line) => line.includes("could not hand over"))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /the leadership of "orders" .*another candidate wins when its lease has ended/)
    }))
})
