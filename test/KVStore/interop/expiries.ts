/** Expiry by the bucket's age or by a TTL per key, with and without markers. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import type { Line } from "../../../tools/natsServer/binaries.ts"
import { bytes } from "../../../tools/values.ts"
import { record, type Store } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { read, shown } from "../suite/fixture.ts"
import { oursAndTheirs, type Test, theirsAndOurs, until } from "./sides.ts"
import { agree, they, watchTheirs } from "./theirs.ts"

const watching = Effect.fnUntraced(function*(store: Store) {
  const { events } = yield* record(store.watch())
  const words = Effect.sync(() => events.map(shown))
  yield* until(words, (all) => all.includes("ready"))
  return { events, words }
})

export const expiries = (test: Test, line: Line) => {
  test("in a bucket that @nats-io/kv created with a ttl, values expire for both clients", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* theirsAndOurs({ ttl: 300 })
      assert.deepStrictEqual(store.config.streamMaxAge, Duration.millis(300))
      const { words } = yield* watching(store)
      yield* store.put("ours", bytes("1"))
      yield* they(() => kv.put("theirs", "1"))
      yield* until(store.status, ({ messages }) => messages === 0)
      yield* agree(store, kv, ["ours", "theirs"])
      yield* they(() => kv.create("ours", "2"))
      yield* store.put("theirs", bytes("2"), KVStore.KVOptions.createOnly)
      yield* until(words, (all) => all.includes("theirs=2"))
      assert.deepStrictEqual(yield* words, ["ready", "ours=1", "theirs=1", "ours=2", "theirs=2"])
    }))

  if (line === "2.10") return

  test("expiry markers of a bucket of KVStore reach watches of both clients", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ streamMaxAge: "300 millis", expiryMarkers: "5 seconds" })
      const theirs = yield* watchTheirs(kv)
      const { events, words } = yield* watching(store)
      const first = yield* store.put("a", bytes("1"))
      yield* until(words, (all) => all.includes("expire a"))
      yield* until(Effect.sync(() => theirs.map(({ operation }) => operation)), (all) => all.length === 2)
      assert.deepStrictEqual(theirs.map(({ key, operation }) => `${operation} ${key}`), ["PUT a", "PURGE a"])
      const marker = events.at(-1)
      assert.isTrue(marker?._tag === "Removed" && marker.revision === theirs[1]?.revision && marker.revision > first)
      // The keys of @nats-io/kv still include the expired key; those of KVStore do not.
      assert.deepStrictEqual(yield* store.keys(), [])
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.strictEqual((yield* they(() => kv.status())).markerTTL, 5000)
      yield* they(() => kv.create("a", "2"))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("KVStore reads and watches markers of a bucket that @nats-io/kv created", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* theirsAndOurs({ ttl: 300, markerTTL: 5000 })
      assert.deepStrictEqual(store.config.expiryMarkers, Duration.seconds(5))
      const { words } = yield* watching(store)
      yield* they(() => kv.put("a", "1"))
      yield* until(words, (all) => all.includes("expire a"))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["expire a"])
      yield* reasonOf(store.put("a", bytes("2"), KVStore.KVOptions.updateOnly), "KeyNotFound")
      yield* store.put("a", bytes("2"), KVStore.KVOptions.createOnly)
      assert.strictEqual((yield* they(() => kv.get("a")))?.string(), "2")
    }))

  test("a key that @nats-io/kv creates with a ttl expires in a watch of KVStore, and other keys stay", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ expiryMarkers: "5 seconds" })
      const { words } = yield* watching(store)
      yield* store.put("stays", bytes("1"))
      const revision = yield* they(() => kv.create("lease", "1", "1s"))
      assert.strictEqual(Option.getOrThrow(yield* store.get("lease")).revision, revision)
      yield* until(words, (all) => all.includes("expire lease"))
      assert.deepStrictEqual(yield* words, ["ready", "stays=1", "lease=1", "expire lease"])
      assert.deepStrictEqual(yield* store.keys(), ["stays"])
      yield* reasonOf(store.put("lease", bytes("2"), KVStore.KVOptions.atRevision(revision)), "RevisionMismatch")
      yield* they(() => kv.create("lease", "2", "60s"))
      yield* agree(store, kv, ["stays", "lease"])
    }))

  test("a key that @nats-io/kv purges with a ttl has no value before and after its tombstone expires", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ expiryMarkers: "5 seconds" })
      const { words } = yield* watching(store)
      yield* store.put("a", bytes("1"))
      yield* until(words, (all) => all.includes("a=1"))
      yield* they(() => kv.purge("a", { ttl: "1s" }))
      yield* until(words, (all) => all.includes("purge a"))
      yield* agree(store, kv, ["a"])
      yield* until(store.status, ({ messages }) => messages === 0)
      yield* agree(store, kv, ["a"])
      yield* store.put("a", bytes("2"), KVStore.KVOptions.atRevision(0))
      yield* until(words, (all) => all.includes("a=2"))
      assert.deepStrictEqual(yield* words, ["ready", "a=1", "purge a", "a=2"])
    }))
}
