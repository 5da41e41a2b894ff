/** Servers with a low `max_payload`: requests are split to fit, and one that cannot fit fails with its reason. */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { valueLimitOf } from "../../src/internal/valueLimit.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { bytes, textOf } from "../../tools/values.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, reasonOf, record } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"
import { shown } from "./suite/fixture.ts"

const until = eventually(false)

/** The bytes of the headers of a write that expects a revision of one digit. */
const conditionSize = "NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n".length

const keyOf = (index: number) => `k${index}.${"n".repeat(180)}`

for (const world of worlds) {
  for (const limit of [512, 8 * 1024, 64 * 1024]) {
    layer(layerWorld(world, `max_payload: ${limit}`), { excludeTestServices: true, timeout: "30 seconds" })(
      `${nameOf(world)}: max_payload of ${limit} bytes`,
      (it) => {
        const open = Effect.fnUntraced(function*(historySize: number, bucket = freshName()) {
          return Context.get(yield* Layer.build(NatsKVStore.layer({ bucket, historySize })), KVStore.KVStore)
        })

        for (const historySize of [1, 3]) {
          it.effect(`limits neither the number of keys nor their length, with historySize ${historySize}`, () =>
            Effect.gen(function*() {
              const bucket = freshName()
              const store = yield* open(historySize, bucket)
              const keys = Array.from({ length: 400 }, (_, index) => keyOf(index))
              const watch = yield* record(store.watch())
              yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 50 })
              // Keys of other clients take more bytes in JSON than characters, and one is longer than a request.
              const { connection } = yield* Raw
              const foreign = Array.from({ length: 9 }, (_, index) => `${index}${"\u{2764}".repeat(90)}`)
              const longest = "l".repeat(1024)
              for (const key of [...foreign, longest]) {
                yield* Effect.promise(() => connection.request(`$KV.${bucket}.${key}`, "1", { timeout: 5000 }))
              }
              const all = [...keys, ...foreign, longest].toSorted()
              const sorted = (found: Iterable<string>) => [...found].toSorted()

              assert.deepStrictEqual(sorted(yield* store.keys()), all)
              assert.deepStrictEqual(sorted((yield* store.entries()).map(({ key }) => key)), all)
              assert.deepStrictEqual(sorted((yield* store.getMany(all)).keys()), all)
              assert.deepStrictEqual(
                sorted((yield* Stream.runCollect(store.stream())).map(({ key }) => key)),
                all
              )
              yield* until(Effect.sync(() => watch.events.length), (count) => count === all.length + 1)
              assert.strictEqual((yield* store.history(keyOf(7))).length, 1)
              assert.isTrue(Option.isSome(yield* store.get(longest)))
              assert.deepStrictEqual(yield* KVStore.clear(store), { removed: 401, skipped: 9 })
              assert.deepStrictEqual(yield* store.keys(), foreign)
            }))
        }

        it.effect("valueLimitOf leaves room for a condition on a revision of 16 digits", () =>
          Effect.gen(function*() {
            const store = yield* open(1)
            const size = valueLimitOf(store)
            assert.strictEqual(size, limit - conditionSize - 15)
            const revision = yield* store.put("a", bytes("1"))
            yield* store.put("a", bytes("v".repeat(size)), { revision })
          }))

        it.effect("a value of exactly the limit is stored, and one byte more is ValueTooLarge with the limit", () =>
          Effect.gen(function*() {
            const store = yield* open(1)
            const text = (size: number) => bytes("v".repeat(size))
            yield* store.put("a", text(limit))
            assert.strictEqual(textOf(Option.getOrThrow(yield* store.get("a")).value).length, limit)
            assert.strictEqual(
              textOf(Option.getOrThrow(yield* store.get("a", { fromLeader: true })).value).length,
              limit
            )
            assert.deepInclude(yield* reasonOf(store.put("a", text(limit + 1)), "ValueTooLarge"), {
              size: limit + 1,
              limit
            })
            const { createOnly } = KVStore.KVOptions
            const most = limit - conditionSize
            yield* store.put("b", text(most), createOnly)
            assert.deepInclude(yield* reasonOf(store.put("c", text(most + 1), createOnly), "ValueTooLarge"), {
              size: most + 1,
              limit: most
            })
            assert.deepStrictEqual((yield* store.entries()).map(({ key, value }) => [key, value.length]), [
              ["a", limit],
              ["b", most]
            ])
          }))

        it.effect("a request that cannot fit is InvalidConfig, and never retryable", () =>
          Effect.gen(function*() {
            const store = yield* open(1)
            yield* store.put("a", bytes("1"))
            const filter = `${"f".repeat(limit - 5)}.*`
            if (limit < 1024) {
              for (const failing of [store.entries(filter), store.keys(filter), Stream.runDrain(store.watch(filter))]) {
                const { problem } = yield* reasonOf(failing, "InvalidConfig")
                assert.include(problem, "max_payload")
              }
            }
            const wide = NatsKVStore.layer({ bucket: freshName(), description: "d".repeat(4000) })
            if (limit < 4000) {
              assert.include((yield* reasonOf(Layer.build(wide), "InvalidConfig")).problem, "description")
            } else yield* Layer.build(wide)
            assert.deepStrictEqual((yield* store.entries("a")).map((entry) => shown({ _tag: "Put", entry })), ["a=1"])
          }))
      }
    )
  }
}
