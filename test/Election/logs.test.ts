/** What candidates and leaders log: each line once, with its election, candidate and reason. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { away } from "../support/links.ts"
import { logged, openBucket } from "../support/suite.ts"
import { leaseDuration, timings } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { stand, startProcess, usurp } from "./suite/processes.ts"

describe("Election in memory: log", () => {
  test("a leader logs its campaign, its election and its hand-over", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const one = yield* stand(yield* startProcess(yield* openBucket()), finish, "one")
        yield* settled
        yield* one.close
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines, [
        "Info campaigning for \"orders\"",
        "Info elected leader of \"orders\" in term 1",
        "Info handed over the leadership of \"orders\""
      ])
      for (const subject of log.subjects) {
        assert.deepStrictEqual(subject, { module: "Election", election: "orders", candidateId: "one" })
      }
    }))

  test("a leader that loses its leadership logs each reason once", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { link, one, store } = yield* two()
        yield* usurp(store)
        yield* TestClock.adjust(leaseDuration)
        assert.strictEqual(yield* one.whyLost, "superseded")
        const other = yield* two()
        yield* other.link.set(away)
        yield* TestClock.adjust(leaseDuration)
        assert.strictEqual(yield* other.one.whyLost, "expired")
        yield* link.set(undefined)
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.troubles(), [
        "Warn lost the leadership of \"orders\" in term 1: another candidate has written the record",
        "Warn a renewal of \"orders\" failed and is retried: the store cannot be reached (disconnected)",
        "Warn lost the leadership of \"orders\" in term 1: no renewal was stored within renewDeadline"
      ])
    }))

  test("a leader that renews again before its deadline logs that it kept its leadership", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { link, one } = yield* two()
        yield* link.set(away)
        yield* TestClock.adjust(leaseDuration / 4)
        yield* link.set(undefined)
        yield* TestClock.adjust(leaseDuration)
        assert.isUndefined(yield* one.whyLost)
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines.filter((line) => !line.includes("campaigning")).slice(-2), [
        "Warn a renewal of \"orders\" failed and is retried: the store cannot be reached (disconnected)",
        "Info kept the leadership of \"orders\": renewals are stored again"
      ])
    }))

  test("a candidate logs once that the leader has a longer lease than its own", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const store = yield* openBucket()
        const long = { ...timings, leaseDuration: 30_000 }
        yield* stand(yield* startProcess(store, { timings: long }), finish, "one", { timings: long })
        yield* settled
        yield* stand(yield* startProcess(store), finish, "two")
        yield* TestClock.adjust("20 seconds")
      }).pipe(Effect.provide(log.layer))
      const lines = log.troubles()
      assert.strictEqual(lines.length, 1, lines.join("\n"))
      assert.match(lines[0]!, /the leader of "orders", "one", has a lease of 30s, .*own leaseDuration of 2s/)
    }))
})
