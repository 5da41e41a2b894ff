/**
 * Errors of the service registry. Every operation fails with a `RegistryError`,
 * which has the name of the operation and a tagged `reason`.
 * `Effect.catchReason("RegistryError", "DuplicateInstance", handler)` handles one
 * reason.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InvalidConfig, InvalidName, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"
import { KVStoreError } from "./KVStoreError.ts"

export { InvalidConfig, InvalidName, InvalidValue, UndecodableValue, ValueTooLarge } from "./AegisError.ts"

/**
 * Reason of a `RegistryError`: the id belongs to another registration, of another
 * process or of this one. Each registration needs its own `instanceId`.
 *
 * **Details**
 *
 * Heartbeats by hand (`heartbeat`) count as one registration for each id. After `register`, a
 * call of `heartbeat` with the same id is a heartbeat of that registration.
 *
 * @category errors
 * @since 0.1.0
 */
export class DuplicateInstance
  extends Schema.TaggedError<DuplicateInstance>("effect-aegis/RegistryError/DuplicateInstance")(
    "DuplicateInstance",
    {
      /** Name of the service. */
      serviceName: Schema.String,
      /** Id that both registrations use. */
      instanceId: Schema.String
    }
  )
{
  /** What failed, why, and what to do. */
  override get message(): string {
    return `${this.serviceName}/${this.instanceId} has another registration, in another process or in this one: ` +
      "give each registration its own instanceId, or end the other registration"
  }

  /**
   * False: the other registration keeps the id while it sends heartbeats.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Reason of a `RegistryError`: another process deregistered this instance. Its
 * heartbeats stop until it is registered again.
 *
 * @category errors
 * @since 0.1.0
 */
export class Deregistered
  extends Schema.TaggedError<Deregistered>("effect-aegis/RegistryError/Deregistered")("Deregistered", {
    /** Name of the service. */
    serviceName: Schema.String,
    /** Id of the deregistered instance. */
    instanceId: Schema.String
  })
{
  /** What failed, why, and what to do. */
  override get message(): string {
    return `${this.serviceName}/${this.instanceId} was deregistered: register it again if it should be listed`
  }

  /**
   * False: the instance stays deregistered until it is registered again.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Schema of the reasons of a `RegistryError`.
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
 * Reason of a `RegistryError`: the cause of a failed operation.
 *
 * @category models
 * @since 0.1.0
 */
export type RegistryReason = typeof RegistryReason.Type

/**
 * Error of every operation of a registry: the failed operation and its reason.
 *
 * @category errors
 * @since 0.1.0
 */
export class RegistryError extends Schema.TaggedError<RegistryError>("effect-aegis/RegistryError")("RegistryError", {
  /** Name of the operation, such as `list`. For a registration followed by the instance: `update orders/orders-1`. */
  operation: Schema.String,
  /** Why the operation failed. */
  reason: RegistryReason
}) {
  /** What failed, why, and what to do. */
  override get message(): string {
    return `${this.operation}: ${this.reason.message}`
  }

  /**
   * Whether a retry is safe and can succeed; the `isRetryable` of the reason.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
