/** Writes that land after their term has ended are handed back (E28), and candidates that won without leading wait (E21). */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { encode, keyOf } from "../../src/internal/election/record.ts"
import { electionCampaignFailures } from "../../src/Metrics.ts"
import { countOf, delayed, denied, type Fault, on, silent } from "../support/links.ts"
import { logged, openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { only, recordIn, stand, startProcess, tagIn, told, usurp } from "./suite/processes.ts"

/** Holds the first put in flight, and answers no later request. */
const holdFirst = (fault: Fault): Fault => {
  let isFirst = true
  return (call, run) => {
    if (call.operation !== "put" || !isFirst) return silent(call, run)
    isFirst = false
    return fault(call, run)
  }
}

/** A leader whose term has expired while a renewal was in flight. `open` lets the renewal land. */
const expired = Effect.gen(function*() {
  const seats = yield* two()
  const { fault, open } = yield* delayed
  yield* TestClock.adjust(1000)
  yield* seats.link.set(holdFirst(fault))
  yield* TestClock.adjust(renewDeadline)
  assert.strictEqual(seats.one.seen.reason, "expired")
  return { ...seats, open }
})

/** A candidate whose first attempt to win is in flight. `open` lets it land. */
const attempting = Effect.gen(function*() {
  const store = yield* openBucket()
  const process = yield* startProcess(store)
  const { fault, open } = yield* delayed
  yield* process.link.set(on("put", holdFirst(fault)))
  return { store, link: process.link, open, one: yield* stand(process, finish, "one") }
})

describe("Election in memory: late writes", () => {
  test("a renewal that lands after the end of its term is handed back, and another candidate leads at once", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { link, one, open, store, two: other } = yield* expired
        // The store comes back: the renewal lands, and requests are answered again.
        yield* link.set(undefined)
        yield* one.close
        yield* open
        yield* TestClock.adjust(200)
        assert.isTrue(yield* other.hasWon)
        assert.strictEqual((yield* recordIn(store)).candidateId, "two")
      }).pipe(Effect.provide(log.layer))
      assert.lengthOf(log.troubles().filter((line) => line.includes("stored after its time had ended")), 1)
    }))

  test("a renewal that lands late is handed back once its scope has closed, not while its work may still run", () =>
    Effect.gen(function*() {
      const { link, one, open, store, two: other } = yield* expired
      yield* link.set(undefined)
      yield* open
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* tagIn(store), "Held")
      assert.isFalse(yield* other.hasWon)
      yield* one.close
      yield* TestClock.adjust(200)
      assert.isTrue(yield* other.hasWon)
    }))

  test("an attempt of an interrupted campaign that lands late is handed back", () =>
    Effect.gen(function*() {
      const { link, one, open, store } = yield* attempting
      yield* settled
      assert.strictEqual(countOf(link, "put"), 1)
      const ending = yield* Effect.forkChild(Fiber.interrupt(one.fiber))
      yield* TestClock.adjust(5000)
      yield* Fiber.join(ending)
      yield* link.set(undefined)
      yield* open
      yield* TestClock.adjust(leaseDuration + 500)
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a win that is stored after renewDeadline is handed back at once", () =>
    Effect.gen(function*() {
      const { link, one, open, store } = yield* attempting
      yield* TestClock.adjust(renewDeadline + 1000)
      yield* link.set(undefined)
      yield* open
      yield* TestClock.adjust(1500)
      assert.isFalse(yield* one.hasWon)
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("an old record of the own nonce, as after a roll-back, is not handed back", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* settled
      const old = yield* recordIn(store)
      yield* TestClock.adjust(1000)
      yield* process.link.set(on("put", silent))
      yield* TestClock.adjust(renewDeadline)
      assert.strictEqual(one.seen.reason, "expired")
      const puts = countOf(process.link, "put")
      yield* one.close
      // Its attempts may still land. The stream is rolled back to an older record of the same nonce.
      yield* store.put(keyOf(only), encode(old))
      yield* TestClock.adjust(leaseDuration)
      assert.strictEqual(countOf(process.link, "put"), puts)
    }))

  test("a record of another candidate ends the search for late writes", () =>
    Effect.gen(function*() {
      const { link, one, store } = yield* two()
      yield* TestClock.adjust(1000)
      yield* link.set(silent)
      yield* TestClock.adjust(renewDeadline)
      yield* usurp(store)
      yield* link.set(undefined)
      yield* one.close
      yield* settled
      const calls = link.calls.length
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(link.calls.length, calls)
    }))

  test("after a store that stood still for 40 s, another candidate leads within 2 s, and observers name nobody for longer who does not lead", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const leader = yield* startProcess(store, { timings: Election.resilient })
      const challenger = yield* startProcess(store, { timings: Election.resilient })
      const one = yield* stand(leader, finish, "one")
      yield* settled
      const next = yield* stand(challenger, finish, "two")
      const changes = yield* told(yield* startProcess(store, { timings: Election.resilient }))
      yield* TestClock.adjust("6 seconds")
      // A stopped server keeps the requests, and runs them in their order when it goes on.
      const { fault, open } = yield* delayed
      const stopped: Fault = (call, run) =>
        call.operation === "put" || call.operation === "get" ? fault(call, run) : run
      yield* leader.link.set(stopped)
      yield* challenger.link.set(stopped)
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(one.seen.reason, "expired")
      yield* one.close
      const from = yield* now
      yield* leader.link.set(undefined)
      yield* challenger.link.set(undefined)
      yield* open
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* next.hasWon)
      assert.isAtMost(next.seen.wonAt! - from, 2000)
      // The late renewal of the former leader is there until it is handed back, at once.
      assert.deepStrictEqual(changes.events.at(-1), `two in term ${next.leadership().term}`)
      assert.notInclude(changes.events.slice(0, -1), "two in term 2")
    }))
})

