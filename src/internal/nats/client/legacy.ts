/**
 * The port over connections of the package `nats`.
 */
import { createInbox, headers as makeHeaders, type NatsConnection, type Status } from "nats"
import type { NatsPort } from "../port.ts"
import { connectionMethods, hasMethods, portOver } from "./portOver.ts"

const permissionsViolation = "PERMISSIONS_VIOLATION"

/** This client reports the code of an error and the refused subject, but not the error itself. */
const errorOf = ({ data, permissionContext, type }: Status) =>
  type === "error"
    ? { refused: data === permissionsViolation ? permissionContext : undefined, cause: permissionContext ?? data }
    : undefined

export const make = (connection: NatsConnection): NatsPort =>
  portOver(connection, { makeHeaders, createInbox, errorOf })

/** Whether a value is a connection of the package `nats`. Unlike those of `@nats-io/*` it has a method `jetstream`. */
export const isConnection = (value: unknown): value is NatsConnection =>
  hasMethods(value, [...connectionMethods, "jetstream"])
