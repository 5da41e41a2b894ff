/**
 * Stores on connections of the `nats` package (2.29.3), the predecessor of
 * `@nats-io/*`. The guarantees are the same as with `NatsClient`.
 *
 * The module is a separate entry point, because it needs the optional peer
 * dependency `nats`: `import * as NatsLegacy from "effect-aegis/NatsLegacy"`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as legacy from "./internal/nats/client/legacy.ts"
import * as client from "./internal/nats/service.ts"
import { InvalidConfig, KVStoreError } from "./KVStoreError.ts"
import { NatsClient } from "./NatsClient.ts"

/**
 * A layer on a connection that the program opened with the `nats` package. The
 * layer does not close the connection.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` if the argument is not such a connection.
 *
 * **Gotchas**
 *
 * Connect with `maxReconnectAttempts: -1`. By default the `nats` package closes the
 * connection after ten failed attempts to reconnect.
 *
 * **Example** (A store on a connection of the `nats` package)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { NatsKVStore } from "effect-aegis"
 * import * as NatsLegacy from "effect-aegis/NatsLegacy"
 * import { connect } from "nats"
 *
 * const Client = Layer.unwrap(Effect.map(
 *   Effect.promise(() => connect({ servers: "127.0.0.1:4222", maxReconnectAttempts: -1 })),
 *   NatsLegacy.layerFromConnection
 * ))
 *
 * export const Store = NatsKVStore.layer({ bucket: "settings" }).pipe(Layer.provide(Client))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromConnection = (connection: unknown): Layer.Layer<NatsClient, KVStoreError> =>
  Layer.effect(
    NatsClient,
    Effect.suspend(() =>
      legacy.isConnection(connection)
        ? client.make(connection, legacy.make(connection))
        : Effect.fail(
          new KVStoreError({
            bucket: undefined,
            operation: "layerFromConnection",
            key: undefined,
            reason: new InvalidConfig({
              problem:
                "expected a NatsConnection of the package nats; for one of @nats-io use NatsClient.layerFromConnection"
            })
          })
        )
    )
  )
