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
import * as Election from "./Election.ts"
import type { ElectionError } from "./ElectionError.ts"
import { defaultMaxAge } from "./Expiration.ts"
import * as KVStore from "./KVStore.ts"
import type { BucketOptions } from "./KVStoreConfig.ts"
import { InvalidConfig, KVStoreError } from "./KVStoreError.ts"
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
  readonly registry?: Registry.Options | undefined
  readonly election?: Election.Options | undefined
  /** Copies of each bucket in a cluster, 1 to 5. Default 1. */
  readonly replicas?: number | undefined
  /**
   * Buckets that exist with another configuration (another `maxAge` of the
   * registry, or other `replicas`, ask for one): refuse them, change them, or
   * take them as they are. Default `"fail"`.
   */
  readonly onMismatch?: BucketOptions["onMismatch"]
}

/** What nobody cleaned up is removed by the bucket itself, after this many times maxAge. */
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
): Layer.Layer<Services, KVStoreError | RegistryError | ElectionError> => {
  const { election, onMismatch, registry, replicas, ...connection } = options
  return over({ election, onMismatch, registry, replicas }, NatsKVStore.layer).pipe(
    Layer.provide(NatsClient.layer(connection))
  )
}

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> => Config.withDefault(config, undefined)

const servers = optional(Config.String("AEGIS_NATS_URL"))

const replicas = Config.withDefault(Config.Int("AEGIS_REPLICAS"), 1)

const login = Config.all({
  user: optional(Config.String("AEGIS_NATS_USER")),
  password: optional(Config.Redacted("AEGIS_NATS_PASSWORD")),
  token: optional(Config.Redacted("AEGIS_NATS_TOKEN")),
  nkey: optional(Config.Redacted("AEGIS_NATS_NKEY")),
  credentialsFile: optional(Config.String("AEGIS_NATS_CREDS"))
})

const tls = Config.all({
  caFile: optional(Config.String("AEGIS_NATS_CA")),
  certFile: optional(Config.String("AEGIS_NATS_CERT")),
  keyFile: optional(Config.String("AEGIS_NATS_KEY"))
})

const isGiven = (value: unknown): boolean => value !== undefined

const anyGiven = (values: object): boolean => Object.values(values).some(isGiven)

/** Whoever says how to log in wants a server: memory would be a surprise, in production at that. */
const noServers = Effect.suspend(() =>
  new KVStoreError({
    bucket: undefined,
    operation: "connect",
    key: undefined,
    reason: new InvalidConfig({
      problem: "AEGIS_NATS_URL: expected nats://host:port beside the other settings of AEGIS_NATS, got none"
    })
  })
)

/**
 * From configuration. Where `AEGIS_NATS_URL` is not set, in memory, and says so
 * in the log.
 *
 * **Details**
 *
 * - `AEGIS_NATS_URL`: the servers, several with commas between
 * - `AEGIS_REPLICAS`: copies of each bucket, 1 to 5. Default 1
 * - one way to log in, or none: `AEGIS_NATS_CREDS` (the path of a JWT
 *   credentials file), `AEGIS_NATS_USER` with `AEGIS_NATS_PASSWORD`,
 *   `AEGIS_NATS_TOKEN`, or `AEGIS_NATS_NKEY` (the seed)
 * - TLS, by paths of PEM files: `AEGIS_NATS_CA` (whom to trust), and
 *   `AEGIS_NATS_CERT` with `AEGIS_NATS_KEY` (a client certificate). A `tls://`
 *   in the URL asks for TLS without any of them
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<
  Services,
  KVStoreError | RegistryError | ElectionError | Config.ConfigError
> = Layer.unwrap(Effect.gen(function*() {
  const given = yield* Config.all({ servers, replicas, login, tls })
  const isTls = anyGiven(given.tls)
  if (given.servers !== undefined) {
    const connection = { servers: given.servers, ...given.login, tls: isTls ? given.tls : undefined }
    // Which login it is, and that it is one, is known when it runs: the client checks it.
    return layerNats({ ...(connection as NatsClient.Options), replicas: given.replicas })
  }
  if (isTls || anyGiven(given.login)) return yield* noServers
  yield* Effect.logWarning("AEGIS_NATS_URL is not set: coordination stays in this process's memory")
  return layerMemory
}))
