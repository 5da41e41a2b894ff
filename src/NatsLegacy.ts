/**
 * For programs that still hold a connection of the `nats` package (2.29.3), the
 * predecessor of `@nats-io/*`: the same stores on it, with the same guarantees.
 *
 * An entry of its own, since only such programs have that package:
 * `import * as NatsLegacy from "effect-aegis/NatsLegacy"`.
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
 * Takes a connection of the `nats` package that the program already has. It is
 * not closed here. Connect it with `maxReconnectAttempts: -1`, or it gives up for
 * good after ten attempts.
 *
 * **Example** (A store on an old connection)
 *
 * ```ts
 * import { connect } from "nats"
 *
 * const connection = await connect({ servers: "127.0.0.1:4222", maxReconnectAttempts: -1 })
 * const Store = NatsKVStore.layer({ bucket: "settings" }).pipe(
 *   Layer.provide(NatsLegacy.layerFromConnection(connection))
 * )
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
              problem: "expected a NatsConnection of the package nats; NatsClient takes those of @nats-io"
            })
          })
        )
    )
  )
