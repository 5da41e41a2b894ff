/** The exact end of leadership, and the clocks of hosts, on virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { answerLost, away, countOf, delayed, type Fault, silent } from "../support/links.ts"
import { numbers, openBucket } from "../support/suite.ts"
import { slow } from "./suite/faults.ts"
import { leaseDuration, renewDeadline, renewInterval } from "./suite/fixture.ts"
import { day, finish, makeHost, sample, settled, test, two, until } from "./suite/inMemory.ts"
import { recordIn, type Seat, stand, startProcess, told } from "./suite/processes.ts"

describe("Election in memory: deadlines", () => {
  for (const [how, fault] of [["fails", away], ["hangs", silent]] as const) {
    test(`if the store ${how}, leadership ends exactly renewDeadline after the last attempt that landed was sent`, () =>
      Effect.gen(function*() {
        const { link, one, two: other } = yield* two()
        yield* TestClock.adjust(1000)
        yield* link.set(fault)
        const { sentAt } = link.landed.at(-1)!
        assert.strictEqual(sentAt, 900)
        // Nothing calls isValid: leadership ends without it.
        yield* TestClock.adjust(sentAt + renewDeadline - 1001)
        assert.isUndefined(yield* one.whyLost)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", sentAt + renewDeadline])
        yield* TestClock.adjust(leaseDuration - renewDeadline - 1)
        assert.isFalse(yield* other.hasWon)
        yield* TestClock.adjust(1)
        assert.strictEqual(other.seen.wonAt, sentAt + leaseDuration)
      }))

    test(`if the store ${how}, a leader is valid until the last millisecond before its deadline`, () =>
      Effect.gen(function*() {
        const { link, one } = yield* two()
        yield* TestClock.adjust(1000)
        yield* link.set(fault)
        yield* TestClock.adjust(900 + renewDeadline - 1001)
        assert.isTrue(yield* one.isValid)
        yield* TestClock.adjust(1)
        assert.isFalse(yield* one.isValid)
      }))
  }

  test("at every millisecond at most one candidate is valid, during crashes and hand-overs on slow links", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const seats: Array<Seat> = []
      for (const index of numbers(3)) {
        const process = yield* startProcess(store)
        yield* process.link.set(yield* slow({ longest: 40 }))
        seats.push(yield* stand(process, finish, `${index}`))
      }
      yield* sample(seats, 1000)
      const leaderOf = (candidates: ReadonlyArray<Seat>) =>
        candidates.find(({ seen }) => seen.leadership !== undefined)!
      const first = leaderOf(seats)
      yield* first.process.link.set(silent)
      yield* sample(seats, leaseDuration + 1000)
      const rest = seats.filter((seat) => seat !== first)
      const second = leaderOf(rest)
      yield* Effect.forkChild(Effect.interruptible(Fiber.interrupt(second.fiber)))
      yield* sample(seats, 1000)
      const third = leaderOf(rest.filter((seat) => seat !== second))
      assert.isTrue(yield* third.isValid)
      assert.strictEqual(third.leadership().term, 3)
    }))

  test("the deadline counts from the sending of a renewal, not from its answer", () =>
    Effect.gen(function*() {
      const { link, one } = yield* two({ timings: Election.resilient })
      yield* link.set((call, run) => call.operation === "put" ? Effect.tap(run, () => Effect.sleep(900)) : run)
      yield* TestClock.adjust("10 seconds")
      const sentAt = link.landed.at(-1)!.sentAt
      assert.strictEqual(sentAt, 8000)
      yield* link.set(silent)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", sentAt + 14_000])
    }))

  test("the deadline counts from the sending of the write that won, not from its answer", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), { timings: Election.resilient })
      yield* process.link.set((call, run) => call.operation === "put" ? Effect.tap(run, () => Effect.sleep(900)) : run)
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(900)
      assert.strictEqual(one.seen.wonAt, 900)
      yield* process.link.set(silent)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(one.seen.lostAt, 14_000)
    }))

  /** The test decides the fate of the first renewal. The second renewal is sent, and later ones get no answer. */
  const firstOfSeveral = Effect.fnUntraced(function*(first: Fault) {
    const { link, one, store } = yield* two()
    yield* TestClock.adjust(1000)
    const attempts: Array<number> = []
    yield* link.set((call, run) => {
      if (call.operation !== "put") return run
      attempts.push(call.sentAt)
      return attempts.length === 1 ? first(call, run) : attempts.length === 2 ? run : silent(call, run)
    })
    return { attempts, one, store }
  })

  test("the deadline counts from the sending of a renewal that landed without an answer", () =>
    Effect.gen(function*() {
      const { attempts, one, store } = yield* firstOfSeveral(answerLost)
      yield* until(Effect.sync(() => attempts.length), (count) => count > 2)
      assert.strictEqual((yield* recordIn(store)).attempt, 5)
      assert.isAbove(attempts[1]!, attempts[0]!)
      yield* TestClock.adjust(leaseDuration)
      assert.deepStrictEqual([attempts[0], one.seen.reason, one.seen.lostAt], [1200, "expired", 1200 + renewDeadline])
    }))

  test("of several attempts the deadline counts from the one that landed", () =>
    Effect.gen(function*() {
      const { fault, open } = yield* delayed
      const { attempts, one, store } = yield* firstOfSeveral(fault)
      // Sent at 1200, given up at 1350, landed at 1360. The next attempt is sent later, and conflicts with it.
      yield* TestClock.adjust(360)
      assert.deepStrictEqual(attempts, [1200])
      yield* open
      yield* until(Effect.sync(() => attempts.length), (count) => count > 2)
      assert.strictEqual((yield* recordIn(store)).attempt, 5)
      assert.isAbove(attempts[1]!, 1360)
      yield* TestClock.adjust(leaseDuration)
      assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", 1200 + renewDeadline])
    }))

  test("a renewal that lands after the deadline does not revive the term, and makes challengers wait longer", () =>
    Effect.gen(function*() {
      const { link, one, store, two: other } = yield* two()
      const { fault, open, outcomes } = yield* delayed
      yield* TestClock.adjust(1000)
      let isFirst = true
      yield* link.set((call, run) => {
        const held = isFirst && call.operation === "put"
        if (held) isFirst = false
        return held ? fault(call, run) : silent(call, run)
      })
      yield* TestClock.adjust(900 + renewDeadline + 100 - 1000)
      assert.strictEqual(one.seen.reason, "expired")
      yield* open
      yield* settled
      assert.deepStrictEqual(outcomes, ["landed"])
      const { attempt, candidateId } = yield* recordIn(store)
      assert.strictEqual(candidateId, "one")
      assert.isAbove(attempt, 4)
      yield* link.set(undefined)
      yield* sample([one, other], leaseDuration - 1)
      assert.isFalse(yield* one.isValid)
      assert.isFalse(yield* other.hasWon)
      yield* TestClock.adjust(1)
      assert.strictEqual(other.seen.wonAt, 2400 + leaseDuration)
    }))

  test("a request that cannot be interrupted does not extend leadership", () =>
    Effect.gen(function*() {
      const { link, one } = yield* two()
      yield* TestClock.adjust(1000)
      yield* link.set((call, run) => Effect.uninterruptible(Effect.delay(away(call, run), "10 seconds")))
      yield* TestClock.adjust(1300)
      assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", 2300])
      assert.isFalse(yield* one.isValid)
      // Lets the request end, so that the test can end.
      yield* TestClock.adjust("10 seconds")
    }))

  test("renewals keep leadership for hours, and observe does not emit them", () =>
    Effect.gen(function*() {
      const { one, store, two: other } = yield* two({ timings: Election.resilient })
      const changes = yield* told(other.process)
      yield* TestClock.adjust("2 hours")
      assert.isTrue(yield* one.isValid)
      assert.isFalse(yield* other.hasWon)
      assert.deepStrictEqual(changes.events, ["one in term 1"])
      assert.strictEqual((yield* recordIn(store)).attempt, 1 + 2 * 60 * 60 / 4)
    }))
})

