/**
 * A connection to NATS, shared by all stores that are opened on it.
 *
 * `layer` and `layerConfig` connect, reconnect without limit, and drain the
 * connection when they are released. `layerFromConnection` uses a connection that
 * the program opened, and does not close it.
 *
 * @since 0.1.0
 */
import type { NatsConnection } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as natsIo from "./internal/nats/client/natsIo.ts"
import { openFirst } from "./internal/nats/connect/first.ts"
import { readSettings } from "./internal/nats/connect/settings.ts"
import * as client from "./internal/nats/service.ts"
import { unwrapConfig } from "./internal/wrappedConfig.ts"
import { InvalidConfig, KVStoreError, type KVStoreReason } from "./KVStoreError.ts"

/**
 * A connection to NATS, with its status.
 *
 * **Gotchas**
 *
 * Only `make`, `layer`, `layerConfig`, `layerFromConnection` and
 * `NatsLegacy.layerFromConnection` create a usable `NatsClient`. Opening a store
 * on any other object fails with `InvalidConfig`.
 *
 * @category services
 * @since 0.1.0
 */
export class NatsClient extends Context.Service<NatsClient, {
  /**
   * The underlying `NatsConnection`, for features that this library does not
   * wrap. Its type is that of the package which created it.
   */
  readonly connection: unknown
  /** Emits the current status, then every change. Ends after `"closed"`. */
  readonly status: Stream.Stream<ConnectionStatus>
}>()("effect-aegis/NatsClient") {}

/**
 * The status of a connection.
 *
 * **Details**
 *
 * A connection moves between `"connected"`, `"disconnected"` and `"reconnecting"`.
 * `"closed"` is final.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionStatus = "connected" | "disconnected" | "reconnecting" | "closed"

/**
 * Connection options other than credentials. Only `servers` is required.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectionOptions {
  /**
   * The URLs of the servers: `nats://host:4222`, `tls://host:4222` or `host:4222`.
   *
   * Several URLs, as a list or separated by commas, are servers of one cluster;
   * the client tries them in turn. If one URL is a `tls://` URL, TLS is required
   * for all servers. A URL may contain a login, as in `nats://user:password@host`
   * or `nats://token@host`. The login is used for all servers, and is left out of
   * logs and errors.
   */
  readonly servers: string | ReadonlyArray<string>
  /** The name of the connection in the server's list of connections. Default: no name. */
  readonly name?: string | undefined
  /**
   * Requires TLS. It can be combined with any login. `{}` is enough if the system
   * trusts the server's certificate. Default: TLS is used only if the server
   * requires it.
   */
  readonly tls?: TlsOptions | undefined
  /**
   * The prefix of inbox subjects, for users without permission to subscribe to
   * `_INBOX.>`. Default `_INBOX`.
   */
  readonly inboxPrefix?: string | undefined
  /** The timeout of each attempt to connect or reconnect. Default 2 s. */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * The minimum time between two attempts to reconnect. A random time of up to
   * three times this value is added, so that clients do not reconnect to a
   * restarted server all at once. Default 250 ms, so 250 ms to 1 s.
   */
  readonly reconnectWait?: Duration.Input | undefined
  /**
   * The time between two pings. The client reconnects after two unanswered pings.
   * Default 3 s: a server that does not respond is noticed after 6 to 9 s.
   */
  readonly pingInterval?: Duration.Input | undefined
  /**
   * Whether a start before the server waits for it: retryable failures
   * (no server can be reached, or it has reached its `max_connections`) are logged and
   * retried without limit, after `reconnectWait`. A refused login or certificate fails at
   * once. Default false: the first connection is tried once, with each of the servers.
   */
  readonly waitOnFirstConnect?: boolean | undefined
}

