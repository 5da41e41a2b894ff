/**
 * Ready-made layers of the service registry and leader election: in memory, on
 * NATS servers, or chosen by configuration. Each service has its own bucket.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { InvalidConfig } from "./AegisError.ts"
import type { Health } from "./AegisHealth.ts"
import * as Buckets from "./Buckets.ts"
import * as Election from "./Election.ts"
import { ElectionError } from "./ElectionError.ts"
import { ageOfRecords, open, placed } from "./internal/aegis/buckets.ts"
import { connectionFrom, noServers, orVariable, reportUnknown, withVariables } from "./internal/aegis/variables.ts"
import { toLayerOptions as toElectionOptions } from "./internal/election/candidate.ts"
import { bucketForm, bucketFormInWords } from "./internal/kv/limits.ts"
import { LeaveBudget, leaveTimeout, SharedLeaveBudget } from "./internal/leaving.ts"
import { annotate } from "./internal/logs.ts"
import { connectionNames } from "./internal/nats/connect/settings.ts"
import { tlsNames } from "./internal/nats/connect/tls.ts"
import {
  anything,
  flag,
  group,
  integer,
  invalidConfig,
  oneOf,
  optional,
  read,
  readGiven,
  type Setting,
  textLike,
  withDefault
} from "./internal/options.ts"
import { toLayerOptions } from "./internal/registry/options.ts"
import { unwrapConfig } from "./internal/wrappedConfig.ts"
import { KVStore } from "./KVStore.ts"
import { type BucketOptions, KVStoreError } from "./KVStore.ts"
import * as NatsClient from "./NatsClient.ts"
import * as Registry from "./Registry.ts"
import { RegistryError } from "./RegistryError.ts"

export * from "./AegisHealth.ts"

/**
 * The services that the layers of this module provide. `Buckets` opens further buckets
 * of the program on the same backend.
 *
 * @category models
 * @since 0.1.0
 */
export type Services = Registry.Registry | Election.Election | Buckets.Buckets

/**
 * Options of all layers of this module. Each has a default.
 *
 * **Details**
 *
 * A rollout can change each of them: see `onMismatch`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Options of the registry, and the name of its bucket. Default: those of `Registry.layer`. */
  readonly registry?: RegistryOptions | undefined
  /** Options of elections, and the name of their bucket. Default: those of `Election.layer`. */
  readonly election?: ElectionOptions | undefined
  /**
   * Number of copies of each bucket in a NATS cluster, 1 to 5. Default 1. With the layers that
   * provide `Buckets`, also of the program's own buckets that do not set it: one that exists with another
   * number is used as it is, with a warning.
   */
  readonly replicas?: number | undefined
  /**
   * What to do with an existing bucket that has another configuration, for example
   * after a change of `replicas` or of the registry's `maxAge`.
   *
   * Default: the bucket is used as it is, and each start logs the differences as a
   * warning. The `streamMaxAge` of the registry's bucket, which is 10 times `maxAge`, is
   * raised if it is lower, and never lowered. So old and new processes of a rollout can
   * start in any order.
   *
   * - `"update"`: change the settings that differ
   * - `"accept"`: use the bucket as it is, without a warning
   * - `"fail"`: fail with `ConfigMismatch`
   *
   * A bucket that the services cannot use is always refused, for example one whose
   * `streamMaxAge` is below twice `maxAge` and cannot be raised.
   */
  readonly onMismatch?: BucketOptions["onMismatch"]
  /**
   * The longest time for which a program that ends waits for the store, to hand over its
   * leaderships and to deregister its instances, all together. 0 to 1 minute. Default 2
   * seconds. To close the connection to a server that does not answer takes up to 350 ms
   * more.
   */
  readonly leaveTimeout?: Duration.Input | undefined
  /** Whether missing buckets are created. Default true. */
  readonly create?: boolean | undefined
  /** The JetStream domain of both buckets, and of the program's own by default: see `BucketOptions`. */
  readonly domain?: string | undefined
  /** The prefix of the JetStream API of another account, for the same buckets: see `BucketOptions`. */
  readonly apiPrefix?: string | undefined
}

