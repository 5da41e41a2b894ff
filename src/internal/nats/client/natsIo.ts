/**
 * Connections of `@nats-io/*`.
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

/** A connection of this family, and not one of the `nats` package, which has JetStream among its methods. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, connectionMethods) && !("jetstream" in value)

/** Connecting was refused for who we are, not for where the server is. */
export const isAuthorizationFailure = (cause: unknown): boolean =>
  cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError
