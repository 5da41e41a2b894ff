/** The end of a leadership's scope while the store is away or refuses: how long it takes, and what it logs. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { electionLosses, electionTerms } from "../../src/Metrics.ts"
import { away, countOf, denied, on, silent } from "../support/links.ts"
import { logged } from "../support/suite.ts"
import { leaseDuration, now } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { only, tagIn, usurp } from "./suite/processes.ts"

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
        assert.strictEqual(countOf(link, "put"), 0)
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

  test("logs that the term expired before the hand-over, not that leadership was lost", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        // The deadline of these timings is before leaveTimeout.
        const { link, one } = yield* two()
        yield* link.set(away)
        yield* closing(one)
        const other = yield* two()
        yield* other.link.set(away)
        yield* finish(other.one.leadership().resign)
        yield* other.link.set(undefined)
      }).pipe(Effect.provide(log.layer))
      const line =
        "Warn could not hand over the leadership of \"orders\" before renewDeadline: another candidate wins when " +
        "its lease has ended"
      assert.deepStrictEqual(log.troubles().filter((one) => one.includes("hand over")), [line, line])
    }))

  test("counts each ended term once, by its reason", () =>
    Effect.gen(function*() {
      const ends = Effect.gen(function*() {
        const resigned = yield* two()
        yield* resigned.one.close
        const { link, one } = yield* two({ timings: Election.resilient })
        yield* link.set(away)
        yield* closing(one)
        const lost = yield* two()
        yield* usurp(lost.store)
        yield* TestClock.adjust(leaseDuration)
      })
      const count = (reason: string) =>
        Effect.map(
          Metric.value(Metric.withAttributes(electionLosses, { election: only, reason })),
          ({ count }) => count
        )
      yield* Effect.gen(function*() {
        yield* Effect.scoped(ends)
        assert.deepStrictEqual([yield* count("superseded"), yield* count("expired")], [1, 0])
        // One handed over, one gave up, and those that had won when their tests ended.
        assert.isAtLeast(yield* count("resigned"), 2)
        const terms = yield* Metric.value(Metric.withAttributes(electionTerms, { election: only }))
        assert.strictEqual(terms.count, (yield* count("resigned")) + 1)
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
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
