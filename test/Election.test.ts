/** The promises of an `Election`, kept in memory under the TestClock, and what only virtual time can show. */
import { assert, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Election from "../src/Election.ts"
import { keyOf } from "../src/internal/election/record.ts"
import * as KVStore from "../src/KVStore.ts"
import {
  answerLost,
  away,
  believers,
  conflict,
  countOf,
  delayed,
  employ,
  type Fault,
  finisher,
  lease,
  now,
  numbers,
  on,
  only,
  openBucket,
  quiet,
  recordIn,
  renewDeadline,
  renewEvery,
  type Seat,
  silent,
  stand,
  startProcess,
  suite,
  tagIn,
  times,
  timings,
  told,
  unanswered,
  usurp
} from "./ElectionSuite.ts"
import { Buckets, eventually } from "./KVStoreSuite.ts"

const buckets = Layer.succeed(Buckets)({
  layer: KVStore.layerMemory,
  drop: () => Effect.void
})

suite("Election in memory", { kind: "memory", virtual: true, buckets })

// -----------------------------------------------------------------------------
// hosts
// -----------------------------------------------------------------------------

/** A machine with clocks of its own: set otherwise, of another rate, and stepped or stopped while it runs. */
const makeHost = Effect.fnUntraced(function*(options: { readonly rate?: number; readonly ahead?: number } = {}) {
  const { ahead = 0, rate = 1 } = options
  const base = yield* Clock.Clock
  let wallStep = ahead
  let stoppedAt: number | undefined
  const running = () => Math.floor(Number(base.monotonicTimeNanosUnsafe() / 1000n) / 1000 * rate)
  const monotonic = () => BigInt(stoppedAt ?? running()) * 1_000_000n
  const wall = () => Math.floor(base.currentTimeMillisUnsafe() * rate) + wallStep
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: wall,
    currentTimeMillis: Effect.sync(wall),
    currentTimeNanosUnsafe: () => BigInt(wall()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(wall()) * 1_000_000n),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep: (duration) => base.sleep(Duration.millis(Math.ceil(Duration.toMillis(duration) / rate)))
  }
  return {
    clock,
    /** Somebody sets the wall clock. */
    stepWall: (millis: number) => {
      wallStep += millis
    },
    /** As while a machine is suspended: the wall clock is right when it wakes. */
    stopMonotonic: () => {
      stoppedAt = running()
    }
  }
})

// -----------------------------------------------------------------------------
// what only virtual time can show
// -----------------------------------------------------------------------------

const until = eventually(true)
const finish = finisher(until)

const day = 24 * 60 * 60 * 1000

const services = Layer.merge(TestClock.layer({ warningDelay: "1 minute" }), quiet)

type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

layer(buckets, { excludeTestServices: true })("Election on virtual time", (it) => {
  // On a busy machine two hundred take-overs take their time.
  const test: Test = (title, body) =>
    it.effect(
      title,
      () => body().pipe(Effect.scoped, Effect.provide(services), Random.withSeed(title)),
      { timeout: 30_000 }
    )
  deadlines(test)
  clocks(test)
  requests(test)
  announcing(test)
  overruns(test)
  watching(test)
  takeovers(test)
})

/** Whatever is to be done at this very millisecond. */
const settled = Effect.asVoid(Effect.replicateEffect(TestClock.adjust(0), 20))

/** Two candidates, of which the first leads and the second has seen it, at time 0. */
const two = Effect.fnUntraced(function*(options: {
  readonly leader?: Clock.Clock
  readonly challenger?: Clock.Clock
  readonly timings?: Election.Timings
} = {}) {
  const store = yield* openBucket()
  const start = (clock: Clock.Clock | undefined) => startProcess(store, { clock, timings: options.timings ?? timings })
  const one = yield* stand(yield* start(options.leader), finish, "one")
  yield* settled
  assert.isDefined(one.seen.leadership)
  const other = yield* stand(yield* start(options.challenger), finish, "two")
  yield* settled
  return { store, one, two: other, link: one.process.link }
})

