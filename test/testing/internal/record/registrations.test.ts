/** The recorded end of an instance's lifetime. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Registration } from "../../../../src/Registry.ts"
import { Deregistered, RegistryError } from "../../../../src/RegistryError.ts"
import * as registryRecords from "../../../../src/testing/internal/record/registrations.ts"

const names = { serviceName: "orders", instanceId: "1" }
const isOver = new RegistryError({ operation: "heartbeat orders/1", reason: new Deregistered(names) })

/** A registration that ends when `lost` completes. */
const registration = (lost: Deferred.Deferred<RegistryError>): Registration => ({
  instance: Effect.never,
  update: () => Effect.void,
  drain: () => Effect.void,
  lost: Deferred.await(lost),
  visibility: Stream.never
})

const facts = Effect.succeed({
  stops: [],
  crashes: [],
  disruptions: [],
  connected: [],
  buckets: [],
  stored: [],
  losses: []
})

describe("the recorded lifetime of an instance that another client deregisters", () => {
  const recorded = (isAnsweredLate: boolean) =>
    Effect.gen(function*() {
      let time = 0
      const history = registryRecords.make({ facts, now: Effect.sync(() => time) })
      const [lost, answer] = [yield* Deferred.make<RegistryError>(), yield* Deferred.make<boolean>()]
      const register = (ends: Deferred.Deferred<RegistryError>) =>
        history.registered("a", "orders/1", Effect.succeed(registration(ends)))
      yield* register(lost)
      time = 10
      const asked = yield* Effect.forkChild(history.deregistered("orders/1", Deferred.await(answer)))
      yield* Effect.yieldNow
      if (isAnsweredLate) {
        time = 20
        yield* Deferred.succeed(lost, isOver)
        yield* Effect.yieldNow
        yield* Effect.yieldNow
        time = 30
        yield* register(yield* Deferred.make<RegistryError>())
      }
      time = 40
      yield* Deferred.succeed(answer, true)
      yield* Fiber.join(asked)
      const { lifetimes } = yield* history.registry("registry")
      return lifetimes.map(({ ended, from, until }) => ({ ended, from, until }))
    }).pipe(Effect.scoped)

  it.effect("ends when the deregistration is answered", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* recorded(false), [{ ended: "deregistered", from: 0, until: 40 }])
    }))

  it.effect("ends with its loss and starts again, both before the deregistration is answered", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* recorded(true), [
        { ended: undefined, from: 0, until: 20 },
        { ended: undefined, from: 30, until: undefined }
      ])
    }))
})
