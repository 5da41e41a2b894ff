/** A bucket that is opened with `onMismatch: "accept"` keeps its settings; services that need others are refused. */
import { assert, describe, it } from "@effect/vitest"
import { Election, KVStore, NatsClient, NatsKVStore, Registry } from "effect-aegis"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"

for (const line of lines) {
  describe(`an accepted bucket, ${line}`, () => {
    it.live("has its own settings, and is refused by elections and a registry that need others", () =>
      Effect.gen(function*() {
        const { url } = yield* startNatsServer({ line })
        const open = (options: Partial<KVStore.BucketOptions>) =>
          NatsKVStore.layer({ bucket: "theirs", ...options }).pipe(Layer.provide(NatsClient.layer({ servers: url })))
        yield* Layer.build(open({ historySize: 5, streamMaxAge: "2 seconds", storage: "memory" }))
        const accepted = open({ onMismatch: "accept" })

        const { config } = yield* Effect.provide(KVStore.KVStore, accepted)
        assert.strictEqual(config.historySize, 5)
        assert.strictEqual(config.storage, "memory")
        assert.deepStrictEqual(config.streamMaxAge, Duration.seconds(2))
        const election = yield* Effect.flip(Layer.build(Layer.provide(Election.layer(), accepted)))
        assert.match(election.message, /historySize: expected 1 for elections/)
        const registry = yield* Effect.flip(Layer.build(Layer.provide(Registry.layer(), accepted)))
        assert.match(registry.message, /streamMaxAge of the bucket: expected at least twice maxAge .*, got 2s/)
      }))
  })
}
