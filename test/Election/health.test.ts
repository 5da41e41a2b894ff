/** Health checks that are slow, hang or cannot be interrupted, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import * as Metrics from "../../src/Metrics.ts"
import { logged, openBucket } from "../support/suite.ts"
import { now, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { employ, only, stand, startProcess, tagIn } from "./suite/processes.ts"

/** A check whose answer the test sets, and that counts its runs. */
const makeCheck = () => {
  const seen: { asked: number; answer: Effect.Effect<boolean>; interrupted: number } = {
    asked: 0,
    answer: Effect.succeed(true),
    interrupted: 0
  }
  const healthCheck = Effect.suspend(() => {
    seen.asked++
    return Effect.onInterrupt(seen.answer, () => Effect.sync(() => seen.interrupted++))
  })
  return { seen, healthCheck }
}

/** In milliseconds: a check that takes longer has failed. */
const limit = 1000

const stuck: ReadonlyArray<readonly [how: string, check: Effect.Effect<boolean>]> = [
  ["cannot be interrupted", Effect.uninterruptible(Effect.never)],
  ["hangs while it acquires", Effect.scoped(Effect.acquireRelease(Effect.never, () => Effect.void))],
  ["hangs when it is interrupted", Effect.onInterrupt(Effect.never, () => Effect.never)]
]

