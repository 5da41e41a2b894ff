/**
 * Ready-made layers of the service registry and leader election: in memory, on
 * NATS servers, or chosen by configuration. Each service has its own bucket.
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
 * The services that each layer of this module provides.
 *
 * @category models
 * @since 0.1.0
 */
export type Services = Registry.Registry | Election.Election

/**
 * Options of all layers of this module. Each has a default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Options of the registry. Default: those of `Registry.layer`.
   *
   * The `streamMaxAge` of the registry's bucket is 10 times `maxAge`. After a change
   * of `maxAge`, opening the existing bucket therefore fails with `ConfigMismatch`.
   * Set `onMismatch: "update"` to change the bucket. Processes that still have the
   * old `maxAge` continue to run, but fail with `ConfigMismatch` if they restart.
   */
  readonly registry?: Registry.Options | undefined
  /** Options of elections. Default: those of `Election.layer`. */
  readonly election?: Election.Options | undefined
  /** Number of copies of each bucket in a NATS cluster, 1 to 5. Default 1. */
  readonly replicas?: number | undefined
  /**
   * What to do with an existing bucket that has another configuration, for example
   * after a change of `replicas` or of the registry's `maxAge`. Default `"fail"`.
   *
   * - `"fail"`: fail with `ConfigMismatch`
   * - `"update"`: change the settings that differ
   * - `"accept"`: use the settings of the existing bucket
   */
  readonly onMismatch?: BucketOptions["onMismatch"]
}

/**
 * Options of `layerConfig`: the backend and the connection in addition to the
 * options of all layers.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConfigOptions extends Options {
  /** Backend of the buckets. Default: the variable `AEGIS_BACKEND`, else `"nats"`. */
  readonly backend?: "nats" | "memory" | undefined
  /** Options of the connection. The default of each is its variable `AEGIS_NATS_*`. */
  readonly nats?: { readonly [Name in keyof NatsClient.Options]?: NatsClient.Options[Name] | undefined } | undefined
}

/** The registry's bucket removes records that no cleanup removed, after this multiple of maxAge. */
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

/** Settings of the options of this module. `over` reads the options of the registry and of elections. */
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

/** Refuses unknown options of `layerNats`. The NATS client checks the values of the connection options. */
const checkNames = (options: unknown): Effect.Effect<unknown, KVStoreError> => {
  const names = [...Object.keys(settings), ...connectionNames]
  return Effect.mapError(
    Effect.fromResult(readGiven("Aegis.layerNats", options, fieldsOf(names))),
    (reason) => refuse("Aegis.layerNats", reason)
  )
}

