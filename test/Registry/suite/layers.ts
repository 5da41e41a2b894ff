/** The layers `layerCleanup` and `layerInstance`. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Registry from "../../../src/Registry.ts"

import { away, countOf, times } from "../../support/links.ts"
import { reasonOf } from "../../support/suite.ts"
import { brisk, calm, steady, type Tools } from "./fixture.ts"
import { hasWritten, keyOf, lastOf, named, sendHeartbeat, startProcess, world } from "./processes.ts"

export const cleanups = ({ finish, test, until }: Tools) => {
  test("layerCleanup runs on its schedule and continues after a failed run", () =>
    Effect.gen(function*() {
      const [store, backend, cleanup] = yield* world(brisk)
      yield* cleanup.link.set(times(3, "entries", away))
      yield* Layer.build(
        Registry.layerCleanup({ schedule: "100 millis" }).pipe(
          Layer.provide(Layer.succeed(Registry.Registry, cleanup.registry))
        )
      )
      yield* backend.enter(named("orders", "live"))
      yield* sendHeartbeat(backend, named("orders", "one"))
      yield* until(lastOf(store, keyOf("orders", "one")), (last) => last === "purge")
      yield* sendHeartbeat(backend, named("payments", "two"))
      yield* until(lastOf(store, keyOf("payments", "two")), (last) => last === "purge")
      assert.isAtLeast(countOf(cleanup.link, "entries"), 6)
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "live")), "put")
    }))

  test("layerCleanup stops when its scope closes", () =>
    Effect.gen(function*() {
      const [store, cleanup] = yield* world(brisk)
      const scope = yield* Scope.make()
      yield* Registry.layerCleanup({ schedule: "100 millis" }).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, cleanup.registry)),
        Layer.build,
        Scope.provide(scope)
      )
      yield* until(Effect.sync(() => countOf(cleanup.link, "entries")), (count) => count >= 2)
      yield* Scope.close(scope, Exit.void)
      const before = countOf(cleanup.link, "entries")
      const metronome = yield* startProcess(store)
      yield* metronome.enter(named("clock", "one"))
      yield* until(...hasWritten(metronome, 2))
      assert.strictEqual(countOf(cleanup.link, "entries"), before)
    }))

  test("layerInstance registers its instance until its scope closes", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(steady)
      const scope = yield* Scope.make()
      yield* Registry.layerInstance(named("orders", "one", { metadata: { zone: "a" } })).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
        Layer.build,
        Scope.provide(scope)
      )
      yield* until(...hasWritten(process, 2))
      const [instance] = yield* process.registry.list("orders")
      assert.deepStrictEqual(instance?.metadata, { zone: "a" })
      yield* finish(Scope.close(scope, Exit.void))
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
    }))

  test("layerInstance fails to build if the instance cannot be registered", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const build = (instance: Registry.InstanceOptions, options?: Registry.RegisterOptions) =>
        Registry.layerInstance(instance, options).pipe(
          Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
          Layer.build
        )
      yield* reasonOf(build(named("a.b", "one")), "InvalidName")
      yield* process.enter(named("orders", "one"))
      yield* reasonOf(build(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
    }))
}
