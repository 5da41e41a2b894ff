/** Elections that nobody uses any more: their records are removed, and their names and metrics are forgotten. */
import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import type * as Election from "../../src/Election.ts"
import { Observations } from "../../src/internal/election/observations.ts"
import { encode, keyOf } from "../../src/internal/election/record.ts"
import { bytes } from "../../tools/values.ts"

import { recordOf } from "../support/electionRecord.ts"
import { after, answerLost, away, countOf, denied, type Fault, on, silent } from "../support/links.ts"
import { logged, numbers, openBucket, type Store } from "../support/suite.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { only, recordIn, stand, startProcess, tagIn } from "./suite/processes.ts"

const hour = 3_600_000

/** Few renewals, for tests of hours. */
const slow: Election.Timings = { leaseDuration: "1 hour", renewDeadline: "50 minutes", renewInterval: "20 minutes" }

describe("Election in memory: upkeep", () => {
  const vacate = (store: Store, election = only) => store.put(keyOf(election), encode(recordOf({ vacant: true })))

  /** A process that leads another election. */
  const start = Effect.fnUntraced(function*(store: Store, options: Election.Options = { removeVacantAfter: "1 hour" }) {
    const process = yield* startProcess(store, { timings: slow, ...options })
    yield* stand(process, finish, "busy", { election: "busy" })
    yield* settled
    process.link.calls.length = 0
    return process
  })

  test("a vacant record is removed when it is a day old", () =>
    Effect.gen(function*() {
      const log = logged()
      const store = yield* openBucket()
      yield* vacate(store)
      yield* Effect.provide(start(store, {}), log.layer)
      yield* TestClock.adjust("24 hours")
      assert.strictEqual(yield* tagIn(store), "Vacant")
      yield* TestClock.adjust("90 minutes")
      assert.strictEqual(yield* tagIn(store), "Absent")
      assert.include(log.lines, "Info removed the records of 1 elections without a leader for 1d")
    }))

  test("removes term, then the record, then the request to resign, each as it was read", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* vacate(store)
      yield* store.put(`term.${only}`, bytes("1"))
      yield* store.put(`stepdown.${only}`, bytes("1"))
      const { link } = yield* start(store)
      yield* TestClock.adjust(1.2 * hour)
      const calls = link.calls.map(({ key, operation }) => `${operation} ${key.replace(`.${only}`, "")}`)
        .filter((call) => !call.includes("busy"))
      assert.deepStrictEqual(calls, [
        "get term",
        "get election",
        "delete term",
        "delete election",
        "get stepdown",
        "delete stepdown"
      ])
      assert.deepStrictEqual(yield* store.keys(), [keyOf("busy")])
    }))

  const kept: ReadonlyArray<readonly [what: string, fault: (store: Store) => Fault]> = [
    [
      "is written again before it is read",
      (store) => (call, run) =>
        call.operation === "get" && call.key === `term.${only}` ? after(vacate(store))(call, run) : run
    ],
    [
      "is written again after it was read",
      (store) => (call, run) => call.operation === "delete" ? after(vacate(store))(call, run) : run
    ],
    [
      "has a new term before it is removed",
      (store) => (call, run) =>
        call.key === `term.${only}` && call.operation === "delete"
          ? after(store.put(`term.${only}`, bytes("2")))(call, run)
          : run
    ]
  ]
  for (const [what, fault] of kept) {
    test(`a vacant record is kept if it ${what}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        yield* vacate(store)
        yield* store.put(`term.${only}`, bytes("1"))
        const { link } = yield* start(store)
        yield* TestClock.adjust(hour - 1)
        yield* link.set(fault(store))
        yield* TestClock.adjust(hour / 2)
        assert.isAbove(countOf(link, "get"), 0)
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }))
  }

  test("a vacant record is kept while a candidate of the service campaigns", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* vacate(store)
      const process = yield* start(store)
      const one = yield* stand(process, finish, "one", { healthCheck: Effect.succeed(false), timings: slow })
      yield* TestClock.adjust(5 * hour)
      assert.strictEqual(yield* tagIn(store), "Vacant")
      yield* one.interrupt
      yield* TestClock.adjust(hour / 10)
      assert.strictEqual(yield* tagIn(store), "Absent")
    }))

  test("a vacant record is kept if a candidate of the service begins while the record is read", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* vacate(store)
      const process = yield* start(store)
      const options = { healthCheck: Effect.succeed(false), timings: slow }
      let began = false
      yield* TestClock.adjust(hour - 1)
      const scope = yield* Effect.scope
      yield* process.link.set((call, run) => {
        if (call.key !== `term.${only}` || began) return run
        began = true
        const begin = process.election.campaign(only, { ...options, candidateId: "one" })
        return Effect.andThen(Effect.andThen(Effect.forkIn(Effect.scoped(begin), scope), Effect.sleep(1)), run)
      })
      yield* TestClock.adjust(hour)
      assert.isTrue(began)
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("records are removed by a service whose candidates have ended, and by none that had no candidate", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store, { removeVacantAfter: "1 hour" })
      const former = yield* startProcess(store, { removeVacantAfter: "2 hours" })
      const one = yield* stand(former, finish, "one")
      yield* settled
      yield* one.close
      yield* TestClock.adjust(1.9 * hour)
      assert.deepStrictEqual(observer.link.calls, [])
      assert.strictEqual(yield* tagIn(store), "Vacant")
      yield* TestClock.adjust(hour / 2)
      assert.strictEqual(yield* tagIn(store), "Absent")
    }))

  test("the processes of a fleet remove each record once, with few requests", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(numbers(50), (index) => vacate(store, `job/${index}`))
      const all = yield* Effect.forEach(numbers(4), () => start(store))
      for (const { link } of all) link.calls.length = 0
      yield* TestClock.adjust(1.2 * hour)
      assert.deepStrictEqual(yield* store.keys(), [keyOf("busy")])
      const sum = (operation: "get" | "delete") =>
        all.map(({ link }) =>
          link.calls.filter((call) => call.operation === operation && call.key.includes("job")).length
        ).reduce((a, b) => a + b)
      assert.isAtMost(sum("delete"), 55)
      assert.isAtMost(sum("get"), 165)
    }))

  test("a candidate of some elections tries once to remove the records of others, and removes its own", () =>
    Effect.gen(function*() {
      const log = logged()
      const store = yield* openBucket()
      for (const election of ["a", "b", "mine", "z"]) yield* vacate(store, election)
      const { link } = yield* Effect.provide(start(store), log.layer)
      yield* link.set((call, run) => call.key === keyOf("mine") ? run : on("delete", denied)(call, run))
      yield* TestClock.adjust(2 * hour)
      assert.deepStrictEqual(["a", "b", "busy", "z"].map(keyOf), (yield* store.keys()).toSorted())
      assert.strictEqual(countOf(link, "delete"), 4)
      assert.deepStrictEqual(log.troubles().filter((line) => !line.startsWith("Debug")), [])
      // A record that was written again is tried again.
      yield* vacate(store, "a")
      yield* TestClock.adjust(1.2 * hour)
      assert.strictEqual(countOf(link, "delete"), 5)
    }))

  test("a removal that fails is logged, and the next run tries again", () =>
    Effect.gen(function*() {
      const log = logged()
      const store = yield* openBucket()
      yield* vacate(store)
      const { link } = yield* Effect.provide(start(store), log.layer)
      yield* link.set(on("delete", away))
      yield* TestClock.adjust(1.1 * hour)
      assert.match(
        log.troubles().join("\n"),
        /Warn the records of elections without a leader could not be removed: the store cannot be reached/
      )
      assert.strictEqual(yield* tagIn(store), "Vacant")
      yield* link.set(on("delete", answerLost))
      yield* TestClock.adjust(hour / 10)
      assert.strictEqual(yield* tagIn(store), "Absent")
    }))

  test("a candidate of another process wins at once after the removal, with a higher token", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* vacate(store)
      const before = (yield* store.status).lastRevision
      yield* start(store)
      yield* TestClock.adjust(1.2 * hour)
      assert.strictEqual(yield* tagIn(store), "Absent")
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* settled
      assert.strictEqual(one.leadership().term, 1)
      assert.isAbove(one.leadership().token.revision, before)
    }))

  test("an election is not forgotten before the lease of a leader whose record was purged has ended", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const leader = yield* stand(yield* startProcess(store, { timings: slow }), finish, "one")
      yield* settled
      const process = yield* start(store)
      yield* leader.process.link.set(silent)
      yield* store.purge(keyOf(only))
      yield* settled
      // Several runs.
      yield* TestClock.adjust(hour / 2)
      const two = yield* stand(process, finish, "two")
      yield* TestClock.adjust(hour / 2 - 1)
      assert.isFalse(yield* two.hasWon)
      yield* TestClock.adjust(1)
      yield* settled
      assert.isTrue(yield* two.isValid)
      assert.strictEqual(two.leadership().term, 2)
    }))

  test("observations of absent keys are forgotten when no leader can be valid, unless they are in use", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put(keyOf("held"), encode(recordOf({ leaseMillis: 90_000 })))
      yield* store.put(keyOf("broken"), bytes("{}"))
      yield* vacate(store, "vacant")
      yield* vacate(store, "used")
      const observations = new Observations(store, yield* Clock.Clock)
      yield* observations.follow
      yield* settled
      const forgotten = () => [...observations.forget((election) => election === "used")].toSorted()
      assert.deepStrictEqual(forgotten(), [])
      for (const election of ["held", "broken", "vacant", "used"]) yield* store.purge(keyOf(election))
      yield* settled
      assert.deepStrictEqual(forgotten(), ["vacant"])
      yield* TestClock.adjust(89_999)
      assert.deepStrictEqual(forgotten(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(forgotten(), ["held"])
      yield* TestClock.adjust(hour)
      assert.deepStrictEqual(forgotten(), ["broken"])
      assert.deepStrictEqual([...observations.forget(() => false)], ["used"])
      assert.deepStrictEqual([...observations.forget(() => false)], [])
    }))

  test("the metrics of a forgotten election are removed, and begin again with its next campaign", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* start(store)
      const series = Effect.map(
        Metric.snapshot,
        (all) =>
          all.filter(({ attributes }) => attributes?.election === only).map(({ id }) => id.replace("effect_aegis_", ""))
      )
      const first = yield* stand(process, finish, "one")
      yield* TestClock.adjust(1000)
      yield* first.close
      assert.isAbove((yield* series).length, 5)
      yield* TestClock.adjust(hour / 2)
      assert.isAbove((yield* series).length, 5)
      yield* TestClock.adjust(hour)
      assert.strictEqual(yield* tagIn(store), "Absent")
      assert.deepStrictEqual(yield* series, [])
      yield* stand(process, finish, "one")
      yield* settled
      assert.include(yield* series, "election_terms_total")
      assert.strictEqual((yield* recordIn(store)).term, 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
