/** When exactly leadership ends, and what the clocks of a host have to do with it: which only virtual time can show. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { answerLost, away, delayed, type Fault, silent } from "../support/links.ts"
import { numbers, openBucket } from "../support/suite.ts"
import { slow } from "./suite/faults.ts"
import { leaseDuration, renewDeadline } from "./suite/fixture.ts"
import { day, finish, makeHost, sample, settled, test, two, until } from "./suite/inMemory.ts"
import { recordIn, type Seat, stand, startProcess, told } from "./suite/processes.ts"

describe("Election in memory: deadlines", () => {
  for (const [how, fault] of [["fails", away], ["hangs", silent]] as const) {
    test(`where the store ${how}, leadership ends exactly renewDeadline after the last attempt that landed was sent`, () =>
      Effect.gen(function*() {
        const { link, one, two: other } = yield* two()
        yield* TestClock.adjust(1000)
        yield* link.set(fault)
        const { sentAt } = link.landed.at(-1)!
        assert.strictEqual(sentAt, 900)
        // Nobody asks whether it is valid: it ends by itself.
        yield* TestClock.adjust(sentAt + renewDeadline - 1001)
        assert.isUndefined(yield* one.whyLost)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", sentAt + renewDeadline])
        yield* TestClock.adjust(leaseDuration - renewDeadline - 1)
        assert.isFalse(yield* other.hasWon)
        yield* TestClock.adjust(1)
        assert.strictEqual(other.seen.wonAt, sentAt + leaseDuration)
      }))

    test(`where the store ${how}, a leader is valid to the last millisecond, and no longer`, () =>
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

  test("at no millisecond two believe that they lead, through crashes and hand-overs on slow links", () =>
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

  test("the deadline counts from the sending of a renewal, and not from its answer", () =>
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

  test("the deadline counts from the sending of the write that won, and not from its answer", () =>
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

  /** What becomes of the first renewal is up to the test; the second meets it, and what comes then is not answered. */
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

  test("a renewal that landed and was not answered moves the deadline to its own sending", () =>
    Effect.gen(function*() {
      const { attempts, one, store } = yield* firstOfSeveral(answerLost)
      yield* until(Effect.sync(() => attempts.length), (count) => count > 2)
      assert.strictEqual((yield* recordIn(store)).attempt, 5)
      assert.isAbove(attempts[1]!, attempts[0]!)
      yield* TestClock.adjust(leaseDuration)
      assert.deepStrictEqual([attempts[0], one.seen.reason, one.seen.lostAt], [1200, "expired", 1200 + renewDeadline])
    }))

  test("of several attempts it is the one that landed that counts", () =>
    Effect.gen(function*() {
      const { fault, open } = yield* delayed
      const { attempts, one, store } = yield* firstOfSeveral(fault)
      // Sent at 1200, given up at 1350, landed at 1400; the next is sent after that, and finds it.
      yield* TestClock.adjust(400)
      assert.deepStrictEqual(attempts, [1200])
      yield* open
      yield* until(Effect.sync(() => attempts.length), (count) => count > 2)
      assert.strictEqual((yield* recordIn(store)).attempt, 5)
      assert.isAbove(attempts[1]!, 1400)
      yield* TestClock.adjust(leaseDuration)
      assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", 1200 + renewDeadline])
    }))

  test("what lands after the deadline revives nobody, and makes others wait longer", () =>
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

  test("a request that cannot be interrupted keeps nobody in office", () =>
    Effect.gen(function*() {
      const { link, one } = yield* two()
      yield* TestClock.adjust(1000)
      yield* link.set((call, run) => Effect.uninterruptible(Effect.delay(away(call, run), "10 seconds")))
      yield* TestClock.adjust(1300)
      assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", 2300])
      assert.isFalse(yield* one.isValid)
      // So that the test ends.
      yield* TestClock.adjust("10 seconds")
    }))

  test("renewals keep it for hours, and nobody hears of them", () =>
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
  test("a wall clock that is set forward by a day ends leadership, which is safe", () =>
    Effect.gen(function*() {
      const host = yield* makeHost()
      const { one } = yield* two({ leader: host.clock })
      yield* TestClock.adjust(1000)
      host.stepWall(day)
      assert.isFalse(yield* one.isValid)
      yield* settled
      assert.strictEqual(one.seen.reason, "expired")
    }))

  test("a wall clock that is set back by a day changes nothing", () =>
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
    test(`a challenger's wall clock that is set ${how} makes it stand no earlier and no later`, () =>
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

  test("a machine that was suspended does not believe that it leads when it wakes", () =>
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
    test(`clocks that are set years apart and run at ${leaderRate} and ${challengerRate} let two never lead`, () =>
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
