/** The suite of `KVStore` against the memory backend, under the TestClock. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { layerMemory } from "../../src/Buckets.ts"
import * as KVStore from "../../src/KVStore.ts"
import { bytes } from "../../tools/values.ts"
import { freshName, openBucket, record } from "../support/suite.ts"
import { read, type Services, shown } from "./suite/fixture.ts"
import { suite } from "./suite/index.ts"

suite("KVStore in memory", { kind: "memory", virtual: true, markers: true, buckets: layerMemory })

layer(layerMemory, { excludeTestServices: true })("memory", (it) => {
  const test = (title: string, body: () => Effect.Effect<void, unknown, Services>) =>
    it.effect(title, () => body().pipe(Effect.scoped, Effect.provide(TestClock.layer())))

  test("makeMemory creates a separate store each time", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const one = yield* KVStore.makeMemory({ bucket })
      yield* one.put("a", bytes("1"))
      const other = yield* KVStore.makeMemory({ bucket })
      assert.isTrue(Option.isNone(yield* other.get("a")))
      assert.deepStrictEqual(yield* read(one, "a"), Option.some("1"))
    }))

  test("a watch reports an expiry also if a read by another fiber applies it first", () =>
    Effect.gen(function*() {
      const due = "300 millis"
      const early = yield* Effect.forkScoped(Effect.sleep(due))
      const store = yield* openBucket({ streamMaxAge: due, expiryMarkers: "2 seconds" })
      const watch = yield* record(store.watch())
      yield* store.put("a", bytes("1"))
      const reader = yield* Fiber.join(early).pipe(Effect.andThen(store.get("a")), Effect.forkScoped)
      yield* TestClock.adjust(due)
      assert.isTrue(Option.isNone(yield* Fiber.join(reader)))
      assert.deepStrictEqual(watch.events.map(shown).filter((word) => word !== "ready"), ["a=1", "expire a"])
    }))

  test("a bucket takes its time from the Clock of the fiber that opens it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      assert.strictEqual(revision, 1_700_000_000_000_000)
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).created.epochMilliseconds, 1_700_000_000_000)
      assert.strictEqual((yield* store.status).created.epochMilliseconds, 1_700_000_000_000)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* store.clock.currentTimeMillis, 1_700_003_600_000)
    }))
})
