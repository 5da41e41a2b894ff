/** Stores and clients created without a layer, and functions of a store, called data-first and data-last. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { pipe } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as KVKeyValueStore from "../../src/KVKeyValueStore.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { eventually } from "../../tools/eventually.ts"
import { bytes, textOf, untyped } from "../../tools/values.ts"
import { startListener, welcomes } from "../support/listener.ts"
import { read } from "./suite/fixture.ts"

describe("without a layer", () => {
  it.effect("makeMemory creates a new store each time, which uses the Clock of its creation", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const one = yield* KVStore.makeMemory({ bucket: "orders", streamMaxAge: "1 second" })
      const other = yield* KVStore.makeMemory({ bucket: "orders" })
      yield* one.put("a", bytes("1"))
      assert.deepStrictEqual(yield* read(one, "a"), Option.some("1"))
      assert.isTrue(Option.isNone(yield* other.get("a")))
      yield* TestClock.adjust("1001 millis")
      assert.isTrue(Option.isNone(yield* one.get("a")))
    }))

  it.live("NatsKVStore.make opens a bucket on the given client", () =>
    Effect.asVoid(Simulation.run(
      Effect.gen(function*() {
        const node = yield* (yield* Simulation.Simulation).node("a")
        const program = Effect.gen(function*() {
          const one = yield* NatsKVStore.make({ bucket: "orders" })
          const other = yield* NatsKVStore.make({ bucket: "orders" })
          yield* one.put("a", bytes("1"))
          assert.deepStrictEqual(yield* read(other, "a"), Option.some("1"))
          assert.strictEqual(other.config.bucket, "orders")
        })
        yield* node.run(Effect.scoped(Effect.provide(program, node.client)))
      }),
      {}
    )))

  it.live("NatsClient.make connects, and drains when its scope closes", () =>
    Effect.gen(function*() {
      const { open, taken, url: servers } = yield* startListener(welcomes([]))
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(NatsClient.make({ servers }), scope)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(client.status, 1)), ["connected"])
      assert.deepStrictEqual([taken(), open()], [1, 1])
      yield* Scope.close(scope, Exit.void)
      yield* eventually(false)(Effect.sync(open), (count) => count === 0)
    }))

  it.effect("KVKeyValueStore.make returns a view of a store", () =>
    Effect.gen(function*() {
      const store = yield* KVStore.makeMemory({ bucket: "settings" })
      const settings = KVKeyValueStore.make(store)
      yield* settings.set("colour", "red")
      assert.strictEqual(yield* settings.get("colour"), "red")
      assert.deepStrictEqual(yield* read(store, "colour"), Option.some("red"))
    }))
})

describe("a NatsClient", () => {
  it.live("has only the members of its type", () =>
    Effect.gen(function*() {
      const { url: servers } = yield* startListener(welcomes([]))
      const client = yield* NatsClient.make({ servers })
      assert.deepStrictEqual(Reflect.ownKeys(client).toSorted(), ["connection", "status"])
    }))

  it.live("that this library did not create is refused with InvalidConfig when a store is opened on it", () =>
    Effect.gen(function*() {
      const { taken, url: servers } = yield* startListener(welcomes([]))
      const { connection, status } = yield* NatsClient.make({ servers })
      const others = [NatsClient.NatsClient.of({ connection, status }), untyped({}), untyped("nats://127.0.0.1:4222")]
      for (const other of others) {
        for (
          const opened of [
            Effect.asVoid(NatsKVStore.make({ bucket: "orders" })),
            Effect.asVoid(Layer.build(NatsKVStore.layer({ bucket: "orders" })))
          ]
        ) {
          const error = yield* Effect.flip(Effect.provideService(opened, NatsClient.NatsClient, other))
          const { bucket, isRetryable, operation, reason } = error
          assert.deepStrictEqual([reason._tag, operation, bucket, isRetryable], [
            "InvalidConfig",
            "open",
            "orders",
            false
          ])
          assert.include(error.message, "NatsClient.layer")
        }
      }
      assert.strictEqual(taken(), 1)
    }))
})

describe("functions of a store", () => {
  const Price = Schema.Struct({ cents: Schema.Int })

  it.effect("typed takes the store first, last, or from the service", () =>
    Effect.gen(function*() {
      const store = yield* KVStore.makeMemory({ bucket: "orders" })
      const views = [
        KVStore.typed(store, Price),
        KVStore.typed(Price)(store),
        pipe(store, KVStore.typed(Price)),
        yield* Effect.provideService(Effect.map(KVStore.KVStore, KVStore.typed(Price)), KVStore.KVStore, store)
      ]
      for (const [cents, prices] of views.entries()) {
        yield* prices.put("apple", { cents })
        assert.deepStrictEqual(yield* read(store, "apple"), Option.some(`{"cents":${cents}}`))
      }
    }))

  it.effect("typedWith takes the store first or last", () =>
    Effect.gen(function*() {
      const store = yield* KVStore.makeMemory({ bucket: "orders" })
      const codec = KVStore.StringFromUtf8
      for (const names of [KVStore.typedWith(store, codec), pipe(store, KVStore.typedWith(codec))]) {
        yield* names.put("a", "Ann")
        assert.deepStrictEqual(yield* read(store, "a"), Option.some("Ann"))
        yield* names.delete("a")
      }
    }))

  it.effect("getUnexpired takes the store first or last", () =>
    Effect.gen(function*() {
      const store = yield* KVStore.makeMemory({ bucket: "sessions" })
      const options = { maxAge: "1 second" } as const
      for (const unexpired of [KVStore.getUnexpired(store, "a", options), KVStore.getUnexpired("a", options)(store)]) {
        yield* store.put("a", bytes("1"))
        assert.deepStrictEqual(Option.map(yield* unexpired, ({ value }) => textOf(value)), Option.some("1"))
        yield* TestClock.adjust("1001 millis")
        assert.isTrue(Option.isNone(yield* unexpired))
        assert.isTrue(Option.isNone(yield* store.get("a")))
      }
    }))

  it.effect("getUnexpired without its options fails with InvalidConfig, and does not return a function", () =>
    Effect.gen(function*() {
      const store = yield* KVStore.makeMemory({ bucket: "sessions" })
      const call = KVStore.getUnexpired as unknown as (...args: ReadonlyArray<unknown>) => ReturnType<typeof store.get>
      const { message, reason } = yield* Effect.flip(call(store, "a"))
      assert.strictEqual(reason._tag, "InvalidConfig")
      assert.include(message, "maxAge")
    }))

  it.effect("clear takes the store first or last, with or without a filter", () =>
    Effect.gen(function*() {
      const store = yield* KVStore.makeMemory({ bucket: "orders" })
      const calls = [
        [KVStore.clear(store), 3],
        [KVStore.clear()(store), 3],
        [KVStore.clear(store, "a.*"), 2],
        [KVStore.clear("a.*")(store), 2]
      ] as const
      for (const [clear, count] of calls) {
        yield* Effect.forEach(["a.1", "a.2", "b"], (key) => store.put(key, bytes("1")))
        assert.deepStrictEqual(yield* clear, { removed: count, skipped: 0 })
      }
    }))

  it("do not include getMany, which is a member of the store", () => {
    assert.notProperty(KVStore, "getMany")
  })
})
