/**
 * The port over connections of `@nats-io/*`.
 */
import { createInbox, errors, headers as makeHeaders, type NatsConnection, type Status } from "@nats-io/transport-node"
import type { NatsPort } from "../port.ts"
import { connectionMethods, hasMethods, portOver } from "./portOver.ts"

const errorOf = (status: Status) =>
  status.type === "error"
    ? {
      refused: status.error instanceof errors.PermissionViolationError ? status.error : undefined,
      cause: status.error
    }
    : undefined

export const make = (connection: NatsConnection): NatsPort =>
  portOver(connection, { makeHeaders, createInbox, errorOf })

/** Whether a value is a connection of `@nats-io/*`. Connections of the package `nats` have a method `jetstream`. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, connectionMethods) && !("jetstream" in value)

/** Whether connecting failed because the server refused the credentials. */
export const isAuthorizationFailure = (cause: unknown): boolean =>
  cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError
