/**
 * Scenarios that the tests of other libraries check, and that no other test here holds. docs/protocols/election.md lists all
 * scenarios of these libraries, with the tests that hold them.
 */
import { assert, describe } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import type * as Election from "../../src/Election.ts"
import { keyOf } from "../../src/internal/election/record.ts"
import { bytes } from "../../tools/values.ts"
import { answeredAsConflict, away, countOf, silent, times, unanswered } from "../support/links.ts"
import { numbers, openBucket, type Store } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline, renewInterval, takeover } from "./suite/fixture.ts"
import { finish, sample, settled, test, two, until } from "./suite/inMemory.ts"
import { believers, employ, only, recordIn, type Seat, stand, startProcess, tagIn, told } from "./suite/processes.ts"

const candidates = (store: Store, count: number) =>
  Effect.forEach(
    numbers(count),
    (index) => Effect.flatMap(startProcess(store), (process) => stand(process, finish, `${index}`)),
    { concurrency: "unbounded" }
  )

const hasOneLeader = (seats: ReadonlyArray<Seat>) => until(believers(seats), (count) => count === 1)

describe("client-go", () => {
  test("a hand-over after the record was removed creates no record", () =>
    Effect.gen(function*() {
      const { one, store, two: other } = yield* two()
      yield* other.interrupt
      yield* store.delete(keyOf(only))
      // The leader has not noticed the removal.
      assert.isTrue(yield* one.isValid)
      yield* one.close
      assert.strictEqual(yield* tagIn(store), "Absent")
    }))

  test("a hand-over is written after a renewal that is not answered, and the next candidate leads at once", () =>
    Effect.gen(function*() {
      const { link, one, two: other } = yield* two()
      yield* link.set(times(1, "put", unanswered))
      yield* TestClock.adjust(renewInterval + 10)
      const from = yield* now
      yield* one.close
      yield* settled
      assert.isTrue(yield* other.hasWon)
      // The attempt is given up after half a renewInterval, and then its outcome is read.
      assert.isAtMost(other.seen.wonAt! - from, renewInterval)
    }))

  test("a hand-over is written while the read after a conflict is not answered, and the next candidate leads", () =>
    Effect.gen(function*() {
      const { link, one, two: other } = yield* two()
      const conflicts = times(1, "put", answeredAsConflict)
      const reads = times(1, "get", silent)
      yield* link.set((call, run) => call.operation === "get" ? reads(call, run) : conflicts(call, run))
      yield* TestClock.adjust(renewInterval + 10)
      assert.isAbove(countOf(link, "get"), 1)
      const from = yield* now
      yield* one.close
      yield* settled
      assert.isTrue(yield* other.hasWon)
      assert.isAtMost(other.seen.wonAt! - from, 2 * renewInterval)
    }))

  test("a process can check whether its leader is able to renew, before, during and after its leadership", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const { candidates, status } = process.election
      assert.deepStrictEqual([(yield* status(only)).state, yield* candidates], ["NotCampaigning", []])
      const one = yield* stand(process, finish, "one")
      yield* settled
      const left = Effect.map(
        candidates,
        ([candidate]) => Option.match(candidate!.leaseEndsIn, { onNone: () => undefined, onSome: Duration.toMillis })
      )
      yield* TestClock.adjust(10 * renewInterval)
      assert.strictEqual(yield* left, leaseDuration)
      yield* process.link.set(silent)
      yield* TestClock.adjust(renewDeadline - 1)
      assert.deepStrictEqual([yield* left, yield* one.isValid], [leaseDuration - renewDeadline + 1, true])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([(yield* status(only)).state, yield* one.isValid], ["Releasing", false])
      // Another process that waits for this lease is no trouble of this one.
      const other = yield* startProcess(store)
      yield* stand(other, finish, "two")
      yield* settled
      assert.strictEqual((yield* other.election.status(only)).state, "Campaigning")
    }))
})

describe("etcd", () => {
  test("every observer sees each of five leaders in turn, and no write to another key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observers = yield* Effect.forEach(numbers(3), () => Effect.flatMap(startProcess(store), told))
      yield* settled
      for (const index of numbers(5)) {
        const one = yield* stand(yield* startProcess(store), finish, `${index}`)
        yield* settled
        assert.isTrue(yield* one.isValid)
        yield* store.put("foo", bytes("bar"))
        yield* one.close
        yield* settled
      }
      const expected = ["no leader", ...numbers(5).flatMap((index) => [`${index} in term ${index + 1}`, "no leader"])]
      for (const { events } of observers) assert.deepStrictEqual(events, expected)
    }))

  test("a leader whose call of resign is interrupted in an outage is no longer valid, and hands over afterwards", () =>
    Effect.gen(function*() {
      const { link, one, store, two: other } = yield* two()
      yield* link.set(away)
      const resigning = yield* Effect.forkChild(one.leadership().resign)
      yield* settled
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(resigning))
      yield* TestClock.adjust(100)
      assert.isFalse(yield* one.isValid)
      assert.strictEqual(yield* tagIn(store), "Held")
      yield* link.set(undefined)
      yield* finish(Fiber.join(interrupting))
      yield* finish(one.leadership().resign)
      assert.strictEqual(yield* one.whyLost, "resigned")
      yield* settled
      assert.isTrue(yield* other.hasWon)
    }))
})