describe("Election in memory: health checks", () => {
  for (const [how, check] of stuck) {
    test(`a leader whose healthCheck ${how} resigns, is not asked again, and closes at once`, () =>
      Effect.gen(function*() {
        const { healthCheck, seen } = makeCheck()
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one", { healthCheck })
        yield* settled
        seen.answer = check
        const before = seen.asked
        yield* TestClock.adjust(2 * renewInterval + limit)
        assert.strictEqual(yield* one.whyLost, "resigned")
        assert.strictEqual(yield* tagIn(store), "Vacant")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(seen.asked, before + 1)
        yield* one.close
        assert.isDefined(one.fiber.pollUnsafe())
      }))

    test(`work stops while a healthCheck ${how}, and whileLeader can be interrupted`, () =>
      Effect.gen(function*() {
        const { healthCheck, seen } = makeCheck()
        const terms: Array<number> = []
        const store = yield* openBucket()
        const one = yield* employ(yield* startProcess(store), finish, "one", ({ term }) => {
          terms.push(term)
          return Effect.never
        }, { healthCheck })
        yield* settled
        seen.answer = check
        const before = seen.asked
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(seen.asked, before + 1)
        assert.deepStrictEqual([terms, yield* tagIn(store)], [[1], "Vacant"])
        yield* one.interrupt
        assert.isTrue(yield* one.hasEnded)
      }))

    test(`a campaign whose healthCheck ${how} is interrupted at once`, () =>
      Effect.gen(function*() {
        const { healthCheck, seen } = makeCheck()
        seen.answer = check
        const one = yield* stand(yield* startProcess(yield* openBucket()), finish, "one", { healthCheck })
        yield* TestClock.adjust("30 seconds")
        assert.isFalse(yield* one.hasWon)
        assert.strictEqual(seen.asked, 1)
        yield* one.interrupt
        assert.isDefined(one.fiber.pollUnsafe())
      }))
  }

  test("a check that answers at once is healthy, also if the clock of a test is set forward before it has run", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { election } = yield* startProcess(yield* openBucket())
        let runs = 0
        const work = Effect.andThen(Effect.sync(() => runs++), Effect.never)
        yield* Layer.build(Layer.provide(
          Election.layerSingleton(only, work, { healthCheck: Effect.succeed(true) }),
          Layer.succeed(Election.Election, election)
        ))
        yield* TestClock.adjust("6 seconds")
        assert.strictEqual(runs, 1)
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.troubles(), [])
    }))

  test("a check that comes back late counts as a failure, and the next one is asked then", () =>
    Effect.gen(function*() {
      const { healthCheck, seen } = makeCheck()
      const release = Deferred.makeUnsafe<boolean>()
      seen.answer = Effect.uninterruptible(Deferred.await(release))
      const one = yield* stand(yield* startProcess(yield* openBucket()), finish, "one", { healthCheck })
      yield* TestClock.adjust("30 seconds")
      seen.answer = Effect.succeed(false)
      yield* Deferred.succeed(release, true)
      yield* TestClock.adjust(renewInterval)
      assert.isFalse(yield* one.hasWon)
      assert.isAtLeast(seen.asked, 2)
      seen.answer = Effect.succeed(true)
      yield* TestClock.adjust(renewInterval)
      assert.isTrue(yield* one.hasWon)
    }))

  test("a check that hangs is interrupted after a second, and another one is asked", () =>
    Effect.gen(function*() {
      const { healthCheck, seen } = makeCheck()
      seen.answer = Effect.never
      const one = yield* stand(yield* startProcess(yield* openBucket()), finish, "one", { healthCheck })
      yield* settled
      yield* TestClock.adjust(limit)
      yield* settled
      assert.deepStrictEqual([seen.asked, seen.interrupted], [2, 1])
      seen.answer = Effect.succeed(true)
      yield* TestClock.adjust(limit)
      yield* TestClock.adjust(renewInterval)
      assert.isTrue(yield* one.hasWon)
    }))

  test("a candidate whose healthCheck takes 900 ms wins a vacant record at once", () =>
    Effect.gen(function*() {
      for (const wait of [0, 100, 450, 899]) {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* settled
        const two = yield* stand(yield* startProcess(store), finish, "two", {
          healthCheck: Effect.delay(Effect.succeed(true), 900)
        })
        yield* TestClock.adjust(5000 + wait)
        const closedAt = yield* now
        yield* one.close
        yield* settled
        assert.isTrue(yield* two.hasWon, `${wait} ms`)
        assert.isAtMost(two.seen.wonAt! - closedAt, 20)
      }
    }))

  test("a candidate that becomes healthy wins at once", () =>
    Effect.gen(function*() {
      let healthyAt = Infinity
      const store = yield* openBucket()
      const healthCheck = Effect.map(now, (time) => time >= healthyAt)
      const one = yield* stand(yield* startProcess(store), finish, "one", { healthCheck })
      yield* TestClock.adjust("10 seconds")
      healthyAt = yield* now
      yield* TestClock.adjust(renewInterval)
      assert.isTrue(yield* one.hasWon)
    }))

  for (const [healthFailures, most] of [[undefined, 2], [1, 1], [3, 3]] as const) {
    const set = healthFailures === undefined ? "by default" : `with healthFailures ${healthFailures}`
    test(`a leader resigns after ${most} failures in a row ${set}, not earlier`, () =>
      Effect.gen(function*() {
        const { healthCheck, seen } = makeCheck()
        let answers: Array<boolean> = []
        seen.answer = Effect.sync(() => answers.shift() ?? true)
        const one = yield* stand(yield* startProcess(yield* openBucket()), finish, "one", {
          healthCheck,
          ...(healthFailures === undefined ? {} : { healthFailures })
        })
        yield* settled
        const few = Array.from({ length: most - 1 }, () => false)
        answers = [...few, true, ...few, true]
        yield* TestClock.adjust(20 * renewInterval)
        assert.isTrue(yield* one.isValid)
        answers = [...few, false]
        yield* TestClock.adjust(most * renewInterval)
        assert.strictEqual(yield* one.whyLost, "resigned")
      }))
  }

  test("a scope that closes interrupts the running check, and does not wait for it", () =>
    Effect.gen(function*() {
      const { healthCheck, seen } = makeCheck()
      seen.answer = Effect.never
      const one = yield* stand(yield* startProcess(yield* openBucket()), finish, "one", { healthCheck })
      yield* TestClock.adjust(limit / 2)
      yield* one.interrupt
      yield* settled
      assert.deepStrictEqual([seen.asked, seen.interrupted], [1, 1])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(seen.asked, 1)
    }))

  test("a candidate logs once that it is unhealthy, with the reason, that it resigns, and that it is healthy again", () =>
    Effect.gen(function*() {
      const log = logged()
      const { healthCheck, seen } = makeCheck()
      yield* Effect.gen(function*() {
        yield* employ(yield* startProcess(yield* openBucket()), finish, "one", () => Effect.never, { healthCheck })
        yield* settled
        seen.answer = Effect.succeed("no" as never)
        yield* TestClock.adjust("2 minutes")
        seen.answer = Effect.succeed(true)
        yield* TestClock.adjust("1 second")
        seen.answer = Effect.die("broken")
        yield* TestClock.adjust(renewInterval)
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      const lines = log.lines.filter((line) => line.includes("health"))
      assert.deepStrictEqual(lines, [
        "Warn the candidate one for \"orders\" is unhealthy: its health check returned \"no\", expected true or false",
        "Warn resigning the leadership of \"orders\": 2 health checks in a row have failed",
        "Info the candidate one for \"orders\" is healthy again",
        "Warn the candidate one for \"orders\" is unhealthy: its health check failed"
      ])
      for (const [index, line] of log.lines.entries()) {
        if (!line.includes("health")) continue
        assert.deepStrictEqual(log.subjects[index], { module: "Election", election: "orders", candidateId: "one" })
      }
    }))

  test("counts its health checks by outcome, and has a gauge of its health while it is a candidate", () =>
    Effect.gen(function*() {
      const { healthCheck, seen } = makeCheck()
      yield* Effect.gen(function*() {
        const gauge = Metric.withAttributes(Metrics.electionIsHealthy, { election: "orders", candidate: "one" })
        const count = (outcome: string) =>
          Effect.map(
            Metric.value(Metric.withAttributes(Metrics.electionHealthChecks, { election: "orders", outcome })),
            (state) => state.count
          )
        const one = yield* stand(yield* startProcess(yield* openBucket()), finish, "one", { healthCheck })
        yield* settled
        assert.strictEqual((yield* Metric.value(gauge)).value, 1)
        assert.deepStrictEqual([yield* count("healthy"), yield* count("unhealthy"), yield* count("timedOut")], [
          1,
          0,
          0
        ])
        seen.answer = Effect.succeed(false)
        yield* TestClock.adjust(renewInterval)
        assert.strictEqual((yield* Metric.value(gauge)).value, 0)
        assert.strictEqual(yield* count("unhealthy"), 1)
        seen.answer = Effect.never
        yield* TestClock.adjust(renewInterval)
        yield* TestClock.adjust(limit)
        yield* settled
        assert.strictEqual(yield* count("timedOut"), 1)
        yield* one.close
        const left = (yield* Metric.snapshot).filter(({ id }) => id === "effect_aegis_election_is_healthy")
        assert.deepStrictEqual(left, [])
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
    }))
})