/**
 * Options of the registry in `Options`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegistryOptions extends Registry.Options {
  /** The name of the bucket: 1 to 200 letters, digits, `_` and `-`. Default `service_registry`. */
  readonly bucket?: string | undefined
}

/**
 * Options of elections in `Options`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ElectionOptions extends Election.Options {
  /** The name of the bucket: 1 to 200 letters, digits, `_` and `-`. Default `service_election`. */
  readonly bucket?: string | undefined
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
  /** Options of the connection. The default of each is its variable `AEGIS_NATS_*`, if it has one: see `layerConfig`. */
  readonly nats?: { readonly [Name in keyof NatsClient.Options]?: NatsClient.Options[Name] | undefined } | undefined
}

const refuse = (operation: string, reason: InvalidConfig): KVStoreError =>
  new KVStoreError({ bucket: undefined, operation, key: undefined, reason })

/** The name of the bucket, and the options that the service itself checks. */
const withBucket =
  (otherwise: string): Setting<{ readonly bucket: string; readonly rest: unknown }> => (name, value) => {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, "bucket")) {
      return Result.succeed({ bucket: otherwise, rest: value })
    }
    const { bucket, ...rest } = value as { readonly bucket: unknown }
    const read = withDefault(textLike(bucketForm, bucketFormInWords), otherwise)(`${name}.bucket`, bucket)
    return Result.map(read, (bucket) => ({ bucket, rest }))
  }

/** A function, so that a bundle has only the settings of the layers that it uses. The buckets check `domain` and `apiPrefix`. */
const settings = () => ({
  registry: withBucket("service_registry"),
  election: withBucket("service_election"),
  replicas: optional(integer(1, 5)),
  onMismatch: optional(oneOf(["fail", "update", "accept"])),
  create: optional(flag),
  leaveTimeout,
  domain: anything,
  apiPrefix: anything
})

const oneBucket = (name: string) =>
  invalidConfig(`registry.bucket and election.bucket: expected two buckets, got "${name}" for both`)

/** The checked options of both services, and of their buckets. */
const checked = /* @__PURE__ */ Effect.fnUntraced(function*(operation: string, options: Options | undefined) {
  const { election, leaveTimeout, registry, ...common } = yield* Effect.mapError(
    Effect.suspend(() => Effect.fromResult(read(operation, options, settings()))),
    (reason) => refuse(operation, reason)
  )
  if (registry.bucket === election.bucket) return yield* refuse(operation, oneBucket(registry.bucket))
  const ofRegistry = (streamMaxAge: Duration.Duration | undefined) =>
    Effect.mapError(
      Effect.fromResult(toLayerOptions(registry.rest, { discard: "new", streamMaxAge })),
      (reason) => new RegistryError({ operation: "Registry.layer", reason })
    )
  const { maxAge } = yield* ofRegistry(undefined)
  const streamMaxAge = ageOfRecords(maxAge)
  // A bucket cannot have such an age for the longest values of maxAge: then none is changed.
  yield* ofRegistry(streamMaxAge)
  const ofElection = election.rest as Election.Options | undefined
  yield* Effect.mapError(
    toElectionOptions(ofElection, Election.resilient),
    (reason) => new ElectionError({ operation: "Election.layer", election: undefined, reason })
  )
  const buckets = common as Omit<BucketOptions, "bucket">
  return {
    registry: { leaveTimeout, ...registry.rest as Registry.Options | undefined },
    election: { leaveTimeout, ...ofElection },
    placement: { replicas: buckets.replicas, domain: buckets.domain, apiPrefix: buckets.apiPrefix },
    registryBucket: { ...buckets, bucket: registry.bucket, streamMaxAge },
    electionBucket: { ...buckets, bucket: election.bucket }
  }
})

const bucketLayer = (options: BucketOptions): Layer.Layer<KVStore, KVStoreError, Buckets.Buckets> =>
  Layer.effect(KVStore, Buckets.Buckets.use((buckets) => open(buckets, options)))

/** The buckets of a preset, which the program's own buckets use, too. */
const placedBuckets = <R>(
  { placement }: Effect.Success<ReturnType<typeof checked>>,
  backend: Layer.Layer<Buckets.Buckets, never, R>
): Layer.Layer<Buckets.Buckets, never, R> =>
  Layer.effect(Buckets.Buckets, Buckets.Buckets.useSync((buckets) => placed(buckets, placement))).pipe(
    Layer.provide(backend)
  )

