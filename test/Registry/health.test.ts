/** Health checks of registered instances, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { afterCheck, type Health, healthy } from "../../src/internal/registry/health.ts"
import { away } from "../support/links.ts"
import { logged } from "../support/suite.ts"
import { defaults, test } from "./suite/inMemory.ts"
import { named, world } from "./suite/processes.ts"

describe("the health after a check", () => {
  const unwell = (failures: number, before?: string): Health => ({ failures, before })
  const rows: ReadonlyArray<readonly [what: string, last: Health, isOk: boolean, expected: Health]> = [
    ["stays well after a success", healthy, true, healthy],
    ["counts a failure", healthy, false, unwell(1)],
    ["forgets failures after a success", unwell(2), true, healthy],
    ["is over with the third failure in a row, and keeps the status before", unwell(2), false, unwell(3, "ACTIVE")],
    ["keeps the first status before through further failures", unwell(3, "STANDBY"), false, unwell(4, "STANDBY")],
    ["is well again after one success", unwell(7, "STANDBY"), true, healthy]
  ]
  for (const [what, last, isOk, expected] of rows) {
    it(what, () => assert.deepStrictEqual(afterCheck(last, isOk, "ACTIVE", 3), expected))
  }
})

describe("an instance with a health check", () => {
  /** An instance, the answer of its check, and its status as others see it. */
  const checked = Effect.fnUntraced(function*(healthFailures?: number) {
    const [, owner, other] = yield* world(defaults)
    const answers = { next: Effect.succeed(true), count: 0 }
    const healthCheck = Effect.suspend(() => {
      answers.count++
      return answers.next
    })
    const registration = yield* owner.enter(named("orders", "one"), { healthCheck, healthFailures })
    const status = Effect.map(other.registry.list("orders"), ([one]) => one?.status)
    return { owner, registration, answers, status }
  })

  test("is UNHEALTHY after three failures in a row, and ACTIVE after a success", () =>
    Effect.gen(function*() {
      const { answers, status } = yield* checked()
      answers.next = Effect.succeed(false)
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(yield* status, "ACTIVE")
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* status, "UNHEALTHY")
      answers.next = Effect.succeed(true)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* status, "ACTIVE")
      assert.isAtMost(answers.count, 7)
    }))

  test("stays ACTIVE while its failures are not in a row", () =>
    Effect.gen(function*() {
      const { answers, status } = yield* checked()
      let isOk = false
      answers.next = Effect.sync(() => {
        isOk = !isOk
        return isOk
      })
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* status, "ACTIVE")
    }))

  for (
    const [what, answer] of [
      ["hangs", Effect.never],
      ["fails", Effect.fail("no") as never],
      ["dies", Effect.die("no")],
      ["returns no boolean", Effect.succeed("yes" as never)],
      ["cannot be interrupted", Effect.uninterruptible(Effect.never)]
    ] as const
  ) {
    test(`is UNHEALTHY if the check ${what}, and sends heartbeats`, () =>
      Effect.gen(function*() {
        const { answers, status } = yield* checked(1)
        answers.next = answer
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* status, "UNHEALTHY")
      }))
  }

  test("returns to the status that it had, or keeps one that was set meanwhile", () =>
    Effect.gen(function*() {
      const { answers, registration, status } = yield* checked(1)
      yield* registration.update((current) => ({ ...current, status: "STANDBY" }))
      answers.next = Effect.succeed(false)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* status, "UNHEALTHY")
      answers.next = Effect.succeed(true)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* status, "STANDBY")
      answers.next = Effect.succeed(false)
      yield* TestClock.adjust("11 seconds")
      yield* registration.update((current) => ({ ...current, status: "STARTING" }))
      answers.next = Effect.succeed(true)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* status, "STARTING")
    }))

  test("becomes UNHEALTHY after an outage in which its checks failed, and logs each change once", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { answers, owner, status } = yield* checked()
        answers.next = Effect.succeed(false)
        yield* owner.link.set(away)
        yield* TestClock.adjust("1 minute")
        yield* owner.link.set(undefined)
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual(yield* status, "UNHEALTHY")
        answers.next = Effect.succeed(true)
        yield* TestClock.adjust("1 minute")
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      assert.deepStrictEqual(
        log.lines.filter((line) => line.includes("health")).map((line) => line.replace(/\d+ health/, "n health")),
        [
          "Warn orders/one is unhealthy: n health checks in a row have failed, and the last one is false",
          "Info orders/one is healthy again"
        ]
      )
    }))

  test("drains although its checks fail", () =>
    Effect.gen(function*() {
      const { answers, registration, status } = yield* checked(1)
      answers.next = Effect.succeed(false)
      const drained = yield* Effect.forkChild(registration.drain(Effect.sleep("1 minute"), { timeout: "2 minutes" }))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* status, "DRAINING")
      yield* TestClock.adjust("1 minute")
      assert.isDefined(drained.pollUnsafe())
    }))
})
