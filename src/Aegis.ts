/**
 * The registry and elections together, each on a bucket of its own: in memory,
 * on NATS servers, or as the configuration says.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Election from "./Election.ts"
import { ElectionError } from "./ElectionError.ts"
import { toLayerTimes } from "./internal/election/candidate.ts"
import { longestAge } from "./internal/kv/limits.ts"
import { connectionNames } from "./internal/nats/connect/settings.ts"
import { tlsNames } from "./internal/nats/connect/tls.ts"
import { anything, group, integer, oneOf, optional, read, readGiven } from "./internal/options.ts"
import { toLayerOptions } from "./internal/registry/options.ts"
import { unwrapConfig } from "./internal/wrappedConfig.ts"
import * as KVStore from "./KVStore.ts"
import { type BucketOptions, type InvalidConfig, KVStoreError } from "./KVStore.ts"
import * as NatsClient from "./NatsClient.ts"
import * as NatsKVStore from "./NatsKVStore.ts"
import * as Registry from "./Registry.ts"
import { RegistryError } from "./RegistryError.ts"

/**
 * The services that each preset provides.
 *
 * @category models
 * @since 0.1.0
 */
export type Services = Registry.Registry | Election.Election

/**
 * The options of every preset. Each has a default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The registry's options. Default: those of `Registry.layer`. */
  readonly registry?: Registry.Options | undefined
  /** The options of elections. Default: those of `Election.layer`. */
  readonly election?: Election.Options | undefined
  /** Copies of each bucket in a cluster, 1 to 5. Default 1. */
  readonly replicas?: number | undefined
  /**
   * A bucket that exists with another configuration (another `maxAge` of the
   * registry, or other `replicas`, ask for one): refuse it, change it, or accept
   * it as it is. Default `"fail"`.
   */
  readonly onMismatch?: BucketOptions["onMismatch"]
}

/**
 * The options of `layerConfig`: those of every preset, where the buckets live,
 * and the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConfigOptions extends Options {
  /** Default: `AEGIS_BACKEND`, or `"nats"` where the servers are known. */
  readonly backend?: "nats" | "memory" | undefined
  /** Fields of the connection. Default of each: its variable, `AEGIS_NATS_*`. */
  readonly nats?: { readonly [Name in keyof NatsClient.Options]?: NatsClient.Options[Name] | undefined } | undefined
}

/** A record that no cleanup removes is removed by the bucket itself, after this many times maxAge. */
const agesKept = 10

const registryBucket = (options: Options, maxAge: Duration.Duration): BucketOptions => ({
  bucket: "service_registry",
  replicas: options.replicas,
  onMismatch: options.onMismatch,
  streamMaxAge: Duration.min(Duration.times(maxAge, agesKept), longestAge)
})

const electionBucket = (options: Options): BucketOptions => ({
  bucket: "service_election",
  replicas: options.replicas,
  onMismatch: options.onMismatch
})

const refuse = (operation: string, reason: InvalidConfig): KVStoreError =>
  new KVStoreError({ bucket: undefined, operation, key: undefined, reason })

/** The options that the presets have of their own; those of the services are read by `over`. */
const settings = {
  registry: anything,
  election: anything,
  replicas: optional(integer(1, 5)),
  onMismatch: optional(oneOf(["fail", "update", "accept"]))
}

const checked = (operation: string, options: unknown): Effect.Effect<Options, KVStoreError> =>
  Effect.suspend(() => Effect.fromResult(read(operation, options, settings))).pipe(
    Effect.mapBoth({
      onFailure: (reason) => refuse(operation, reason),
      onSuccess: (values) => values as Options
    })
  )

/** Beside the presets' own options there are those of the connection, which the client reads. */
const checkNames = (options: unknown): Effect.Effect<unknown, KVStoreError> => {
  const names = [...Object.keys(settings), ...connectionNames]
  return Effect.mapError(
    Effect.fromResult(readGiven("Aegis.layerNats", options, fieldsOf(names))),
    (reason) => refuse("Aegis.layerNats", reason)
  )
}

