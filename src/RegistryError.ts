/**
 * What can go wrong with a registry, and what to do about it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, KVStoreError, UndecodableValue } from "./KVStoreError.ts"

/**
 * A name that cannot be part of a key; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidKey extends Schema.TaggedError<InvalidKey>("effect-aegis/Registry/InvalidKey")("InvalidKey", {
  field: Schema.String,
  value: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `${this.field} "${this.value}" is not valid: use ${this.expected}`
  }
}

/**
 * An instance that cannot be registered as it is; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidInstance extends Schema.TaggedError<InvalidInstance>("effect-aegis/InvalidInstance")(
  "InvalidInstance",
  { problem: Schema.String }
) {
  override get message(): string {
    return `the instance is not valid: ${this.problem}`
  }
}

/**
 * Another process beats under this id.
 *
 * @category errors
 * @since 0.1.0
 */
export class DuplicateInstance extends Schema.TaggedError<DuplicateInstance>("effect-aegis/DuplicateInstance")(
  "DuplicateInstance",
  { serviceName: Schema.String, instanceId: Schema.String }
) {
  override get message(): string {
    return `another process is registered as ${this.serviceName}/${this.instanceId}: ` +
      "give each its own instanceId, or stop the other one"
  }
}

/**
 * This instance was deregistered on purpose, by somebody else.
 *
 * @category errors
 * @since 0.1.0
 */
export class Deregistered extends Schema.TaggedError<Deregistered>("effect-aegis/Deregistered")("Deregistered", {
  serviceName: Schema.String,
  instanceId: Schema.String
}) {
  override get message(): string {
    return `${this.serviceName}/${this.instanceId} was deregistered: register it again where that is wanted`
  }
}

/**
 * The store could not do it.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreFailed extends Schema.TaggedError<StoreFailed>("effect-aegis/Registry/StoreFailed")("StoreFailed", {
  error: KVStoreError
}) {
  override get message(): string {
    return this.error.message
  }
}

/**
 * Why an operation failed.
 *
 * @category models
 * @since 0.1.0
 */
export const RegistryReason = Schema.Union([
  InvalidKey,
  InvalidInstance,
  InvalidConfig,
  DuplicateInstance,
  Deregistered,
  UndecodableValue,
  StoreFailed
])

/**
 * Why an operation failed.
 *
 * @category models
 * @since 0.1.0
 */
export type RegistryReason = typeof RegistryReason.Type

/**
 * An operation on a registry that failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class RegistryError extends Schema.TaggedError<RegistryError>("effect-aegis/RegistryError")("RegistryError", {
  operation: Schema.String,
  reason: RegistryReason
}) {
  override get message(): string {
    return `${this.operation}: ${this.reason.message}`
  }

  /**
   * True where doing it again can help and cannot harm.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason._tag === "StoreFailed" && this.reason.error.isRetryable
  }
}
