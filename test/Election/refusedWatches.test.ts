/** Elections of a user that may read and write, but not watch. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"

import { away, countOf, denied, type Link, on, silent } from "../support/links.ts"
import { openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { only, type Process, reasonOf, shown, stand, startProcess, told } from "./suite/processes.ts"

describe("Election in memory: refused watches", () => {
  /** The result of a stream that should have failed. */
  const failureOf = (process: Process) => reasonOf(Stream.runDrain(process.election.observe(only)), "KVStoreError")

  const forbid = (link: Link) => Effect.andThen(link.set(on("watch", denied)), link.loseWatches)

  /** Longer than the pause before a refused watch is tried again. */
  const pause = 6100

  test("observe fails with the refusal of the watch, and works again once the watch is permitted", () =>
    Effect.gen(function*() {
      const { store } = yield* two()
      const process = yield* startProcess(store)
      yield* process.link.set(on("watch", denied))
      const { reason } = yield* finish(failureOf(process))
      assert.strictEqual(reason._tag, "PermissionDenied")
      yield* process.link.set(undefined)
      const observed = yield* told(process)
      yield* settled
      assert.deepStrictEqual(observed.events, ["one in term 1"])
    }))

  test("observe fails when the watch is refused while it is open, also beside a candidate", () =>
    Effect.gen(function*() {
      const { two: { process } } = yield* two()
      const fiber = yield* Effect.forkChild(failureOf(process))
      yield* settled
      assert.isUndefined(fiber.pollUnsafe())
      yield* forbid(process.link)
      yield* TestClock.adjust(400)
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "PermissionDenied")
      // The candidate keeps the refused watch.
      assert.strictEqual((yield* finish(failureOf(process))).reason._tag, "PermissionDenied")
      yield* process.link.set(undefined)
      yield* TestClock.adjust(pause)
      const observed = yield* told(process)
      yield* settled
      assert.deepStrictEqual(observed.events, ["one in term 1"])
    }))

  test("observe does not fail in an outage", () =>
    Effect.gen(function*() {
      const { two: { process } } = yield* two()
      const observed = yield* told(process)
      yield* settled
      yield* process.link.set(on("watch", away))
      yield* process.link.loseWatches
      yield* TestClock.adjust(pause)
      yield* process.link.set(undefined)
      yield* TestClock.adjust(pause)
      assert.deepStrictEqual(observed.events.slice(-1), ["one in term 1"])
    }))

  for (const from of ["the start of the campaign", "a later time"] as const) {
    test(`a candidate whose watch is refused from ${from} on wins within 1.2 renewInterval after a hand-over`, () =>
      Effect.gen(function*() {
        const { one, store, two: other } = yield* two()
        yield* other.interrupt
        const process = yield* startProcess(store)
        const { link } = process
        if (from === "the start of the campaign") yield* link.set(on("watch", denied))
        const seat = yield* stand(process, finish, "three")
        yield* settled
        if (from === "a later time") yield* forbid(link)
        // From a later time on: shortly after the refusal, before its next read as in a permitted watch.
        yield* TestClock.adjust(from === "a later time" ? 2 * renewInterval : 3 * leaseDuration)
        assert.isFalse(yield* seat.hasWon)
        const freeAt = yield* now
        yield* one.close
        yield* TestClock.adjust(1.2 * renewInterval)
        assert.isTrue(yield* seat.hasWon)
        assert.isAtMost(seat.seen.wonAt!, freeAt + 1.2 * renewInterval + 10)
      }))
  }

  test("a candidate whose watch is refused wins a lease and 1.2 renewInterval after a crash, and not before its lease", () =>
    Effect.gen(function*() {
      const { link, store, two: other } = yield* two()
      yield* other.interrupt
      const process = yield* startProcess(store)
      yield* process.link.set(on("watch", denied))
      const seat = yield* stand(process, finish, "three")
      yield* TestClock.adjust(3 * leaseDuration)
      yield* link.set(silent)
      const { sentAt } = link.landed.at(-1)!
      yield* TestClock.adjust(leaseDuration + 1.2 * renewInterval)
      assert.isTrue(yield* seat.isValid)
      assert.isAtLeast(seat.seen.wonAt!, sentAt + leaseDuration)
      assert.strictEqual(shown(yield* process.election.leader(only)), "three in term 2")
    }))

  test("a candidate reads once per lease again when its watch is permitted", () =>
    Effect.gen(function*() {
      const { two: { process: { link } } } = yield* two()
      yield* forbid(link)
      yield* TestClock.adjust(10 * leaseDuration)
      const often = 10 * leaseDuration / renewInterval
      assert.isAbove(countOf(link, "get"), often / 1.3)
      assert.isBelow(countOf(link, "get"), often * 1.3)
      yield* link.set(undefined)
      yield* TestClock.adjust(pause)
      link.calls.length = 0
      yield* TestClock.adjust(10 * leaseDuration)
      assert.isAtMost(countOf(link, "get"), 13)
    }))

  test("candidates whose watch is refused elect one leader", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("watch", denied))
      const one = yield* stand(process, finish, "one")
      yield* settled
      assert.isTrue(yield* one.isValid)
      yield* TestClock.adjust(5 * leaseDuration)
      assert.isTrue(yield* one.isValid)
    }))
})
