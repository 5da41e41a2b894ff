/** Records of a registry, as its instances store them, and the opened registry. */
import { DeliverPolicy, jetstream, type JsMsg } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { keyPrefix } from "../../src/internal/registry/record.ts"
import type * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"

/** Instances of one service. */
export const perService = 100

/** Longer than any measurement: no record expires. */
const maxAge = "10 minutes"

/** One instance: its subject, and its record with the current time, as `Registry.register` stores it. */
export const recordOf = (bucket: string, index: number) => {
  const [serviceName, instanceId] = [`service-${Math.floor(index / perService)}`, `instance-${index}`]
  const record = {
    serviceName,
    instanceId,
    version: "1.24.3",
    status: "ACTIVE",
    lastHeartbeat: DateTime.formatIso(DateTime.nowUnsafe()),
    metadata: { host: `10.0.${index >> 8}.${index & 255}`, port: 8080, zone: "eu-central-1a", tags: ["http", "grpc"] },
    nonce: `nonce-${index}`.padEnd(16, "x")
  }
  return {
    subject: `$KV.${bucket}.${keyPrefix}.${serviceName}.${instanceId}`,
    bytes: new TextEncoder().encode(JSON.stringify(record))
  }
}

/** Stores the records of a number of instances. */
export const fill = (connection: NatsConnection, bucket: string, instances: number) => {
  const js = jetstream(connection)
  return Effect.forEach(
    Array.from({ length: instances }).keys(),
    (index) => {
      const { bytes, subject } = recordOf(bucket, index)
      return Effect.promise(() => js.publish(subject, bytes))
    },
    { concurrency: 256, discard: true }
  )
}

/** A registry on its own connection. */
export const openRegistry = (url: string, bucket: string): Effect.Effect<
  Registry.Registry["Service"],
  Registry.RegistryError | KVStore.KVStoreError,
  Scope.Scope
> =>
  Effect.map(
    Layer.build(
      Layer.fresh(Registry.layer({ maxAge })).pipe(
        Layer.provide(Layer.fresh(NatsKVStore.layer({ bucket }))),
        Layer.provide(Layer.fresh(NatsClient.layer({ servers: url })))
      )
    ),
    (context) => Context.get(context, Registry.Registry)
  )

/** More than the default of 100, with which a snapshot waits for a request per 75 messages. */
const mostRequested = 1000

/** An ordered consumer of the same records: the last one of each instance, then each later one. Stops with the scope. */
export const consumeRaw = (connection: NatsConnection, bucket: string, callback: (message: JsMsg) => void) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const consumer = await jetstream(connection).consumers.get(`KV_${bucket}`, {
        filter_subjects: [`$KV.${bucket}.${keyPrefix}.*.*`],
        deliver_policy: DeliverPolicy.LastPerSubject
      })
      return consumer.consume({ callback, max_messages: mostRequested })
    }),
    (messages) => Effect.promise(() => messages.close())
  )
