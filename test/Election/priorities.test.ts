/** Priorities after crashes, and former leaders that sit out, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { answerLost, silent, times } from "../support/links.ts"
import { logged, numbers, openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewInterval, takeover } from "./suite/fixture.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { employ, only, recordIn, stand, startProcess, tagIn } from "./suite/processes.ts"

/** In milliseconds: a fifth of the lease of the holder. */
const step = leaseDuration / 5

/** The highest priority that is allowed, and two steps. */
const longest = 12

describe("Election in memory: priorities after a crash", () => {
  /** The priorities of the candidates that have won a minute after the crash of a leader. */
  const crash = Effect.fnUntraced(function*(seed: number) {
    const store = yield* openBucket()
    const before = yield* stand(yield* startProcess(store), finish, "before")
    yield* settled
    const seats = yield* Effect.forEach(yield* Random.shuffle([0, 2]), (priority) =>
      Effect.gen(function*() {
        const process = yield* startProcess(store)
        const lags = Effect.flatMap(Random.nextIntBetween(0, 100), (millis) => Effect.sleep(millis))
        yield* process.link.lag(lags)
        yield* TestClock.adjust(yield* Random.nextIntBetween(0, renewInterval))
        return { priority, seat: yield* stand(process, finish, `${priority}`, { priority }) }
      }))
    yield* TestClock.adjust(3000 + seed)
    const { landed, set } = before.process.link
    yield* set(silent)
    const { sentAt } = landed.at(-1)!
    yield* TestClock.adjust(sentAt + leaseDuration - 1 - (yield* now))
    const early = seats.filter(({ seat }) => seat.seen.leadership !== undefined).length
    yield* TestClock.adjust("1 minute")
    const winners = seats.filter(({ seat }) => seat.seen.leadership !== undefined)
    return { early, priorities: winners.map(({ priority }) => priority) }
  })

  test("the candidate with priority 0 wins before one with 2, not before the lease has ended, in 20 of 20 runs", () =>
    Effect.gen(function*() {
      for (const seed of numbers(20)) {
        const outcome = yield* crash(seed).pipe(Effect.scoped, Random.withSeed(seed))
        assert.deepStrictEqual(outcome, { early: 0, priorities: [0] }, `seed ${seed}`)
      }
    }))

  test("a candidate with priority n wins n fifths of the leader's lease after it has ended", () =>
    Effect.gen(function*() {
      for (const priority of [0, 1, 3, 10]) {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* settled
        // Its own lease is longer than that of the leader.
        const timings = { leaseDuration: 10_000, renewDeadline: 5000, renewInterval }
        const next = yield* stand(yield* startProcess(store), finish, "next", { priority, timings })
        yield* settled
        const { landed, set } = one.process.link
        yield* set(silent)
        yield* TestClock.adjust("20 seconds")
        const waited = next.seen.wonAt! - landed.at(-1)!.sentAt
        assert.isAtLeast(waited, leaseDuration + priority * step)
        assert.isAtMost(waited, leaseDuration + priority * step + takeover)
      }
    }))

  test("a candidate with a lower value does not replace a leader", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one", { priority: 10 })
      yield* TestClock.adjust(11 * renewInterval)
      const two = yield* stand(yield* startProcess(store), finish, "two", { priority: 0 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* one.isValid, yield* two.hasWon], [true, false])
    }))
})

