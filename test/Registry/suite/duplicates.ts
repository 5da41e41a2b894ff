/** Two processes with the same id. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { bytes } from "../../../tools/values.ts"

import { after, answerLost, away, countOf, times } from "../../support/links.ts"
import { numbers } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { brisk, calm, clockError, maxAge, steady, type Tools } from "./fixture.ts"
import {
  entryOf,
  fieldsOf,
  hasWritten,
  keyOf,
  listed,
  named,
  openBucket,
  sendHeartbeat,
  startProcess,
  underneath,
  world
} from "./processes.ts"

export const duplicates = ({ finish, test, until, virtual }: Tools) => {
  const key = keyOf("orders", "one")

  test("a restarted process with the same id waits until the old record expires, then registers", () =>
    Effect.gen(function*() {
      const [store, old, next] = yield* world(brisk)
      yield* sendHeartbeat(old, named("orders", "one", { version: "1.0.0" }))
      const before = yield* entryOf(store, key)
      const { whyLost } = yield* finish(next.enter(named("orders", "one", { version: "2.0.0" })))
      const now = yield* entryOf(store, key)
      const waited = now.created.epochMilliseconds - before.created.epochMilliseconds
      assert.isAbove(waited, Duration.toMillis(maxAge) - (virtual ? 0 : clockError))
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
      yield* until(...hasWritten(next, 2))
      assert.isUndefined(yield* whyLost)
    }))

  test("a second process with the same id fails to register as soon as the first process sends a heartbeat", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(calm)
      yield* first.registry.heartbeat(named("orders", "one"))
      const entering = yield* Effect.forkChild(second.enter(named("orders", "one")))
      yield* until(Effect.sync(() => countOf(second.link, "watch")), (count) => count > 0)
      yield* first.registry.heartbeat(named("orders", "one"))
      const reason = yield* reasonOf(finish(Fiber.join(entering)), "DuplicateInstance")
      assert.strictEqual(reason.serviceName, "orders")
      assert.strictEqual(reason.instanceId, "one")
      assert.strictEqual(countOf(second.link, "put"), 0)
      assert.deepStrictEqual(yield* listed(first), ["one"])
    }))

  test("a second process with the id of a registered instance fails to register", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(steady)
      const { whyLost } = yield* first.enter(named("orders", "one"))
      yield* reasonOf(finish(second.enter(named("orders", "one"))), "DuplicateInstance")
      assert.strictEqual(countOf(second.link, "put"), 0)
      assert.strictEqual(countOf(second.link, "delete"), 0)
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(first), ["one"])
    }))

  test("one process cannot register the same id twice", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(steady)
      const { whyLost } = yield* process.enter(named("orders", "one"))
      yield* reasonOf(process.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* reasonOf(finish(process.enter(named("orders", "one"))), "DuplicateInstance")
      yield* until(...hasWritten(process, 2))
      assert.isUndefined(yield* whyLost)
    }))

  for (const [how, remove] of [["leaves", "delete"], ["is cleaned up", "purge"]] as const) {
    test(`a restarted process stops waiting once the old instance ${how}`, () =>
      Effect.gen(function*() {
        const [store, old, next] = yield* world(calm)
        yield* old.registry.heartbeat(named("orders", "one"))
        const { created } = yield* entryOf(store, key)
        const entering = yield* Effect.forkChild(next.enter(named("orders", "one")))
        yield* until(Effect.sync(() => countOf(next.link, "watch")), (count) => count > 0)
        yield* store[remove](key)
        yield* finish(Fiber.join(entering))
        const waited = (yield* entryOf(store, key)).created.epochMilliseconds - created.epochMilliseconds
        assert.isBelow(waited, Duration.toMillis(calm.maxAge) / 2)
      }))
  }

  test("the id of an expired instance can be registered at once, also with onDuplicate fail", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(brisk)
      yield* sendHeartbeat(old, named("orders", "one"))
      yield* until(listed(old), (ids) => ids.length === 0)
      yield* next.enter(named("orders", "one"), { onDuplicate: "fail" })
      assert.strictEqual(countOf(next.link, "watch"), 0)
      assert.deepStrictEqual(yield* listed(old), ["one"])
    }))

  test("onDuplicate fail fails at once, without waiting", () =>
    Effect.gen(function*() {
      const [store, first, second] = yield* world(calm)
      yield* first.registry.heartbeat(named("orders", "one"))
      const { revision } = yield* entryOf(store, key)
      yield* reasonOf(second.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      assert.strictEqual(countOf(second.link, "watch"), 0)
      assert.strictEqual((yield* entryOf(store, key)).revision, revision)
    }))

  test("onDuplicate replace takes the id at once; the other process reports the loss and stops writing", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(steady)
      const replaced = yield* old.enter(named("orders", "one", { version: "1.0.0" }))
      const { whyLost } = yield* next.enter(named("orders", "one", { version: "2.0.0" }), { onDuplicate: "replace" })
      assert.strictEqual(countOf(next.link, "watch"), 0)
      yield* until(replaced.whyLost, (why) => why === "DuplicateInstance")
      yield* reasonOf(finish(replaced.update((current) => current)), "DuplicateInstance")
      const calls = countOf(old.link, "put")
      yield* replaced.close
      assert.strictEqual(countOf(old.link, "delete"), 0)
      yield* until(...hasWritten(next, 4))
      assert.strictEqual(countOf(old.link, "put"), calls)
      assert.isUndefined(yield* whyLost)
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
    }))

  test("onDuplicate replace fails if a third process registers in between", () =>
    Effect.gen(function*() {
      const [store, old, next] = yield* world(calm)
      yield* old.registry.heartbeat(named("orders", "one"))
      yield* next.link.set(times(1, "put", after(underneath(store, key, { nonce: "third" }))))
      yield* reasonOf(finish(next.enter(named("orders", "one"), { onDuplicate: "replace" })), "DuplicateInstance")
      assert.strictEqual((yield* fieldsOf(store, key))["nonce"], "third")
      assert.strictEqual(countOf(next.link, "put"), 1)
    }))

  test("onDuplicate replace finds its own write after the answer was lost", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(calm)
      yield* old.registry.heartbeat(named("orders", "one", { version: "1.0.0" }))
      yield* next.link.set(times(1, "put", answerLost))
      yield* finish(next.enter(named("orders", "one", { version: "2.0.0" }), { onDuplicate: "replace" }))
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
    }))

  for (const onDuplicate of ["wait", "fail"] as const) {
    test(`exactly one of eight processes that register one id concurrently succeeds (onDuplicate ${onDuplicate})`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const contenders = yield* Effect.forEach(numbers(8), () => startProcess(store, steady))
        const exits = yield* finish(
          Effect.forEach(
            contenders,
            ({ enter }, index) => Effect.exit(enter(named("orders", "one", { metadata: { index } }), { onDuplicate })),
            { concurrency: "unbounded" }
          )
        )
        const winners = exits.flatMap((exit, index) => Exit.isSuccess(exit) ? [index] : [])
        assert.strictEqual(winners.length, 1)
        const got = Option.getOrThrow(yield* contenders[0]!.registry.get("orders", "one"))
        assert.deepStrictEqual(got.metadata, { index: winners[0]! })
        for (const exit of exits) {
          if (Exit.isFailure(exit)) yield* reasonOf(exit, "DuplicateInstance")
        }
      }))
  }

  test("a process whose id was taken during its outage reports DuplicateInstance and keeps the new record", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(brisk)
      const replaced = yield* old.enter(named("orders", "one", { version: "1.0.0" }))
      yield* old.link.set(away)
      const { whyLost } = yield* finish(next.enter(named("orders", "one", { version: "2.0.0" })))
      yield* old.link.set(undefined)
      yield* until(replaced.whyLost, (why) => why === "DuplicateInstance")
      yield* replaced.close
      yield* until(...hasWritten(next, 2))
      assert.isUndefined(yield* whyLost)
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
    }))

  test("a value that is not a record occupies an id until it expires", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* store.put(key, bytes("nonsense"))
      yield* reasonOf(process.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* finish(process.enter(named("orders", "one")))
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))
}
