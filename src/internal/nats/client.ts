/**
 * What every store on a connection shares: its requests, and its state.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { LinkEvent, NatsPort } from "./port.ts"
import * as requester from "./requester.ts"

type Status = "connected" | "disconnected" | "reconnecting" | "closed"

const statuses = {
  Connected: "connected",
  Disconnected: "disconnected",
  Reconnecting: "reconnecting",
  Closed: "closed",
  Denied: undefined
} as const satisfies { readonly [Tag in LinkEvent["_tag"]]: Status | undefined }

const statusNow = (port: NatsPort): Status =>
  port.isClosed() ? "closed" : port.isConnected() ? "connected" : "disconnected"

/** The state now, then every change, to the end. */
const statusOf = (port: NatsPort): Stream.Stream<Status> =>
  Stream.callback<Status>((queue) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        let last: Status | undefined
        // Each attempt to connect again is told of by the client; only the first is a change.
        const tell = (status: Status | undefined) => {
          if (status === undefined || status === last) return
          last = status
          Queue.offerUnsafe(queue, status)
          if (status === "closed") Queue.endUnsafe(queue)
        }
        const end = port.onLink(({ _tag }) => tell(statuses[_tag]))
        tell(statusNow(port))
        return end
      }),
      (end) => Effect.sync(end)
    ), { bufferSize: Number.POSITIVE_INFINITY })

export const make = (connection: unknown, port: NatsPort) =>
  Effect.map(requester.make(port), (requester) => ({ connection, requester, status: statusOf(port) }))
