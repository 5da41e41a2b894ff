/** Campaigns whose requests fail: what they wait for, what they log, and what they count (E10). */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { electionCampaignFailures } from "../../src/Metrics.ts"
import { countOf, denied, type Fault, full, on, silent, times } from "../support/links.ts"
import { logged, openBucket } from "../support/suite.ts"
import { leaseDuration, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { only, stand, startProcess, tagIn } from "./suite/processes.ts"

/** The pauses between the puts of a candidate. */
const pauses = (
  calls: ReadonlyArray<{ readonly operation: string; readonly sentAt: number }>
): ReadonlyArray<number> => {
  const sent = calls.filter(({ operation }) => operation === "put").map(({ sentAt }) => sentAt)
  return sent.slice(1).map((sentAt, index) => sentAt - sent[index]!)
}

/** Each answer takes `millis`. */
const roundTrip = (millis: number): Fault => (_, run) => Effect.delay(run, millis)

describe("Election in memory: campaigns whose requests fail", () => {
  test("while nobody leads, a candidate that is refused tries again within half a second", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      yield* process.link.set(on("put", full))
      yield* stand(process, finish, "one")
      yield* TestClock.adjust("1 minute")
      const all = pauses(process.link.calls)
      assert.isAbove(all.length, 100)
      assert.isAtMost(Math.max(...all), 520)
      assert.isAbove(all.at(-1)!, 200)
    }))

  test("after a crash, the pauses of a candidate that is refused grow up to a lease, and no longer", () =>
    Effect.gen(function*() {
      const { link, two: other } = yield* two()
      yield* TestClock.adjust(1000)
      yield* link.set(silent)
      yield* other.process.link.set(on("put", full))
      yield* TestClock.adjust("2 minutes")
      const all = pauses(other.process.link.calls)
      assert.isBelow(all[0]!, 150)
      assert.isAbove(Math.max(...all), leaseDuration / 2)
      assert.isAtMost(Math.max(...all), leaseDuration + 20)
    }))

  test("a hand-over ends the pause of a candidate that was refused", () =>
    Effect.gen(function*() {
      const { one, two: other } = yield* two()
      yield* other.process.link.set(on("get", denied))
      // Its reads are refused, once per lease, and it pauses after each.
      yield* TestClock.adjust(20 * leaseDuration)
      yield* one.close
      yield* TestClock.adjust(100)
      assert.strictEqual(countOf(other.process.link, "put"), 1)
    }))

  test("failures are logged once per reason and minute, and counted", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        yield* process.link.set(on("put", full))
        const one = yield* stand(process, finish, "one")
        yield* TestClock.adjust("10 seconds")
        yield* process.link.set(undefined)
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* one.hasWon)
        const failures = Metric.withAttributes(electionCampaignFailures, { election: only, reason: "StorageFull" })
        assert.isAbove(Number((yield* Metric.value(failures)).count), 10)
      }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
      const lines = log.troubles().map((line) => line.split(":")[0])
      assert.deepStrictEqual(lines, ["Warn an attempt of the candidate for \"orders\" failed and is retried"])
    }))

  test("a right to read that is taken away for 6 s ends no campaign, and both changes are logged", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { link, store, two: other } = yield* two()
        for (const each of [link, other.process.link]) yield* each.set(denied)
        yield* TestClock.adjust("6 seconds")
        for (const each of [link, other.process.link]) yield* each.set(undefined)
        yield* TestClock.adjust(2 * leaseDuration)
        assert.isTrue(yield* other.isValid)
        assert.strictEqual(yield* tagIn(store), "Held")
      }).pipe(Effect.provide(log.layer))
      assert.isTrue(log.lines.some((line) => line.includes("may read its record again")))
    }))

  test("a candidate whose attempts were refused ends at once, and logs no unknown outcome", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        yield* process.link.set(denied)
        const one = yield* stand(process, finish, "one")
        yield* TestClock.adjust(1000)
        const ending = yield* Effect.forkChild(Fiber.interrupt(one.fiber))
        yield* settled
        assert.isDefined(ending.pollUnsafe())
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.troubles().filter((line) => line.includes("outcome")), [])
    }))

  test("a round trip that is too long for the timings is logged", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket(), { timings: Election.fast })
        yield* process.link.set(roundTrip(260))
        const one = yield* stand(process, finish, "one")
        yield* TestClock.adjust("10 seconds")
        assert.isFalse(yield* one.hasWon)
      }).pipe(Effect.provide(log.layer))
      const line = log.troubles().find((line) => line.includes("the store answered the candidate"))
      assert.match(line ?? "", /after 260ms, and its attempts are given up after 250ms .* Use a longer renewInterval/)
    }))

  test("one slow answer is not logged, as after a pause of the server, and a second one is", () =>
    Effect.gen(function*() {
      for (const slow of [1, 2]) {
        const log = logged()
        yield* Effect.gen(function*() {
          const store = yield* openBucket()
          yield* stand(yield* startProcess(store, { timings: Election.fast }), finish, "leader")
          yield* settled
          const process = yield* startProcess(store, { timings: Election.fast })
          yield* stand(process, finish, "one")
          yield* settled
          // Every other read is given up, and the one after it waits longer.
          yield* process.link.set(times(2 * slow, "get", roundTrip(260)))
          yield* TestClock.adjust("20 seconds")
        }).pipe(Effect.provide(log.layer))
        const lines = log.troubles().filter((line) => line.includes("the store answered the candidate"))
        assert.lengthOf(lines, slow - 1)
      }
    }))

  test("a candidate leads with a round trip of just under half a renewInterval, and nothing is logged", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        yield* process.link.set(roundTrip(renewInterval / 2 - 10))
        const one = yield* stand(process, finish, "one")
        yield* TestClock.adjust("10 minutes")
        assert.isTrue(yield* one.isValid)
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.troubles(), [])
    }))

  test("work that hangs after a health check fails does not keep leadership", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      let isHealthy = true
      yield* Effect.forkScoped(process.election.whileLeader(
        only,
        () => Effect.ensuring(Effect.never, Effect.sleep("1 minute")),
        { candidateId: "one", healthCheck: Effect.sync(() => isHealthy) }
      ))
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      yield* TestClock.adjust(1000)
      isHealthy = false
      // Two health checks, stopTimeout, and the lease.
      yield* TestClock.adjust(3 * renewInterval + 2 * leaseDuration)
      assert.isTrue(yield* other.hasWon)
      yield* TestClock.adjust("1 minute")
    }))
})
