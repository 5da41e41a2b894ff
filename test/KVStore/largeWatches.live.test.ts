/** Watches of large buckets and of large values. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import type * as KVStore from "../../src/KVStore.ts"
import type * as NatsClient from "../../src/NatsClient.ts"
import { eventually } from "../../tools/eventually.ts"
import { temporaryFolder } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { freshName, numbers, quiet, record, type Store } from "../support/suite.ts"
import { nameOf, type World, worlds } from "../support/worlds.ts"
import { connected, fill, keysOf, restartsOf } from "./watches/fixture.ts"

const until = eventually(false)

/** The keys that a new watch emits before Ready. */
const keysBeforeReady = (store: Store) =>
  store.watch().pipe(
    Stream.takeWhile(({ _tag }) => _tag !== "Ready"),
    Stream.runCollect,
    Effect.map((events) => new Set(events.flatMap((event) => event._tag === "Put" ? [event.entry.key] : [])))
  )

/** Opens three watches at once and waits until each is ready with every key. Returns the number of lost links. */
const readThreeTimes = Effect.fnUntraced(function*(
  client: NatsClient.NatsClient["Service"],
  store: Store,
  keys: ReadonlyArray<string>
) {
  const { events: status } = yield* record(client.status)
  const read = yield* Effect.forEach([1, 2, 3], () => keysBeforeReady(store), { concurrency: "unbounded" })
  for (const found of read) assert.deepStrictEqual([...found].toSorted(), keys.toSorted())
  return status.filter((one) => one === "disconnected").length
})

/** Sizes around those of the pulls: 32 KiB, 64 KiB, 1 MiB, and the limit of the server. */
const kibibyte = 1024
const mebibyte = 1024 * kibibyte
const maxPayload = 4 * mebibyte
/** A server counts the headers of a put as payload, too. */
const largest = maxPayload - kibibyte
const sizes = [
  1,
  largest,
  1,
  largest,
  64 * kibibyte,
  mebibyte,
  33 * kibibyte,
  mebibyte + 17 * kibibyte,
  32 * kibibyte,
  0,
  2 * mebibyte,
  100,
  1
]

const shownEntry = ({ key, value }: KVStore.KVEntry) => `${key}: ${value.length} of ${value[0]} to ${value.at(-1)}`

const expectedEntries = sizes.map((size, n) =>
  `key.${n}: ${size} of ${size === 0 ? undefined : n} to ${size === 0 ? undefined : n}`
)

/** The key that was written three times. */
const rewritten = { key: "key.1", sizes: [2, 3, largest] }

/** Reads the bucket in every way. */
const readAll = Effect.fnUntraced(function*(store: Store) {
  const events = yield* Stream.runCollect(Stream.take(store.watch(), sizes.length + 1))
  assert.deepStrictEqual(
    events.flatMap((event) => event._tag === "Put" ? [shownEntry(event.entry)] : []),
    expectedEntries
  )
  assert.strictEqual(events.at(-1)?._tag, "Ready")
  assert.deepStrictEqual((yield* store.entries()).map(shownEntry), expectedEntries)
  const history = yield* store.history(rewritten.key)
  assert.deepStrictEqual(
    history.flatMap((one) => one._tag === "Put" ? [one.entry.value.length] : []),
    rewritten.sizes.toReversed()
  )
  const keys = sizes.map((_, n) => `key.${n}`)
  assert.deepStrictEqual(yield* store.keys(), keys)
  assert.deepStrictEqual([...(yield* store.getMany(keys)).values()].map(shownEntry), expectedEntries)
})

