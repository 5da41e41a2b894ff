/** Writes that landed without an answer, or with a wrong answer. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { keyOf } from "../../../src/internal/election/record.ts"

import { answeredAsConflict, answerLost, conflict, countOf, on, times, unanswered } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { sentIn } from "./faults.ts"
import { isTrue, leaseDuration, now, type Tools } from "./fixture.ts"
import { believers, only, recordIn, stand, startProcess } from "./processes.ts"

export const answersLost = ({ finish, test, until }: Tools) => {
  const faults = [
    ["gets an unknown outcome as its answer", answerLost],
    ["gets no answer", unanswered],
    ["gets a conflict as its answer", answeredAsConflict]
  ] as const

  for (const [how, fault] of faults) {
    test(`a first write that lands and ${how} wins, and is not repeated`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        yield* process.link.set(times(1, "put", fault))
        const one = yield* stand(process, finish, "one")
        yield* until(one.hasWon, isTrue)
        assert.isTrue(yield* one.isValid)
        assert.strictEqual(one.leadership().term, 1)
        const first = process.link.calls.find(({ operation }) => operation === "put")
        assert.deepStrictEqual(first!.options, { createOnly: true })
        // The first attempt was found, and no second attempt was sent.
        assert.strictEqual((yield* store.status).lastRevision, one.leadership().token.revision)
      }))

    test(`a write over a vacant record that lands and ${how} wins, and is not repeated`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const before = yield* stand(yield* startProcess(store), finish, "before")
        yield* until(before.hasWon, isTrue)
        yield* before.close
        const process = yield* startProcess(store)
        yield* process.link.set(times(1, "put", fault))
        const one = yield* stand(process, finish, "one")
        yield* until(one.hasWon, isTrue)
        assert.isTrue(yield* one.isValid)
        assert.strictEqual(one.leadership().term, 2)
        assert.strictEqual((yield* store.status).lastRevision, one.leadership().token.revision)
      }))

    test(`a leader stays valid if every renewal lands and ${how}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two")
        const began = yield* now
        yield* one.process.link.set(on("put", fault))
        yield* until(Effect.andThen(believers([one, two]), now), (time) => time - began > 2 * leaseDuration)
        assert.isTrue(yield* one.isValid)
        assert.isUndefined(yield* one.whyLost)
        assert.isFalse(yield* two.hasWon)
        assert.strictEqual((yield* recordIn(store)).term, 1)
      }))
  }

  test("a leader stays valid if its reads after conflicts return an old record", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const { landed, set } = one.process.link
      const old = yield* store.get(keyOf(only))
      const before = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > before + 1)
      const conflicts = times(2, "put", conflict)
      yield* set((call, run) => call.operation === "get" ? Effect.succeed(old as never) : conflicts(call, run))
      const since = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > since + 1)
      assert.isTrue(yield* one.isValid)
    }))

  test("a leader stays valid after a conflict without a concurrent write", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const { landed, set } = one.process.link
      yield* set(times(1, "put", conflict))
      yield* until(Effect.sync(() => landed.length), (count) => count > 3)
      assert.isTrue(yield* one.isValid)
    }))

  test("a candidate tries again to win if the store reports a conflict although no other client has written", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(times(3, "put", conflict))
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      assert.strictEqual(countOf(process.link, "put"), 4)
    }))

  test("every attempt has a new number, also a retry, a proclamation and a hand-over", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const { calls, landed, set } = process.link
      yield* set(times(1, "put", conflict))
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* set(times(1, "put", answerLost))
      yield* until(Effect.sync(() => landed.length), (count) => count > 2)
      yield* finish(one.leadership().proclaim({ zone: "a" }))
      yield* set(times(1, "put", conflict))
      yield* one.close
      const sent = calls.flatMap((call) => {
        const seen = sentIn(call)
        return seen !== undefined && "record" in seen ? [seen.record] : []
      })
      assert.isAbove(sent.length, 6)
      assert.deepStrictEqual(sent.map(({ attempt }) => attempt), sent.map((_, index) => index + 1))
      assert.strictEqual(new Set(sent.map(({ nonce }) => nonce)).size, 1)
      assert.isTrue(sent.at(-1)!.vacant)
    }))
}
