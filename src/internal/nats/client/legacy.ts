/**
 * The port over connections of the package `nats`.
 */
import { createInbox, headers as makeHeaders, type NatsConnection, type Status } from "nats"
import { endedWithoutError, type LinkCause } from "../outage.ts"
import type { NatsPort } from "../port.ts"
import { connectionMethods, hasMethods, portOver } from "./portOver.ts"

const permissionsViolation = "PERMISSIONS_VIOLATION"

/** This client reports the code of an error and the refused subject, but not the error itself. */
const errorOf = ({ data, permissionContext, type }: Status) =>
  type === "error"
    ? { refused: data === permissionsViolation ? permissionContext : undefined, cause: permissionContext ?? data }
    : undefined

/** This client has one class of errors, with codes. Its status events have the code alone. */
const tags: ReadonlyMap<string, LinkCause["_tag"] & ("LoginRefused" | "LoginExpired" | "ServerRefuses" | "NoAnswer")> =
  new Map([
    ["AUTHORIZATION_VIOLATION", "LoginRefused"],
    ["AUTHENTICATION_TIMEOUT", "LoginRefused"],
    ["ACCOUNT_EXPIRED", "LoginRefused"],
    ["AUTHENTICATION_EXPIRED", "LoginExpired"],
    ["NATS_PROTOCOL_ERR", "ServerRefuses"],
    ["CONNECTION_TIMEOUT", "NoAnswer"],
    ["TIMEOUT", "NoAnswer"]
  ])

/** The cause of an error of this client; undefined for errors of the system. */
export const linkCauseOf = (error: unknown): LinkCause | undefined => {
  const code: unknown = error instanceof Error ? Reflect.get(error, "code") : error
  const _tag = typeof code === "string" ? tags.get(code) : undefined
  if (_tag === undefined) return endedWithoutError(error)
  // This client keeps the quotes around the words of the server.
  return { _tag, said: error instanceof Error ? error.message.replace(/^'(.*)'$/, "$1") : String(code) }
}

export const make = (connection: NatsConnection): NatsPort =>
  portOver(connection, { makeHeaders, createInbox, errorOf, linkCauseOf })

/** Whether a value is a connection of the package `nats`. Unlike those of `@nats-io/*` it has a method `jetstream`. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, [...connectionMethods, "jetstream"])
