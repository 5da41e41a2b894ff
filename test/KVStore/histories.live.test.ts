/**
 * Watches of buckets that keep several values of each key, while other clients write
 * and remove keys. The server stops such a snapshot at each removed message, and
 * miscounts the messages that are left (docs/protocols/kv.md, K36).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, numbers, type Store } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"
import { keepWriting } from "./suite/fixture.ts"

const until = eventually(false)

/** At one removed message each 200 ms, 100 of them took 20 s. */
const patience = Duration.seconds(15)

const count = 3000
const keys = numbers(count).map((n) => `k.${n}`)
/** They are among the last of the snapshot, so that the watch has not received them when they are removed. */
const removed = keys.slice(-150, -50)
const kept = keys.filter((key) => !removed.includes(key))

const openBucket = Effect.fnUntraced(function*(historySize: number) {
  const bucket = freshName()
  const context = yield* Layer.build(NatsKVStore.layer({ bucket, historySize }))
  return { bucket, store: Context.get(context, KVStore.KVStore) }
})

const fill = (store: Store) =>
  Effect.forEach(keys, (key) => store.put(key, new Uint8Array(2048)), { concurrency: 64, discard: true })

/** The keys that a watch has emitted before `Ready`. `remove` runs after the first 50. */
const snapshot = Effect.fnUntraced(function*(store: Store, remove: Effect.Effect<void, unknown, Raw>) {
  const seen = new Set<string>()
  yield* store.watch().pipe(
    Stream.takeUntil(({ _tag }) => _tag === "Ready"),
    Stream.runForEach((event) => {
      if (event._tag === "Put") seen.add(event.entry.key)
      return seen.size === 50 ? Effect.andThen(Effect.sync(() => seen.add("begun")), remove) : Effect.void
    }),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.die(`no Ready after ${seen.size} keys`) })
  )
  return seen
})

/** Removes a key without leaving a message. */
const purge = (bucket: string, key: string) =>
  Effect.flatMap(
    Raw,
    ({ manager }) => Effect.promise(() => manager.streams.purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${key}` }))
  )

const forRemoved = <E, R>(remove: (key: string) => Effect.Effect<unknown, E, R>) =>
  Effect.forEach(removed, remove, { concurrency: 16, discard: true })

const sizes = [10, 20_000, 70_000, 1_000_000] as const

describe("a watch of a bucket with history", () => {
  for (const world of worlds) {
    describe(`on ${nameOf(world)}`, () => {
      const shared = layerWorld(world)

      it.live(
        "is ready with every other key although keys were removed without a message during its snapshot",
        () =>
          Effect.gen(function*() {
            const { bucket, store } = yield* openBucket(2)
            yield* fill(store)
            yield* fill(store)
            const seen = yield* snapshot(store, forRemoved((key) => purge(bucket, key)))
            assert.deepStrictEqual(kept.filter((key) => !seen.has(key)), [])
          }).pipe(Effect.scoped, Effect.provide(shared)),
        60_000
      )

      it.live(
        "is ready soon although keys were removed and overwritten during its snapshot",
        () =>
          Effect.gen(function*() {
            const { store } = yield* openBucket(2)
            yield* fill(store)
            const overwrite = (key: string) => Effect.replicateEffect(store.put(key, new Uint8Array(1)), 3)
            const seen = yield* snapshot(
              store,
              forRemoved((key) => key.endsWith("0") ? store.purge(key) : overwrite(key))
            )
            assert.deepStrictEqual(kept.filter((key) => !seen.has(key)), [])
          }).pipe(Effect.scoped, Effect.provide(shared)),
        60_000
      )

      it.live(
        "has the last value of every key after small and large ones were written during its snapshot",
        () =>
          Effect.gen(function*() {
            const { store } = yield* openBucket(4)
            const few = keys.slice(0, 40)
            const write = Effect.flatMap(
              Effect.all([Random.choice(few), Random.choice(sizes)]),
              ([key, size]) => store.put(key, new Uint8Array(size))
            )
            yield* Effect.forEach(numbers(240), () => write, { concurrency: 8, discard: true })
            for (let round = 0; round < 2; round++) {
              const shown = new Map<string, number>()
              let isReady = false
              const watch = yield* Effect.forkScoped(Stream.runForEach(store.watch(), (event) =>
                Effect.sync(() => {
                  if (event._tag === "Ready") isReady = true
                  if (event._tag === "Put") shown.set(event.entry.key, event.entry.revision)
                })))
              // Faster writers would keep the watch from catching up.
              const spaced = Effect.andThen(write, Effect.sleep("1 millis"))
              const writing = Effect.scoped(Effect.andThen(
                keepWriting(1, () => Effect.orDie(spaced)),
                Effect.andThen(until(Effect.sync(() => isReady), (is) => is), Effect.sleep("400 millis"))
              ))
              yield* writing
              const last = new Map((yield* store.entries()).map(({ key, revision }) => [key, revision]))
              yield* until(
                Effect.sync(() => [...last].filter(([key, revision]) => shown.get(key) !== revision)),
                (wrong) => wrong.length === 0,
                patience
              )
              watch.interruptUnsafe()
            }
          }).pipe(Effect.scoped, Effect.provide(shared)),
        60_000
      )
    })
  }
})
