/** An instance that drains while the elections of its process end, as when a program gets SIGTERM. */
import { assert, describe, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Aegis from "../../src/Aegis.ts"
import * as Buckets from "../../src/Buckets.ts"
import * as Election from "../../src/Election.ts"
import * as Registry from "../../src/Registry.ts"
import { logged } from "../support/suite.ts"

/** Buckets with a round trip of 10 ms, as on a server. */
const buckets = Layer.effect(
  Buckets.Buckets,
  Buckets.Buckets.useSync(({ open, ...others }) => ({
    ...others,
    open: (options) =>
      Effect.map(open(options), (store) => ({
        ...store,
        history: (key, more) => Effect.delay(store.history(key, more), "10 millis"),
        delete: (key, more) => Effect.delay(store.delete(key, more), "10 millis")
      }))
  }))
).pipe(Layer.provide(Buckets.layerMemory))

const processOf = (name: string) =>
  Layer.merge(
    Registry.layerInstance({ serviceName: "orders", instanceId: name, version: "1.0.0" }, {
      drain: { timeout: "3 seconds" }
    }),
    Election.layerSingleton("report", Effect.never, { candidateId: name })
  ).pipe(Layer.provide(Layer.fresh(Aegis.layer())))

/** Runs an effect while time passes. */
const during = <A, E, R>(duration: Duration.Input, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(fiber)
  })

describe("a process that drains for longer than leaveTimeout", () => {
  for (const [what, candidates] of [["leads", ["one"]], ["does not lead", ["other", "one"]]] as const) {
    it.effect(`deregisters its instance if it ${what}`, () =>
      Effect.gen(function*() {
        const log = logged()
        yield* Effect.gen(function*() {
          const scopes: Array<Scope.Closeable> = []
          for (const name of candidates) {
            const scope = yield* Scope.make()
            scopes.push(scope)
            yield* during("1 second", Scope.provide(Layer.build(processOf(name)), scope))
          }
          for (const scope of scopes.toReversed()) yield* during("4 seconds", Scope.close(scope, Exit.void))
        }).pipe(Effect.provide(Layer.merge(buckets, log.layer)))
        assert.deepStrictEqual(log.troubles(), [])
        assert.include(log.lines, "Info deregistered orders/one")
      }))
  }
})
