/** Watches with several filters, and `clear` and `purgeTombstones` with them. */
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes } from "../../../tools/values.ts"
import { numbers, openBucket, reasonOf, record, type Store } from "../../support/suite.ts"
import { keepWriting, shown, type Test } from "./fixture.ts"

export const severalFilters = (test: Test, until: Until) => {
  const watching = Effect.fnUntraced(function*(store: Store, ...options: Parameters<Store["watch"]>) {
    const { events } = yield* record(store.watch(...options))
    const words = Effect.sync(() => events.map(shown))
    return { words, has: (word: string) => until(words, (all) => all.includes(word)) }
  })

  /** Reads a watch, and stops at the first event until it is released. */
  const slowly = Effect.fnUntraced(function*(watch: ReturnType<Store["watch"]>) {
    const events: Array<KVStore.KVEvent> = []
    const released = yield* Deferred.make<void>()
    const read = Stream.runForEach(
      watch,
      (event) => Effect.suspend(() => events.push(event) === 1 ? Deferred.await(released) : Effect.void)
    )
    yield* Effect.forkScoped(read)
    return {
      got: (holds: (all: ReadonlyArray<KVStore.KVEvent>) => boolean) => until(Effect.sync(() => events), holds),
      release: Deferred.succeed(released, undefined)
    }
  })

  for (const historySize of [1, 5]) {
    test(`a watch with several filters emits each matching key once, in order, with historySize ${historySize}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize })
        yield* Effect.forEach(["a.1", "b.1", "c", "a.2", "d.e.f", "b.2"], (key) => store.put(key, bytes("1")))
        yield* store.delete("a.2")
        const watch = yield* watching(store, ["a.*", "c", "*.1", "d.>", "a.1"])
        yield* watch.has("ready")
        assert.deepStrictEqual(yield* watch.words, ["a.1=1", "b.1=1", "c=1", "d.e.f=1", "ready"])
        yield* store.put("b.2", bytes("2"))
        yield* store.put("e", bytes("2"))
        yield* store.put("c", bytes("2"))
        yield* store.purge("a.1")
        yield* store.delete("b.1")
        yield* store.put("d.x", bytes("2"))
        yield* watch.has("d.x=2")
        assert.deepStrictEqual((yield* watch.words).slice(5), ["c=2", "purge a.1", "delete b.1", "d.x=2"])
      }))

    test(`a watch with several filters loses nothing when a key is purged before all are read, with historySize ${historySize}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize })
        const keys = numbers(16).map((n) => `k.${n}`)
        // So large that only some are pulled before the reader continues.
        const value = new Uint8Array(400_000)
        yield* Effect.forEach(keys, (key) => store.put(key, value))
        const { got, release } = yield* slowly(store.watch(keys))
        yield* got((all) => all.length > 0)
        yield* store.purge(keys[0]!)
        yield* release
        const all = yield* got((all) => all.some(({ _tag }) => _tag === "Ready"))
        const found = new Set(all.flatMap((event) => event._tag === "Put" ? [event.entry.key] : []))
        assert.deepStrictEqual(keys.slice(1).filter((key) => !found.has(key)), [])
      }))
  }

  test("a watch with several filters becomes ready while clients write other keys", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "b"], (key) => store.put(key, bytes("1")))
      yield* keepWriting(8, (n) => store.put(`k.${n % 5}`, bytes(`${n}`)))
      const first = store.watch(["a", "b"]).pipe(Stream.takeUntil(({ _tag }) => _tag === "Ready"), Stream.runCollect)
      for (const events of yield* Effect.replicateEffect(first, 5)) {
        assert.deepStrictEqual(events.map(shown), ["a=1", "b=1", "ready"])
      }
    }))

  test("a watch with a thousand filters of fifty tokens becomes ready", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const tail = Array.from({ length: 49 }, () => "t").join(".")
      const filters = numbers(1000).map((n) => `k${n}.${tail}`)
      yield* store.put(filters[500]!, bytes("1"))
      const events = yield* store.watch(filters).pipe(
        Stream.takeUntil(({ _tag }) => _tag === "Ready"),
        Stream.runCollect,
        Effect.timeout("5 seconds")
      )
      assert.deepStrictEqual(events.map(shown), [`${filters[500]}=1`, "ready"])
    }))

  test("a watch with several filters starts at a revision, or with updates", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* Effect.forEach(["a", "b", "x"], (key) => store.put(key, bytes("1")))
      const revision = yield* store.put("a", bytes("2"))
      yield* store.put("x", bytes("2"))
      yield* store.put("b", bytes("2"))
      const later = yield* watching(store, ["a", "b"], { from: { revision } })
      yield* later.has("ready")
      assert.deepStrictEqual(yield* later.words, ["a=2", "b=2", "ready"])
      const updates = yield* watching(store, ["a", "b"], { from: "updates" })
      yield* updates.has("ready")
      yield* store.put("x", bytes("3"))
      yield* store.put("b", bytes("3"))
      yield* updates.has("b=3")
      assert.deepStrictEqual(yield* updates.words, ["ready", "b=3"])
    }))

  test("clear with several filters removes the keys that match", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a.1", "b.1", "c.1"], (key) => store.put(key, bytes("1")))
      assert.deepStrictEqual(yield* KVStore.clear(store, ["a.>", "c.*"]), { removed: 2, skipped: 0 })
      assert.deepStrictEqual(yield* store.keys(), ["b.1"])
      assert.strictEqual(yield* store.purgeTombstones({ filter: ["a.>", "b.>"] }), 0)
    }))

  test("a list of filters is read when the operation is called", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "b"], (key) => store.put(key, bytes("1")))
      const filters = ["a"]
      const [keys, watch] = [store.keys(filters), store.watch(filters)]
      filters[0] = "b"
      assert.deepStrictEqual(yield* keys, ["a"])
      assert.deepStrictEqual((yield* Stream.runCollect(Stream.take(watch, 1))).map(shown), ["a=1"])
    }))

  test("an empty list, too many filters, and a list with a wrong one are InvalidKey", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const wrong: ReadonlyArray<unknown> = [
        [],
        ["a", "a..b"],
        ["a", 7],
        [["a"]],
        numbers(1001).map((n) => `k${n}`),
        Array(3),
        new Set(["a"]),
        Array(2 ** 32 - 1),
        new Proxy(["a"], {
          get: () => {
            throw new Error("a hostile list")
          }
        }),
        null
      ]
      for (const filter of wrong as ReadonlyArray<KVStore.Filter>) {
        for (
          const attempt of [
            store.keys(filter),
            store.entries(filter),
            Stream.runDrain(store.stream(filter)),
            Stream.runDrain(store.watch(filter)),
            KVStore.clear(store, filter),
            store.purgeTombstones({ filter })
          ]
        ) {
          const { message } = yield* reasonOf<unknown, KVStore.KVStoreError, never, "InvalidKey">(attempt, "InvalidKey")
          assert.include(message, "or a list of 1 to 1000 of them")
        }
      }
      assert.deepStrictEqual(yield* store.keys(), ["a"])
    }))
}
