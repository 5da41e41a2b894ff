/**
 * `purgeTombstones` on real servers. The host's clock jumps ahead by two hours, and with it the store's, so that
 * tombstones are old.
 */
import { assert, layer } from "@effect/vitest"
import { headers } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { lines, temporaryFolder } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import { jumpingClock } from "../support/jumpingClock.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, numbers, reasonOf, record } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"
import { shown } from "./suite/fixture.ts"

const until = eventually(false)

const open = Effect.fnUntraced(function*(options: Partial<KVStore.BucketOptions>) {
  const { jump, jumping } = jumpingClock(yield* Clock.Clock)
  const store = yield* NatsKVStore.make({ bucket: freshName(), ...options }).pipe(
    Effect.provideService(Clock.Clock, jumping)
  )
  return { jump, store }
})

for (const world of worlds) {
  layer(layerWorld(world), { excludeTestServices: true, timeout: "30 seconds" })(
    `${nameOf(world)}: purgeTombstones`,
    (it) => {
      for (const historySize of [1, 3]) {
        it.effect(`removes tombstones, and keeps keys that are written again during the call, with historySize ${historySize}`, () =>
          Effect.gen(function*() {
            const { jump, store } = yield* open({ historySize })
            const keys = numbers(300).map((n) => `k.${n}`)
            const watch = yield* record(store.watch())
            yield* Effect.forEach(keys, (key) => Effect.andThen(store.put(key, bytes("1")), store.delete(key)), {
              concurrency: 32
            })
            yield* jump
            const [removed] = yield* Effect.all([
              store.purgeTombstones(),
              Effect.forEach(keys.slice(0, 100), (key) => store.put(key, bytes("2")), { concurrency: 4 })
            ], { concurrency: "unbounded" })
            assert.isAtLeast(removed, 200)
            assert.isAtMost(removed, 300)
            assert.deepStrictEqual((yield* store.keys()).toSorted(), keys.slice(0, 100).toSorted())
            for (const key of [keys[100]!, keys.at(-1)!]) assert.deepStrictEqual(yield* store.history(key), [])
            yield* store.put(keys[200]!, bytes("3"), KVStore.KVOptions.createOnly)
            const written = yield* until(
              Effect.sync(() => watch.events.map(shown)),
              (events) => events.includes(`${keys[200]}=3`)
            )
            assert.strictEqual(written.filter((event) => event.endsWith("=2")).length, 100)
          }))
      }

      it.effect("keeps every value, whatever tombstones other clients have left", () =>
        Effect.gen(function*() {
          const { jump, store } = yield* open({})
          const keys = ["a", "b", "c.d"]
          yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")))
          const { connection } = yield* Raw
          const tombstone = headers()
          tombstone.set("KV-Operation", "DEL")
          const theirs = ["*", ">", "c.*", "a\u00a0", "\ufeffa", "größe"]
          for (const key of theirs) {
            const subject = `$KV.${store.config.bucket}.${key}`
            yield* Effect.promise(() => connection.request(subject, "", { headers: tombstone, timeout: 5000 }))
          }
          yield* store.delete("b")
          yield* jump
          assert.strictEqual(yield* store.purgeTombstones(), 1)
          assert.deepStrictEqual(yield* store.keys(), ["a", "c.d"])
          assert.strictEqual((yield* store.status).messages, 2 + theirs.length)
        }))

      it.effect("empties a bucket that is full of tombstones", () =>
        Effect.gen(function*() {
          const { jump, store } = yield* open({ maxBytes: 20_000, maxValueSize: 2000 })
          const use = Effect.forEach(numbers(2000), (n) =>
            Effect.andThen(store.put(`session.${n}`, new Uint8Array(100)), store.delete(`session.${n}`)))
          yield* reasonOf(use, "StorageFull")
          yield* jump
          assert.isAbove(yield* store.purgeTombstones(), 200)
          assert.strictEqual((yield* store.status).messages, 0)
          yield* store.put("session.new", new Uint8Array(100))
        }))
    }
  )
}

layer(Layer.empty, { excludeTestServices: true })("purgeTombstones", (it) => {
  for (const line of lines) {
    it.effect(`${line}: revisions continue after a restart of a server whose bucket it has emptied`, () =>
      Effect.gen(function*() {
        const storeDir = yield* temporaryFolder(Path.join(tmpdir(), "effect-aegis-nats-"))
        const bucket = freshName()
        const onServer = <A>(body: Effect.Effect<A, KVStore.KVStoreError, NatsClient.NatsClient | Scope.Scope>) =>
          Effect.scoped(Effect.gen(function*() {
            const { url } = yield* startNatsServer({ line, storeDir })
            return yield* Effect.provide(body, NatsClient.layer({ servers: url }))
          }))
        const last = yield* onServer(Effect.gen(function*() {
          const { jump, store } = yield* open({ bucket })
          yield* store.put("a", bytes("1"))
          yield* store.delete("a")
          yield* jump
          assert.strictEqual(yield* store.purgeTombstones(), 1)
          const { lastRevision, messages } = yield* store.status
          assert.strictEqual(messages, 0)
          return lastRevision
        }))
        yield* onServer(Effect.gen(function*() {
          const { store } = yield* open({ bucket })
          assert.strictEqual(yield* store.put("a", bytes("2"), KVStore.KVOptions.createOnly), last + 1)
        }))
      }))
  }
})