/**
 * TLS options: the trusted CAs and the client certificate.
 *
 * **Details**
 *
 * Each part is given as PEM text (`ca`, `cert`, `key`) or as the path of a PEM
 * file (`caFile`, `certFile`, `keyFile`). Files are read again on every connect
 * and reconnect, so that renewed certificates are used.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsOptions {
  /** The trusted CAs, in PEM. They replace the CAs of the system. Default: the CAs of the system. */
  readonly ca?: string | undefined
  /** The path of a PEM file with the trusted CAs, instead of `ca`. */
  readonly caFile?: string | undefined
  /** The client certificate in PEM, followed by its intermediate certificates. Requires `key` or `keyFile`. */
  readonly cert?: string | undefined
  /** The path of a PEM file with the client certificate, instead of `cert`. */
  readonly certFile?: string | undefined
  /** The private key of the client certificate, in PEM and unencrypted. Requires `cert` or `certFile`. */
  readonly key?: Redacted.Redacted | undefined
  /** The path of a PEM file with the private key, instead of `key`. */
  readonly keyFile?: string | undefined
  /** Set to true for a server that is configured with `handshake_first`. Default false. */
  readonly handshakeFirst?: boolean | undefined
}

interface Secrets {
  readonly user: string
  readonly password: Redacted.Redacted
  readonly token: Redacted.Redacted
  readonly nkey: Redacted.Redacted
  readonly credentials: Redacted.Redacted
  readonly credentialsFile: string
}

type Only<Names extends keyof Secrets> =
  & { readonly [Name in Names]: Secrets[Name] }
  & { readonly [Name in Exclude<keyof Secrets, Names>]?: undefined }

/**
 * Credentials of a connection: none, or exactly one NATS authentication method.
 *
 * **Details**
 *
 * - `user` and `password`
 * - `token`
 * - `nkey`: the seed of a user's nkey (it begins with `SU`)
 * - `credentialsFile`: the path of a JWT credentials file, as written by `nsc`.
 *   The file is read again on every connect and reconnect, so that renewed
 *   credentials are used
 * - `credentials`: the text of a JWT credentials file
 *
 * A client certificate is given in `tls`, and can be combined with any method.
 *
 * **Gotchas**
 *
 * Secrets are `Redacted`, so that logs, spans and errors do not contain them. A
 * plain string does not compile; in JavaScript it fails with `InvalidConfig`.
 *
 * @category models
 * @since 0.1.0
 */
export type Login =
  | Only<never>
  | Only<"user" | "password">
  | Only<"token">
  | Only<"nkey">
  | Only<"credentials">
  | Only<"credentialsFile">

/**
 * All options of a connection: `ConnectionOptions` and the credentials.
 *
 * @category models
 * @since 0.1.0
 */
export type Options = ConnectionOptions & Login

const connectionError = (operation: string, reason: KVStoreReason): KVStoreError =>
  new KVStoreError({ bucket: undefined, operation, key: undefined, reason })

/** `expires` is when the credentials of the connection expire, in milliseconds. */
const makeClient = (
  connection: NatsConnection,
  expires: () => number | undefined = () => undefined
): Effect.Effect<NatsClient["Service"], never, Scope.Scope> =>
  Clock.clockWith((clock) => {
    const hasExpired = () => (expires() ?? Number.POSITIVE_INFINITY) <= clock.currentTimeMillisUnsafe()
    return client.make(connection, natsIo.make(connection, hasExpired))
  })