/** Looks at every millisecond who believes that he leads. */
const sample = Effect.fnUntraced(function*(seats: ReadonlyArray<Seat>, millis: number) {
  for (let elapsed = 0; elapsed < millis; elapsed++) {
    yield* TestClock.adjust(1)
    yield* believers(seats)
  }
})

const deadlines = (test: Test) => {
  for (const [how, fault] of [["fails", away], ["hangs", silent]] as const) {
    test(`where the store ${how}, leadership ends exactly renewDeadline after the last beat was sent`, () =>
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
        yield* TestClock.adjust(lease - renewDeadline - 1)
        assert.isFalse(yield* other.hasWon)
        yield* TestClock.adjust(1)
        assert.strictEqual(other.seen.wonAt, sentAt + lease)
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
      yield* sample(seats, lease + 1000)
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
      assert.strictEqual((yield* recordIn(store)).beat, 5)
      assert.isAbove(attempts[1]!, attempts[0]!)
      yield* TestClock.adjust(lease)
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
      assert.strictEqual((yield* recordIn(store)).beat, 5)
      assert.isAbove(attempts[1]!, 1400)
      yield* TestClock.adjust(lease)
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
      const { beat, candidateId } = yield* recordIn(store)
      assert.strictEqual(candidateId, "one")
      assert.isAbove(beat, 4)
      yield* link.set(undefined)
      yield* sample([one, other], lease - 1)
      assert.isFalse(yield* one.isValid)
      assert.isFalse(yield* other.hasWon)
      yield* TestClock.adjust(1)
      assert.strictEqual(other.seen.wonAt, 2400 + lease)
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
      assert.strictEqual((yield* recordIn(store)).beat, 1 + (2 * hour) / 4)
    }))
}

const clocks = (test: Test) => {
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
      yield* sample([one, other], 2 * lease)
      assert.isTrue(yield* one.isValid)
      yield* link.set(silent)
      const { sentAt } = link.landed.at(-1)!
      host.stepWall(-day)
      yield* sample([one, other], lease + 500)
      assert.deepStrictEqual([one.seen.reason, one.seen.lostAt], ["expired", sentAt + renewDeadline])
      assert.strictEqual(other.seen.wonAt, sentAt + lease)
    }))

  for (const [how, millis] of [["forward", day], ["back", -day]] as const) {
    test(`a challenger's wall clock that is set ${how} makes it stand no earlier and no later`, () =>
      Effect.gen(function*() {
        const host = yield* makeHost()
        const { link, two: other } = yield* two({ challenger: host.clock })
        yield* TestClock.adjust(1000)
        yield* link.set(silent)
        host.stepWall(millis)
        yield* TestClock.adjust(lease)
        assert.strictEqual(other.seen.wonAt, link.landed.at(-1)!.sentAt + lease)
      }))
  }

  test("a machine that was suspended does not believe that it leads when it wakes", () =>
    Effect.gen(function*() {
      const host = yield* makeHost()
      const { link, one, two: other } = yield* two({ leader: host.clock })
      yield* TestClock.adjust(1000)
      yield* link.set(silent)
      host.stopMonotonic()
      yield* sample([one, other], lease + 500)
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
        yield* sample([one, other], Math.ceil(lease / challengerRate) + 500)
        assert.isTrue(yield* other.isValid)
        assert.isBelow(one.seen.lostAt!, other.seen.wonAt!)
      }))
  }
}

const hour = 60 * 60

