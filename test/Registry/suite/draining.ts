/** The operation `drain` of a registration. */
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { reasonOf } from "../../support/suite.ts"
import { calm, contains, steady, type Tools } from "./fixture.ts"
import { hasWritten, keyOf, lastOf, listed, named, startProcess, watched, world } from "./processes.ts"

export const draining = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("drain writes the status at once, keeps the instance live until the work is done, then deregisters", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(steady)
      const events = yield* watched(observer)
      const { drain, whyLost } = yield* backend.enter(named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      const done = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(drain(Deferred.await(done), { timeout: "1 hour" }))
      yield* until(events.all, contains("changed orders/one from ACTIVE to DRAINING"))
      yield* until(...hasWritten(backend, 2))
      const [instance] = yield* observer.registry.list("orders")
      assert.strictEqual(instance?.status, "DRAINING")
      yield* Deferred.succeed(done, undefined)
      yield* finish(Fiber.join(fiber))
      assert.strictEqual(yield* lastOf(store, key), "delete")
      yield* until(events.all, contains("down orders/one deregistered"))
      assert.isUndefined(yield* whyLost)
    }))

  for (const [how, done] of [["fails", Effect.fail("broken")], ["dies", Effect.die("broken")]] as const) {
    test(`drain deregisters the instance if its work ${how}`, () =>
      Effect.gen(function*() {
        const [, backend] = yield* world(calm)
        const { drain } = yield* backend.enter(named("orders", "one"))
        yield* finish(drain(done as Effect.Effect<never>, { timeout: "1 hour" }))
        assert.deepStrictEqual(yield* backend.registry.list("orders", { includeExpired: true }), [])
      }))
  }

  test("drain deregisters the instance after the timeout", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      const { close, drain, update } = yield* backend.enter(named("orders", "one"))
      yield* finish(drain(Effect.never, { timeout: "200 millis" }))
      assert.strictEqual(yield* lastOf(store, key), "delete")
      yield* reasonOf(update((current) => current), "Deregistered")
      // Closing the scope keeps an instance that registered under the id since.
      const next = yield* startProcess(store)
      yield* next.registry.heartbeat(named("orders", "one"))
      yield* close
      assert.deepStrictEqual(yield* listed(next), ["one"])
    }))
}
