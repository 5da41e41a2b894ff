/** Keys of other clients that this library does not write: they are listed, read and watched, but not removed. */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { textOf } from "../../tools/values.ts"
import { foreignKeys } from "../support/badKeys.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, reasonOf, record } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"
import { shown } from "./suite/fixture.ts"

const until = eventually(false)

for (const world of worlds) {
  layer(layerWorld(world), { excludeTestServices: true, timeout: "30 seconds" })(
    `${nameOf(world)}: keys of other clients`,
    (it) => {
      for (const historySize of [1, 5]) {
        it.effect(`are listed, read and watched, with historySize ${historySize}; clear counts and keeps them`, () =>
          Effect.gen(function*() {
            const bucket = freshName()
            const store = Context.get(
              yield* Layer.build(NatsKVStore.layer({ bucket, historySize })),
              KVStore.KVStore
            )
            const watch = yield* record(store.watch())
            const { connection } = yield* Raw
            const put = (key: string, value: string) =>
              Effect.promise(() => connection.request(`$KV.${bucket}.${key}`, value, { timeout: 5000 }))
            yield* put("ours", "of ours")
            for (const key of foreignKeys) yield* put(key, `of ${key}`)
            const all = ["ours", ...foreignKeys]

            assert.deepStrictEqual(yield* store.keys(), all)
            assert.deepStrictEqual((yield* store.entries()).map(({ key, value }) => [key, textOf(value)]), [
              ["ours", "of ours"],
              ...foreignKeys.map((key) => [key, `of ${key}`])
            ])
            const many = yield* store.getMany([...all, "none", "größer"])
            assert.deepStrictEqual([...many].map(([key, { value }]) => [key, textOf(value)]).length, all.length)
            for (const key of foreignKeys) {
              const entry = Option.getOrThrow(yield* store.get(key))
              assert.deepStrictEqual([entry.key, textOf(entry.value)], [key, `of ${key}`])
              assert.deepStrictEqual(yield* store.get(key, { fromLeader: true }), Option.some(entry))
              assert.deepStrictEqual(yield* store.get(key, { revision: entry.revision }), Option.some(entry))
              assert.deepStrictEqual((yield* store.history(key)).map(shown), [`${key}=of ${key}`])
              assert.strictEqual(textOf(many.get(key)!.value), `of ${key}`)
              yield* reasonOf(store.put(key, entry.value), "InvalidKey")
              yield* reasonOf(store.delete(key), "InvalidKey")
              yield* reasonOf(store.purge(key), "InvalidKey")
            }
            yield* until(
              Effect.sync(() => watch.events.map(shown)),
              (events) => all.every((key) => events.includes(`${key}=of ${key}`))
            )
            assert.isTrue(Option.isNone(yield* store.get("größer")))

            assert.deepStrictEqual(yield* KVStore.clear(store), { removed: 1, skipped: foreignKeys.length })
            assert.deepStrictEqual(yield* store.keys(), foreignKeys)
          }))
      }
    }
  )
}
