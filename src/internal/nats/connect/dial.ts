/**
 * One connection, from the attempt to its end. The client's attempt cannot be
 * called off, and it leaves a socket behind where a server took the connection
 * and said nothing: here both are seen to.
 */
import { connect, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { AsyncLocalStorage } from "node:async_hooks"
import { channel } from "node:diagnostics_channel"
import type { Socket } from "node:net"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import { explain } from "./refusals.ts"
import type { ConnectionSettings } from "./settings.ts"

const pingsUnanswered = 2
/** To the wait between two attempts so many times as much is added at random. */
const jitter = 3

/** Every socket that this process opens is announced here, by Node. */
const opened = channel("net.client.socket")

const socketOf = (message: unknown): Socket => (message as { readonly socket: Socket }).socket

const toClientOptions = (
  settings: ConnectionSettings,
  random: () => number,
  report: (problem: string) => void
): NodeConnectionOptions => {
  const authenticator = settings.login.authenticator(report)
  const wait = Duration.toMillis(settings.reconnectWait)
  return {
    servers: settings.servers.map(({ shown }) => shown),
    timeout: Duration.toMillis(settings.connectTimeout),
    maxReconnectAttempts: -1,
    // A password that is wrong now may be right again: the client would give up after two refusals.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: () => Math.round(wait * (1 + jitter * random())),
    pingInterval: Duration.toMillis(settings.pingInterval),
    maxPingOut: pingsUnanswered,
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(settings.tls === undefined ? {} : { tls: settings.tls.settings }),
    ...(settings.name === undefined ? {} : { name: settings.name }),
    ...(settings.inboxPrefix === undefined ? {} : { inboxPrefix: settings.inboxPrefix })
  }
}

/** An attempt to connect that is under way, has succeeded, or has failed. */
interface Attempt {
  readonly connection: Promise<NatsConnection>
  /** Undefined while there is none, or none came of it. */
  readonly current: () => NatsConnection | undefined
  /** Ends what is under way: no socket is left. */
  readonly giveUp: () => void
}

const attempt = (options: NodeConnectionOptions): Attempt => {
  // Tells the sockets of this attempt from all others, also from those of another one at the same time.
  const inside = new AsyncLocalStorage<true>()
  const sockets: Array<Socket> = []
  const aborted = new AbortController()
  let current: NatsConnection | undefined
  let isGivenUp = false
  const onSocket = (message: unknown) => {
    if (inside.getStore() !== true) return
    const socket = socketOf(message)
    sockets.push(socket)
    // The client goes on to the next server. To connect, which is what comes now, would bring a socket back.
    if (isGivenUp) queueMicrotask(() => socket.destroy())
  }
  const settled = (left: ReadonlyArray<Socket>) => {
    opened.unsubscribe(onSocket)
    inside.disable()
    destroy(left)
  }
  opened.subscribe(onSocket)
  // Where TLS comes first, not every Node announces the socket; that one ends by the signal.
  const tls = options.tls == null ? {} : { tls: withSignal(options.tls, aborted.signal) }
  const connection = inside.run(true, () => connect({ ...options, ...tls }))
  connection.then((made) => {
    // Each server is tried on a socket of its own, and the last one made it.
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

/** What is hidden of the options stays hidden. */
const withSignal = <A extends object>(tls: A, signal: AbortSignal): A =>
  Object.create(Object.prototype, {
    ...Object.getOwnPropertyDescriptors(tls),
    signal: { value: signal, enumerable: true }
  })

/** A client that is closed while it connects again leaves the socket of that attempt behind. */
const discardHalfOpen = (connection: NatsConnection): void => {
  const protocol: unknown = Reflect.get(connection, "protocol")
  const transport: unknown = isObject(protocol) ? Reflect.get(protocol, "transport") : undefined
  const discard: unknown = isObject(transport) ? Reflect.get(transport, "discard") : undefined
  if (typeof discard === "function") Reflect.apply(discard, transport, [])
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Waits for what was sent; a server that is not there, or does not answer, is not waited for. */
const close = (connection: NatsConnection, patience: Duration.Duration): Effect.Effect<void> =>
  // The round trip fails at once where there is no link; draining would wait for one.
  Effect.tryPromise(() => connection.rtt().then(() => connection.drain())).pipe(
    Effect.timeout(patience),
    Effect.catch(() => Effect.tryPromise(() => connection.close())),
    Effect.catch((error) => Effect.logDebug("the connection to NATS was not closed", error)),
    Effect.andThen(Effect.sync(() => discardHalfOpen(connection)))
  )

const end = (attempt: Attempt, settings: ConnectionSettings): Effect.Effect<void> =>
  Effect.suspend(() => {
    const connection = attempt.current()
    return connection === undefined ? Effect.sync(attempt.giveUp) : close(connection, settings.connectTimeout)
  })

/** Connects for as long as the scope is open; whoever no longer waits for it leaves nothing behind. */
export const open = Effect.fnUntraced(function*(
  settings: ConnectionSettings
): Effect.fn.Return<NatsConnection, KVStoreReason, Scope.Scope> {
  const run = Effect.runForkWith(yield* Effect.context())
  const random = yield* Random.Random
  const options = toClientOptions(
    settings,
    () => random.nextDoubleUnsafe(),
    (problem) => void run(Effect.logWarning(problem))
  )
  const { connection } = yield* Effect.acquireRelease(
    Effect.sync(() => attempt(options)),
    (attempt) => end(attempt, settings)
  )
  return yield* Effect.tryPromise(() => connection).pipe(
    Effect.catch(({ cause }) => Effect.flatMap(explain(cause, settings), Effect.fail))
  )
})
