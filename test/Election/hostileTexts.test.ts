/** Texts that other writers have stored do not break the lines of the log. */
import { assert, describe } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { encode, keyOf, stepDownKeyOf } from "../../src/internal/election/record.ts"
import { encode as encodeRequest } from "../../src/internal/election/stepDownRequests.ts"
import { bytes } from "../../tools/values.ts"
import { recordOf } from "../support/electionRecord.ts"
import { logged, openBucket } from "../support/suite.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { only, reasonOf, recordIn, stand, startProcess } from "./suite/processes.ts"

const hostile = `\u001b[31m\n[12:00] ERROR ${"x".repeat(500_000)}`

/** What a line may contain of it. */
const shown = `"\\u{1b}[31m\\u{a}[12:00] ERROR ${"x".repeat(200 - 20)}..."`

const isClean = (line: string): boolean => !/\p{Cc}/u.test(line) && line.length < 1000

/** A process that has a candidate or an operator, and its log. */
const start = Effect.gen(function*() {
  const log = logged()
  const store = yield* openBucket()
  const process = yield* Effect.provide(startProcess(store), log.layer)
  return { log, process, store }
})

describe("Election in memory: texts of other writers", () => {
  test("the name in a request to step down is quoted and cut in the log", () =>
    Effect.gen(function*() {
      const { log, process, store } = yield* start
      const one = yield* Effect.provide(stand(process, finish, "one"), log.layer)
      yield* settled
      const { nonce } = yield* recordIn(store)
      const request = encodeRequest({ nonce, requestedAt: DateTime.makeUnsafe(0), by: hostile })
      yield* store.put(stepDownKeyOf(only), request)
      yield* settled
      assert.strictEqual(yield* one.whyLost, "resigned")
      assert.include(log.lines, `Info stepping down as the leader of "${only}": ${shown} has asked for it`)
    }))

  test("the name of a leader whose election is freed is quoted and cut, in the log and in the error before", () =>
    Effect.gen(function*() {
      const { log, process: { election }, store } = yield* start
      yield* store.put(keyOf(only), encode(recordOf({ candidateId: hostile, leaseMillis: 2000 })))
      const asked = yield* Effect.forkChild(
        reasonOf(election.stepDown(only, { timeout: "1 second" }), "StepDownTimeout")
      )
      yield* TestClock.adjust("1 second")
      const { candidateId, message } = yield* Fiber.join(asked)
      assert.strictEqual(candidateId, hostile)
      assert.isTrue(message.startsWith(`${shown} has not handed over`))
      const again = yield* Effect.provide(Effect.forkChild(election.stepDown(only)), log.layer)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* Fiber.join(again))
      assert.isTrue(log.troubles().some((line) => line.includes(`its leader ${shown} has not renewed`)))
      assert.isTrue(log.lines.every(isClean))
    }))

  test("the name of a leader with a long lease is quoted and cut in the log", () =>
    Effect.gen(function*() {
      const { log, process, store } = yield* start
      yield* store.put(keyOf(only), encode(recordOf({ candidateId: hostile, leaseMillis: 30_000 })))
      yield* Effect.provide(stand(process, finish, "one"), log.layer)
      yield* settled
      assert.isTrue(log.troubles().some((line) => line.includes(`${shown}, has a lease of 30s`)))
      assert.isTrue(log.lines.every(isClean))
    }))

  for (const text of [hostile, `{"a": ${hostile}}`, JSON.stringify({ [hostile]: 1 })]) {
    test(`a record that does not decode, ${JSON.stringify(text.slice(0, 8))}, is logged in one line`, () =>
      Effect.gen(function*() {
        const { log, process, store } = yield* start
        yield* store.put(keyOf(only), bytes(text))
        yield* Effect.provide(stand(process, finish, "one"), log.layer)
        yield* settled
        assert.strictEqual(log.troubles().length, 1)
        assert.isTrue(log.lines.every(isClean), log.lines.join("\n").slice(0, 300))
      }))
  }
})