/** The services' options are read before anything is opened: a bucket, or the connection that it needs. */
const over = <E, R>(
  options: Options,
  store: (bucket: BucketOptions) => Layer.Layer<KVStore.KVStore, E, R>
): Effect.Effect<Layer.Layer<Services, E | RegistryError | ElectionError, R>, RegistryError | ElectionError> =>
  Effect.gen(function*() {
    const { maxAge } = yield* Effect.mapError(
      Effect.fromResult(toLayerOptions(options.registry, undefined)),
      (reason) => new RegistryError({ operation: "Registry.layer", reason })
    )
    yield* Effect.mapError(
      toLayerTimes(options.election, Election.resilient),
      (reason) => new ElectionError({ operation: "Election.layer", election: undefined, reason })
    )
    return Layer.mergeAll(
      Registry.layer(options.registry).pipe(Layer.provide(store(registryBucket(options, maxAge)))),
      Election.layer(options.election).pipe(Layer.provide(store(electionBucket(options))))
    )
  })

/**
 * Everything in this process, for tests and first steps: nothing outlives the
 * layer, and no other process sees it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (
  options?: Options
): Layer.Layer<Services, KVStoreError | RegistryError | ElectionError> =>
  Layer.unwrap(Effect.flatMap(checked("Aegis.layerMemory", options), (known) => over(known, KVStore.layerMemory)))

/**
 * On NATS servers, over one connection. The buckets are `service_registry` and
 * `service_election`; they are created where they do not exist.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNats = (
  options: NatsClient.Options & Options
): Layer.Layer<Services, KVStoreError | RegistryError | ElectionError> =>
  Layer.unwrap(Effect.gen(function*() {
    yield* checkNames(options)
    const { election, onMismatch, registry, replicas, ...connection } = options
    const known = yield* checked("Aegis.layerNats", { election, onMismatch, registry, replicas })
    const services = yield* over(known, NatsKVStore.layer)
    return Layer.provide(services, NatsClient.layer(connection))
  }))

// -----------------------------------------------------------------------------
// configuration
// -----------------------------------------------------------------------------

const variables = {
  backend: Config.schema(Schema.Literals(["nats", "memory"]), "AEGIS_BACKEND"),
  replicas: Config.schema(
    Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 5 })),
    "AEGIS_REPLICAS"
  )
}

const fieldsOf = (names: ReadonlyArray<string>) => Object.fromEntries(names.map((name) => [name, anything]))

/** The client reads the fields themselves; it is not asked where the backend is memory. */
const configSettings = {
  ...settings,
  backend: optional(oneOf(["nats", "memory"])),
  nats: optional(group({ ...fieldsOf(connectionNames), tls: optional(group(fieldsOf(tlsNames))) }))
}

const connectionVariables = {
  servers: Config.String("AEGIS_NATS_URL"),
  user: Config.String("AEGIS_NATS_USER"),
  password: Config.Redacted("AEGIS_NATS_PASSWORD"),
  token: Config.Redacted("AEGIS_NATS_TOKEN"),
  nkey: Config.Redacted("AEGIS_NATS_NKEY"),
  credentialsFile: Config.String("AEGIS_NATS_CREDS")
}

const tlsVariables = {
  caFile: Config.String("AEGIS_NATS_CA"),
  certFile: Config.String("AEGIS_NATS_CERT"),
  keyFile: Config.String("AEGIS_NATS_KEY")
}

/** The value that was given, or else the variable's; undefined where there is neither. */
const orVariable = <A>(given: A | undefined, variable: Config.Config<A>): Config.Config<A | undefined> =>
  given === undefined ? Config.withDefault(variable, undefined) : Config.succeed(given)

/** Each field that was given, and the variables of the others. */
const fillFrom = (
  given: object | undefined,
  byName: { readonly [name: string]: Config.Config<unknown> }
): Config.Config<{ readonly [name: string]: unknown }> =>
  Config.all(Object.fromEntries(
    Object.entries(byName).map(([name, variable]) => [name, orVariable(Reflect.get(given ?? {}, name), variable)])
  ))