describe("Curator LeaderLatch", () => {
  test("a candidate that ends before it has reached the store ends at once, and has written nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(away)
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(100)
      const from = yield* now
      yield* one.interrupt
      assert.isAtMost((yield* now) - from, 20)
      yield* process.link.set(undefined)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([countOf(process.link, "put"), yield* tagIn(store)], [0, "Absent"])
    }))

  test("of ten candidates that all lose the store none is valid after the deadline, and exactly one after the outage", () =>
    Effect.gen(function*() {
      const seats = yield* candidates(yield* openBucket(), 10)
      yield* hasOneLeader(seats)
      for (const { process: { link } } of seats) yield* link.set(away)
      yield* sample(seats, renewDeadline)
      assert.strictEqual(yield* believers(seats), 0)
      yield* TestClock.adjust(leaseDuration)
      for (const { process: { link } } of seats) yield* link.set(undefined)
      yield* sample(seats, 2 * takeover)
      assert.strictEqual(yield* believers(seats), 1)
    }))

  test("the leaders of five elections lead again after each of four outages", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const names = ["a", "b", "c", "d", "e"]
      const terms = new Map<string, number>()
      const work = ({ election, isValid, term }: Election.Leadership) =>
        Effect.gen(function*() {
          assert.isTrue(yield* isValid)
          terms.set(election, term)
          return yield* Effect.never
        })
      yield* Effect.forEach(names, (election) => employ(process, finish, "one", work, { election }))
      for (const outage of [1, 2, 3, 4]) {
        yield* TestClock.adjust(2 * leaseDuration)
        assert.deepStrictEqual([...terms.values()], names.map(() => outage))
        yield* process.link.set(away)
        yield* TestClock.adjust(2 * leaseDuration)
        yield* process.link.set(undefined)
      }
      yield* TestClock.adjust(2 * leaseDuration)
      assert.deepStrictEqual([...terms.values()], names.map(() => 5))
    }))

  test("each leader learns once of its end, and a candidate that never led learns of none", () =>
    Effect.gen(function*() {
      const seats = yield* candidates(yield* openBucket(), 10)
      yield* hasOneLeader(seats)
      const events: Array<string> = []
      for (const seat of seats.slice(0, 9)) {
        if (seat.seen.leadership === undefined) {
          yield* seat.interrupt
          events.push("ended")
          continue
        }
        const { lost, resign } = seat.leadership()
        yield* Effect.forkChild(Effect.map(lost, (reason) => events.push(reason)))
        yield* finish(resign)
        yield* settled
        yield* seat.close
        yield* hasOneLeader(seats)
      }
      yield* settled
      const ended = seats.slice(0, 9)
      const led = ended.filter(({ seen }) => seen.leadership !== undefined)
      assert.strictEqual(events.filter((event) => event === "resigned").length, led.length)
      for (const { seen } of ended) {
        assert.strictEqual(seen.reason, seen.leadership === undefined ? undefined : "resigned")
      }
    }))
})

describe("Curator LeaderSelector", () => {
  test("work that two requests stop at the same time runs again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const terms: Array<number> = []
      yield* employ(process, finish, "one", ({ term }) => {
        terms.push(term)
        return Effect.never
      })
      yield* settled
      const operator = yield* startProcess(store)
      const ask = operator.election.stepDown(only)
      assert.deepStrictEqual(yield* finish(Effect.all([ask, ask], { concurrency: "unbounded" })), [true, true])
      yield* TestClock.adjust(13 * renewInterval)
      assert.deepStrictEqual(terms, [1, 2])
    }))

  test("work that is interrupted while the store restarts leaves no leader behind, and another candidate leads", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const job = yield* employ(process, finish, "one", () => Effect.never)
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      yield* settled
      for (const { link } of [process, other.process]) yield* link.set(away)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(job.fiber))
      yield* TestClock.adjust("1 second")
      for (const { link } of [process, other.process]) yield* link.set(undefined)
      yield* finish(Fiber.join(interrupting))
      yield* TestClock.adjust(leaseDuration + takeover)
      assert.isTrue(yield* other.isValid)
      assert.strictEqual((yield* recordIn(store)).candidateId, "two")
    }))
})

describe("Effect cluster", () => {
  test("elections of the same name in two buckets are independent", () =>
    Effect.gen(function*() {
      const stores = [yield* openBucket(), yield* openBucket()]
      const seats = yield* Effect.forEach(stores, (store, index) =>
        Effect.flatMap(startProcess(store), (process) => stand(process, finish, `${index}`)))
      yield* settled
      for (const seat of seats) {
        assert.isTrue(yield* seat.isValid)
      }
      yield* seats[0]!.close
      assert.isTrue(yield* seats[1]!.isValid)
    }))

  test("a candidate does not lead again while its work is stopping, although the election is free", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      const process = yield* startProcess(store)
      yield* employ(process, finish, "one", ({ term }) => {
        log.push(`began ${term}`)
        return Effect.ensuring(
          Effect.never,
          Effect.andThen(Effect.sleep("10 seconds"), Effect.sync(() => log.push(`ended ${term}`)))
        )
      })
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      yield* process.link.set(away)
      yield* until(other.hasWon, (hasWon) => hasWon)
      yield* process.link.set(undefined)
      yield* other.close
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([log, yield* tagIn(store)], [["began 1"], "Vacant"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(log, ["began 1", "ended 1", "began 3"])
    }))
})
