/** Bad input is refused before anything is sent: a connection counts what it sends. */
import { assert, describe, it } from "@effect/vitest"
import type { NatsConnection } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes, untyped } from "../../tools/values.ts"
import { badInputs, refused } from "./suite/badInput.ts"

/** All but what modify is asked for, which reads before it is. */
const unread = badInputs.filter(({ attempts }) => attempts.every(([operation]) => operation !== "modify"))

for (const line of lines) {
  describe(`bad input, ${line}`, () => {
    it.live(`none of ${unread.length} kinds has anything sent, nor has a bucket that cannot be had`, () =>
      Effect.gen(function*() {
        const { url } = yield* startNatsServer({ line })
        const client = yield* Layer.build(NatsClient.layer({ servers: url }))
        const open = (options: KVStore.BucketOptions) =>
          Effect.map(
            Layer.build(Layer.provide(NatsKVStore.layer(options), Layer.succeedContext(client))),
            Context.get(KVStore.KVStore)
          )
        const connection = Context.get(client, NatsClient.NatsClient).connection as NatsConnection
        // What was begun may be sent a little later: after a round trip it has been.
        const sent = Effect.map(Effect.promise(() => connection.flush()), () => connection.stats().outMsgs)
        const store = yield* open({ bucket: "orders" })

        const before = yield* sent
        yield* store.put("a", bytes("1"))
        assert.isAbove(yield* sent, before, "it counts")

        for (const row of unread) {
          const before = yield* sent
          yield* refused(store, row)
          assert.strictEqual(yield* sent, before, row.title)
        }
        for (const options of [{ bucket: "a.b" }, { bucket: "b", replicas: 6 }, { bucket: "b", ttl: 5 }, undefined]) {
          const before = yield* sent
          const error = yield* Effect.flip(open(untyped(options)))
          assert.strictEqual(error.reason._tag, "InvalidConfig")
          assert.strictEqual(yield* sent, before, error.message)
        }
      }))
  })
}
