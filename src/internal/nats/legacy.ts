/**
 * The port over a connection of the `nats` package. It takes of that package no
 * more than the connection and the shape of its messages: what it may throw, and
 * what it says of itself, are strings of its own.
 */
import { createInbox, headers as makeHeaders, type Msg, type MsgHdrs, type NatsConnection, type Status } from "nats"
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

const permissionsViolation = "PERMISSIONS_VIOLATION"

const toLinkEvent = ({ data, permissionContext, type }: Status): LinkEvent | undefined => {
  switch (type) {
    case "disconnect":
      return { _tag: "Disconnected" }
    case "reconnecting":
      return { _tag: "Reconnecting" }
    case "reconnect":
      return { _tag: "Connected" }
    case "error":
      return data === permissionsViolation && permissionContext !== undefined
        ? {
          _tag: "Denied",
          operation: permissionContext.operation === "subscription" ? "subscription" : "publish",
          subject: permissionContext.subject
        }
        : undefined
    default:
      return undefined
  }
}

export const make = (connection: NatsConnection): NatsPort => ({
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
})

/** A connection of that package has JetStream among its methods; those of `@nats-io/*` have not. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, [...connectionMethods, "jetstream"])
