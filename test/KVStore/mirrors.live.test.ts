/**
 * Mirrors of a bucket with `mirror_direct`: servers let them answer direct reads of the bucket, although they may lag behind
 * it or lack keys.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { bytes } from "../../tools/values.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, numbers, type Store } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"

const until = eventually(false)

const request = (subject: string, body: string) =>
  Effect.flatMap(Raw, ({ connection }) => Effect.promise(() => connection.request(subject, body, { timeout: 5000 })))

/** Creates a bucket with the keys `a` and `b`, and mirrors it. Waits until the mirror answers reads of `a`. */
const makeMirrored = Effect.fnUntraced(function*(settings: { readonly filter?: "b"; readonly max_msgs?: number }) {
  const bucket = freshName()
  const store = yield* NatsKVStore.make({ bucket, historySize: 3 })
  yield* store.put("a", bytes("0"))
  yield* store.put("b", bytes("0"))
  const { filter, ...rest } = settings
  const mirror = {
    name: `KV_${bucket}`,
    ...(filter === undefined ? {} : { filter_subject: `$KV.${bucket}.${filter}` })
  }
  const name = `copy_${bucket}`
  yield* request(`$JS.API.STREAM.CREATE.${name}`, JSON.stringify({ name, mirror, mirror_direct: true, ...rest }))
  yield* until(
    Effect.map(
      request(`$JS.API.DIRECT.GET.KV_${bucket}.$KV.${bucket}.a`, ""),
      ({ headers }) => headers?.code === 404 || headers?.last("Nats-Stream") === name
    ),
    (isMirror) => isMirror
  )
  return bucket
})

type Read = (store: Store) => Effect.Effect<ReadonlyArray<string>, unknown>

const names = (entries: Iterable<{ readonly key: string }>) => Array.from(entries, ({ key }) => key)

/** Reads that find the keys `a` and `b`. */
const reads: ReadonlyArray<Read> = [
  (store) => Effect.map(store.get("a"), (found) => Option.isSome(found) ? ["a", "b"] : []),
  (store) => Effect.map(store.getMany(["a", "b"]), (found) => [...found.keys()]),
  (store) => Effect.map(store.getMany(["a"]), (found) => [...found.keys(), "b"]),
  (store) => Effect.map(store.entries(), names),
  (store) => Effect.map(store.entries("a"), (found) => [...names(found), "b"]),
  (store) => store.keys(),
  (store) => Effect.map(Stream.runCollect(store.stream()), names)
]

for (const world of worlds) {
  layer(layerWorld(world), { excludeTestServices: true, timeout: "30 seconds" })(
    `${nameOf(world)}: a mirror of the bucket`,
    (it) => {
      for (
        const [what, settings] of [["lacks keys", { filter: "b" }], ["has dropped keys", { max_msgs: 1 }]] as const
      ) {
        it.effect(`that ${what} does not make a key absent`, () =>
          Effect.gen(function*() {
            const bucket = yield* makeMirrored(settings)
            for (const read of reads) {
              // Each read has its own store, because a store does not ask again after the answer of a mirror.
              const store = yield* NatsKVStore.make({ bucket, historySize: 3 })
              const found = yield* Effect.replicateEffect(read(store), 20)
              for (const keys of found) assert.deepStrictEqual(keys.toSorted(), ["a", "b"], String(read))
            }
          }))
      }

      it.effect("that lags behind does not answer a read after a write", () =>
        Effect.gen(function*() {
          const store = yield* NatsKVStore.make({ bucket: yield* makeMirrored({}), historySize: 3 })
          for (const n of numbers(300)) {
            const revision = yield* store.put("a", bytes(`${n}`))
            assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, revision)
            yield* store.put(`k${n}`, bytes("1"))
            assert.isTrue(Option.isSome(yield* store.get(`k${n}`)))
          }
        }))
    }
  )
}
