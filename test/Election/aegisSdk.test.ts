/**
 * The scenarios that AegisSDK for Python tests for its election and its failover, under their names. Its leader has a lease of 2
 * seconds, as the timings of these tests have.
 */
import { assert, describe } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { away, silent } from "../support/links.ts"
import { numbers, openBucket, type Store } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline, renewInterval, takeover, timings } from "./suite/fixture.ts"
import { finish, sample, settled, test, two, until } from "./suite/inMemory.ts"
import {
  believers,
  employ,
  only,
  reasonOf,
  type Seat,
  shown,
  stand,
  startProcess,
  told,
  usurp
} from "./suite/processes.ts"

/** Starts candidates, each in another process. */
const candidates = (store: Store, count: number) =>
  Effect.forEach(
    numbers(count),
    (index) => Effect.flatMap(startProcess(store), (process) => stand(process, finish, `i${index}`)),
    { concurrency: "unbounded" }
  )

/** The candidate that is valid. */
const leaderOf = Effect.fnUntraced(function*(seats: ReadonlyArray<Seat>) {
  yield* until(believers(seats), (count) => count === 1)
  const valid = yield* Effect.filter(seats, (seat) => seat.isValid)
  return valid[0] ?? assert.fail("no candidate leads")
})

describe("election", () => {
  test("acquire", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one", { metadata: { zone: "a" } })
      yield* settled
      assert.isTrue(yield* one.isValid)
      assert.strictEqual(shown(yield* process.election.leader(only)), "one in term 1 {\"zone\":\"a\"}")
    }))

  test("conflict", () =>
    Effect.gen(function*() {
      const { one, two: other } = yield* two()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* one.isValid, yield* other.hasWon], [true, false])
    }))

  test("renew with metadata", () =>
    Effect.gen(function*() {
      const { one, two: { process: { election } } } = yield* two()
      const before = Option.getOrThrow(yield* election.leader(only))
      yield* finish(one.leadership().proclaim({ load: 5 }))
      yield* TestClock.adjust(3 * leaseDuration)
      const after = Option.getOrThrow(yield* election.leader(only))
      assert.deepStrictEqual(after.metadata, { load: 5 })
      // Theirs writes another time of the election with each renewal.
      assert.deepStrictEqual([after.electedAt, after.term], [before.electedAt, before.term])
    }))

  test("renew by a process that does not lead is refused", () =>
    Effect.gen(function*() {
      const { one, store } = yield* two()
      yield* usurp(store)
      yield* finish(reasonOf(one.leadership().proclaim({ load: 5 }), "LeadershipLost"))
    }))

  test("release", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* settled
      yield* one.close
      assert.isFalse(yield* one.isValid)
      assert.strictEqual(shown(yield* process.election.leader(only)), "no leader")
    }))

  test("expiry: no leader after the lease", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* settled
      yield* one.process.link.set(silent)
      yield* TestClock.adjust(leaseDuration)
      assert.strictEqual(shown(yield* (yield* startProcess(store)).election.leader(only)), "no leader")
    }))

  test("watch: elected, lost, elected (another one)", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { events } = yield* told(yield* startProcess(store))
      yield* settled
      const one = yield* stand(yield* startProcess(store), finish, "one")
      // Theirs emits an event per renewal.
      yield* TestClock.adjust("1 minute")
      yield* one.close
      yield* stand(yield* startProcess(store), finish, "two")
      yield* settled
      assert.deepStrictEqual(events, ["no leader", "one in term 1", "no leader", "two in term 2"])
    }))

  test("save and restore: a process that restarts finds its election, and its former record is not its own", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = yield* stand(yield* startProcess(store), finish, "one")
      yield* settled
      yield* before.process.link.set(silent)
      const process = yield* startProcess(store)
      assert.strictEqual(shown(yield* process.election.leader(only)), "one in term 1")
      const after = yield* stand(process, finish, "one")
      yield* sample([before, after], leaseDuration + takeover)
      assert.strictEqual(after.leadership().term, 2)
    }))

  test("5 concurrent candidates: exactly 1 leads", () =>
    Effect.gen(function*() {
      const seats = yield* candidates(yield* openBucket(), 5)
      yield* TestClock.adjust(leaseDuration)
      assert.strictEqual(yield* believers(seats), 1)
      assert.lengthOf(seats.filter(({ seen }) => seen.leadership !== undefined), 1)
    }))

  test("groups are independent", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const seats = yield* Effect.forEach(["orders/a", "orders/b"], (election) =>
        Effect.flatMap(startProcess(store), (process) => stand(process, finish, election, { election })))
      yield* settled
      for (const seat of seats) {
        assert.isTrue(yield* seat.isValid)
      }
      yield* seats[0]!.close
      assert.isTrue(yield* seats[1]!.isValid)
    }))
})