/** Checks the options of both services before a connection or a bucket is opened. */
const over = <E, R>(
  options: Options,
  store: (bucket: BucketOptions) => Layer.Layer<KVStore.KVStore, E, R>
): Effect.Effect<Layer.Layer<Services, E | RegistryError | ElectionError, R>, RegistryError | ElectionError> =>
  Effect.gen(function*() {
    const { maxAge } = yield* Effect.mapError(
      Effect.fromResult(toLayerOptions(options.registry, { discard: "new", streamMaxAge: undefined })),
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
 * Provides the registry and elections in the memory of this process.
 *
 * **When to use**
 *
 * Use for tests and first steps. The state is lost when the layer is released,
 * and other processes do not see it.
 *
 * **Example** (Registering an instance and leading)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Aegis, Election, Registry } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   const election = yield* Election.Election
 *   yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
 *   const leadership = yield* election.campaign("invoices", { candidateId: "orders-1" })
 *   const instances = yield* registry.list("orders")
 *   return `${instances.length} live instance, leader in term ${leadership.term}`
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => 1 live instance, leader in term 1
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (
  options?: Options
): Layer.Layer<Services, KVStoreError | RegistryError | ElectionError> =>
  Layer.unwrap(Effect.flatMap(checked("Aegis.layerMemory", options), (known) => over(known, KVStore.layerMemory)))

/**
 * Provides the registry and elections on NATS servers, over one connection.
 *
 * **Details**
 *
 * The buckets are `service_registry` and `service_election`. They are created if
 * they do not exist. `servers` is the only required option. Fails with a
 * `RegistryError`, an `ElectionError` or a `KVStoreError` if an option is not
 * valid, and with a `KVStoreError` if no server can be reached or a bucket cannot
 * be opened.
 *
 * **Example** (A service on a NATS cluster)
 *
 * ```ts
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Effect, Redacted } from "effect"
 * import { Aegis, Registry } from "effect-aegis"
 *
 * const Live = Aegis.layerNats({
 *   servers: ["nats://a.example:4222", "nats://b.example:4222", "nats://c.example:4222"],
 *   user: "orders",
 *   password: Redacted.make("secret"),
 *   replicas: 3,
 *   registry: { maxAge: "30 seconds" }
 * })
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   yield* registry.register({ serviceName: "orders", version: "1.0.0" })
 *   return yield* Effect.never
 * }).pipe(Effect.scoped)
 *
 * NodeRuntime.runMain(Effect.provide(program, Live))
 * ```
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

/** Of `nats` only the names are checked here, also for the memory backend. The NATS client checks the values. */
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

/** The given value, else the value of the variable, else undefined. */
const orVariable = <A>(given: A | undefined, variable: Config.Config<A>): Config.Config<A | undefined> =>
  given === undefined ? Config.withDefault(variable, undefined) : Config.succeed(given)

/** The given fields, completed by the variables of the other fields. */
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

/** Memory must be requested: it is no fallback for a missing URL. */
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
 * Provides the registry and elections as configured by `Config`, by default by
 * environment variables. An option that is given here replaces its variable.
 *
 * **Details**
 *
 * - `AEGIS_BACKEND`: `nats` (default), or `memory` to coordinate in the memory of
 *   this process only
 * - `AEGIS_NATS_URL`: the servers, separated by commas
 * - `AEGIS_REPLICAS`: number of copies of each bucket, 1 to 5. Default 1
 * - Authentication, none or one method: `AEGIS_NATS_CREDS` (path of a JWT
 *   credentials file), `AEGIS_NATS_USER` with `AEGIS_NATS_PASSWORD`,
 *   `AEGIS_NATS_TOKEN`, or `AEGIS_NATS_NKEY` (the seed)
 * - TLS, by paths of PEM files: `AEGIS_NATS_CA` (trusted CAs), and
 *   `AEGIS_NATS_CERT` with `AEGIS_NATS_KEY` (client certificate). A `tls://` URL
 *   enables TLS without these variables
 *
 * Fails with a `ConfigError` that names the variable if its value is not valid, or
 * if `AEGIS_NATS_URL` is missing and the backend is not `memory`. Memory is never
 * a fallback. The NATS client checks the connection options: an invalid URL or
 * incomplete credentials fail with `InvalidConfig`, which names the option of the
 * client.
 *
 * Each option given here is a `Config`: `Config.succeed(value)` for a fixed value.
 *
 * **Example** (Some options in the program, the others from the environment)
 *
 * ```ts
 * import { Config, ConfigProvider, Effect, Layer } from "effect"
 * import { Aegis, Election, Registry } from "effect-aegis"
 *
 * // In production: environment variables, which are the default ConfigProvider.
 * const environment = ConfigProvider.layer(ConfigProvider.fromUnknown({ AEGIS_BACKEND: "memory" }))
 *
 * const Live = Aegis.layerConfig({
 *   election: Config.succeed({ timings: Election.fast }),
 *   registry: Config.succeed({ maxAge: "1 minute" })
 * }).pipe(Layer.provide(environment))
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
 *   const instances = yield* registry.list("orders")
 *   return instances.map(({ instanceId }) => instanceId).join(", ")
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Live)))
 * // => orders-1
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
        yield* Effect.logWarning("the backend is memory: the NATS connection settings (AEGIS_NATS_*, nats) are ignored")
      }
      yield* Effect.logInfo("the backend is memory: other processes do not see this registry and these elections")
      return layerMemory(options)
    }
    if (connection["servers"] === undefined) return yield* Effect.fail(noServers)
    // The NATS client checks that the credentials are complete and of one method.
    return layerNats({ ...(connection as unknown as NatsClient.Options), ...options })
  }))
