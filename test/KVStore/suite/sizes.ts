/** The size limits of values and buckets. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { type Backend, refusal, type Test } from "./fixture.ts"

export const sizes = (test: Test, backend: Backend) => {
  test("put accepts a value of maxValueSize with any condition, and refuses one byte more", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxValueSize: 100 })
      const key = "k".repeat(1024)
      const revision = yield* store.put(key, new Uint8Array(100), KVStore.KVOptions.createOnly)
      yield* store.put(key, new Uint8Array(100), KVStore.KVOptions.atRevision(revision))
      yield* store.put(key, new Uint8Array(100).fill(7), KVStore.KVOptions.updateOnly)
      for (const options of [undefined, KVStore.KVOptions.createOnly, KVStore.KVOptions.updateOnly]) {
        const reason = yield* refusal(store, store.put(key, new Uint8Array(101), options), "ValueTooLarge")
        assert.deepStrictEqual([reason.size, reason.limit], [101, 100])
      }
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get(key)).value, new Uint8Array(100).fill(7))
    }))

  test("the default maxValueSize is 1 MiB, on a server less the headers of a condition", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const size = 1024 * 1024
      const largest = store.config.maxValueSize
      assert.strictEqual(largest, size)
      const revision = yield* store.put("a", new Uint8Array(size).fill(7))
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).value.length, size)
      yield* refusal(store, store.put("a", new Uint8Array(size + 1)), "ValueTooLarge")
      const block = `NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: ${revision}\r\n\r\n`
      const conditioned = backend.kind === "memory" ? size : size - block.length
      yield* store.put("a", new Uint8Array(conditioned), { revision })
      const reason = yield* refusal(
        store,
        store.put("a", new Uint8Array(conditioned + 1), { revision }),
        "ValueTooLarge"
      )
      assert.deepStrictEqual([reason.size, reason.limit], [conditioned + 1, conditioned])
    }))

  test("a bucket at maxBytes refuses new keys; delete and purge of large values still work and free space", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 10_000, maxValueSize: 2000 })
      const fill = Effect.forEach(numbers(20), (n) => store.put(`k.${n}`, new Uint8Array(1000)))
      const full = yield* reasonOf(fill, "StorageFull")
      assert.strictEqual(full.code, 10077)
      assert.include(full.message, "maxBytes")
      const held = yield* store.keys()
      assert.isAbove(held.length, 4)
      yield* refusal(store, store.put("k.next", new Uint8Array(1000)), "StorageFull")
      yield* store.delete(held[0]!)
      yield* store.purge(held[1]!)
      assert.deepStrictEqual(yield* store.keys(), held.slice(2))
      yield* store.put("k.next", new Uint8Array(1000))
    }))

  test("a bucket full of small values refuses delete and purge, which store a marker, until it may be larger", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 20_000, maxValueSize: 2000 })
      const fill = Effect.forEach(numbers(2000), (n) => store.put(`session.${n}`, new Uint8Array(20)))
      yield* reasonOf(fill, "StorageFull")
      // A few markers fit into the rest.
      yield* reasonOf(Effect.forEach(yield* store.keys(), (key) => store.delete(key)), "StorageFull")
      const held = yield* store.keys()
      assert.isAbove(held.length, 100)
      for (const remove of [store.delete(held[0]!), store.purge(held[0]!), store.delete("none")]) {
        const full = yield* refusal(store, remove, "StorageFull")
        assert.deepStrictEqual([full.scope, full.code], ["bucket", 10077])
        assert.include(full.message, "raise maxBytes")
      }
      assert.deepStrictEqual(yield* store.keys(), held)
      yield* store.put(held[0]!, new Uint8Array(10))
    }))

  test("a write that does not fit into the free space may only replace a message that is at least as large", () =>
    Effect.gen(function*() {
      const room = 10_000
      const store = yield* openBucket({ maxBytes: room, maxValueSize: room, storage: "memory" })
      // Also in a bucket that is little more than half full.
      yield* store.put("doc", new Uint8Array(6000))
      yield* refusal(store, store.put("doc", new Uint8Array(6001)), "StorageFull")
      yield* refusal(store, store.put("doc", new Uint8Array(6000), KVStore.KVOptions.updateOnly), "StorageFull")
      yield* store.put("doc", new Uint8Array(6000))
      yield* store.put("doc", new Uint8Array(10))
      const used = (yield* store.status).bytes
      const subject = `$KV.${store.config.bucket}.`.length
      const marker = 16 + subject + "doc".length + "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n".length
      // Leaves one byte too few for a delete marker.
      yield* store.put("rest", new Uint8Array(room - used - 16 - subject - "rest".length - marker + 1))
      yield* refusal(store, store.delete("doc"), "StorageFull")
      yield* refusal(store, store.delete("new"), "StorageFull")
      yield* store.put("doc", new Uint8Array(8))
      yield* store.delete("doc")
    }))

  test("a full bucket with a history refuses to delete keys with fewer messages than it keeps", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 20_000, maxValueSize: 2000, historySize: 3 })
      yield* reasonOf(Effect.forEach(numbers(20), (n) => store.put(`big.${n}`, new Uint8Array(1000))), "StorageFull")
      yield* reasonOf(Effect.forEach(numbers(20), (n) => store.put(`s.${n}`, new Uint8Array(20))), "StorageFull")
      for (const write of [store.delete("big.0"), store.purge("big.0"), store.put("big.0", new Uint8Array(50))]) {
        const { message } = yield* refusal(store, write, "StorageFull")
        assert.include(message, "raise maxBytes")
      }
    }))

  for (const storage of ["file", "memory"] as const) {
    test(`with storage: "${storage}", the bytes of a bucket are those of its messages with headers and overhead`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ storage, historySize: 5 })
        const subject = (key: string) => `$KV.${store.config.bucket}.${key}`.length
        const [message, headers] = storage === "file" ? [30, 4] : [16, 0]
        const grows = Effect.fnUntraced(function*(
          write: Effect.Effect<unknown, KVStore.KVStoreError>,
          key: string,
          block: string,
          size: number
        ) {
          const before = (yield* store.status).bytes
          yield* write
          const more = message + subject(key) + (block === "" ? 0 : headers + block.length) + size
          assert.strictEqual((yield* store.status).bytes, before + more, `${key} ${block}`)
        })
        const block = (...lines: ReadonlyArray<string>) =>
          `NATS/1.0\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`
        const expected = "Nats-Expected-Last-Subject-Sequence"
        yield* grows(store.put("a", new Uint8Array(7)), "a", "", 7)
        yield* grows(store.put("bb", new Uint8Array(0)), "bb", "", 0)
        yield* grows(
          store.put("c", new Uint8Array(3), KVStore.KVOptions.createOnly),
          "c",
          block(`${expected}: 0`),
          3
        )
        yield* grows(store.delete("a"), "a", block("KV-Operation: DEL"), 0)
        const revision = yield* store.put("d", new Uint8Array(1))
        yield* grows(
          store.delete("d", { revision }),
          "d",
          block("KV-Operation: DEL", `${expected}: ${revision}`),
          0
        )
        yield* grows(store.purge("e"), "e", block("KV-Operation: PURGE", "Nats-Rollup: sub"), 0)
      }))
  }
}

/** A server of the line 2.10 does not count the space that an overwrite frees. */
export const fullOverwrites = (test: Test, backend: Backend) => {
  test("in a full bucket a value can be overwritten with one of the same size, except on servers before 2.11", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 10_000, maxValueSize: 2000 })
      const value = new Uint8Array(1000)
      yield* reasonOf(Effect.forEach(numbers(20), (n) => store.put(`k.${n}`, value)), "StorageFull")
      if (!backend.markers) {
        yield* refusal(store, store.put("k.0", value), "StorageFull")
        return
      }
      yield* store.put("k.0", value.fill(7))
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("k.0")).value, value)
    }))
}
