/** Buckets that are missing, full, or created by another client: final errors, with the name of the bucket. */
import { assert } from "@effect/vitest"
import { DiscardPolicy } from "@nats-io/jetstream"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes } from "../../../tools/values.ts"
import { freshName, record } from "../../support/suite.ts"
import type { World } from "../../support/worlds.ts"
import { shown } from "../suite/fixture.ts"
import { addStream, everyOperation, open, refused, type Shared, streams, until } from "./fixture.ts"

export const buckets = (test: Shared, world: World) => {
  test("opening a missing bucket with create false fails with BucketNotFound", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* refused(open({ bucket, create: false }), {
        at: "open",
        reason: "BucketNotFound",
        says: [bucket, "does not exist", "create: false"]
      })
    }))

  for (const [how, allow_direct] of [["with direct access", true], ["without direct access", false]] as const) {
    test(`every operation on a lost bucket ${how} and create false fails with BucketNotFound`, () =>
      Effect.gen(function*() {
        const bucket = freshName()
        yield* addStream(bucket, { allow_direct, allow_rollup_hdrs: true, discard: DiscardPolicy.New })
        const store = yield* open({ bucket, create: false, onMismatch: "accept" })
        yield* store.put("a", bytes("1"))
        assert.isTrue(Option.isSome(yield* store.get("a")))
        const { events, fiber } = yield* record(store.watch())
        yield* until(Effect.sync(() => events.map(shown)), (words) => words.includes("ready"))
        yield* Effect.flatMap(streams, (streams) => Effect.promise(() => streams.delete(`KV_${bucket}`)))
        const says = ["does not exist"]
        for (const [at, , attempt] of everyOperation(store)) {
          yield* refused(attempt, { at, reason: "BucketNotFound", says })
        }
        yield* refused(Stream.runDrain(store.watch()), { at: `watch ">"`, reason: "BucketNotFound", says })
        yield* refused(store.put("a", bytes("1"), KVStore.KVOptions.updateOnly), {
          at: `put "a"`,
          reason: "BucketNotFound",
          says
        })
        // The running watch fails too, once it has noticed.
        yield* refused(Fiber.join(fiber), { at: `watch ">"`, reason: "BucketNotFound", says, within: 5000 })
      }))
  }

  test("a value larger than the bucket's limit fails with ValueTooLarge, checked locally and by the server", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const small = yield* open({ bucket, maxValueSize: 100 })
      const own = yield* refused(small.put("a", new Uint8Array(101)), {
        at: `put "a"`,
        reason: "ValueTooLarge",
        says: ["101 bytes", "limit of 100"]
      })
      assert.deepStrictEqual([own.size, own.limit], [101, 100])
      const store = yield* open({ bucket, onMismatch: "accept" })
      for (const options of [undefined, KVStore.KVOptions.createOnly, KVStore.KVOptions.atRevision(0)]) {
        const theirs = yield* refused(store.put("a", new Uint8Array(5000), options), {
          at: `put "a"`,
          reason: "ValueTooLarge",
          says: ["5000 bytes", "exceeds"]
        })
        assert.strictEqual(theirs.size, 5000)
      }
    }))

  test("a value larger than the server's max_payload fails with ValueTooLarge", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName(), maxValueSize: 8 * 1024 * 1024 })
      const size = 2 * 1024 * 1024
      for (const options of [undefined, KVStore.KVOptions.createOnly]) {
        const { limit } = yield* refused(store.put("a", new Uint8Array(size), options), {
          at: `put "a"`,
          reason: "ValueTooLarge",
          says: [`${size} bytes`]
        })
        if (options === undefined) assert.strictEqual(limit, 1024 * 1024)
        else assert.isBelow(limit!, 1024 * 1024)
      }
    }))

  test("a put in a bucket at maxBytes fails with StorageFull", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName(), maxBytes: 5000, maxValueSize: 2000 })
      const fill = Effect.forever(
        Effect.suspend(() => store.put(`k.${Math.random().toString(36).slice(2)}`, new Uint8Array(1000)))
      )
      yield* Effect.flip(fill)
      const { code } = yield* refused(store.put("another", new Uint8Array(1000)), {
        at: `put "another"`,
        reason: "StorageFull",
        says: ["maximum bytes", "10077", "raise maxBytes"]
      })
      assert.strictEqual(code, 10077)
      yield* Effect.flatMap(store.keys(), ([first]) => store.delete(first!))
    }))

  test("opening a bucket with more replicas than servers fails with Rejected", () =>
    Effect.gen(function*() {
      const { code } = yield* refused(open({ bucket: freshName(), replicas: 3 }), {
        at: "open",
        reason: "Rejected",
        says: ["replicas", "10074"]
      })
      assert.strictEqual(code, 10074)
    }))

  test("opening a bucket without rollups fails with ConfigMismatch, and purge in it fails with Rejected", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* addStream(bucket)
      yield* refused(open({ bucket }), {
        at: "open",
        reason: "ConfigMismatch",
        says: ["rollups (needed for purge) is false, not true", "onMismatch"]
      })
      const store = yield* open({ bucket, onMismatch: "accept" })
      yield* store.put("a", bytes("1"))
      const { code } = yield* refused(store.purge("a"), {
        at: `purge "a"`,
        reason: "Rejected",
        says: ["10111", "rollup"]
      })
      assert.strictEqual(code, 10111)
      yield* store.delete("a")
    }))

  test("operations that need a consumer beyond the bucket's max_consumers fail with Rejected", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      yield* addStream(bucket, { max_consumers: 1, max_msgs_per_subject: 5, allow_direct: true })
      const store = yield* open({ bucket, onMismatch: "accept" })
      yield* store.put("a", bytes("1"))
      const { events } = yield* record(store.watch())
      yield* until(Effect.sync(() => events.map(shown)), (words) => words.includes("ready"))
      const says = ["maximum consumers", "10026"]
      yield* refused(Stream.runDrain(store.watch()), { at: `watch ">"`, reason: "Rejected", says })
      yield* refused(store.history("a"), { at: `history "a"`, reason: "Rejected", says })
      // Operations without a consumer succeed; a listing needs a consumer on 2.10 only.
      assert.isTrue(Option.isSome(yield* store.get("a")))
      yield* store.put("b", bytes("1"))
      if (world.line === "2.10") yield* refused(store.keys(), { at: `keys ">"`, reason: "Rejected", says })
      else assert.deepStrictEqual(yield* store.keys(), ["a", "b"])
    }))
}
