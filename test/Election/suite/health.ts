/** Health checks of candidates and leaders. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { countOf } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { is, isTrue, type Tools } from "./fixture.ts"
import { believers, employ, stand, startProcess, tagIn, usurp } from "./processes.ts"

export const health = ({ finish, test, until }: Tools) => {
  test("a candidate does not try to win while its healthCheck is false, and wins once it is true", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let healthy = false
      let asked = 0
      const check = Effect.sync(() => {
        asked++
        return healthy
      })
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one", { healthCheck: check })
      yield* until(Effect.sync(() => asked), (count) => count > 3)
      assert.strictEqual(countOf(process.link, "put"), 0)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      healthy = true
      yield* two.close
      yield* until(one.hasWon, isTrue)
      assert.strictEqual(one.leadership().term, 2)
    }))

  const sick: ReadonlyArray<readonly [how: string, Effect.Effect<boolean>]> = [
    ["returns false", Effect.succeed(false)],
    ["hangs", Effect.never],
    ["dies", Effect.die("broken")],
    ["throws", Effect.sync(() => assert.fail("broken"))],
    ["returns undefined", Effect.void as Effect.Effect<never>],
    ["returns a string", Effect.succeed("no") as Effect.Effect<never>]
  ]
  for (const [how, check] of sick) {
    test(`a leader whose healthCheck ${how} resigns, and a candidate with this check does not try to win`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        let healthy: Effect.Effect<boolean> = Effect.succeed(true)
        const process = yield* startProcess(store)
        const one = yield* stand(process, finish, "one", { healthCheck: Effect.suspend(() => healthy) })
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two", { priority: 1 })
        healthy = check
        yield* until(Effect.tap(one.whyLost, () => believers([one, two])), is<unknown>("resigned"))
        yield* until(two.hasWon, isTrue)
        assert.isFalse(yield* one.isValid)
        assert.strictEqual(two.leadership().term, 2)
        // The check has the same result before an attempt to win.
        const again = yield* startProcess(store)
        const other = yield* stand(again, finish, "other", { healthCheck: check })
        yield* two.close
        const third = yield* stand(yield* startProcess(store), finish, "third", { priority: 2 })
        yield* until(third.hasWon, isTrue)
        assert.isFalse(yield* other.hasWon)
        assert.strictEqual(countOf(again.link, "put"), 0)
      }))
  }

  test("the healthCheck of a leader does not run after its loss", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let asked = 0
      const healthCheck = Effect.sync(() => ++asked > 0)
      const one = yield* stand(yield* startProcess(store), finish, "one", { healthCheck })
      yield* until(Effect.sync(() => asked), (count) => count > 2)
      yield* usurp(store)
      yield* until(one.whyLost, is<unknown>("superseded"))
      const before = asked
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      assert.isAtMost(asked, before + 1)
    }))

  test("work stops when the healthCheck of its leader turns false, and runs again once it is true", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      let healthy = true
      yield* employ(
        yield* startProcess(store),
        finish,
        "one",
        (leadership) =>
          Effect.gen(function*() {
            log.push(`began ${leadership.term}`)
            yield* Effect.addFinalizer(() => Effect.sync(() => log.push(`stopped ${leadership.term}`)))
            return yield* Effect.never
          }),
        { healthCheck: Effect.sync(() => healthy) }
      )
      yield* until(Effect.sync(() => log.length), is(1))
      healthy = false
      yield* until(tagIn(store), is<string>("Vacant"))
      assert.deepStrictEqual(log, ["began 1", "stopped 1"])
      healthy = true
      yield* until(Effect.sync(() => log.length), is(3))
      assert.deepStrictEqual(log, ["began 1", "stopped 1", "began 2"])
    }))
}
