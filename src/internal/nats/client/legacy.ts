/**
 * Connections of the package `nats`.
 */
import { createInbox, headers as makeHeaders, type NatsConnection, type Status } from "nats"
import type { NatsPort } from "../port.ts"
import { connectionMethods, hasMethods, portOver } from "./portOver.ts"

const permissionsViolation = "PERMISSIONS_VIOLATION"

/** This client reports the code of an error, and what was refused, and keeps the error itself. */
const errorOf = ({ data, permissionContext, type }: Status) =>
  type === "error"
    ? { refused: data === permissionsViolation ? permissionContext : undefined, cause: permissionContext ?? data }
    : undefined

export const make = (connection: NatsConnection): NatsPort =>
  portOver(connection, { makeHeaders, createInbox, errorOf })

/** A connection of that package has JetStream among its methods; those of `@nats-io/*` have not. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, [...connectionMethods, "jetstream"])
