/**
 * The port over `@nats-io/*`.
 */
import {
  createInbox,
  errors,
  headers as makeHeaders,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Status
} from "@nats-io/transport-node"
import { connectionMethods, hasMethods, inboxPrefixOf, listen, serverOf } from "./clients.ts"
import type { Headers, LinkEvent, NatsMessage, NatsPort } from "./port.ts"

const toHeaders = (list: Headers): MsgHdrs => {
  const headers = makeHeaders()
  for (const [name, value] of list) headers.set(name, value)
  return headers
}

const noHeader = () => ""

const toMessage = ({ data, headers, reply, subject }: Msg): NatsMessage => ({
  subject,
  reply: reply === "" ? undefined : reply,
  status: headers?.code ?? 0,
  description: headers?.description ?? "",
  header: headers === undefined ? noHeader : (name) => headers.get(name),
  data
})

const toLinkEvent = (status: Status): LinkEvent | undefined => {
  switch (status.type) {
    case "disconnect":
      return { _tag: "Disconnected" }
    case "reconnecting":
      return { _tag: "Reconnecting" }
    case "reconnect":
      return { _tag: "Connected" }
    case "error": {
      const { error } = status
      if (!(error instanceof errors.PermissionViolationError)) return undefined
      const operation = error.operation === "subscription" ? "subscription" : "publish"
      return { _tag: "Denied", operation, subject: error.subject }
    }
    default:
      return undefined
  }
}

export const make = (connection: NatsConnection): NatsPort => {
  return {
    ...listen(connection, toLinkEvent),
    server: serverOf(connection),
    inbox: () => createInbox(inboxPrefixOf(connection)),
    publish: (subject, data, headers, reply) =>
      connection.publish(subject, data, {
        ...(headers.length === 0 ? {} : { headers: toHeaders(headers) }),
        ...(reply === undefined ? {} : { reply })
      }),
    subscribe: (subject, onMessage) => {
      const subscription = connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) onMessage(toMessage(message))
        }
      })
      return () => subscription.unsubscribe()
    }
  }
}

/** A connection of this family, and not one of the `nats` package, which has JetStream among its methods. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, connectionMethods) && !("jetstream" in value)

/** Connecting was refused for who we are, not for where the server is. */
export const isAuthorizationFailure = (cause: unknown): boolean =>
  cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError
