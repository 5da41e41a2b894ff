/**
 * Everything at once, each part on a bucket of its own: for a first program,
 * and for most.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Election from "./Election.ts"
import type { ElectionError } from "./ElectionError.ts"
import { defaultMaxAge } from "./Expiration.ts"
import * as KVStore from "./KVStore.ts"
import type { BucketOptions } from "./KVStoreConfig.ts"
import type { KVStoreError } from "./KVStoreError.ts"
import * as NatsClient from "./NatsClient.ts"
import * as NatsKVStore from "./NatsKVStore.ts"
import * as Registry from "./Registry.ts"
import type { RegistryError } from "./RegistryError.ts"

/**
 * What the presets provide.
 *
 * @category models
 * @since 0.1.0
 */
export type Services = Registry.Registry | Election.Election

/**
 * How the parts work; each has defaults.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly registry?: Registry.RegistryOptions | undefined
  readonly election?: Election.ElectionOptions | undefined
  /** Copies of each bucket in a cluster, 1 to 5. Default 1. */
  readonly replicas?: number | undefined
  /**
   * Buckets that exist with another configuration (another `maxAge` of the
   * registry, or other `replicas`, ask for one): refuse them, change them, or
   * take them as they are. Default `"fail"`.
   */
  readonly onMismatch?: BucketOptions["onMismatch"]
}

/** What nobody swept is removed by the bucket itself, after this many times maxAge. */
const agesKept = 10

const registryBucket = (options: Options): BucketOptions => ({
  bucket: "service_registry",
  replicas: options.replicas,
  onMismatch: options.onMismatch,
  streamMaxAge: Duration.times(Duration.fromInputUnsafe(options.registry?.maxAge ?? defaultMaxAge), agesKept)
})

const electionBucket = (options: Options): BucketOptions => ({
  bucket: "service_election",
  replicas: options.replicas,
  onMismatch: options.onMismatch
})

const over = <E, R>(
  options: Options,
  store: (bucket: BucketOptions) => Layer.Layer<KVStore.KVStore, E, R>
): Layer.Layer<Services, E | RegistryError | ElectionError, R> =>
  Layer.mergeAll(
    Registry.layer(options.registry).pipe(Layer.provide(store(registryBucket(options)))),
    Election.layer(options.election).pipe(Layer.provide(store(electionBucket(options))))
  )

/**
 * All in this process, for tests and first steps: nothing outlives it, and no
 * other process sees it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<Services, KVStoreError | RegistryError | ElectionError> = over(
  {},
  KVStore.layerMemory
)

/**
 * On a NATS server, over one connection. The buckets are `service_registry` and
 * `service_election`; they are made where they are not there.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNats = (
  options: NatsClient.Options & Options
): Layer.Layer<Services, KVStoreError | RegistryError | ElectionError> =>
  over(options, NatsKVStore.layer).pipe(Layer.provide(NatsClient.layer(options)))

const settings = Config.all({
  url: Config.option(Config.String("AEGIS_NATS_URL")),
  replicas: Config.Int("AEGIS_REPLICAS").pipe(Config.withDefault(1))
})

/**
 * From configuration: on the servers of `AEGIS_NATS_URL` (several with commas
 * between), with `AEGIS_REPLICAS` copies (default 1). Where no URL is set, in
 * memory, and says so in the log.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<
  Services,
  KVStoreError | RegistryError | ElectionError | Config.ConfigError
> = Layer.unwrap(Effect.gen(function*() {
  const { replicas, url } = yield* settings
  if (Option.isSome(url)) return layerNats({ servers: url.value.split(",").map((server) => server.trim()), replicas })
  yield* Effect.logWarning("AEGIS_NATS_URL is not set: coordination stays in this process's memory")
  return layerMemory
}))
