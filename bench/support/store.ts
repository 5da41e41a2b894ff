/** Opens a store of the library, and a connection of the NATS client, for benchmarks that compare them. */
import { connect } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"

export const openStore = (url: string, bucket: string) =>
  Effect.map(
    Layer.build(Layer.provide(NatsKVStore.layer({ bucket }), NatsClient.layer({ servers: url }))),
    (context) => Context.get(context, KVStore.KVStore)
  )

export const connection = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: url })),
    (connection) => Effect.promise(() => connection.close())
  )

export const value = new Uint8Array(128).fill(118)
