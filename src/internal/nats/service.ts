/**
 * The implementation of `NatsClient`. All stores on a connection share one
 * requester. The public service has no field for it; a WeakMap holds it.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { InvalidConfig } from "../../AegisError.ts"
import type { ConnectionStatus, NatsClient } from "../../NatsClient.ts"
import { observeConnection } from "./connectionLog.ts"
import * as requester from "./jetstream/requester.ts"
import type { LinkEvent, NatsPort } from "./port.ts"

type Client = NatsClient["Service"]

const statuses = {
  Connected: "connected",
  Disconnected: "disconnected",
  Reconnecting: "reconnecting",
  Closed: "closed",
  Denied: undefined
} as const satisfies { readonly [Tag in LinkEvent["_tag"]]: ConnectionStatus | undefined }

const statusNow = (port: NatsPort): ConnectionStatus =>
  port.isClosed() ? "closed" : port.isConnected() ? "connected" : "disconnected"

/** Emits the current status, then every change, and ends after `"closed"`. */
const statusOf = (port: NatsPort): Stream.Stream<ConnectionStatus> =>
  Stream.callback<ConnectionStatus>((queue) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        let last: ConnectionStatus | undefined
        // The client reports every attempt to reconnect; only the first one changes the status.
        const report = (status: ConnectionStatus | undefined) => {
          if (status === undefined || status === last) return
          last = status
          Queue.offerUnsafe(queue, status)
          if (status === "closed") Queue.endUnsafe(queue)
        }
        const end = port.onLink(({ _tag }) => report(statuses[_tag]))
        report(statusNow(port))
        return end
      }),
      (end) => Effect.sync(end)
    ), { bufferSize: Number.POSITIVE_INFINITY })

const requesters = new WeakMap<Client, requester.Requester>()

const noClient = new InvalidConfig({
  problem: "NatsClient: expected a client created by NatsClient.make, NatsClient.layer, NatsClient.layerConfig or " +
    "layerFromConnection (NatsClient, NatsLegacy), got another object"
})

/** The requester of a client that `make` created; undefined for any other object. */
export const requesterOf = (client: Client): requester.Requester | undefined => requesters.get(client)

/** The requester of a client. Fails with `InvalidConfig` if `make` has not created it. */
export const findRequester = (client: Client): Effect.Effect<requester.Requester, InvalidConfig> =>
  Effect.suspend(() => {
    const known = requesterOf(client)
    return known === undefined ? Effect.fail(noClient) : Effect.succeed(known)
  })

/** The name of a connection in its options; empty if it has none. */
const nameOf = (connection: unknown): string => {
  const options: unknown = Reflect.get(Object(connection), "options")
  const name: unknown = Reflect.get(Object(options), "name")
  return typeof name === "string" ? name : ""
}

/** Creates the client of a connection. It is usable until the scope closes. */
export const make = (connection: unknown, port: NatsPort): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.map(Effect.tap(requester.make(port), () => observeConnection(port, nameOf(connection))), (requester) => {
    const client = { connection, status: statusOf(port) }
    requesters.set(client, requester)
    return client
  })
