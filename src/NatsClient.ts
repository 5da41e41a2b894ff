/**
 * A connection to NATS, shared by every store that stands on it.
 *
 * `layer` connects, reconnects for ever, and drains when it is released;
 * `layerFromConnection` takes a connection that the program already has, and leaves
 * closing it to the program.
 *
 * @since 0.1.0
 */
import type { NatsConnection } from "@nats-io/transport-node"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { connectFailed } from "./internal/kv/metrics.ts"
import * as natsIo from "./internal/nats/client/natsIo.ts"
import { open } from "./internal/nats/connect/dial.ts"
import { readSettings } from "./internal/nats/connect/settings.ts"
import * as client from "./internal/nats/service.ts"
import { unwrapConfig } from "./internal/wrappedConfig.ts"
import { InvalidConfig, KVStoreError, type KVStoreReason } from "./KVStoreError.ts"

/**
 * A connection to NATS.
 *
 * **Gotchas**
 *
 * A store can be opened only on a client that `make`, `layer` or one of the
 * `layerFromConnection` made; on any other object `NatsKVStore` fails with
 * `InvalidConfig`.
 *
 * @category services
 * @since 0.1.0
 */
export class NatsClient extends Context.Service<NatsClient, {
  /** The client's own connection, for what this library does not do. */
  readonly connection: unknown
  /** The state now, then every change; ends when the connection is closed. */
  readonly status: Stream.Stream<ConnectionStatus>
}>()("effect-aegis/NatsClient") {}

/**
 * The state of a connection. It goes between the first three for as long as it
 * lives.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionStatus = "connected" | "disconnected" | "reconnecting" | "closed"

/**
 * Options of a connection that have nothing to do with who it is. Only `servers`
 * is needed.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectionOptions {
  /**
   * `nats://host:4222`, `tls://host:4222` or `host:4222`. Several, as a list or
   * with commas between, are servers of one cluster, tried in turn. A `tls://`
   * among them asks for TLS with all of them. A URL may carry a login, as in
   * `nats://user:password@host` or `nats://token@host`; it is one for all of
   * them, and is shown nowhere.
   */
  readonly servers: string | ReadonlyArray<string>
  /** Shown in the server's list of connections. Default: none. */
  readonly name?: string | undefined
  /**
   * Asks for TLS, beside any login; `{}` where the system trusts the server's
   * certificate. Without it, a server that insists on TLS gets it.
   */
  readonly tls?: TlsOptions | undefined
  /** For users who may not subscribe to `_INBOX.>`: what the names of inboxes begin with. Default `_INBOX`. */
  readonly inboxPrefix?: string | undefined
  /** One attempt to connect, at the start and later, ends after this long. Default 2 s. */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * The least time between two attempts to connect again. Up to three times as
   * much is added at random: a restart is not met by everybody at once. Default
   * 250 ms, which makes it 250 ms to 1 s.
   */
  readonly reconnectWait?: Duration.Input | undefined
  /** Between two pings; with two unanswered the client reconnects. Default 3 s, which makes it 6 to 9 s. */
  readonly pingInterval?: Duration.Input | undefined
}

/**
 * TLS with a CA of one's own, and with a client certificate. Each is the text of
 * a PEM file, or the path of one. Files are read again for every connection, so
 * that renewed certificates are used.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsOptions {
  /** The only CAs to trust. Default: those of the system. */
  readonly ca?: string | undefined
  readonly caFile?: string | undefined
  /** The client's certificate, followed by those between it and its CA. */
  readonly cert?: string | undefined
  readonly certFile?: string | undefined
  /** The private key of the client's certificate, not encrypted. */
  readonly key?: Redacted.Redacted | undefined
  readonly keyFile?: string | undefined
  /** The server is configured with `handshake_first`. Default false. */
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
 * Who a connection is: nobody, or one of NATS's ways to log in.
 *
 * **Details**
 *
 * - `user` and `password`
 * - `token`
 * - `nkey`: the seed of a user's nkey (`SU...`)
 * - `credentialsFile`: the path of a JWT credentials file, as `nsc` writes it.
 *   It is read again for every connection, so that a renewed one is used
 * - `credentials`: the text of such a file
 *
 * A client certificate is not here but in `tls`, and goes with any of them.
 *
 * **Gotchas**
 *
 * Secrets are `Redacted`, so that no log, span or error shows them. A plain
 * string does not compile, and is `InvalidConfig` where nobody compiled it.
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
 * How to connect, and who as.
 *
 * @category models
 * @since 0.1.0
 */
export type Options = ConnectionOptions & Login

const connectionError = (operation: string, reason: KVStoreReason): KVStoreError =>
  new KVStoreError({ bucket: undefined, operation, key: undefined, reason })

const makeClient = (connection: NatsConnection): Effect.Effect<NatsClient["Service"], never, Scope.Scope> =>
  Effect.suspend(() => client.make(connection, natsIo.make(connection)))

/**
 * Connects now, reconnects for ever, and drains when the scope closes.
 *
 * **Details**
 *
 * Fails with
 *
 * - `InvalidConfig`, before anything is sent, where an option is not valid, or two
 *   ways to log in are given at once; and where the server's certificate does
 *   not verify
 * - `PermissionDenied` where the server refuses the login, or the client's
 *   certificate
 * - `Unavailable`, which is worth another attempt, where no server can be
 *   reached
 *
 * A login that is refused later on, when the client connects again, does not
 * end the client: it goes on trying, and operations are `Unavailable` meanwhile.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<NatsClient["Service"], KVStoreError, Scope.Scope> =>
  Effect.flatMap(readSettings(options), (settings) => Effect.tapError(open(settings), () => connectFailed)).pipe(
    Effect.mapError((reason) => connectionError("connect", reason)),
    Effect.flatMap(makeClient)
  )

/**
 * The same as a layer: see `make`.
 *
 * **Example** (User and password)
 *
 * ```ts
 * NatsClient.layer({
 *   servers: ["nats://a.example:4222", "nats://b.example:4222"],
 *   user: "orders",
 *   password: Redacted.make("...")
 * })
 * ```
 *
 * **Example** (Token)
 *
 * ```ts
 * NatsClient.layer({ servers: "nats://localhost:4222", token: Redacted.make("...") })
 * ```
 *
 * **Example** (NKey)
 *
 * ```ts
 * NatsClient.layer({ servers: "nats://localhost:4222", nkey: Redacted.make("SU...") })
 * ```
 *
 * **Example** (JWT credentials)
 *
 * ```ts
 * NatsClient.layer({ servers: "tls://connect.example.com", credentialsFile: "/run/secrets/orders.creds" })
 * ```
 *
 * **Example** (TLS with a CA of one's own and a client certificate)
 *
 * ```ts
 * NatsClient.layer({
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
 * The same, from configuration: a `Config` for each option. Anything else in the
 * place of a `Config` is `InvalidConfig`.
 *
 * **Example** (A password from the environment)
 *
 * ```ts
 * NatsClient.layerConfig({
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
 * Takes a connection of `@nats-io/transport-node` (or another transport of the
 * same family) that the program already has. It is not closed here.
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
