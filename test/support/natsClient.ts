/** Clients of the server of a test. */
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream"
import { connect as connectRaw, type NatsConnection } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { connect as connectLegacy } from "nats"
import * as Buckets from "../../src/Buckets.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsLegacy from "../../src/NatsLegacy.ts"
import { NatsServer } from "../../tools/natsServer/server.ts"

export const layerClient = Layer.unwrap(Effect.map(NatsServer, ({ url }) => NatsClient.layer({ servers: url })))

/** A client over a connection of the `nats` package, which this layer closes. */
export const layerLegacyClient = Layer.unwrap(
  Effect.map(
    Effect.flatMap(NatsServer, ({ url }) =>
      Effect.acquireRelease(
        Effect.promise(() => connectLegacy({ servers: url, maxReconnectAttempts: -1 })),
        (connection) => Effect.promise(() => connection.close())
      )),
    NatsLegacy.layerFromConnection
  )
)

/** A separate connection of `@nats-io/transport-node`, without this library. */
export class Raw extends Context.Service<Raw, {
  readonly connection: NatsConnection
  readonly manager: JetStreamManager
}>()("effect-aegis/test/Raw") {}

export const layerRaw = Layer.effect(
  Raw,
  Effect.gen(function*() {
    const { url } = yield* NatsServer
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() => connectRaw({ servers: url, maxReconnectAttempts: -1 })),
      (connection) => Effect.promise(() => connection.close())
    )
    return { connection, manager: yield* Effect.promise(() => jetstreamManager(connection)) }
  })
)

/** The buckets of a server, with their own client. */
export const layerOwnNatsBuckets = Layer.provide(Buckets.layerNats, layerClient)
