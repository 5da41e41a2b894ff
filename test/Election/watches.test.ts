/** Watches that end, fail, or stop delivering; and work that stops too slowly. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { keyOf } from "../../src/internal/election/record.ts"

import { away, countOf, on, silent } from "../support/links.ts"
import { openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline } from "./suite/fixture.ts"
import { finish, sample, settled, test, two, until } from "./suite/inMemory.ts"
import { employ, only, stand, startProcess, told } from "./suite/processes.ts"

describe("Election in memory: watches", () => {
  test("a watch that is lost and reopened does not restart the wait of a challenger", () =>
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
      yield* TestClock.adjust(leaseDuration)
      // The pauses between watches have fractions of a millisecond.
      assert.isTrue(
        other.seen.wonAt! >= 900 + leaseDuration && other.seen.wonAt! < 901 + leaseDuration,
        `${other.seen.wonAt}`
      )
    }))

  test("a watch that cannot be opened is retried with backoff, and then delivers", () =>
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
    test(`a standby whose watch delivers nothing replaces a leader ${what}`, () =>
      Effect.gen(function*() {
        const { link, one, two: other } = yield* two()
        yield* other.process.link.set(on("watch", silent))
        yield* other.process.link.loseWatches
        yield* TestClock.adjust(10 * leaseDuration)
        assert.isFalse(yield* other.hasWon)
        const { sentAt } = link.landed.at(-1)!
        if (isCrash) yield* link.set(silent)
        else yield* one.close
        yield* sample([one, other], Math.ceil(1.2 * leaseDuration) + (isCrash ? leaseDuration : 0) + 500)
        assert.isTrue(yield* other.isValid)
        if (isCrash) assert.isAtLeast(other.seen.wonAt!, sentAt + leaseDuration)
      }))
  }

  test("a watch that ends slowly does not disturb the next watch", () =>
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

  test("a challenger waits for the lease of a record that was removed while the watch was lost", () =>
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
      // The snapshot of the next watch does not contain the record.
      yield* TestClock.adjust(600)
      assert.deepStrictEqual(changes.events, ["one in term 1", "no leader"])
      assert.isFalse(yield* other.hasWon)
      yield* TestClock.adjust(leaseDuration)
      // From the first observation without the record, after its removal at 1000.
      assert.isTrue(
        other.seen.wonAt! > 1000 + leaseDuration && other.seen.wonAt! < 1700 + leaseDuration,
        `${other.seen.wonAt}`
      )
    }))
})

describe("Election in memory: overruns", () => {
  /** Runs work that takes `millis` to stop, and disconnects its leader or interrupts it. */
  const stopping = Effect.fnUntraced(function*(
    millis: number,
    how: "disconnected" | "interrupted",
    options?: Election.CandidateOptions
  ) {
    const errors: Array<unknown> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Error") errors.push(message)
    })
    const count = Effect.map(
      Metric.snapshot,
      (all) => all.filter(({ id }) => id === "effect_aegis_election_overruns_total")
    )
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
        }), options)
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      yield* TestClock.adjust(1000)
      if (how === "disconnected") yield* process.link.set(silent)
      const ending = yield* Effect.forkChild(how === "interrupted" ? Fiber.interrupt(job.fiber) : Effect.void)
      yield* TestClock.adjust(900 + leaseDuration - 1001)
      const before = errors.length
      yield* TestClock.adjust(1 + 2 * leaseDuration)
      yield* finish(Fiber.join(ending))
      const counted = (yield* count).map(({ state }) => ("count" in state ? Number(state.count) : -1))
      return { before, errors, counted, log, other }
    }).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  test("work that is still stopping when its lease ends is logged as an error, and counted", () =>
    Effect.gen(function*() {
      const { before, counted, errors, log, other } = yield* stopping(
        leaseDuration - renewDeadline + 50,
        "disconnected"
      )
      assert.strictEqual(before, 0)
      assert.strictEqual(errors.length, 1)
      assert.include(String(errors[0]), `the work of "${only}" still runs after its lease has ended`)
      assert.deepStrictEqual(counted, [1])
      assert.deepStrictEqual(log, ["stopped"])
      assert.isTrue(yield* other.hasWon)
    }))

  test("work that stops within leaseDuration - renewDeadline is not an overrun", () =>
    Effect.gen(function*() {
      const { counted, errors, log } = yield* stopping(leaseDuration - renewDeadline - 1, "disconnected")
      assert.deepStrictEqual(errors, [])
      assert.deepStrictEqual(counted.filter((count) => count !== 0), [])
      assert.deepStrictEqual(log, ["stopped"])
    }))

  test("work that stops slowly while its leader renews is not an overrun", () =>
    Effect.gen(function*() {
      const { counted, errors, log } = yield* stopping(2 * leaseDuration, "interrupted", {
        stopTimeout: 3 * leaseDuration
      })
      assert.deepStrictEqual(errors, [])
      assert.deepStrictEqual(counted.filter((count) => count !== 0), [])
      assert.deepStrictEqual(log, ["stopped"])
    }))
})
