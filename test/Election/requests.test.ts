/** The requests of leaders and candidates and their pauses, and the reads of a winner before its announcement. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { keyOf } from "../../src/internal/election/record.ts"

import { away, conflict, countOf, on, silent, times } from "../support/links.ts"
import { numbers, openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test, two, until } from "./suite/inMemory.ts"
import { only, recordIn, stand, startProcess, tagIn, usurp } from "./suite/processes.ts"

describe("Election in memory: requests", () => {
  test("a leader sends one compare-and-set per renewInterval, and leader and standby read about once per lease", () =>
    Effect.gen(function*() {
      const { link, two: other } = yield* two({ timings: Election.resilient })
      link.calls.length = 0
      const standby = other.process.link
      standby.calls.length = 0
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(countOf(link, "put"), 60 * 60 / 4)
      // A leader reads whether it is asked to step down.
      assert.strictEqual(countOf(link, "get"), link.calls.length - 60 * 60 / 4)
      assert.strictEqual(countOf(standby, "get"), standby.calls.length)
      for (const reads of [countOf(link, "get"), standby.calls.length]) {
        assert.isAtLeast(reads, Math.floor(60 * 60 / 20 / 1.2) - 1)
        assert.isAtMost(reads, Math.ceil(60 * 60 / 20 / 0.8))
      }
    }))

  test("standbys spread their reads over time", () =>
    Effect.gen(function*() {
      const { store } = yield* two()
      const seats = yield* Effect.forEach(
        numbers(8),
        (index) => Effect.flatMap(startProcess(store), (process) => stand(process, finish, `${index}`))
      )
      yield* TestClock.adjust(3 * leaseDuration)
      const last = seats.map(({ process }) =>
        process.link.calls.findLast(({ operation }) => operation === "get")!.sentAt
      )
      assert.isAbove(new Set(last).size, 4)
    }))

  test("a renewal without an answer is given up after a second, and retried after 100 to 500 ms", () =>
    Effect.gen(function*() {
      const { link } = yield* two({ timings: Election.resilient })
      yield* link.set(on("put", silent))
      yield* TestClock.adjust("14 seconds")
      const sent = link.calls.filter(({ operation }) => operation === "put").map(({ sentAt }) => sentAt).slice(1)
      assert.strictEqual(sent[0], 4000)
      const pauses = sent.slice(1).map((sentAt, index) => sentAt - sent[index]! - 1000)
      assert.isAbove(pauses.length, 5)
      for (const pause of pauses) assert.isTrue(pause >= 100 && pause <= 500, `${pause}`)
    }))

  test("a renewal is retried within half a second after a conflict without a concurrent write", () =>
    Effect.gen(function*() {
      const { link } = yield* two({ timings: Election.resilient })
      yield* link.set(times(1, "put", conflict))
      yield* TestClock.adjust("5 seconds")
      const sent = link.calls.filter(({ operation }) => operation === "put").map(({ sentAt }) => sentAt)
      assert.strictEqual(sent.length, 3)
      assert.isAtMost(sent[2]! - sent[1]!, 500)
    }))

  test("a leader pauses between requests while its writes conflict and its reads fail", () =>
    Effect.gen(function*() {
      const { link, one } = yield* two()
      yield* link.set((call, run) => call.operation === "put" ? conflict(call, run) : away(call, run))
      const fiber = yield* Effect.forkChild(Effect.flip(one.leadership().proclaim({ port: 1 })))
      yield* TestClock.adjust(renewDeadline)
      // The shortest pause is a twentieth of renewInterval.
      assert.isBelow(countOf(link, "put"), renewDeadline / (renewInterval / 20) / 2)
      yield* link.set(undefined)
      const error = yield* finish(Fiber.join(fiber))
      assert.strictEqual(error.reason._tag, "LeadershipLost")
    }))

  test("a candidate waits for 20 to 100 ms after a conflict", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      yield* process.link.set(times(20, "put", conflict))
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, (hasWon) => hasWon)
      const sent = process.link.calls.filter(({ operation }) => operation === "put").map(({ sentAt }) => sentAt)
      const pauses = sent.slice(1).map((sentAt, index) => sentAt - sent[index]!)
      for (const pause of pauses.slice(0, 20)) assert.isTrue(pause >= 20 && pause <= 100, `${pause}`)
      assert.isAbove(new Set(pauses).size, 5)
    }))

  test("a candidate that is interrupted after a conflict reads the key once and ends", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(times(1, "put", conflict))
      const loser = yield* stand(process, finish, "loser")
      yield* settled
      assert.strictEqual(countOf(process.link, "put"), 1)
      yield* stand(yield* startProcess(store), finish, "winner")
      yield* TestClock.adjust(1000)
      const reads = countOf(process.link, "get")
      const fiber = yield* Effect.forkChild(Fiber.interrupt(loser.fiber))
      yield* settled
      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual(countOf(process.link, "get"), reads + 1)
      assert.strictEqual(countOf(process.link, "put"), 1)
    }))

  test("a candidate with priority n wins n times renewInterval after a hand-over", () =>
    Effect.gen(function*() {
      for (const priority of [0, 1, 3]) {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* settled
        const next = yield* stand(yield* startProcess(store), finish, "next", { priority })
        yield* TestClock.adjust(1000)
        const freeAt = yield* now
        yield* one.close
        yield* TestClock.adjust(leaseDuration)
        assert.strictEqual(next.seen.wonAt! - freeAt, priority * renewInterval)
      }
    }))
})

describe("Election in memory: announcements", () => {
  test("a winner whose deadline passes before the announcement does not lead, and campaigns with a new nonce", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", silent))
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(renewDeadline - 1)
      const first = yield* recordIn(store)
      // Its renewals are answered, and do not extend the time for the announcement.
      assert.isAbove(first.attempt, 3)
      yield* TestClock.adjust(leaseDuration / 4)
      assert.strictEqual(yield* tagIn(store), "Vacant")
      yield* process.link.set(undefined)
      yield* TestClock.adjust(2 * leaseDuration - leaseDuration / 4)
      assert.isFalse(yield* one.hasWon)
      yield* TestClock.adjust(leaseDuration / 4)
      assert.isTrue(yield* one.isValid)
      const { nonce, term } = yield* recordIn(store)
      assert.notStrictEqual(nonce, first.nonce)
      assert.deepStrictEqual([first.term, term, one.leadership().term], [1, 2, 2])
    }))

  test("a winner whose deadline passes during its last read is not announced", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const { link } = process
      let isOpen = false
      yield* link.set((call, run) => {
        if (call.operation === "put") return countOf(link, "put") === 1 ? run : silent(call, run)
        if (call.operation === "status" && !isOpen) return away(call, run)
        return call.operation === "get" && isOpen ? Effect.delay(run, 140) : run
      })
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(renewDeadline - 120)
      isOpen = true
      yield* until(Effect.sync(() => countOf(link, "get")), (count) => count > 1)
      assert.isAbove((yield* now) + 140, renewDeadline)
      yield* TestClock.adjust(200)
      assert.isFalse(yield* one.hasWon)
    }))

  test("a winner that reads the record of another candidate is not announced", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set((call, run) =>
        call.operation === "status" ? Effect.tap(run, () => Effect.sleep(100)) : run
      )
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(50)
      assert.strictEqual(yield* tagIn(store), "Held")
      yield* usurp(store)
      // It has not led, so it waits for a lease and 2 x renewInterval.
      yield* TestClock.adjust(leaseDuration + 2 * renewInterval)
      assert.isFalse(yield* one.hasWon)
      yield* TestClock.adjust(500)
      assert.strictEqual(one.leadership().term, 3)
    }))

  test("a winner reads again after a stale answer", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = yield* stand(yield* startProcess(store), finish, "before")
      yield* settled
      yield* before.close
      const old = yield* store.get(keyOf(only))
      const process = yield* startProcess(store)
      let left = 3
      yield* process.link.set((call, run) => {
        const hasWritten = countOf(process.link, "put") > 0
        return hasWritten && call.operation === "get" && left-- > 0 ? Effect.succeed(old as never) : run
      })
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(500)
      assert.strictEqual(left, -1)
      assert.isTrue(yield* one.isValid)
      assert.strictEqual(one.leadership().term, 2)
    }))

  test("a winner reads again after a failed read", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      let isSilent = false
      yield* process.link.set((call, run) => {
        if (call.operation === "put") isSilent = true
        return isSilent && call.operation === "get" ? away(call, run) : run
      })
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(1000)
      assert.isFalse(yield* one.hasWon)
      yield* process.link.set(undefined)
      yield* TestClock.adjust(1000)
      assert.isTrue(yield* one.isValid)
      assert.strictEqual(one.leadership().term, 1)
    }))

  test("a winner that renews before the announcement has the token of the winning write", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", silent))
      const one = yield* stand(process, finish, "one")
      yield* settled
      const won = Option.getOrThrow(yield* store.get(keyOf(only)))
      yield* TestClock.adjust(3 * renewInterval)
      assert.isFalse(yield* one.hasWon)
      assert.isAbove(Option.getOrThrow(yield* store.get(keyOf(only))).revision, won.revision + 1)
      yield* process.link.set(undefined)
      yield* TestClock.adjust(renewInterval)
      assert.strictEqual(one.leadership().token.revision, won.revision)
      const observed = Option.getOrThrow(yield* process.election.leader(only))
      assert.strictEqual(observed.token.revision, won.revision)
    }))
})
