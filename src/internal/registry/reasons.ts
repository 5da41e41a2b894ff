/**
 * What the reasons of failed writes mean for a registration. Pure.
 */
import type { RegistryReason } from "../../RegistryError.ts"
import { isClosed } from "../retry.ts"

/** Whether no later heartbeat can succeed. */
export const isFinal = (reason: RegistryReason): boolean =>
  reason._tag === "DuplicateInstance" || reason._tag === "Deregistered" ||
  (reason._tag === "KVStoreError" && isClosed(reason))

/**
 * Whether the outcome of a write is unknown. An unknown outcome of a read is an
 * ordinary failure: a read has no effect.
 */
export const isUnknownWrite = (reason: RegistryReason): boolean =>
  reason._tag === "KVStoreError" && reason.operation === "put" && reason.reason._tag === "OutcomeUnknown"

/** Whether a removal can succeed if it is repeated. */
export const isTransient = (reason: RegistryReason): boolean =>
  reason._tag === "KVStoreError" && (reason.isRetryable || reason.reason._tag === "OutcomeUnknown")

/** The tag for metrics and for lines that are logged once per reason. */
export const tagOf = (reason: RegistryReason): string =>
  reason._tag === "KVStoreError" ? reason.reason._tag : reason._tag