/**
 * Connects to NATS. The connection reconnects without limit, and is drained when
 * the scope closes.
 *
 * **Details**
 *
 * The first connection is tried once, with each of the servers; with
 * `waitOnFirstConnect` until it succeeds. Fails with
 *
 * - `InvalidConfig` if an option is invalid or more than one authentication method
 *   is given (nothing has been sent then), if the server's certificate cannot be
 *   verified, or if the client and the server cannot agree on TLS
 * - `PermissionDenied` if the server refuses the credentials or the client
 *   certificate
 * - `Unavailable`, which is retryable, if no server can be reached, or a server has
 *   reached its `max_connections`
 *
 * If an attempt to reconnect fails later, also because the server refuses the
 * credentials or a certificate has expired, the client continues to reconnect. Until
 * it succeeds, operations fail with `Unavailable`, which names the failures.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<NatsClient["Service"], KVStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const settings = yield* readSettings(options)
    const connection = yield* openFirst(settings)
    return yield* makeClient(connection, settings.login.expires)
  }).pipe(Effect.mapError((reason) => connectionError("connect", reason)))

/**
 * A layer that connects to NATS: see `make`.
 *
 * **Example** (A store on a cluster, with user and password)
 *
 * ```ts
 * import { Config, Effect, Layer } from "effect"
 * import { KVStore, NatsClient, NatsKVStore } from "effect-aegis"
 *
 * const Client = Layer.unwrap(Effect.map(
 *   Config.Redacted("ORDERS_PASSWORD"),
 *   (password) =>
 *     NatsClient.layer({
 *       servers: ["nats://a.example:4222", "nats://b.example:4222"],
 *       user: "orders",
 *       password
 *     })
 * ))
 *
 * const Store = NatsKVStore.layer({ bucket: "settings" }).pipe(Layer.provide(Client))
 *
 * export const program = Effect.gen(function*() {
 *   const store = yield* KVStore.KVStore
 *   return yield* store.get("colour")
 * }).pipe(Effect.provide(Store))
 * ```
 *
 * **Example** (One layer for each of the other authentication methods)
 *
 * ```ts
 * import { Redacted } from "effect"
 * import { NatsClient } from "effect-aegis"
 *
 * const servers = "nats://localhost:4222"
 *
 * export const withToken = (token: Redacted.Redacted) => NatsClient.layer({ servers, token })
 *
 * export const withNkey = (nkey: Redacted.Redacted) => NatsClient.layer({ servers, nkey })
 *
 * export const withCredentialsFile = NatsClient.layer({ servers, credentialsFile: "/run/secrets/orders.creds" })
 *
 * export const withCredentials = (text: string) =>
 *   NatsClient.layer({ servers, credentials: Redacted.make(text) })
 * ```
 *
 * **Example** (TLS with a private CA and a client certificate)
 *
 * ```ts
 * import { NatsClient } from "effect-aegis"
 *
 * export const Client = NatsClient.layer({
 *   servers: "tls://nats.internal:4222",
 *   tls: {
 *     caFile: "/etc/nats/ca.pem",
 *     certFile: "/etc/nats/orders.pem",
 *     keyFile: "/etc/nats/orders-key.pem"
 *   }
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<NatsClient, KVStoreError> =>
  Layer.effect(NatsClient, make(options))

/**
 * A layer that connects to NATS with options read from configuration: each option
 * is a `Config`.
 *
 * **Details**
 *
 * Fails as `make` does, and with `ConfigError` if the configuration cannot be
 * read. A plain value in the place of a `Config` fails with `InvalidConfig`.
 *
 * **Example** (A password from the environment)
 *
 * ```ts
 * import { Config } from "effect"
 * import { NatsClient } from "effect-aegis"
 *
 * export const Client = NatsClient.layerConfig({
 *   servers: Config.String("AEGIS_NATS_URL"),
 *   user: Config.String("AEGIS_NATS_USER"),
 *   password: Config.Redacted("AEGIS_NATS_PASSWORD")
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Wrap<Options>
): Layer.Layer<NatsClient, KVStoreError | Config.ConfigError> =>
  Layer.effect(
    NatsClient,
    Effect.suspend(() => Effect.fromResult(unwrapConfig("the client", config))).pipe(
      Effect.mapError((reason) => connectionError("connect", reason)),
      Effect.flatMap(identity),
      Effect.flatMap(make)
    )
  )

/**
 * A layer on a connection that the program opened with `@nats-io/transport-node`
 * or another `@nats-io` transport. The layer does not close the connection.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` if the argument is not such a connection.
 *
 * **Gotchas**
 *
 * Connect with `maxReconnectAttempts: -1`. By default the NATS client closes the
 * connection after ten failed attempts to reconnect.
 *
 * **Example** (A store on an existing connection)
 *
 * ```ts
 * import { connect } from "@nats-io/transport-node"
 * import { Effect, Layer } from "effect"
 * import { NatsClient, NatsKVStore } from "effect-aegis"
 *
 * const Client = Layer.unwrap(Effect.map(
 *   Effect.promise(() => connect({ servers: "127.0.0.1:4222", maxReconnectAttempts: -1 })),
 *   NatsClient.layerFromConnection
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
      natsIo.isConnection(connection)
        ? makeClient(connection)
        : Effect.fail(connectionError(
          "layerFromConnection",
          new InvalidConfig({ problem: "expected a NatsConnection of @nats-io/transport-node" })
        ))
    )
  )