describe.concurrent("watches", () => {
  const test = (title: string, body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>) => {
    for (const world of worlds) {
      it.live(`${nameOf(world)}: ${title}`, () => body(world), 60_000)
    }
  }

  test("of 40 MB, three on one connection, are ready with every key, and puts beside them succeed", (world) =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line: world.line })
      const { client, open } = yield* connected(world, url)
      const store = yield* open({ bucket: freshName(), storage: "memory" })
      const beside = yield* open({ bucket: freshName(), storage: "memory" })
      const keys = keysOf(40)
      yield* fill(store, keys)
      const puts = Effect.repeat(beside.put("a", new Uint8Array(10)), Schedule.spaced("50 millis"))
      const lost = yield* Effect.raceFirst(readThreeTimes(client, store, keys), Effect.andThen(puts, Effect.never))
      assert.strictEqual(lost, 0)
      assert.deepStrictEqual(yield* restartsOf(store), [])
    }))

  test("of large values behind small ones, in a bucket with history, are ready and lose no link", (world) =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line: world.line })
      const { client, open } = yield* connected(world, url)
      const store = yield* open({ bucket: freshName(), storage: "memory", historySize: 3 })
      const keys = numbers(140).map((n) => `key.${n}`)
      const sizeOf = (n: number) => n < 100 ? 100 : 1_000_000
      yield* Effect.forEach(keys.entries(), ([n, key]) => store.put(key, new Uint8Array(sizeOf(n))), { concurrency: 8 })
      assert.strictEqual(yield* readThreeTimes(client, store, keys), 0)
    }))

  test("and 25 listings of 5 MB at once lose no link, also if they are interrupted, and puts beside them succeed", (world) =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line: world.line, config: "max_pending: 16MB" })
      const { client, open } = yield* connected(world, url)
      const store = yield* open({ bucket: freshName(), storage: "memory" })
      const beside = yield* open({ bucket: freshName(), storage: "memory" })
      const keys = keysOf(5)
      yield* fill(store, keys)
      const { events: status } = yield* record(client.status)
      const watch = yield* record(store.watch())
      yield* until(Effect.sync(() => watch.events.length), (count) => count === keys.length + 1)
      const puts = Effect.repeat(beside.put("a", new Uint8Array(10)), Schedule.spaced("50 millis"))
      const listings = Effect.forEach(
        numbers(25),
        (n) => n % 2 === 0 ? store.entries() : Effect.map(store.getMany(keys), (found) => [...found.values()]),
        { concurrency: "unbounded" }
      )
      const interrupted = Effect.forEach(
        numbers(200),
        (n) => Effect.timeoutOption(store.entries(), Duration.millis(n % 20)),
        { concurrency: 20 }
      )
      const read = yield* Effect.raceFirst(
        Effect.andThen(interrupted, listings),
        Effect.andThen(puts, Effect.never)
      )
      assert.deepStrictEqual(read.map((entries) => entries.length), numbers(25).map(() => keys.length))
      assert.deepStrictEqual(status.filter((one) => one === "disconnected"), [])
    }))

  test("of 10 MB, three on a connection that the server cuts at 1 MB, are ready with every key", (world) =>
    Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line: world.line, config: "max_pending: 1MB" })
      const { client, open } = yield* connected(world, url)
      const store = yield* open({ bucket: freshName(), storage: "memory" })
      const keys = keysOf(10)
      yield* fill(store, keys)
      assert.isAtMost(yield* readThreeTimes(client, store, keys), 3)
    }).pipe(Effect.provide(quiet)))

  test("and listings have values of every size in order, also of more than the server accepts now", (world) =>
    Effect.gen(function*() {
      const storeDir = yield* temporaryFolder(Path.join(tmpdir(), "effect-aegis-nats-"))
      const bucket = freshName()
      const withLimit = Effect.fnUntraced(function*(limit: number) {
        const { url } = yield* startNatsServer({ line: world.line, config: `max_payload: ${limit}`, storeDir })
        const { open } = yield* connected(world, url)
        return yield* open({ bucket, maxValueSize: maxPayload, historySize: 3, onMismatch: "fail" })
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* withLimit(maxPayload)
        const { events: live } = yield* record(store.watch())
        yield* until(Effect.sync(() => live.length), (count) => count === 1)
        for (const size of rewritten.sizes.slice(0, -1)) yield* store.put(rewritten.key, new Uint8Array(size))
        for (const [n, size] of sizes.entries()) yield* store.put(`key.${n}`, new Uint8Array(size).fill(n))
        yield* until(Effect.sync(() => live.length), (count) => count === sizes.length + 3)
        assert.deepStrictEqual(
          live.slice(3).flatMap((event) => event._tag === "Put" ? [shownEntry(event.entry)] : []),
          expectedEntries
        )
        yield* readAll(store)
      }))
      const store = yield* withLimit(64 * kibibyte)
      yield* readAll(store)
      assert.deepStrictEqual(yield* restartsOf(store), [])
    }))
})