describe("election domain", () => {
  test("timing validation", () =>
    Effect.gen(function*() {
      const { election } = yield* startProcess(yield* openBucket())
      for (
        const wrong of [
          { ...timings, renewInterval: renewDeadline },
          { ...timings, renewDeadline: leaseDuration },
          { ...timings, leaseDuration: "2 hours" }
        ] as const
      ) yield* reasonOf(election.whileLeader(only, () => Effect.void, { timings: wrong }), "InvalidConfig")
    }))

  test("transition table", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const states: Array<string> = []
      const note = Effect.map(process.election.status(only), ({ state }) => states.push(state))
      yield* note
      const first = yield* stand(yield* startProcess(store), finish, "first")
      yield* settled
      const work = () => Effect.ensuring(Effect.never, Effect.sleep(100))
      const fiber = yield* Effect.forkChild(process.election.whileLeader(only, work))
      yield* settled
      yield* note
      yield* first.close
      yield* settled
      yield* note
      yield* usurp(store)
      yield* TestClock.adjust(renewInterval)
      yield* note
      yield* TestClock.adjust(200)
      yield* note
      yield* finish(Fiber.interrupt(fiber))
      yield* note
      assert.deepStrictEqual(states, [
        "NotCampaigning",
        "Campaigning",
        "Leading",
        "Releasing",
        "Campaigning",
        "NotCampaigning"
      ])
    }))

  test("backoff ranges: 1, 2 and 4 s, up to a limit of a minute, with jitter", () =>
    Effect.gen(function*() {
      class Broken extends Data.TaggedError("Broken") {}
      const { election } = yield* startProcess(yield* openBucket())
      const runs: Array<number> = []
      const work = Effect.andThen(Effect.map(now, (at) => runs.push(at)), Effect.fail(new Broken()))
      yield* Layer.build(
        Layer.provide(Election.layerSingleton(only, work), Layer.succeed(Election.Election, election))
      )
      yield* settled
      yield* TestClock.adjust("6 minutes")
      const pauses = runs.slice(1).map((at, index) => at - runs[index]!)
      for (const [index, seconds] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
        assert.isAtLeast(pauses[index]!, 800 * seconds)
        assert.isAtMost(pauses[index]!, 1200 * seconds + 1)
      }
    }))

  test("expiry edge: the leader is there until the last millisecond of its lease", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      const observer = yield* startProcess(store)
      yield* settled
      const { landed, set } = one.process.link
      yield* set(silent)
      yield* TestClock.adjust(landed.at(-1)!.sentAt + leaseDuration - 1 - (yield* now))
      assert.strictEqual(shown(yield* observer.election.leader(only)), "one in term 1")
      yield* TestClock.adjust(1)
      assert.strictEqual(shown(yield* observer.election.leader(only)), "no leader")
    }))
})

