/** Writes that land late, and writes whose answer is lost. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

import { answerLost, countOf, delayed, type Fault, lostOnTheWay, on, times } from "../../support/links.ts"
import { steady, type Tools } from "./fixture.ts"
import { fieldsOf, hasWritten, keyOf, lastOf, listed, named, underneath, watched, world } from "./processes.ts"

export const lateWrites = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("a heartbeat in flight cannot restore an instance that was deregistered", () =>
    Effect.gen(function*() {
      const [store, backend, other] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(on("put", fault))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count >= 2)
      assert.isTrue(yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" }))
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(new Set(outcomes), new Set(["RevisionMismatch"]))
      yield* until(whyLost, (why) => why === "Deregistered")
      assert.strictEqual(yield* lastOf(store, key), "delete")
      assert.isTrue(Option.isNone(yield* other.registry.get("orders", "one")))
    }))

  test("a heartbeat in flight cannot restore an instance whose scope has closed", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(on("put", fault))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count >= 2)
      yield* finish(close)
      assert.strictEqual(yield* lastOf(store, key), "delete")
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(new Set(outcomes), new Set(["RevisionMismatch"]))
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("an instance recognizes its own heartbeat after the answer was lost", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(steady)
      const events = yield* watched(observer)
      const { instance, whyLost } = yield* backend.enter(named("orders", "one", { metadata: { zone: "a" } }))
      yield* backend.link.set(times(2, "put", answerLost))
      yield* until(...hasWritten(backend, 3))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      assert.deepStrictEqual((yield* instance).metadata, { zone: "a" })
      assert.deepStrictEqual(events.events.filter((event) => event !== "ready"), ["up orders/one"])
    }))

  test("an instance recognizes its own heartbeat that lands after its timeout", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "put", fault))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count >= 2)
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(outcomes, ["landed"])
      yield* until(...hasWritten(backend, 3))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(backend), ["one"])
    }))

  test("a heartbeat that arrives after a later heartbeat is rejected without effect", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "put", fault))
      yield* until(...hasWritten(backend, 2))
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(outcomes, ["RevisionMismatch"])
      yield* until(...hasWritten(backend, 2))
      assert.isUndefined(yield* whyLost)
    }))

  const firstWrites = [
    ["lands without an answer", answerLost],
    ["is lost on the way", lostOnTheWay]
  ] as const

  for (const [what, fault] of firstWrites) {
    test(`a first write that ${what} results in one registration`, () =>
      Effect.gen(function*() {
        const [store, backend] = yield* world(steady)
        yield* backend.link.set(times(1, "put", fault))
        const { close, whyLost } = yield* finish(backend.enter(named("orders", "one"), { onDuplicate: "fail" }))
        assert.deepStrictEqual(yield* listed(backend), ["one"])
        yield* until(...hasWritten(backend, 3))
        assert.isUndefined(yield* whyLost)
        yield* finish(close)
        assert.strictEqual(yield* lastOf(store, key), "delete")
      }))
  }

  test("a registration whose first answer was lost keeps the later changes of another writer", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const changedSince: Fault = (call, run) =>
        Effect.andThen(
          run,
          Effect.andThen(Effect.orDie(underneath(store, key, { team: "blue" })), lostOnTheWay(call, run))
        )
      yield* backend.link.set(times(1, "put", changedSince))
      yield* finish(backend.enter(named("orders", "one")))
      yield* until(...hasWritten(backend, 2))
      assert.strictEqual((yield* fieldsOf(store, key))["team"], "blue")
    }))

  test("a first write that arrives after its timeout results in one registration", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      yield* backend.link.set(times(1, "put", fault))
      const { whyLost } = yield* finish(backend.enter(named("orders", "one"), { onDuplicate: "fail" }))
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(outcomes, ["RevisionMismatch"])
      yield* until(...hasWritten(backend, 2))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(backend), ["one"])
    }))
}
