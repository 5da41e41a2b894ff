/**
 * Registrations whose fibers outlive the layer of their registry, as those of `Effect.forkChild` do: they leave with the
 * layer, while the store can still be reached.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { away, makeLink } from "../support/links.ts"
import { logged } from "../support/suite.ts"
import { finish, key, test } from "./suite/inMemory.ts"
import { lastOf, named, openBucket } from "./suite/processes.ts"

test("a layer that is released deregisters the instances of fibers of forkChild before the store is closed, once", () =>
  Effect.gen(function*() {
    const log = logged()
    yield* Effect.gen(function*() {
      const store = yield* openBucket()
      const link = makeLink()
      const closing = Layer.effectDiscard(Effect.addFinalizer(() => link.set(away)))
      const layer = Registry.layer().pipe(
        Layer.provide(Layer.provideMerge(link.layer, Layer.merge(closing, Layer.succeed(KVStore.KVStore, store))))
      )
      const program = Effect.gen(function*() {
        const registry = yield* Registry.Registry
        for (const service of ["orders", "mail"]) {
          const running = Effect.andThen(registry.register(named(service, "one")), Effect.never)
          yield* Effect.forkChild(Effect.scoped(running))
        }
        yield* Effect.sleep("15 seconds")
      })
      const running = yield* Effect.forkChild(Effect.provide(program, layer))
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* TestClock.adjust("1 second")
      yield* finish(Fiber.join(running))
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }).pipe(Effect.provide(log.layer))
    assert.deepStrictEqual([...log.troubles(), ...log.unnamed()], [])
    assert.lengthOf(log.lines.filter((line) => line === "Info deregistered orders/one"), 1)
  }))
