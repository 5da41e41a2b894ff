/** The recorded end of an instance's lifetime. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Registration } from "../../../../src/Registry.ts"
import { Deregistered, RegistryError } from "../../../../src/RegistryError.ts"
import * as registryRecords from "../../../../src/testing/internal/record/registrations.ts"
import type { StoredWrite } from "../../../../src/testing/Simulation.ts"

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
  losses: [],
  consumerLosses: []
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

describe("a recorded deregistration", () => {
  const marker = (operation: "delete" | "purge", at: number): StoredWrite => ({
    bucket: "registry",
    key: "service-instances.orders.1",
    revision: 2,
    operation,
    value: new Uint8Array(),
    at,
    stampedAt: at
  })
  const deregistering = (call: Effect.Effect<boolean, string>, stored: ReadonlyArray<StoredWrite>) =>
    Effect.gen(function*() {
      let time = 0
      const history = registryRecords.make({
        facts: Effect.map(facts, (known) => ({ ...known, stored })),
        now: Effect.sync(() => time)
      })
      const never = yield* Deferred.make<RegistryError>()
      yield* history.registered("a", "orders/1", Effect.succeed(registration(never)))
      time = 10
      const calling = yield* Effect.forkChild(Effect.exit(history.deregistered("orders/1", call)))
      yield* Effect.yieldNow
      time = 40
      yield* Effect.yieldNow
      const { deregistrations, lifetimes, removals } = yield* history.registry("registry")
      yield* Fiber.interrupt(calling)
      return { deregistrations, ended: lifetimes.map(({ ended }) => ended), how: removals.map(({ how }) => how) }
    }).pipe(Effect.scoped)

  it.effect("that leaves a delete marker ends the lifetime", () =>
    Effect.gen(function*() {
      const recorded = yield* deregistering(Effect.succeed(true), [marker("delete", 10)])
      assert.deepStrictEqual(recorded, {
        deregistrations: [{ instance: "orders/1", from: 10, until: 10, failed: false }],
        ended: ["deregistered"],
        how: ["deregistered"]
      })
    }))

  it.effect("that purges the record does not end the lifetime: the instance registers again", () =>
    Effect.gen(function*() {
      const recorded = yield* deregistering(Effect.succeed(true), [marker("delete", 5), marker("purge", 10)])
      assert.deepStrictEqual(recorded.ended, [undefined])
      assert.deepStrictEqual(recorded.how, ["deregistered", "cleanedUp"])
    }))

  it.effect("that fails or has not ended may remove the record later", () =>
    Effect.gen(function*() {
      const failed = yield* deregistering(Effect.fail("no"), [])
      assert.deepStrictEqual(failed.deregistrations, [{ instance: "orders/1", from: 10, until: 10, failed: true }])
      const going = yield* deregistering(Effect.never, [])
      assert.deepStrictEqual(going.deregistrations, [{ instance: "orders/1", from: 10, until: 40, failed: true }])
      assert.deepStrictEqual(going.ended, [undefined])
    }))
})