describe("Election in memory: late wins", () => {
  test("an attempt to win that lands after its deadline is handed back, and another candidate leads within 2 s", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const start = () => startProcess(store, { timings: Election.resilient })
      const leader = yield* start()
      yield* stand(leader, finish, "one")
      yield* settled
      const challengers = [yield* start(), yield* start()]
      const seats = yield* Effect.forEach(challengers, (process, index) => stand(process, finish, `${index}`))
      yield* TestClock.adjust("6 seconds")
      // The leader has crashed, and the store is stopped: it keeps the attempts of the challengers.
      yield* leader.link.set(silent)
      const { fault, open } = yield* delayed
      for (const { link } of challengers) yield* link.set(on(["put", "get"], fault))
      yield* TestClock.adjust("40 seconds")
      for (const { link } of challengers) assert.isAbove(countOf(link, "put"), 0)
      const from = yield* now
      for (const { link } of challengers) yield* link.set(undefined)
      yield* open
      yield* TestClock.adjust("2 seconds")
      const won = seats.filter(({ seen }) => seen.wonAt !== undefined)
      assert.lengthOf(won, 1)
      assert.isAtMost(won[0]!.seen.wonAt! - from, 2000)
      assert.isTrue(yield* won[0]!.isValid)
    }))
})

describe("Election in memory: candidates that won and did not lead", () => {
  const blind = on("status", denied)

  test("do not keep others out: a candidate that may not read the bucket lets another one lead", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        yield* process.link.set(blind)
        const one = yield* stand(process, finish, "one")
        yield* TestClock.adjust(100)
        const other = yield* stand(yield* startProcess(store), finish, "two")
        yield* TestClock.adjust(renewDeadline + 200)
        assert.isTrue(yield* other.hasWon)
        assert.isFalse(yield* one.hasWon)
      }).pipe(Effect.provide(log.layer))
      const errors = log.troubles().filter((line) => line.startsWith("Error"))
      assert.lengthOf(errors, 1)
      assert.match(
        errors[0]!,
        /^Error this candidate has won "orders", but does not lead: it could not read the bucket/
      )
    }))

  test("are logged once per minute, and counted, without a line of a hand-over", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        yield* process.link.set(blind)
        yield* stand(process, finish, "one")
        yield* TestClock.adjust("59 seconds")
        const failures = Metric.withAttributes(electionCampaignFailures, {
          election: only,
          reason: "PermissionDenied"
        })
        assert.isAbove(Number((yield* Metric.value(failures)).count), 5)
      }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
      assert.lengthOf(log.lines.filter((line) => line.includes("but does not lead")), 1)
      assert.deepStrictEqual(log.lines.filter((line) => line.includes("handed over")), [])
    }))

  test("wait for two leases before they try again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(blind)
      yield* stand(process, finish, "one")
      yield* TestClock.adjust(renewDeadline + 100)
      assert.strictEqual(yield* tagIn(store), "Vacant")
      const puts = countOf(process.link, "put")
      yield* TestClock.adjust(2 * leaseDuration - 200)
      assert.strictEqual(countOf(process.link, "put"), puts)
      yield* TestClock.adjust(400)
      assert.isAbove(countOf(process.link, "put"), puts)
    }))

  test("wait for a lease and 2 x renewInterval if the term was lost before a renewal landed", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      // Only the first write of each term is answered: this candidate is too slow to lead.
      let terms = 0
      const slow: Fault = (call, run) => {
        if (call.operation !== "put" || call.value === undefined) return run
        const isFirst = JSON.parse(new TextDecoder().decode(call.value)).electedRevision === undefined
        if (isFirst) terms++
        return isFirst ? run : silent(call, run)
      }
      yield* process.link.set(slow)
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(renewDeadline)
      assert.strictEqual(one.seen.reason, "expired")
      yield* one.close
      yield* stand(process, finish, "one")
      yield* TestClock.adjust(leaseDuration + renewInterval)
      assert.strictEqual(terms, 1)
      yield* TestClock.adjust(renewInterval + 500)
      assert.strictEqual(terms, 2)
    }))
})
