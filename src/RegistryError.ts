/**
 * Errors of a registry: one `RegistryError`, with the operation and a tagged
 * `reason`. Handle one with `Effect.catchReason("RegistryError",
 * "DuplicateInstance", ...)`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidName, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"
import { KVStoreError } from "./KVStoreError.ts"

export { InvalidConfig, InvalidName, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"

/**
 * Another process is registered under this id. Each
 * process needs an `instanceId` of its own.
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
 * Another process deregistered this instance. It sends no more heartbeats until it
 * is registered again.
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
 * Schema of the reasons for which an operation of a registry fails.
 *
 * @category schemas
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
 * The reason for which an operation of a registry failed.
 *
 * @category models
 * @since 0.1.0
 */
export type RegistryReason = typeof RegistryReason.Type

/**
 * An operation of a registry failed: `operation` says which, `reason` why.
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
   * True where trying again can help and cannot harm, as the reason says.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