const defined = (fields: object): { readonly [name: string]: unknown } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const connectionFrom = Effect.fnUntraced(function*(
  given: ConfigOptions["nats"]
): Effect.fn.Return<{ readonly [name: string]: unknown }, Config.ConfigError> {
  const tls = { ...given?.tls, ...defined(yield* fillFrom(given?.tls, tlsVariables)) }
  return {
    ...given,
    ...defined(yield* fillFrom(given, connectionVariables)),
    ...(Object.keys(tls).length === 0 && given?.tls === undefined ? {} : { tls })
  }
})

const configured = (
  config: Config.Wrap<ConfigOptions>
): Effect.Effect<ConfigOptions, KVStoreError | Config.ConfigError> =>
  Effect.suspend(() => Effect.fromResult(unwrapConfig("config", config))).pipe(
    Effect.flatMap(identity),
    Effect.tap((given) => Effect.fromResult(read("Aegis.layerConfig", given, configSettings))),
    Effect.catchTag("InvalidConfig", (reason) => Effect.fail(refuse("Aegis.layerConfig", reason)))
  )

/** Memory is what somebody asks for, and never what is left. */
const noServers = new Config.ConfigError(
  new Schema.SchemaError(
    new SchemaIssue.Pointer(
      ["AEGIS_NATS_URL"],
      new SchemaIssue.InvalidValue(
        {
          expected:
            "nats://host:port of the servers, or AEGIS_BACKEND=memory to coordinate in this process's memory only"
        },
        undefined,
        {}
      )
    )
  )
)

/**
 * From `Config`. A field that is given here replaces its variable only.
 *
 * **Details**
 *
 * - `AEGIS_BACKEND`: `nats` (default), or `memory` for coordination in this
 *   process's memory only
 * - `AEGIS_NATS_URL`: the servers, several with commas between
 * - `AEGIS_REPLICAS`: copies of each bucket, 1 to 5. Default 1
 * - one way to log in, or none: `AEGIS_NATS_CREDS` (the path of a JWT
 *   credentials file), `AEGIS_NATS_USER` with `AEGIS_NATS_PASSWORD`,
 *   `AEGIS_NATS_TOKEN`, or `AEGIS_NATS_NKEY` (the seed)
 * - TLS, by paths of PEM files: `AEGIS_NATS_CA` (the CAs to trust), and
 *   `AEGIS_NATS_CERT` with `AEGIS_NATS_KEY` (a client certificate). A `tls://`
 *   in the URL asks for TLS without any of them
 *
 * Fails with a `ConfigError` that names the variable where a value cannot be
 * read, or where there are no servers and `AEGIS_BACKEND` is not `memory`: memory
 * is never a fallback. A connection that the client refuses (a URL that is none,
 * half a login) is its `InvalidConfig`, by the name of the client's option.
 *
 * **Example** (A bucket with three copies, and the rest from the environment)
 *
 * ```ts
 * import { Config } from "effect"
 * import { Aegis } from "effect-aegis"
 *
 * const Live = Aegis.layerConfig({ replicas: Config.succeed(3) })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Wrap<ConfigOptions> = {}
): Layer.Layer<Services, KVStoreError | RegistryError | ElectionError | Config.ConfigError> =>
  Layer.unwrap(Effect.gen(function*() {
    const given = yield* configured(config)
    const backend = yield* orVariable(given.backend, variables.backend)
    const replicas = yield* orVariable(given.replicas, variables.replicas)
    const connection = yield* connectionFrom(given.nats)
    const options: Options = {
      registry: given.registry,
      election: given.election,
      onMismatch: given.onMismatch,
      replicas
    }
    if (backend === "memory") {
      if (Object.keys(connection).length > 0) {
        yield* Effect.logWarning("the backend is memory: the settings of the connection are not used")
      }
      yield* Effect.logInfo("the backend is memory: coordination stays in this process")
      return layerMemory(options)
    }
    if (connection["servers"] === undefined) return yield* Effect.fail(noServers)
    // Whether there is one way to log in, and a complete one, is for the client to say.
    return layerNats({ ...(connection as unknown as NatsClient.Options), ...options })
  }))
