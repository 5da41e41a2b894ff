/** Leases of more than an hour in the records of other writers. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { encode, keyOf } from "../../src/internal/election/record.ts"

import { recordOf } from "../support/electionRecord.ts"
import { logged, openBucket } from "../support/suite.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { only, shown, stand, startProcess, told } from "./suite/processes.ts"

const hour = 3_600_000
const leaseMillis = 365 * 24 * hour

describe("Election in memory: long leases", () => {
  /** A candidate that has observed a record with a lease of a year, and what it logs. */
  const start = Effect.fnUntraced(function*() {
    const log = logged()
    const store = yield* openBucket()
    yield* store.put(keyOf(only), encode(recordOf({ leaseMillis })))
    const process = yield* startProcess(store)
    const one = yield* Effect.provide(stand(process, finish, "one"), log.layer)
    const observed = yield* told(process)
    yield* settled
    return { log, observed, one, store }
  })

  test("a record with a lease of a year counts for an hour, and this is logged", () =>
    Effect.gen(function*() {
      const { log, observed, one } = yield* start()
      assert.deepStrictEqual(log.troubles(), [
        `Warn the leader of "${only}", "a", has a lease of 365d, which is longer than the own leaseDuration of 2s, and ` +
        "counts as 1h, the longest leaseDuration: if it crashes, this candidate waits for that time"
      ])
      yield* TestClock.adjust(hour - 1)
      assert.isFalse(yield* one.hasWon)
      assert.deepStrictEqual(observed.events, ["a in term 3"])
      yield* TestClock.adjust(1)
      yield* settled
      assert.isTrue(yield* one.hasWon)
      assert.deepStrictEqual(observed.events.slice(-1), ["one in term 4"])
    }))

  test("a record with a lease of a year counts for an hour after its removal, and this is logged", () =>
    Effect.gen(function*() {
      const { log, one, store } = yield* start()
      yield* TestClock.adjust(1000)
      yield* store.purge(keyOf(only))
      yield* settled
      assert.deepStrictEqual(log.troubles().slice(1), [
        `Warn the record of "${only}" was removed, and its leader may still lead: it had a lease of 365d, which is ` +
        "longer than the own leaseDuration of 2s, and counts as 1h, the longest leaseDuration: this candidate waits for " +
        "that time"
      ])
      yield* TestClock.adjust(hour - 1)
      assert.isFalse(yield* one.hasWon)
      yield* TestClock.adjust(1)
      yield* settled
      assert.isTrue(yield* one.hasWon)
    }))

  test("leader returns none an hour after a record with a lease of a year was written", () =>
    Effect.gen(function*() {
      const { one, store } = yield* start()
      yield* one.interrupt
      const { election } = yield* startProcess(store)
      assert.strictEqual(shown(yield* election.leader(only)), "a in term 3")
      yield* TestClock.adjust(hour)
      assert.strictEqual(shown(yield* election.leader(only)), "no leader")
    }))
})