const requests = (test: Test) => {
  test("a leader sends one compare-and-set per renewEvery, and a standby a read about once per lease", () =>
    Effect.gen(function*() {
      const { link, two: other } = yield* two({ timings: Election.resilient })
      link.calls.length = 0
      const standby = other.process.link
      standby.calls.length = 0
      yield* TestClock.adjust(Duration.seconds(hour))
      assert.strictEqual(countOf(link, "put"), hour / 4)
      assert.strictEqual(link.calls.length, hour / 4)
      assert.strictEqual(countOf(standby, "get"), standby.calls.length)
      assert.isAtLeast(standby.calls.length, Math.floor(hour / 20 / 1.2) - 1)
      assert.isAtMost(standby.calls.length, Math.ceil(hour / 20 / 0.8))
    }))

  test("standbys do not read in step", () =>
    Effect.gen(function*() {
      const { store } = yield* two()
      const seats = yield* Effect.forEach(
        numbers(8),
        (index) => Effect.flatMap(startProcess(store), (process) => stand(process, finish, `${index}`))
      )
      yield* TestClock.adjust(3 * lease)
      const last = seats.map(({ process }) =>
        process.link.calls.findLast(({ operation }) => operation === "get")!.sentAt
      )
      assert.isAbove(new Set(last).size, 4)
    }))

  test("a renewal is given up after a second and tried again within half a second more", () =>
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

  test("a renewal that met a conflict where nobody wrote is tried again within half a second", () =>
    Effect.gen(function*() {
      const { link } = yield* two({ timings: Election.resilient })
      yield* link.set(times(1, "put", conflict))
      yield* TestClock.adjust("5 seconds")
      const sent = link.calls.filter(({ operation }) => operation === "put").map(({ sentAt }) => sentAt)
      assert.strictEqual(sent.length, 3)
      assert.isAtMost(sent[2]! - sent[1]!, 500)
    }))

  test("a store that answers nothing but conflicts, and cannot be read, is not asked without a pause", () =>
    Effect.gen(function*() {
      const { link, one } = yield* two()
      yield* link.set((call, run) => call.operation === "put" ? conflict(call, run) : away(call, run))
      const fiber = yield* Effect.forkChild(Effect.flip(one.leadership().proclaim({ port: 1 })))
      yield* TestClock.adjust(renewDeadline)
      assert.isBelow(countOf(link, "put"), 20)
      yield* link.set(undefined)
      const error = yield* finish(Fiber.join(fiber))
      assert.strictEqual(error.reason._tag, "LeadershipLost")
    }))

  test("a candidate that lost a compare-and-set waits for 20 to 100 ms", () =>
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

  test("a candidate that has lost, and is interrupted, looks once and is gone", () =>
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

  test("who has priority n stands n renewals after the seat is free", () =>
    Effect.gen(function*() {
      for (const priority of [0, 1, 3]) {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* settled
        const next = yield* stand(yield* startProcess(store), finish, "next", { priority })
        yield* TestClock.adjust(1000)
        const freeAt = yield* now
        yield* one.close
        yield* TestClock.adjust(lease)
        assert.strictEqual(next.seen.wonAt! - freeAt, priority * renewEvery)
      }
    }))
}

const announcing = (test: Test) => {
  test("a winner whose deadline passes before it is announced was never leader, and campaigns on as another", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", silent))
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(renewDeadline - 1)
      const first = yield* recordIn(store)
      // Its renewals are answered; only the epoch is not.
      yield* process.link.set(on(["status", "put"], silent))
      yield* TestClock.adjust(renewDeadline)
      assert.isFalse(yield* one.hasWon)
      yield* process.link.set(undefined)
      yield* TestClock.adjust(2 * lease)
      assert.isTrue(yield* one.isValid)
      const { nonce, term } = yield* recordIn(store)
      assert.notStrictEqual(nonce, first.nonce)
      assert.deepStrictEqual([first.term, term, one.leadership().term], [1, 2, 2])
    }))

  test("a winner that finds another's record when it looks once more is not announced", () =>
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
      yield* TestClock.adjust(lease)
      assert.isFalse(yield* one.hasWon)
      yield* TestClock.adjust(500)
      assert.strictEqual(one.leadership().term, 3)
    }))

  test("a winner whose last look gives a stale answer looks again", () =>
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

  test("a winner whose last look fails looks again", () =>
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
}

const overruns = (test: Test) => {
  /** Work that takes so long to stop once its leader was cut off, or told to. */
  const stopping = Effect.fnUntraced(function*(millis: number, how: "cut off" | "told") {
    const errors: Array<unknown> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Error") errors.push(message)
    })
    const count = Effect.map(Metric.snapshot, (all) => all.filter(({ id }) => id === "election.overrun"))
    const began = Deferred.makeUnsafe<void>()
    const log: Array<string> = []
    return yield* Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const job = yield* employ(process, finish, "one", () =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.andThen(Effect.sleep(millis), Effect.sync(() => log.push("stopped"))))
          yield* Deferred.succeed(began, undefined)
          return yield* Effect.never
        }))
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      yield* TestClock.adjust(1000)
      if (how === "cut off") yield* process.link.set(silent)
      const ending = yield* Effect.forkChild(how === "told" ? Fiber.interrupt(job.fiber) : Effect.void)
      yield* TestClock.adjust(900 + lease - 1001)
      const before = errors.length
      yield* TestClock.adjust(1 + 2 * lease)
      yield* finish(Fiber.join(ending))
      const counted = (yield* count).map(({ state }) => ("count" in state ? Number(state.count) : -1))
      return { before, errors, counted, log, other }
    }).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  test("work that still stops when its lease ends is logged as an error, and counted", () =>
    Effect.gen(function*() {
      const { before, counted, errors, log, other } = yield* stopping(lease - renewDeadline + 50, "cut off")
      assert.strictEqual(before, 0)
      assert.strictEqual(errors.length, 1)
      assert.include(String(errors[0]), `the work of "${only}" still runs after its lease has ended`)
      assert.deepStrictEqual(counted, [1])
      assert.deepStrictEqual(log, ["stopped"])
      assert.isTrue(yield* other.hasWon)
    }))

  test("work that stops within lease - renewDeadline is no overrun", () =>
    Effect.gen(function*() {
      const { counted, errors, log } = yield* stopping(lease - renewDeadline - 1, "cut off")
      assert.deepStrictEqual(errors, [])
      assert.deepStrictEqual(counted.filter((count) => count !== 0), [])
      assert.deepStrictEqual(log, ["stopped"])
    }))

  test("work that stops slowly while its leader renews is no overrun", () =>
    Effect.gen(function*() {
      const { counted, errors, log } = yield* stopping(2 * lease, "told")
      assert.deepStrictEqual(errors, [])
      assert.deepStrictEqual(counted.filter((count) => count !== 0), [])
      assert.deepStrictEqual(log, ["stopped"])
    }))
}

