/** Watches: their start, their events, and that no event is missing or repeated. */
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Until } from "../../../tools/eventually.ts"
import { bytes } from "../../../tools/values.ts"
import { numbers, openBucket, record, type Store } from "../../support/suite.ts"
import { keepWriting, revisionOf, shown, type Test } from "./fixture.ts"

export const watches = (test: Test, until: Until) => {
  const watching = Effect.fnUntraced(function*(store: Store, ...options: Parameters<Store["watch"]>) {
    const { events, fiber } = yield* record(store.watch(...options))
    const words = Effect.sync(() => events.map(shown))
    const has = (word: string) => until(words, (all) => all.includes(word))
    return { events, fiber, words, has }
  })

  test("a watch emits the live values in order, then Ready, then every change", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "b", "c"], (key) => store.put(key, bytes("1")))
      yield* store.put("a", bytes("2"))
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.put("b", bytes("2"))
      yield* store.delete("c")
      yield* store.put("d", bytes("1"))
      yield* watch.has("d=1")
      assert.deepStrictEqual(yield* watch.words, ["b=1", "c=1", "a=2", "ready", "b=2", "delete c", "d=1"])
      const revisions = watch.events.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, [...new Set(revisions)].toSorted((a, b) => a - b))
    }))

  test("a watch of an empty bucket emits Ready at once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.put("a", bytes("1"))
      yield* watch.has("a=1")
      assert.deepStrictEqual(yield* watch.words, ["ready", "a=1"])
    }))

  test("a watch whose filter matches no key emits Ready at once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const watch = yield* watching(store, "b.>")
      yield* watch.has("ready")
      assert.deepStrictEqual(yield* watch.words, ["ready"])
    }))

  test("a watch emits values of all sizes up to the limit of the server, as values and as changes", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const sizes = [100, 70_000, 1_000_000, 10, 1_000_000, 300_000, 40_000, 40_000, 66_000, 1]
      const putAll = (prefix: string) =>
        Effect.forEach(sizes, (size, index) => store.put(`${prefix}.${index}`, new Uint8Array(size)), { discard: true })
      yield* putAll("before")
      const { events } = yield* record(store.watch())
      yield* until(Effect.sync(() => events.length), (count) => count === sizes.length + 1)
      yield* putAll("after")
      yield* until(Effect.sync(() => events.length), (count) => count === 2 * sizes.length + 1)
      const emitted = events.map((event) => event._tag === "Put" ? event.entry.value.length : event._tag)
      assert.deepStrictEqual(emitted, [...sizes, "Ready", ...sizes])
    }))

  test("a snapshot contains no removed keys, and no older values of them", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* Effect.forEach(["a", "b", "c"], (key) => store.put(key, bytes("1")))
      yield* store.delete("a")
      yield* store.purge("b")
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.delete("c")
      yield* watch.has("delete c")
      assert.deepStrictEqual(yield* watch.words, ["c=1", "ready", "delete c"])
    }))

  test("a watch of a bucket that has only tombstones emits Ready", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.delete("a")
      const watch = yield* watching(store)
      yield* watch.has("ready")
      assert.deepStrictEqual(yield* watch.words, ["ready"])
    }))

  test("a watch reports a delete and a purge with their reason, key and revision", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"))
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.delete("a")
      // Without this wait the purge could remove the tombstone before the watch receives it.
      yield* watch.has("delete a")
      yield* store.purge("a")
      yield* watch.has("purge a")
      const removed = watch.events.filter((event) => event._tag === "Removed")
      assert.deepStrictEqual(removed.map(({ key, reason, revision }) => ({ key, reason, revision })), [
        { key: "a", reason: "delete", revision: first + 1 },
        { key: "a", reason: "purge", revision: first + 2 }
      ])
    }))

  test("a watch from updates emits Ready, then changes only", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("a", bytes("1"))
      const watch = yield* watching(store, undefined, { from: "updates" })
      yield* watch.has("ready")
      yield* store.delete("a")
      yield* store.put("a", bytes("2"))
      yield* watch.has("a=2")
      assert.deepStrictEqual(yield* watch.words, ["ready", "delete a", "a=2"])
    }))

  test("a watch from updates emits Ready first, also during concurrent writes", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* keepWriting(8, (n) => store.put(`k.${n % 5}`, bytes(`${n}`)))
      const first = store.watch(undefined, { from: "updates" }).pipe(Stream.take(5), Stream.runCollect)
      for (const events of yield* Effect.replicateEffect(first, 10)) {
        assert.deepStrictEqual(events.map((event) => event._tag), ["Ready", "Put", "Put", "Put", "Put"])
      }
    }))

  test("a watch from a revision emits the messages kept from that revision on, tombstones included", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("a", bytes("1"))
      const second = yield* store.put("b", bytes("2"))
      yield* store.put("a", bytes("3"))
      yield* store.delete("b")
      const watch = yield* watching(store, undefined, { from: { revision: second } })
      yield* watch.has("ready")
      yield* store.put("c", bytes("5"))
      yield* watch.has("c=5")
      assert.deepStrictEqual(yield* watch.words, ["b=2", "a=3", "delete b", "ready", "c=5"])
    }))

  for (const revision of [0, 1]) {
    test(`a watch from revision ${revision} emits every kept message`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 5 })
        yield* store.put("a", bytes("1"))
        yield* store.put("a", bytes("2"))
        const watch = yield* watching(store, undefined, { from: { revision } })
        yield* watch.has("ready")
        assert.deepStrictEqual(yield* watch.words, ["a=1", "a=2", "ready"])
      }))
  }

  test("a watch from a future revision emits Ready, then the changes from that revision on", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const last = yield* store.put("a", bytes("0"))
      const watch = yield* watching(store, undefined, { from: { revision: last + 3 } })
      yield* watch.has("ready")
      yield* Effect.forEach(["1", "2", "3", "4"], (value) => store.put("a", bytes(value)))
      yield* watch.has("a=4")
      assert.deepStrictEqual(yield* watch.words, ["ready", "a=3", "a=4"])
    }))

  test("a watch from the next revision emits every change once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const last = yield* store.put("a", bytes("0"))
      const watch = yield* watching(store, undefined, { from: { revision: last + 1 } })
      yield* watch.has("ready")
      yield* store.put("a", bytes("1"))
      yield* watch.has("a=1")
      assert.deepStrictEqual(yield* watch.words, ["ready", "a=1"])
    }))

  test("a watch emits only events that match its filter", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a.1", "b.1", "a.1.x"], (key) => store.put(key, bytes("1")))
      const star = yield* watching(store, "a.*")
      const rest = yield* watching(store, "a.>")
      const exact = yield* watching(store, "b.1")
      yield* Effect.forEach([star, rest, exact], (watch) => watch.has("ready"))
      yield* store.put("b.2", bytes("2"))
      yield* store.delete("b.1")
      yield* store.put("a.2.x", bytes("2"))
      yield* store.put("a.2", bytes("2"))
      yield* Effect.forEach([star, rest], (watch) => watch.has("a.2=2"))
      yield* exact.has("delete b.1")
      assert.deepStrictEqual(yield* star.words, ["a.1=1", "ready", "a.2=2"])
      assert.deepStrictEqual(yield* rest.words, ["a.1=1", "a.1.x=1", "ready", "a.2.x=2", "a.2=2"])
      assert.deepStrictEqual(yield* exact.words, ["b.1=1", "ready", "delete b.1"])
    }))

  test("each of several watches receives every event", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const watchers = yield* Effect.forEach(numbers(5), () => watching(store))
      yield* Effect.forEach(watchers, (watch) => watch.has("ready"))
      yield* Effect.forEach(numbers(20), (n) => store.put(`k.${n}`, bytes("1")))
      for (const watch of watchers) {
        yield* watch.has("k.19=1")
        assert.deepStrictEqual(yield* watch.words, ["a=1", "ready", ...numbers(20).map((n) => `k.${n}=1`)])
      }
    }))

  test("a watch stream that is run twice starts again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const stream = store.watch().pipe(Stream.take(2), Stream.map(shown), Stream.runCollect)
      assert.deepStrictEqual(yield* stream, ["a=1", "ready"])
      yield* store.put("b", bytes("2"))
      assert.deepStrictEqual(yield* stream, ["a=1", "b=2"])
    }))

  test("during concurrent writes a watch emits each revision once, in order, and the last value of each key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const write = (n: number) => store.put(`k.${n % 10}`, bytes(`${n}`))
      yield* Effect.forEach(numbers(200), write, { concurrency: 8 })
      const writer = yield* Effect.forEach(numbers(800), (n) => Effect.andThen(write(n), Effect.yieldNow), {
        concurrency: 8
      })
        .pipe(Effect.forkScoped)
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* Fiber.join(writer)
      yield* store.put("end", bytes("1"))
      yield* watch.has("end=1")
      const revisions = watch.events.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, [...new Set(revisions)].toSorted((a, b) => a - b))
      assert.strictEqual(watch.events.filter((event) => event._tag === "Ready").length, 1)
      const seen = new Map(
        watch.events.flatMap((event) => event._tag === "Put" ? [[event.entry.key, event.entry]] : [])
      )
      for (const entry of yield* store.entries()) assert.deepStrictEqual(seen.get(entry.key), entry)
    }))

  test("a slow reader delays no other watch, and receives the latest values", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const mayGoOn = yield* Deferred.make<void>()
      const slow = yield* record(Stream.tap(store.watch(), () => Deferred.await(mayGoOn)))
      const fast = yield* watching(store)
      yield* fast.has("ready")
      yield* Effect.forEach(numbers(2000), (n) => store.put(`k.${n % 5}`, bytes(`${n}`)), { concurrency: 32 })
      yield* store.put("end", bytes("1"))
      yield* fast.has("end=1")
      assert.deepStrictEqual(slow.events, [])
      yield* Deferred.succeed(mayGoOn, undefined)
      yield* until(Effect.sync(() => slow.events.map(shown)), (words) => words.includes("end=1"))
      const revisions = slow.events.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, [...new Set(revisions)].toSorted((a, b) => a - b))
      const seen = new Map(slow.events.flatMap((event) => event._tag === "Put" ? [[event.entry.key, event.entry]] : []))
      for (const entry of yield* store.entries()) assert.deepStrictEqual(seen.get(entry.key), entry)
    }))

  test("an interrupted watch ends, and its store remains usable", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const watch = yield* watching(store)
      yield* watch.has("ready")
      const exit = yield* Effect.andThen(Fiber.interrupt(watch.fiber), Fiber.await(watch.fiber))
      assert.isTrue(Exit.hasInterrupts(exit))
      yield* store.put("a", bytes("1"))
      const next = yield* watching(store)
      yield* next.has("a=1")
      assert.deepStrictEqual(yield* watch.words, ["ready"])
    }))

  for (const writers of [1, 4, 16]) {
    test(`Ready follows every key that has a value throughout, while clients overwrite the keys (${writers} at once)`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const keys = numbers(300).map((n) => `k.${n}`)
        yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 64 })
        yield* keepWriting(writers, (n) => store.put(keys[(n * 7) % 300]!, bytes(`${n}`)))
        const snapshot = store.watch().pipe(
          Stream.takeUntil(({ _tag }) => _tag === "Ready"),
          Stream.runCollect,
          Effect.map((events) => new Set(events.flatMap((event) => event._tag === "Put" ? [event.entry.key] : [])))
        )
        for (let watch = 0; watch < 15; watch++) {
          const seen = yield* snapshot
          assert.deepStrictEqual(keys.filter((key) => !seen.has(key)), [])
        }
      }))
  }
}