describe("Election in memory: clocks", () => {
  test("setting a leader's wall clock forward by a day ends leadership", () =>
    Effect.gen(function*() {
      const host = yield* makeHost()
      const { one } = yield* two({ leader: host.clock })
      yield* TestClock.adjust(1000)
      host.stepWall(day)
      assert.isFalse(yield* one.isValid)
      yield* settled
      assert.strictEqual(one.seen.reason, "expired")
    }))

  test("a leader that continues after its deadline sends no renewal and no proclamation", () =>
    Effect.gen(function*() {
      for (const proclaims of [false, true]) {
        const host = yield* makeHost()
        const { link, one } = yield* two({ leader: host.clock })
        yield* TestClock.adjust(1000)
        const puts = countOf(link, "put")
        // As after SIGCONT: nothing has run for three leases.
        host.stepWall(3 * leaseDuration)
        if (proclaims) yield* Effect.exit(one.leadership().proclaim({ zone: "b" }))
        yield* TestClock.adjust(renewInterval)
        assert.strictEqual(one.seen.reason, "expired")
        assert.strictEqual(countOf(link, "put"), puts)
      }
    }))

  test("setting a leader's wall clock back by a day does not change the deadline", () =>
    Effect.gen(function*() {
      const host = yield* makeHost()
      const { link, one, two: other } = yield* two({ leader: host.clock })
      yield* TestClock.adjust(1000)
      host.stepWall(-day)
      yield* sample([one, other], 2 * leaseDuration)
      assert.isTrue(yield* one.isValid)
      yield* link.set(silent)
      const { sentAt } = link.landed.at(-1)!
      host.stepWall(-day)
      yield* sample([one, other], leaseDuration + 500)
      assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", sentAt + renewDeadline])
      assert.strictEqual(other.seen.wonAt, sentAt + leaseDuration)
    }))

  for (const [how, millis] of [["forward", day], ["back", -day]] as const) {
    test(`setting a challenger's wall clock ${how} does not change when it wins`, () =>
      Effect.gen(function*() {
        const host = yield* makeHost()
        const { link, two: other } = yield* two({ challenger: host.clock })
        yield* TestClock.adjust(1000)
        yield* link.set(silent)
        host.stepWall(millis)
        yield* TestClock.adjust(leaseDuration)
        assert.strictEqual(other.seen.wonAt, link.landed.at(-1)!.sentAt + leaseDuration)
      }))
  }

  test("a leader whose monotonic clock stops, as on a suspended machine, loses leadership before the next win", () =>
    Effect.gen(function*() {
      const host = yield* makeHost()
      const { link, one, two: other } = yield* two({ leader: host.clock })
      yield* TestClock.adjust(1000)
      yield* link.set(silent)
      host.stopMonotonic()
      yield* sample([one, other], leaseDuration + 500)
      assert.strictEqual(one.seen.reason, "expired")
      assert.isTrue(yield* other.isValid)
    }))

  const rates = [[0.85, 1.15], [1.15, 0.85], [1, 1.4]] as const
  for (const [leaderRate, challengerRate] of rates) {
    test(`two candidates never lead at once with clocks at rates ${leaderRate} and ${challengerRate}`, () =>
      Effect.gen(function*() {
        const leader = (yield* makeHost({ rate: leaderRate, ahead: 1000 * day })).clock
        const challenger = (yield* makeHost({ rate: challengerRate, ahead: -1000 * day })).clock
        const { link, one, two: other } = yield* two({ leader, challenger })
        yield* sample([one, other], 1000)
        assert.isTrue(yield* one.isValid)
        yield* link.set(silent)
        yield* sample([one, other], Math.ceil(leaseDuration / challengerRate) + 500)
        assert.isTrue(yield* other.isValid)
        assert.isBelow(one.seen.lostAt!, other.seen.wonAt!)
      }))
  }
})
