/**
 * Opens and closes a connection. The client's `connect` cannot be cancelled, and
 * it leaves a socket open if a server accepts the connection but sends nothing.
 * This module therefore tracks the sockets of an attempt and closes them.
 */
import { connect, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node"
import * as Array from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { AsyncLocalStorage } from "node:async_hooks"
import { channel } from "node:diagnostics_channel"
import type { Socket } from "node:net"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import { inChildScope } from "../../scopes.ts"
import { combine, explain } from "./refusals.ts"
import type { ServerAddress } from "./servers.ts"
import type { ConnectionSettings } from "./settings.ts"

const pingsUnanswered = 2
/** The largest random addition to the wait between two attempts, as a multiple of that wait. */
const jitter = 3

/** A server that answers drains a connection within some milliseconds; a frozen one must not delay the end of a program. */
const longestDrain = Duration.millis(250)

/** Node publishes every client socket of the process on this channel. */
const opened = channel("net.client.socket")

const socketOf = (message: unknown): Socket => (message as { readonly socket: Socket }).socket

/** The wait between two attempts in milliseconds, for a random number below 1. */
export const attemptDelay = ({ reconnectWait }: ConnectionSettings, random: number): number =>
  Math.round(Duration.toMillis(reconnectWait) * (1 + jitter * random))

const toClientOptions = (
  server: ServerAddress,
  settings: ConnectionSettings,
  random: () => number,
  report: (problem: string) => void
): NodeConnectionOptions => {
  const authenticator = settings.login.authenticator(report)
  return {
    servers: server.shown,
    timeout: Duration.toMillis(settings.connectTimeout),
    maxReconnectAttempts: -1,
    // By default the client closes the connection after two refused logins; a refused password may become valid again.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: () => attemptDelay(settings, random()),
    pingInterval: Duration.toMillis(settings.pingInterval),
    maxPingOut: pingsUnanswered,
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(settings.tls === undefined ? {} : { tls: settings.tls.settings }),
    ...(settings.name === undefined ? {} : { name: settings.name }),
    ...(settings.inboxPrefix === undefined ? {} : { inboxPrefix: settings.inboxPrefix })
  }
}

/** An attempt to connect: pending, successful or failed. */
interface Attempt {
  readonly connection: Promise<NatsConnection>
  /** The connection of a successful attempt; undefined before, and after a failure. */
  readonly current: () => NatsConnection | undefined
  /** Stops the attempt and closes its sockets. */
  readonly giveUp: () => void
}

const attempt = (options: NodeConnectionOptions): Attempt => {
  // Identifies the sockets of this attempt among all sockets of the process, those of concurrent attempts included.
  const inside = new AsyncLocalStorage<true>()
  const sockets: globalThis.Array<Socket> = []
  const aborted = new AbortController()
  let current: NatsConnection | undefined
  let isGivenUp = false
  const onSocket = (message: unknown) => {
    if (inside.getStore() !== true) return
    const socket = socketOf(message)
    sockets.push(socket)
    // After `giveUp` the client still tries the next server. The socket is published before its `connect`, which would
    // revive a destroyed socket, so it is destroyed only afterwards.
    if (isGivenUp) queueMicrotask(() => socket.destroy())
  }
  const settled = (left: ReadonlyArray<Socket>) => {
    opened.unsubscribe(onSocket)
    inside.disable()
    destroy(left)
  }
  opened.subscribe(onSocket)
  // With handshake_first, some versions of Node do not publish the socket; the signal closes it.
  const tls = options.tls == null ? {} : { tls: withSignal(options.tls, aborted.signal) }
  const connection = inside.run(true, () => connect({ ...options, ...tls }))
  connection.then((made) => {
    // The client opens one socket for each server that it tries; the last one is the connected one.
    settled(sockets.slice(0, -1))
    if (isGivenUp) void made.close()
    else current = made
  }, () => {
    settled(sockets)
    aborted.abort()
  })
  return {
    connection,
    current: () => current,
    giveUp: () => {
      isGivenUp = true
      aborted.abort()
      destroy(sockets)
    }
  }
}

const destroy = (sockets: ReadonlyArray<Socket>): void => sockets.forEach((socket) => socket.destroy())

/** Adds the signal to the TLS options. Properties that are not enumerable (the private key) stay so. */
const withSignal = <A extends object>(tls: A, signal: AbortSignal): A =>
  Object.create(Object.prototype, {
    ...Object.getOwnPropertyDescriptors(tls),
    signal: { value: signal, enumerable: true }
  })

/** Closes the socket of a reconnect in progress, which the client's `close` leaves open. */
const discardHalfOpen = (connection: NatsConnection): void => {
  const protocol: unknown = Reflect.get(connection, "protocol")
  const transport: unknown = isObject(protocol) ? Reflect.get(protocol, "transport") : undefined
  const discard: unknown = isObject(transport) ? Reflect.get(transport, "discard") : undefined
  if (typeof discard === "function") Reflect.apply(discard, transport, [])
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Drains the connection. If the server is disconnected or does not answer within `patience`, closes it instead. */
const close = (connection: NatsConnection, patience: Duration.Duration): Effect.Effect<void> =>
  // `rtt` fails immediately if the connection is down; `drain` alone would wait for a reconnect.
  Effect.tryPromise(() => connection.rtt().then(() => connection.drain())).pipe(
    Effect.timeout(patience),
    Effect.catch(() => Effect.tryPromise(() => connection.close())),
    Effect.catch((error) => Effect.logDebug("closing the connection to NATS failed", error)),
    Effect.andThen(Effect.sync(() => discardHalfOpen(connection)))
  )

const end = (attempt: Attempt, settings: ConnectionSettings): Effect.Effect<void> =>
  Effect.suspend(() => {
    const connection = attempt.current()
    const patience = Duration.min(settings.connectTimeout, longestDrain)
    return connection === undefined ? Effect.sync(attempt.giveUp) : close(connection, patience)
  })

/** Adds the other servers, for reconnects. */
const keepServers = (connection: NatsConnection, { servers }: ConnectionSettings): void => {
  const known = connection.getServers().map(({ listen }) => listen)
  const others = servers.map(({ shown }) => shown).filter((server) => !known.includes(server))
  if (others.length > 0) connection.setServers([...known, ...others])
}

/** Connects to a server, and closes the connection with the scope. An interrupted attempt leaves no socket open. */
const openAt = Effect.fnUntraced(function*(
  server: ServerAddress,
  settings: ConnectionSettings
): Effect.fn.Return<NatsConnection, KVStoreReason, Scope.Scope> {
  const run = Effect.runForkWith(yield* Effect.context())
  const random = yield* Random.Random
  const options = toClientOptions(
    server,
    settings,
    () => random.nextDoubleUnsafe(),
    (problem) => void run(Effect.logWarning(problem))
  )
  const { connection } = yield* Effect.acquireRelease(
    Effect.sync(() => attempt(options)),
    (attempt) => end(attempt, settings)
  )
  return yield* Effect.tryPromise(() => connection).pipe(
    Effect.tap((made) => Effect.sync(() => keepServers(made, settings))),
    Effect.catch(({ cause }) => Effect.flatMap(explain(cause, server, settings), Effect.fail))
  )
})

/**
 * Connects to the first server that answers, in random order, and closes the connection with the scope. The servers are
 * tried one by one: given all of them, the client reports only the error of the last one, and forgets those that it has
 * tried in vain.
 */
export const open = Effect.fnUntraced(function*(
  settings: ConnectionSettings
): Effect.fn.Return<NatsConnection, KVStoreReason, Scope.Scope> {
  const reasons = new Map<ServerAddress, KVStoreReason>()
  for (const server of yield* Random.shuffle(settings.servers)) {
    const opened = yield* Effect.result(inChildScope(openAt(server, settings)))
    if (Result.isSuccess(opened)) return opened.success
    reasons.set(server, opened.failure)
  }
  return yield* Effect.fail(combine(Array.map(settings.servers, (server) => reasons.get(server)!)))
})