/** The services over `Buckets`. They share the time that they have to leave. */
const services = (known: Effect.Success<ReturnType<typeof checked>>) =>
  Layer.mergeAll(
    Registry.layer(known.registry).pipe(Layer.provide(bucketLayer(known.registryBucket))),
    Election.layer(known.election).pipe(Layer.provide(bucketLayer(known.electionBucket)))
  ).pipe(Layer.provide(Layer.sync(SharedLeaveBudget, () => new LeaveBudget())))

/**
 * Provides the registry and elections over the `Buckets` of the context.
 *
 * **When to use**
 *
 * Use in a program that chooses its backend itself, or that has `Buckets` already.
 *
 * **Example** (In memory, with a bucket of the program)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Aegis, Buckets, KVStore, Registry } from "effect-aegis"
 *
 * class Orders extends KVStore.Service<Orders>()("app/Orders", { bucket: "orders" }) {}
 *
 * const Live = Layer.merge(Aegis.layer({ registry: { maxAge: "1 minute" } }), Orders.layer).pipe(
 *   Layer.provideMerge(Buckets.layerMemory)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   const orders = yield* Orders
 *   yield* registry.register({ serviceName: "orders", version: "1.0.0" })
 *   yield* orders.put("42", new TextEncoder().encode("new"))
 *   const buckets = yield* Buckets.Buckets
 *   return (yield* buckets.list()).join(", ")
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Live)))
 * // => orders, service_election, service_registry
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<Registry.Registry | Election.Election, KVStoreError | RegistryError | ElectionError, Buckets.Buckets> =>
  Layer.unwrap(Effect.map(checked("Aegis.layer", options), services))

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
export const layerMemory = (options?: Options): Layer.Layer<Services, KVStoreError | RegistryError | ElectionError> =>
  Layer.unwrap(Effect.map(
    checked("Aegis.layerMemory", options),
    (known) => Layer.provideMerge(services(known), placedBuckets(known, Buckets.layerMemory))
  ))

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
): Layer.Layer<Services | NatsClient.NatsClient, KVStoreError | RegistryError | ElectionError> =>
  Layer.unwrap(Effect.gen(function*() {
    const [given, connection] = yield* apart(options)
    const known = yield* checked("Aegis.layerNats", given)
    return services(known).pipe(
      Layer.provideMerge(placedBuckets(known, Buckets.layerNats)),
      Layer.provideMerge(NatsClient.layer(connection))
    )
  }))

const fieldsOf = (names: ReadonlyArray<string>) => Object.fromEntries(names.map((name) => [name, anything]))

/** Separates the options of this module from those of the connection, and refuses unknown ones. The NATS client checks the values of the others. */
const apart = (
  options: NatsClient.Options & Options
): Effect.Effect<readonly [Options, NatsClient.Options], KVStoreError> => {
  const own = Object.keys(settings())
  return Effect.suspend(() =>
    Effect.fromResult(readGiven("Aegis.layerNats", options, fieldsOf([...own, ...connectionNames])))
  ).pipe(
    Effect.mapError((reason) => refuse("Aegis.layerNats", reason)),
    Effect.map((fields) => {
      const given = Object.entries(fields).filter(([, value]) => value !== undefined)
      const isOwn = ([name]: readonly [string, unknown]) => own.includes(name)
      return [
        Object.fromEntries(given.filter(isOwn)),
        Object.fromEntries(given.filter((one) => !isOwn(one))) as unknown as NatsClient.Options
      ] as const
    })
  )
}

// -----------------------------------------------------------------------------
// configuration
// -----------------------------------------------------------------------------

/** Of `nats` only the names are checked here, also for the memory backend. The NATS client checks the values. */
const configSettings = () => ({
  ...settings(),
  backend: optional(oneOf(["nats", "memory"])),
  nats: optional(group({ ...fieldsOf(connectionNames), tls: optional(group(fieldsOf(tlsNames))) }))
})

