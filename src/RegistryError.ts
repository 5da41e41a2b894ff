/**
 * What can go wrong with a registry, and what to do about it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidName, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"
import { KVStoreError } from "./KVStoreError.ts"

export { InvalidConfig, InvalidName, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"

/**
 * Another process beats under this id.
 *
 * @category errors
 * @since 0.1.0
 */
export class DuplicateInstance
  extends Schema.TaggedError<DuplicateInstance>("effect-aegis/RegistryError/DuplicateInstance")(
    "DuplicateInstance",
    { serviceName: Schema.String, instanceId: Schema.String }
  )
{
  override get message(): string {
    return `another process is registered as ${this.serviceName}/${this.instanceId}: ` +
      "give each its own instanceId, or stop the other one"
  }

  /**
   * False: the id is taken for as long as the other process uses it.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * This instance was deregistered on purpose, by somebody else.
 *
 * @category errors
 * @since 0.1.0
 */
export class Deregistered
  extends Schema.TaggedError<Deregistered>("effect-aegis/RegistryError/Deregistered")("Deregistered", {
    serviceName: Schema.String,
    instanceId: Schema.String
  })
{
  override get message(): string {
    return `${this.serviceName}/${this.instanceId} was deregistered: register it again where that is wanted`
  }

  /**
   * False: it stays deregistered until it is registered again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Why an operation failed.
 *
 * @category models
 * @since 0.1.0
 */
export const RegistryReason = Schema.Union([
  InvalidName,
  InvalidConfig,
  InvalidValue,
  ValueTooLarge,
  DuplicateInstance,
  Deregistered,
  UndecodableValue,
  KVStoreError
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
    return this.reason.isRetryable
  }
}