describe("Election in memory: former leaders", () => {
  /** When the work of a candidate begins, each time; it runs until it is stopped. */
  const winsOf = Effect.fnUntraced(function*(
    process: Effect.Success<ReturnType<typeof startProcess>>,
    options: Election.CandidateOptions = {}
  ) {
    const wonAt: Array<number> = []
    yield* employ(process, finish, "one", () =>
      Effect.gen(function*() {
        wonAt.push(yield* now)
        return yield* Effect.never
      }), options)
    return wonAt
  })

  test("a leader that was unhealthy wins only after a candidate with the highest value", () =>
    Effect.gen(function*() {
      let isHealthy = true
      const store = yield* openBucket()
      const terms: Array<number> = []
      yield* employ(yield* startProcess(store), finish, "one", ({ term }) => {
        terms.push(term)
        return Effect.never
      }, { healthCheck: Effect.sync(() => isHealthy) })
      yield* settled
      const two = yield* stand(yield* startProcess(store), finish, "two", { priority: 10 })
      isHealthy = false
      yield* TestClock.adjust(2 * renewInterval)
      isHealthy = true
      assert.strictEqual(yield* tagIn(store), "Vacant")
      yield* TestClock.adjust(longest * renewInterval)
      assert.isTrue(yield* two.hasWon)
      assert.deepStrictEqual(terms, [1])
    }))

  test("a leader that was unhealthy, alone, wins 12 times renewInterval after its hand-over", () =>
    Effect.gen(function*() {
      let isHealthy = true
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const healthCheck = Effect.sync(() => isHealthy)
      const wonAt = yield* winsOf(process, { healthCheck, healthFailures: 1 })
      yield* settled
      isHealthy = false
      yield* TestClock.adjust(renewInterval)
      isHealthy = true
      const vacatedAt = process.link.landed.at(-1)!.sentAt
      assert.strictEqual(yield* tagIn(store), "Vacant")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(wonAt.length, 2)
      assert.isAtLeast(wonAt[1]! - vacatedAt, longest * renewInterval)
      assert.isAtMost(wonAt[1]! - vacatedAt, longest * renewInterval + 20)
    }))

  test("a leader that resigns waits for two steps more than the highest value of the candidates in its process", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one", { priority: 1 })
      yield* TestClock.adjust(renewInterval)
      assert.isTrue(yield* one.hasWon)
      const other = yield* stand(process, finish, "other", { priority: 4 })
      yield* stand(process, finish, "elsewhere", { priority: 9, election: "another" })
      yield* settled
      yield* finish(one.leadership().resign)
      const resignedAt = process.link.landed.at(-1)!.sentAt
      yield* other.interrupt
      const again = yield* stand(process, finish, "one", { priority: 1 })
      yield* TestClock.adjust("1 minute")
      assert.isAtLeast(again.seen.wonAt! - resignedAt, 6 * renewInterval)
      assert.isAtMost(again.seen.wonAt! - resignedAt, 6 * renewInterval + 20)
    }))

  test("a leader whose hand-over was not stored waits for the lease and as many fifths of it", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* settled
      const { sentAt } = process.link.landed.at(-1)!
      yield* process.link.set(silent)
      yield* one.close
      yield* process.link.set(undefined)
      const { candidateId } = yield* recordIn(store, only)
      assert.strictEqual(candidateId, "one")
      const again = yield* stand(process, finish, "one")
      yield* TestClock.adjust("1 minute")
      assert.isAtLeast(again.seen.wonAt! - sentAt, leaseDuration + 2 * step)
      assert.isAtMost(again.seen.wonAt! - sentAt, leaseDuration + 2 * step + takeover)
    }))

  test("a leader whose hand-over is stored without an answer waits for twice renewInterval", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* settled
      yield* process.link.set(times(1, "put", answerLost))
      yield* one.close
      const closedAt = yield* now
      const again = yield* stand(process, finish, "one")
      yield* TestClock.adjust("1 minute")
      assert.isAtLeast(again.seen.wonAt! - closedAt, 2 * renewInterval - 20)
      assert.isAtMost(again.seen.wonAt! - closedAt, 2 * renewInterval + 20)
    }))

  test("a hand-over that is stored without an answer is logged", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        const one = yield* stand(process, finish, "one")
        yield* settled
        yield* process.link.set(times(1, "put", answerLost))
        yield* one.close
        yield* TestClock.adjust(leaseDuration)
      }).pipe(Effect.provide(log.layer))
      assert.strictEqual(log.lines.filter((line) => line.includes("handed over the leadership of")).length, 1)
    }))

  test("the candidate of a singleton whose work fails after it was unhealthy does not win at once", () =>
    Effect.gen(function*() {
      let isHealthy = true
      let runs = 0
      const store = yield* openBucket()
      const { election } = yield* startProcess(store)
      const work = Effect.onInterrupt(
        Effect.andThen(Effect.sync(() => runs++), Effect.never),
        () => Effect.die("broken while it stops")
      )
      const healthCheck = Effect.sync(() => isHealthy)
      const options = { candidateId: "one", healthCheck, healthFailures: 1 }
      yield* Layer.build(
        Layer.provide(Election.layerSingleton(only, work, options), Layer.succeed(Election.Election, election))
      )
      yield* settled
      isHealthy = false
      yield* TestClock.adjust(renewInterval)
      isHealthy = true
      yield* TestClock.adjust((longest - 1) * renewInterval)
      assert.strictEqual(runs, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(runs, 2)
    }))

  test("a leader that has lost its leadership waits for twice renewInterval, and not longer", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const wonAt = yield* winsOf(process)
      yield* settled
      const { sentAt } = process.link.landed.at(-1)!
      yield* process.link.set(silent)
      yield* TestClock.adjust(leaseDuration - renewInterval)
      yield* process.link.set(undefined)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(wonAt.length, 2)
      assert.isAtMost(wonAt[1]! - sentAt, 2 * leaseDuration)
    }))
})