const configured = (
  config: Config.Wrap<ConfigOptions>
): Effect.Effect<ConfigOptions, KVStoreError | Config.ConfigError> =>
  Effect.suspend(() => Effect.fromResult(unwrapConfig("config", config))).pipe(
    Effect.flatMap(identity),
    Effect.tap((given) => Effect.fromResult(read("Aegis.layerConfig", given, configSettings()))),
    Effect.catchTag("InvalidConfig", (reason) => Effect.fail(refuse("Aegis.layerConfig", reason)))
  )

const presets = { resilient: Election.resilient, balanced: Election.balanced, fast: Election.fast }

/** The given options, completed by their variables. */
const optionsFrom = /* @__PURE__ */ Effect.fnUntraced(function*(
  { backend: _, nats: __, ...given }: ConfigOptions
): Effect.fn.Return<Options, Config.ConfigError> {
  const { election, registry } = given
  const timings = election?.timings === undefined ? yield* orVariable("timings", undefined) : undefined
  return {
    ...given,
    replicas: yield* orVariable("replicas", given.replicas),
    onMismatch: yield* orVariable("onMismatch", given.onMismatch),
    leaveTimeout: given.leaveTimeout ?? (yield* orVariable("leaveTimeout", undefined)),
    registry: {
      ...registry,
      bucket: yield* orVariable("registryBucket", registry?.bucket),
      maxAge: registry?.maxAge ?? (yield* orVariable("maxAge", undefined)),
      heartbeat: registry?.heartbeat ?? (yield* orVariable("heartbeat", undefined)),
      readLegacyKeys: yield* orVariable("readLegacyKeys", registry?.readLegacyKeys)
    },
    election: {
      ...election,
      bucket: yield* orVariable("electionBucket", election?.bucket),
      timings: timings === undefined ? election?.timings : presets[timings]
    }
  }
})

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
 * - `AEGIS_MAX_AGE`, `AEGIS_HEARTBEAT`: times of the registry, such as `30 seconds`
 * - `AEGIS_READ_LEGACY_KEYS`: whether the registry reads the records of AegisSDK for Python, too,
 *   `true` or `false`
 * - `AEGIS_TIMINGS`: timings of elections, `resilient` (default), `balanced` or `fast`
 * - `AEGIS_REGISTRY_BUCKET`, `AEGIS_ELECTION_BUCKET`: the names of the buckets
 * - `AEGIS_ON_MISMATCH`: `update`, `accept` or `fail`: see `Options.onMismatch`
 * - `AEGIS_LEAVE_TIMEOUT`: see `Options.leaveTimeout`
 * - `AEGIS_NATS_WAIT_ON_FIRST_CONNECT`: whether a start before the server waits for it,
 *   `true` or `false`
 * - `AEGIS_NATS_NAME`: the name of the connection in the server's list
 * - `AEGIS_NATS_INBOX_PREFIX`: see `NatsClient.ConnectionOptions`
 * - Authentication, none or one method: `AEGIS_NATS_CREDS` (path of a JWT
 *   credentials file), `AEGIS_NATS_USER` with `AEGIS_NATS_PASSWORD`,
 *   `AEGIS_NATS_TOKEN`, or `AEGIS_NATS_NKEY` (the seed)
 * - TLS, by paths of PEM files: `AEGIS_NATS_CA` (trusted CAs), and
 *   `AEGIS_NATS_CERT` with `AEGIS_NATS_KEY` (client certificate). A `tls://` URL
 *   enables TLS without these variables
 *
 * Fails with a `ConfigError` that names the variable if its text cannot be read, or if
 * `AEGIS_NATS_URL` is missing and the backend is not `memory`. A value that is out of
 * range, an invalid URL or incomplete credentials fail with `InvalidConfig`, which names
 * the option and its variable, as in `maxAge (AEGIS_MAX_AGE)`. Memory is never a fallback.
 *
 * Each option given here is a `Config`: `Config.succeed(value)` for a fixed value. A
 * variable `AEGIS_*` that is not in this list is reported as a warning.
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
    const backend = yield* orVariable("backend", given.backend)
    const options = yield* optionsFrom(given)
    const connection = yield* connectionFrom(given.nats)
    yield* annotate("Aegis")(reportUnknown)
    const failed = (error: LayerError) => Layer.unwrap(failing(naming(error, given)))
    if (backend === "memory") {
      yield* annotate("Aegis")(reportMemory(connection))
      return Layer.catch(layerMemory(options), failed)
    }
    if (isBlank(connection["servers"])) return yield* Effect.fail(noServers())
    // The NATS client checks that the credentials are complete and of one method.
    return Layer.catch(layerNats({ ...(connection as unknown as NatsClient.Options), ...options }), failed)
  }))