describe("failover", () => {
  for (const count of [3, 5]) {
    test(`exactly one leader of ${count}`, () =>
      Effect.gen(function*() {
        const seats = yield* candidates(yield* openBucket(), count)
        yield* leaderOf(seats)
        yield* sample(seats, 2 * leaseDuration)
        assert.strictEqual(yield* believers(seats), 1)
      }))
  }

  test("failover takes less than 2 s after a graceful stop", () =>
    Effect.gen(function*() {
      const { one, two: other } = yield* two()
      yield* TestClock.adjust("10 seconds")
      const stoppedAt = yield* now
      yield* one.close
      yield* settled
      assert.isAtMost(other.seen.wonAt! - stoppedAt, 20)
    }))

  test("5 rapid cycles: each failover takes less than 2 s", () =>
    Effect.gen(function*() {
      let seats: ReadonlyArray<Seat> = yield* candidates(yield* openBucket(), 6)
      for (const term of [1, 2, 3, 4, 5]) {
        const leader = yield* leaderOf(seats)
        assert.strictEqual(leader.leadership().term, term)
        const stoppedAt = yield* now
        yield* leader.close
        seats = seats.filter((seat) => seat !== leader)
        yield* leaderOf(seats)
        assert.isAtMost((yield* now) - stoppedAt, 2000)
      }
    }))

  test("partition: at most one is active, and the other side leads", () =>
    Effect.gen(function*() {
      const seats = yield* candidates(yield* openBucket(), 3)
      const leader = yield* leaderOf(seats)
      yield* leader.process.link.cut
      yield* leader.process.link.set(away)
      yield* sample(seats, leaseDuration + takeover)
      const next = yield* leaderOf(seats)
      assert.notStrictEqual(next, leader)
    }))

  test("50 concurrent exclusive calls are handled by one instance", () =>
    Effect.gen(function*() {
      const seats = yield* candidates(yield* openBucket(), 3)
      yield* leaderOf(seats)
      const call = (seat: Seat) =>
        Effect.map(seat.isValid, (isValid) => isValid ? seat.leadership().candidateId : "NOT_ACTIVE")
      const answers = yield* Effect.forEach(
        numbers(50),
        (index) => Effect.forEach(seats, (seat) => Effect.delay(call(seat), index)),
        { concurrency: "unbounded" }
      ).pipe(finish)
      const handlers = answers.map((each) => each.filter((answer) => answer !== "NOT_ACTIVE"))
      assert.isTrue(handlers.every((each) => each.length === 1))
      assert.strictEqual(new Set(handlers.flat()).size, 1)
    }))

  test("a stopped service refuses", () =>
    Effect.gen(function*() {
      const { one, two: other } = yield* two()
      yield* one.close
      yield* settled
      assert.deepStrictEqual([yield* one.isValid, yield* other.isValid], [false, true])
    }))

  test("heartbeat_expiration_triggers_election", () =>
    Effect.gen(function*() {
      const { link, one, two: other } = yield* two()
      yield* TestClock.adjust("10 seconds")
      yield* link.set(silent)
      const { sentAt } = link.landed.at(-1)!
      yield* sample([one, other], leaseDuration + takeover)
      assert.isAtLeast(other.seen.wonAt! - sentAt, leaseDuration)
      assert.isAtMost(other.seen.wonAt! - sentAt, leaseDuration + takeover)
    }))

  test("split_brain_prevention: a leader that was cut off and comes back does not lead", () =>
    Effect.gen(function*() {
      const { link, one, two: other } = yield* two()
      yield* link.set(away)
      yield* sample([one, other], leaseDuration + takeover)
      yield* link.set(undefined)
      yield* sample([one, other], 2 * leaseDuration)
      assert.deepStrictEqual([yield* one.isValid, yield* other.isValid], [false, true])
    }))

  test("graceful_shutdown: the work stops first, then another one leads", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      const work = (name: string) => () =>
        Effect.ensuring(
          Effect.andThen(Effect.sync(() => log.push(`${name} began`)), Effect.never),
          Effect.andThen(Effect.sleep(500), Effect.sync(() => log.push(`${name} ended`)))
        )
      const leading = yield* employ(yield* startProcess(store), finish, "one", work("one"))
      yield* settled
      yield* employ(yield* startProcess(store), finish, "two", work("two"))
      yield* settled
      yield* leading.interrupt
      yield* settled
      assert.deepStrictEqual(log, ["one began", "one ended", "two began"])
    }))

  test("network_partition_recovery: a former leader leads again when the next one stops", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const terms: Array<number> = []
      const fiber = yield* Effect.forkChild(process.election.whileLeader(only, ({ term }) => {
        terms.push(term)
        return Effect.never
      }))
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      yield* process.link.set(away)
      yield* until(other.hasWon, (hasWon) => hasWon)
      yield* process.link.set(undefined)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(terms, [1])
      yield* other.close
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(terms, [1, 3])
      yield* finish(Fiber.interrupt(fiber))
    }))

  test("recovery before the deadline triggers no election", () =>
    Effect.gen(function*() {
      const { link, one, two: other } = yield* two()
      yield* link.set(away)
      yield* TestClock.adjust(renewDeadline - 2 * renewInterval)
      yield* link.set(undefined)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* one.isValid, yield* other.hasWon], [true, false])
      assert.strictEqual(one.leadership().term, 1)
    }))
})
