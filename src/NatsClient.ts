/**
 * A connection to NATS, shared by every store that stands on it.
 *
 * `layer` connects, reconnects for ever, and drains when it is released;
 * `fromConnection` takes a connection that the program already has, and leaves
 * closing it to the program.
 *
 * @since 0.1.0
 */
import { connect, type NatsConnection } from "@nats-io/transport-node"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as natsIo from "./internal/nats/natsIo.ts"
import type { NatsPort } from "./internal/nats/port.ts"
import { InvalidConfig, KVStoreError, type KVStoreReason, PermissionDenied, Unavailable } from "./KVStoreError.ts"

/**
 * The state of a connection. It goes between the first three for as long as it
 * lives.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionStatus = "connected" | "disconnected" | "reconnecting" | "closed"

/**
 * A connection to NATS.
 *
 * @category services
 * @since 0.1.0
 */
export class NatsClient extends Context.Service<NatsClient, {
  /** The client's own connection, for what this library does not do. */
  readonly connection: unknown
  /** The state now, then every change; ends when the connection is closed. */
  readonly status: Stream.Stream<ConnectionStatus>
  /** @internal */
  readonly port: NatsPort
}>()("effect-aegis/NatsClient") {}

/**
 * How to connect.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** `nats://host:4222`, `tls://host:4222` or `host:4222`; several of one cluster are tried in turn. */
  readonly servers: string | ReadonlyArray<string>
  /** Shown in the server's list of connections. Default: none. */
  readonly name?: string | undefined
}

/** One attempt to connect ends after this long; a server on the same continent answers in a tenth of it. */
const connectTimeout = Duration.seconds(2)
/** Between two attempts, to which up to 750 ms are added at random: a restart is not met by everybody at once. */
const reconnectWait = Duration.millis(250)
const reconnectJitter = Duration.millis(750)
/** With two unanswered pings a frozen server is noticed after 6 to 9 s; the client's own default is minutes. */
const pingInterval = Duration.seconds(3)
const pingsUnanswered = 2

const connectionError = (operation: string, reason: KVStoreReason): KVStoreError =>
  new KVStoreError({ bucket: undefined, operation, key: undefined, reason })

const schemes = new Set(["nats:", "tls:"])

const isServer = (server: unknown): boolean => {
  if (typeof server !== "string") return false
  const url = URL.parse(server.includes("://") ? server : `nats://${server}`)
  return url !== null && schemes.has(url.protocol) && url.hostname !== ""
}

const checkServers = (servers: Options["servers"]): Effect.Effect<Array<string>, KVStoreError> => {
  // The type says all this; who calls from JavaScript is told.
  const list: ReadonlyArray<unknown> = Array.isArray(servers) ? servers : [servers]
  const bad = list.find((server) => !isServer(server))
  const isGood = list.length > 0 && list.every(isServer)
  if (isGood) return Effect.succeed(list.map(String))
  const got = list.length === 0 ? "none" : JSON.stringify(bad) ?? String(bad)
  const problem = `servers: expected nats://host:port, got ${withoutSecrets(got)}`
  return Effect.fail(connectionError("connect", new InvalidConfig({ problem })))
}

const statuses = {
  disconnect: "disconnected",
  reconnecting: "reconnecting",
  reconnect: "connected",
  close: "closed"
} as const

const statusOf = (type: string): ReadonlyArray<ConnectionStatus> =>
  Object.entries(statuses).flatMap(([name, status]) => name === type ? [status] : [])

const makeClient = (connection: NatsConnection): NatsClient["Service"] => {
  const port = natsIo.make(connection)
  return {
    connection,
    port,
    status: Stream.suspend(() =>
      connection.isClosed()
        ? Stream.succeed<ConnectionStatus>("closed")
        : Stream.concat(
          Stream.sync((): ConnectionStatus => port.isConnected() ? "connected" : "disconnected"),
          Stream.fromAsyncIterable(connection.status(), (cause) => cause).pipe(
            Stream.flatMap(({ type }) => Stream.fromIterable(statusOf(type))),
            // The iterator fails only when the connection is gone.
            Stream.catch(() => Stream.succeed<ConnectionStatus>("closed"))
          )
        )
    )
  }
}

/** Waits for what was sent; a server that does not answer is not waited for. */
const close = (connection: NatsConnection): Effect.Effect<void> =>
  Effect.suspend(() =>
    connection.isClosed() ? Effect.void : Effect.tryPromise(() => connection.drain()).pipe(
      Effect.timeout(connectTimeout),
      Effect.catch(() => Effect.tryPromise(() => connection.close())),
      Effect.catch((error) => Effect.logDebug("the connection to NATS was not closed", error))
    )
  )

const open = (servers: Array<string>, options: Options): Effect.Effect<NatsConnection, KVStoreError> =>
  Effect.tryPromise({
    try: () =>
      connect({
        servers,
        ...(options.name === undefined ? {} : { name: options.name }),
        timeout: Duration.toMillis(connectTimeout),
        maxReconnectAttempts: -1,
        reconnectTimeWait: Duration.toMillis(reconnectWait),
        reconnectJitter: Duration.toMillis(reconnectJitter),
        reconnectJitterTLS: Duration.toMillis(reconnectJitter),
        pingInterval: Duration.toMillis(pingInterval),
        maxPingOut: pingsUnanswered
      }),
    catch: (cause) => {
      const problem = cause instanceof Error ? cause.message : String(cause)
      return connectionError(
        "connect",
        natsIo.isAuthorizationFailure(cause)
          ? new PermissionDenied({ subject: `${servers.map(withoutSecrets).join(", ")} (${problem})` })
          : new Unavailable({ problem: `${servers.map(withoutSecrets).join(", ")}: ${problem}` })
      )
    }
  })

/** A server as it may be shown: the user and the password of a URL are not. */
const withoutSecrets = (server: string): string => server.replace(/\/\/[^@/]*@/, "//")

/**
 * Connects now, reconnects for ever, and drains on release. Fails with
 * `Unavailable` where no server can be reached, and with `InvalidConfig` where
 * `servers` is not one.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<NatsClient, KVStoreError> =>
  Layer.effect(
    NatsClient,
    Effect.gen(function*() {
      const servers = yield* checkServers(options.servers)
      return makeClient(yield* Effect.acquireRelease(open(servers, options), close))
    })
  )

/**
 * The same, from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Wrap<Options>
): Layer.Layer<NatsClient, KVStoreError | Config.ConfigError> => Layer.unwrap(Effect.map(Config.unwrap(config), layer))

/**
 * Takes a connection of `@nats-io/transport-node` (or another transport of the
 * same family) that the program already has. It is not closed here.
 *
 * @category layers
 * @since 0.1.0
 */
export const fromConnection = (connection: unknown): Layer.Layer<NatsClient, KVStoreError> =>
  Layer.effect(
    NatsClient,
    Effect.suspend(() =>
      natsIo.isConnection(connection)
        ? Effect.succeed(makeClient(connection))
        : Effect.fail(connectionError(
          "fromConnection",
          new InvalidConfig({ problem: "expected a NatsConnection of @nats-io/transport-node" })
        ))
    )
  )