const watching = (test: Test) => {
  test("a watch that is lost and opened again does not make a challenger wait anew", () =>
    Effect.gen(function*() {
      const { link, two: other } = yield* two()
      yield* TestClock.adjust(1000)
      yield* link.set(silent)
      const { link: standby } = other.process
      for (const watches of [2, 3]) {
        yield* standby.loseWatches
        yield* until(Effect.sync(() => countOf(standby, "watch")), (count) => count === watches)
      }
      assert.isFalse(yield* other.hasWon)
      yield* TestClock.adjust(lease)
      // Pauses between watches have parts of a millisecond.
      assert.isTrue(other.seen.wonAt! >= 900 + lease && other.seen.wonAt! < 901 + lease, `${other.seen.wonAt}`)
    }))

  test("a watch that cannot be had is asked for again, ever less often, and then follows", () =>
    Effect.gen(function*() {
      const { one, two: other } = yield* two({ timings: Election.resilient })
      const { calls, loseWatches, set } = other.process.link
      yield* set(on("watch", away))
      yield* loseWatches
      yield* TestClock.adjust("1 minute")
      const asked = calls.filter(({ operation }) => operation === "watch").length
      assert.isAbove(asked, 10)
      assert.isBelow(asked, 25)
      yield* set(undefined)
      yield* TestClock.adjust("10 seconds")
      const closedAt = yield* now
      yield* one.close
      yield* settled
      assert.strictEqual(other.seen.wonAt, closedAt)
    }))

  for (const [what, isCrash] of [["that has crashed", true], ["that has resigned", false]] as const) {
    test(`a standby whose watch tells nothing any more replaces a leader ${what}`, () =>
      Effect.gen(function*() {
        const { link, one, two: other } = yield* two()
        yield* other.process.link.set(on("watch", silent))
        yield* other.process.link.loseWatches
        yield* TestClock.adjust(10 * lease)
        assert.isFalse(yield* other.hasWon)
        const { sentAt } = link.landed.at(-1)!
        if (isCrash) yield* link.set(silent)
        else yield* one.close
        yield* sample([one, other], Math.ceil(1.2 * lease) + (isCrash ? lease : 0) + 500)
        assert.isTrue(yield* other.isValid)
        if (isCrash) assert.isAtLeast(other.seen.wonAt!, sentAt + lease)
      }))
  }

  test("a watch that is slow to end does not disturb the next one", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let ending = 500
      const watch: typeof store.watch = (filter, options) =>
        Stream.ensuring(store.watch(filter, options), Effect.suspend(() => Effect.sleep(ending)))
      const process = yield* startProcess({ ...store, watch })
      const one = yield* stand(process, finish, "one")
      yield* settled
      yield* Effect.forkChild(Fiber.interrupt(one.fiber))
      yield* settled
      yield* stand(yield* startProcess(store), finish, "two")
      yield* settled
      const changes = yield* told(process)
      yield* settled
      assert.deepStrictEqual(changes.events, ["two in term 2"])
      yield* TestClock.adjust(1000)
      const later = yield* told(process)
      yield* settled
      assert.deepStrictEqual(later.events, ["two in term 2"])
      ending = 0
    }))

  test("a record that went while the watch was lost is waited for", () =>
    Effect.gen(function*() {
      const { link, store, two: other } = yield* two()
      yield* TestClock.adjust(1000)
      yield* link.set(silent)
      const changes = yield* told(other.process)
      yield* settled
      yield* other.process.link.set(on(["watch", "get"], away))
      yield* other.process.link.loseWatches
      yield* store.purge(keyOf(only))
      yield* TestClock.adjust(100)
      yield* other.process.link.set(undefined)
      // The next watch's snapshot does not have it.
      yield* TestClock.adjust(600)
      assert.deepStrictEqual(changes.events, ["one in term 1", "nobody"])
      assert.isFalse(yield* other.hasWon)
      yield* TestClock.adjust(lease)
      assert.isTrue(other.seen.wonAt! >= 900 + lease && other.seen.wonAt! < 901 + lease, `${other.seen.wonAt}`)
    }))
}

