/** Leaders that are disconnected from the store, and their successors. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Order from "effect/Order"
import * as FencingToken from "../../../src/FencingToken.ts"

import { away, countOf, silent } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { isTrue, leaseDuration, renewDeadline, takeover, type Tools } from "./fixture.ts"
import { believers, recordIn, stand, startProcess } from "./processes.ts"

export const crashing = ({ finish, test, until }: Tools) => {
  const faults = [["cannot reach the store", away], ["gets no answers from the store", silent]] as const
  for (const [how, fault] of faults) {
    test(`a leader that ${how} loses leadership before its lease ends, and the next leader wins after that`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two")
        const { landed, set } = one.process.link
        yield* until(Effect.sync(() => landed.length), (count) => count > 2)
        yield* set(fault)
        yield* until(Effect.tap(two.hasWon, () => believers([one, two])), isTrue)
        const { sentAt } = landed.at(-1)!
        assert.strictEqual(one.seen.reason, "expired")
        // The leader takes the time just before the link does, and its wall clock has a resolution of 1 ms.
        assert.isAtLeast(one.seen.lostAt! - sentAt, renewDeadline - 3)
        assert.isBelow(one.seen.lostAt! - sentAt, leaseDuration)
        assert.isAtLeast(two.seen.wonAt! - sentAt, leaseDuration)
        assert.isAtMost(two.seen.wonAt! - sentAt, leaseDuration + takeover)
        assert.strictEqual(two.leadership().term, 2)
        assert.isTrue(Order.isLessThan(FencingToken.Order)(one.leadership().token, two.leadership().token))
      }))
  }

  test("a leader that reconnects after its deadline is not valid, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* one.process.link.set(silent)
      yield* until(two.hasWon, isTrue)
      yield* one.process.link.set(undefined)
      const writes = countOf(one.process.link, "put")
      const { landed } = two.process.link
      yield* until(Effect.map(believers([one, two]), () => landed.length), (count) => count > 4)
      assert.strictEqual(countOf(one.process.link, "put"), writes)
      assert.isFalse(yield* one.isValid)
      assert.isTrue(yield* two.isValid)
    }))

  test("a restarted process with the same candidateId waits for the lease of its former record", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(silent)
      const again = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(Effect.tap(again.hasWon, () => believers([one, again])), isTrue)
      const { sentAt } = one.process.link.landed.at(-1)!
      assert.isAtLeast(again.seen.wonAt! - sentAt, leaseDuration)
      assert.strictEqual(again.leadership().term, 2)
    }))

  test("a leader stays valid after a short outage", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      const { calls, landed, set } = one.process.link
      yield* set(away)
      const before = calls.length
      yield* until(Effect.sync(() => calls.length), (count) => count > before)
      yield* set(undefined)
      const outage = landed.length
      yield* until(Effect.map(believers([one, two]), () => landed.length), (count) => count > outage + 3)
      assert.isTrue(yield* one.isValid)
      assert.isFalse(yield* two.hasWon)
      assert.strictEqual((yield* recordIn(store)).term, 1)
    }))
}
