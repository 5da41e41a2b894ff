/** Proclamations: new metadata of a leader. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"

import { answeredAsConflict, away, conflict, countOf, on, times, tooLarge, unanswered } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { sentIn } from "./faults.ts"
import { isTrue, last, type Tools } from "./fixture.ts"
import { only, reasonOf, recordIn, shown, stand, startProcess, told, usurp } from "./processes.ts"

export const proclaiming = ({ finish, test, until }: Tools) => {
  test("leader returns and observe emits proclaimed metadata, in the same term", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one", { metadata: { port: 1 } })
      yield* until(one.hasWon, isTrue)
      const changes = yield* told(observer)
      yield* until(changes.all, last("one in term 1 {\"port\":1}"))
      yield* finish(one.leadership().proclaim({ port: 2 }))
      assert.strictEqual(shown(yield* observer.election.leader(only)), "one in term 1 {\"port\":2}")
      yield* until(changes.all, last("one in term 1 {\"port\":2}"))
      // Renewals keep the metadata, and the token stays the same.
      const { landed } = one.process.link
      const before = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > before + 2)
      const leader = Option.getOrThrow(yield* observer.election.leader(only))
      assert.deepStrictEqual(leader.metadata, { port: 2 })
      assert.deepStrictEqual({ ...leader.token }, { ...one.leadership().token })
      assert.deepStrictEqual(changes.events, ["one in term 1 {\"port\":1}", "one in term 1 {\"port\":2}"])
      assert.isTrue(yield* one.isValid)
    }))

  test("a proclamation succeeds after conflicts without a concurrent write, and after one for its own write", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(times(2, "put", conflict))
      yield* finish(one.leadership().proclaim({ port: 1 }))
      assert.strictEqual(shown(yield* observer.election.leader(only)), "one in term 1 {\"port\":1}")
      yield* one.process.link.set(times(1, "put", answeredAsConflict))
      yield* finish(one.leadership().proclaim({ port: 2 }))
      assert.strictEqual(shown(yield* observer.election.leader(only)), "one in term 1 {\"port\":2}")
      assert.isTrue(yield* one.isValid)
    }))

  test("a proclamation after the loss fails with the reason of the loss", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* usurp(store)
      // The leader notices the loss by this write.
      const { reason } = yield* finish(reasonOf(one.leadership().proclaim({ port: 1 }), "LeadershipLost"))
      assert.strictEqual(reason, "superseded")
      assert.isFalse(yield* one.isValid)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      yield* finish(two.leadership().resign)
      const error = yield* Effect.flip(two.leadership().proclaim({ port: 1 }))
      assert.deepStrictEqual([error.operation, error.election, error.isRetryable], ["proclaim", only, false])
      assert.include(error.message, "resigned")
      assert.deepStrictEqual((yield* recordIn(store)).metadata, {})
    }))

  test("a leader stays valid after an interrupted proclamation", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const { landed, set } = one.process.link
      yield* set(on("put", unanswered))
      const proclamation = yield* Effect.forkChild(one.leadership().proclaim({ port: 1 }))
      yield* until(Effect.map(recordIn(store), ({ metadata }) => "port" in metadata), isTrue)
      yield* finish(Fiber.interrupt(proclamation))
      yield* set(undefined)
      const before = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > before + 1)
      assert.isTrue(yield* one.isValid)
      assert.deepStrictEqual((yield* recordIn(store)).metadata, { port: 1 })
    }))

  test("a proclamation during an outage fails, can be repeated, and leadership stays valid", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(away)
      const error = yield* Effect.flip(one.leadership().proclaim({ port: 1 }))
      assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["KVStoreError", true])
      yield* one.process.link.set(undefined)
      yield* finish(one.leadership().proclaim({ port: 2 }))
      assert.deepStrictEqual((yield* recordIn(store)).metadata, { port: 2 })
      assert.isTrue(yield* one.isValid)
    }))

  test("a proclamation of invalid metadata is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      const before = countOf(process.link, "put")
      yield* reasonOf(one.leadership().proclaim({ when: new Date(0) as never }), "InvalidValue")
      assert.strictEqual(countOf(process.link, "put"), before)
    }))

  test("a proclamation that exceeds maxValueSize is refused, nothing is sent, and leadership stays valid", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxValueSize: 1000 })
      const one = yield* stand(yield* startProcess(store), finish, "one", { metadata: { port: 1 } })
      yield* until(one.hasWon, isTrue)
      const { calls, landed } = one.process.link
      const before = countOf(one.process.link, "put")
      const { limit, size } = yield* reasonOf(one.leadership().proclaim({ text: "x".repeat(800) }), "ValueTooLarge")
      assert.strictEqual(limit, 1000)
      assert.isAbove(size, 1000)
      assert.strictEqual(countOf(one.process.link, "put"), before)
      const renewed = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > renewed + 6)
      assert.strictEqual(countOf(one.process.link, "put"), calls.filter((call) => landed.includes(call)).length)
      assert.isTrue(yield* one.isValid)
      assert.deepStrictEqual((yield* recordIn(store)).metadata, { port: 1 })
    }))

  test("a proclamation that the server refuses is not written by later renewals, and leadership stays valid", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one", { metadata: { port: 1 } })
      yield* until(one.hasWon, isTrue)
      // Only the server knows this limit.
      const { landed, set } = one.process.link
      yield* set((call, run) => {
        const sent = sentIn(call)
        return sent?._tag === "Held" && "text" in sent.record.metadata ? tooLarge(call, run) : run
      })
      const error = yield* Effect.flip(one.leadership().proclaim({ text: "x" }))
      assert.strictEqual(error.isRetryable, false)
      const renewed = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > renewed + 6)
      assert.isTrue(yield* one.isValid)
      assert.deepStrictEqual((yield* recordIn(store)).metadata, { port: 1 })
    }))
}
