/** Invalid input is refused before anything is sent. The messages sent are counted by the connection. */
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

/** All rows but those of `modify`, which reads the key before it computes the invalid value. */
const unread = badInputs.filter(({ attempts }) => attempts.every(([operation]) => operation !== "modify"))

for (const line of lines) {
  describe(`invalid input, ${line}`, () => {
    it.live(`${unread.length} kinds of invalid input, and invalid options of a bucket, send no message`, () =>
      Effect.gen(function*() {
        const { url } = yield* startNatsServer({ line })
        const client = yield* Layer.build(NatsClient.layer({ servers: url }))
        const open = (options: KVStore.BucketOptions) =>
          Effect.map(
            Layer.build(Layer.provide(NatsKVStore.layer(options), Layer.succeedContext(client))),
            Context.get(KVStore.KVStore)
          )
        const connection = Context.get(client, NatsClient.NatsClient).connection as NatsConnection
        // A message may be sent with a delay: after a flush it has been counted.
        const sent = Effect.map(Effect.promise(() => connection.flush()), () => connection.stats().outMsgs)
        const store = yield* open({ bucket: "orders" })

        const before = yield* sent
        yield* store.put("a", bytes("1"))
        assert.isAbove(yield* sent, before, "the connection counts messages")

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