/** Requests take their time each way, and some answers never come. */
const slow = Effect.fnUntraced(function*(options: { readonly longest: number; readonly lost?: number }) {
  const scope = yield* Effect.scope
  const hop = Effect.flatMap(Random.nextIntBetween(0, options.longest), (millis) => Effect.sleep(millis))
  const isLost = Effect.map(Random.next, (random) => random < (options.lost ?? 0))
  const fault: Fault = (call, run) =>
    call.operation === "watch" ? run : Effect.flatMap(
      // Who gives up waiting takes nothing back.
      Effect.forkIn(Effect.andThen(hop, run), scope),
      (sent) =>
        Effect.flatMap(Effect.exit(Fiber.join(sent)), (exit) =>
          Effect.flatMap(isLost, (lost) => Effect.andThen(hop, lost ? Effect.never : exit)))
    )
  return fault
})

const takeovers = (test: Test) => {
  const seeds = numbers(200).map((index) => index + 1)

  /** How many believed that they lead at once, from the lease's end until a while after somebody does, and at last. */
  const takeover = Effect.fnUntraced(function*(seed: number) {
    const store = yield* openBucket()
    const before = yield* stand(yield* startProcess(store), finish, "before")
    yield* settled
    yield* before.process.link.set(silent)
    const seats = [before]
    for (const index of numbers(8)) {
      const process = yield* startProcess(store)
      yield* process.link.set(yield* slow({ longest: 12, lost: 0.1 }))
      yield* process.link.lag(Effect.flatMap(Random.nextIntBetween(0, 40), (millis) => Effect.sleep(millis)))
      seats.push(yield* stand(process, finish, `${index}`))
      yield* TestClock.adjust(yield* Random.nextIntBetween(0, 8))
    }
    yield* TestClock.adjust(before.seen.wonAt! + lease - (yield* now))
    const valid = Effect.suspend(() =>
      Effect.filter(seats.filter(({ seen }) => seen.leadership !== undefined), (seat) => seat.isValid)
    )
    let most = 0
    for (let wonAt = Infinity, millis = 0; millis < Math.min(lease, wonAt + 60); millis++) {
      yield* TestClock.adjust(1)
      most = Math.max(most, (yield* valid).length)
      if (most > 0) wonAt = Math.min(wonAt, millis)
    }
    // With links in order it stays so.
    yield* Effect.forEach(seats, ({ process }) => process.link.set(undefined))
    yield* TestClock.adjust(3 * renewEvery)
    const atLast = yield* valid
    const record = yield* recordIn(store)
    return { seed, most, atLast: atLast.length, isRecorded: atLast[0]?.leadership().candidateId === record.candidateId }
  })

  /** Four hosts whose clocks differ, whose links fail in all ways, and whose leaders come and go, for half a minute. */
  const turmoil = Effect.fnUntraced(function*(seed: number) {
    const store = yield* openBucket()
    const overlaps: Array<string> = []
    let active = 0
    let terms = 0
    const work = (leadership: Election.Leadership) =>
      Effect.gen(function*() {
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            terms++
            if (++active > 1) overlaps.push(`term ${leadership.term}`)
          }),
          () => Effect.andThen(Effect.sleep(50), Effect.sync(() => active--))
        )
        yield* Effect.sleep(yield* Random.nextIntBetween(100, 3000))
        return yield* (yield* Random.next) < 0.5 ? leadership.resign : Effect.never
      })
    const hosts = yield* Effect.forEach(numbers(4), (index) =>
      Effect.gen(function*() {
        const rate = yield* Random.nextBetween(0.88, 1.12)
        const host = yield* makeHost({ rate, ahead: yield* Random.nextIntBetween(-1000 * day, 1000 * day) })
        const process = yield* startProcess(store, { clock: host.clock })
        yield* employ(process, finish, `${index}`, work)
        return { ...host, link: process.link }
      }))
    const faults: ReadonlyArray<Fault | undefined> = [
      undefined,
      silent,
      away,
      yield* slow({ longest: 60, lost: 0.2 }),
      on("put", answerLost),
      on("put", unanswered),
      on("put", conflict),
      on(["get", "watch"], away)
    ]
    for (let step = 0; step < 80; step++) {
      const host = yield* Random.choice(hosts)
      yield* host.link.set(yield* Random.choice(faults))
      const chance = yield* Random.next
      if (chance < 0.2) yield* host.link.loseWatches
      if (chance > 0.9) host.stepWall(yield* Random.nextIntBetween(-day, day))
      yield* TestClock.adjust(yield* Random.nextIntBetween(20, 700))
    }
    yield* Effect.forEach(hosts, (host) => host.link.set(undefined))
    yield* until(Effect.sync(() => active), (count) => count === 1)
    return { seed, overlaps, terms }
  })

  test("through outages, clock steps and resignations works never overlap, and there is always a next one", () =>
    Effect.gen(function*() {
      let terms = 0
      for (const seed of numbers(12)) {
        const outcome = yield* turmoil(seed).pipe(Effect.scoped, Random.withSeed(seed))
        assert.deepStrictEqual(outcome.overlaps, [], `seed ${seed}`)
        terms += outcome.terms
      }
      assert.isAbove(terms, 60)
    }))

  test("of eight who replace one leader at once exactly one wins, in each of 200 runs", () =>
    Effect.gen(function*() {
      const expected = (seed: number) => ({ seed, most: 1, atLast: 1, isRecorded: true })
      for (const seed of seeds) {
        const outcome = yield* takeover(seed).pipe(Effect.scoped, Random.withSeed(seed))
        assert.deepStrictEqual(outcome, expected(seed))
      }
    }))
}
