/** All kinds of values and keys. */
import { assert } from "@effect/vitest"
import { headers, type NatsConnection } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import * as NatsClient from "../../../src/NatsClient.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { record } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { read, shown } from "../suite/fixture.ts"
import { oursAndTheirs, type Test, until } from "./sides.ts"
import { agree, theirKeys, they } from "./theirs.ts"

export const values = (test: Test) => {
  test("each client reads the other's values unchanged, also the empty one", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs()
      const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
      const large = new Uint8Array(500_000).fill(0xa5)
      const values = [["every", every], ["empty", new Uint8Array(0)], ["large", large]] as const
      for (const [key, value] of values) {
        yield* store.put(`ours.${key}`, value)
        yield* they(() => kv.put(`theirs.${key}`, value))
      }
      for (const [key, value] of values) {
        for (const side of ["ours", "theirs"]) {
          const entry = Option.getOrThrow(yield* store.get(`${side}.${key}`))
          assert.deepStrictEqual([entry.value.length, entry.value], [value.length, value])
          const theirs = yield* they(() => kv.get(`${side}.${key}`))
          assert.deepStrictEqual([theirs?.length, Uint8Array.from(theirs!.value)], [value.length, value])
        }
      }
    }))

  test("both clients accept the same keys, with every valid character", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs()
      const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_="
      const keys = [...letters, letters, [...letters].join("."), "k".repeat(1024), "_kv_foo", "-", "=/_"]
      for (const [index, key] of keys.entries()) {
        yield* index % 2 === 0 ? store.put(key, bytes(key)) : they(() => kv.put(key, key))
      }
      for (const key of keys) {
        assert.deepStrictEqual(yield* read(store, key), Option.some(key))
        assert.strictEqual((yield* they(() => kv.get(key)))?.string(), key)
      }
      assert.deepStrictEqual((yield* store.keys()).toSorted(), yield* theirKeys(kv))
      for (const key of keys) yield* store.delete(key)
      assert.deepStrictEqual(yield* theirKeys(kv), [])
    }))

  test("keys longer than 1,024 characters, written by @nats-io/kv, are listed and watched, but get refuses them", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs()
      const long = "k".repeat(2000)
      yield* they(() => kv.put(long, "1"))
      assert.deepStrictEqual(yield* store.keys(), [long])
      assert.deepStrictEqual((yield* store.entries()).map(({ value }) => textOf(value)), ["1"])
      const [event] = yield* Stream.runCollect(Stream.take(store.watch(), 1))
      assert.strictEqual(shown(event!), `${long}=1`)
      yield* reasonOf(store.get(long), "InvalidKey")
    }))

  test("a message with other headers, published by another client, is a value for both clients", () =>
    Effect.gen(function*() {
      const { bucket, kv, store } = yield* oursAndTheirs({ historySize: 5 })
      const { connection } = yield* NatsClient.NatsClient
      const list = headers()
      list.set("Nats-Msg-Id", "7")
      list.set("Content-Type", "text/plain")
      list.append("X-Trace", "a")
      list.append("X-Trace", "b")
      yield* Effect.promise(() =>
        (connection as NatsConnection).request(`$KV.${bucket}.a`, "1", { headers: list, timeout: 2000 })
      )
      const { events } = yield* record(store.watch())
      yield* until(Effect.sync(() => events.map(shown)), (words) => words.includes("ready"))
      assert.deepStrictEqual(events.map(shown), ["a=1", "ready"])
      yield* store.put("a", bytes("2"), KVStore.KVOptions.updateOnly)
      yield* agree(store, kv, ["a"])
    }))
}