const isBlank = (servers: unknown): boolean =>
  servers === undefined || typeof servers === "string" && servers.trim() === ""

/** The value of an option by its path, such as `tls.caFile`. */
const valueAt = (root: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, name) => Reflect.get(Object(value), name), root)

type LayerError = KVStoreError | RegistryError | ElectionError

const failing = (error: LayerError): Effect.Effect<Layer.Layer<Services>, LayerError> => Effect.fail(error)

/** An error about an option that names its variable, too. */
const naming = (error: LayerError, given: ConfigOptions): LayerError => {
  if (error.reason._tag !== "InvalidConfig") return error
  const isGiven = (option: string) =>
    [given, given.registry, given.nats].some((options) => valueAt(options, option) !== undefined)
  const reason = invalidConfig(withVariables(error.reason.problem, isGiven))
  switch (error._tag) {
    case "KVStoreError":
      return new KVStoreError({ bucket: error.bucket, operation: error.operation, key: error.key, reason })
    case "RegistryError":
      return new RegistryError({ operation: error.operation, reason })
    case "ElectionError":
      return new ElectionError({ operation: error.operation, election: error.election, reason })
  }
}

/** Memory is not shared, so the log says that it is in use, and that settings of a connection are not. */
const reportMemory = /* @__PURE__ */ Effect.fnUntraced(function*(connection: object) {
  if (Object.keys(connection).length > 0) {
    yield* Effect.logWarning("the backend is memory: the NATS connection settings (AEGIS_NATS_*, nats) are ignored")
  }
  yield* Effect.logInfo("the backend is memory: other processes do not see this registry and these elections")
})

// -----------------------------------------------------------------------------
// health
// -----------------------------------------------------------------------------

/** The statuses with which an instance should get no requests. */
const unready: ReadonlySet<string> = new Set<Registry.Status>(["STARTING", "UNHEALTHY", "DRAINING"])

/**
 * Returns what this process knows of its part in the fleet, for an endpoint such as
 * `/health`. No request is sent, so it answers also during an outage.
 *
 * **Example** (Reading the health of a process)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Aegis, Election, Registry } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   const election = yield* Election.Election
 *   yield* registry.register({ serviceName: "orders", version: "1.0.0" })
 *   yield* election.campaign("invoices")
 *   const { connected, elections, ready } = yield* Aegis.health
 *   return `ready: ${ready}, connected: ${connected}, ${elections.map(({ election, state }) => `${election}: ${state}`)}`
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => ready: true, connected: true, invoices: Leading
 * ```
 *
 * @category health
 * @since 0.1.0
 */
export const health: Effect.Effect<Health, never, Registry.Registry | Election.Election> = /* @__PURE__ */ Effect.gen(
  function*() {
    const registrations = yield* Effect.flatMap(Registry.Registry, ({ status }) => status)
    const elections = yield* Effect.flatMap(Election.Election, ({ candidates }) => candidates)
    const client = yield* Effect.serviceOption(NatsClient.NatsClient)
    const link = Option.isNone(client) ? Option.none() : yield* Stream.runHead(client.value.status)
    const now = yield* DateTime.now
    // The clock of the host can be set back.
    const age = Option.map((since: DateTime.Utc) => Duration.max(DateTime.distance(since, now), Duration.zero))
    return {
      ready: registrations.every(({ lastHeartbeat, status }) => Option.isSome(lastHeartbeat) && !unready.has(status)),
      connected: Option.isNone(client) || Option.contains(link, "connected"),
      registrations: Array.from(registrations, (one) => ({ ...one, heartbeatAge: age(one.lastHeartbeat) })),
      elections: Array.from(elections, (one) => ({ ...one, renewalAge: age(one.lastRenewal) }))
    }
  }
)
