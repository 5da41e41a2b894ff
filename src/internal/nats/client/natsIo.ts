/**
 * The port over connections of `@nats-io/*`.
 */
import { createInbox, errors, headers as makeHeaders, type NatsConnection, type Status } from "@nats-io/transport-node"
import { endedWithoutError, type LinkCause } from "../outage.ts"
import type { NatsPort } from "../port.ts"
import { connectionMethods, hasMethods, portOver } from "./portOver.ts"

const errorOf = (status: Status) =>
  status.type === "error"
    ? {
      refused: status.error instanceof errors.PermissionViolationError ? status.error : undefined,
      cause: status.error
    }
    : undefined

/** The cause of an error of this client; undefined for errors of the system. */
export const linkCauseOf = (error: unknown): LinkCause | undefined => {
  if (error instanceof errors.UserAuthenticationExpiredError) return { _tag: "LoginExpired", said: error.message }
  if (error instanceof errors.AuthorizationError) return { _tag: "LoginRefused", said: error.message }
  if (error instanceof errors.ProtocolError) return { _tag: "ServerRefuses", said: error.message }
  return error instanceof errors.TimeoutError ? { _tag: "NoAnswer" } : endedWithoutError(error)
}

/** The server refuses expired credentials with the same error as wrong ones. */
const expiredOr = (cause: LinkCause | undefined, hasExpired: () => boolean): LinkCause | undefined =>
  cause?._tag === "LoginRefused" && hasExpired() ? { ...cause, _tag: "LoginExpired" } : cause

/** `hasExpired`: whether the credentials of the connection have expired; unknown for a connection of the program. */
export const make = (connection: NatsConnection, hasExpired: () => boolean = () => false): NatsPort =>
  portOver(connection, {
    makeHeaders,
    createInbox,
    errorOf,
    linkCauseOf: (error) => expiredOr(linkCauseOf(error), hasExpired)
  })

/** Whether a value is a connection of `@nats-io/*`. Connections of the package `nats` have a method `jetstream`. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, connectionMethods) && !("jetstream" in value)
