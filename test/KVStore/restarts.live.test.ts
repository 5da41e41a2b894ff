/** Acknowledged writes, from the first message of a bucket on, survive a kill and a restart of the server. */
import { assert, describe, it } from "@effect/vitest"
import { KVStore, NatsClient, NatsKVStore } from "effect-aegis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"

for (const line of lines) {
  describe(`a bucket on ${line}`, () => {
    it.live("keeps every value after a kill and a restart, the first one too", () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const open = NatsKVStore.layer({ bucket: "kept" }).pipe(
          Layer.provide(NatsClient.layer({ servers: server.url }))
        )
        const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`)
        const written = yield* Effect.gen(function*() {
          const store = yield* KVStore.KVStore
          assert.deepStrictEqual(yield* store.keys(), [])
          return yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)))
        }).pipe(Effect.provide(open))
        yield* server.kill
        yield* server.restart
        yield* Effect.gen(function*() {
          const store = yield* KVStore.KVStore
          const entries = yield* store.entries()
          assert.deepStrictEqual(entries.map((entry) => entry.key), keys)
          assert.deepStrictEqual(entries.map((entry) => entry.revision), written)
          assert.isAbove(yield* store.put("next", bytes("next")), written.at(-1)!)
        }).pipe(Effect.provide(Layer.fresh(open)))
      }))
  })
}
