/**
 * Instances of a service: as they are registered, and as they are read.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Schema of the name of a service: a letter, then letters, digits, `_` and `-`. It
 * is a token of a NATS subject, so dots and wildcards are no part of it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ServiceName = Schema.String.check(Schema.isPattern(/^[a-zA-Z][a-zA-Z0-9_-]*$/)).pipe(
  Schema.brand("ServiceName")
)

/**
 * The checked name of a service.
 *
 * @category models
 * @since 0.1.0
 */
export type ServiceName = typeof ServiceName.Type

/**
 * Schema of the id of an instance within its service: a letter or a digit, then
 * letters, digits, `_` and `-`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const InstanceId = Schema.String.check(Schema.isPattern(/^[a-zA-Z0-9][a-zA-Z0-9_-]*$/)).pipe(
  Schema.brand("InstanceId")
)

/**
 * The checked id of an instance within its service.
 *
 * @category models
 * @since 0.1.0
 */
export type InstanceId = typeof InstanceId.Type

/**
 * Schema of the status that an instance gives itself. `ACTIVE` and `STANDBY` take
 * work; `DRAINING` finishes what it has.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Status = Schema.Literals(["STARTING", "ACTIVE", "STANDBY", "UNHEALTHY", "DRAINING"])

/**
 * The status that an instance gives itself.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = typeof Status.Type

/**
 * Schema of the metadata of an instance or a leader: JSON values by name.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Metadata = Schema.Record(Schema.String, Schema.Json)

/**
 * The metadata of an instance or a leader: JSON values by name.
 *
 * @category models
 * @since 0.1.0
 */
export type Metadata = typeof Metadata.Type

/**
 * A running copy of a service, as it is read from the registry.
 *
 * **Details**
 *
 * With the store's clock (the registry's default) `lastHeartbeat` is the time at
 * which the store took the last heartbeat. `version` is a semantic version where
 * this library registered the instance, and any text where another writer did.
 * `group` is stored as `stickyActiveGroup`, AegisSDK's name for it.
 *
 * @category models
 * @since 0.1.0
 */
export class ServiceInstance extends Schema.Class<ServiceInstance>("effect-aegis/ServiceInstance")({
  serviceName: ServiceName,
  instanceId: InstanceId,
  version: Schema.String,
  status: Status,
  lastHeartbeat: Schema.DateTimeUtc,
  group: Schema.optional(Schema.String),
  metadata: Metadata
}) {}

/**
 * The instance that a program registers. Every field is checked before anything is
 * sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface InstanceOptions {
  /** The name of the service: a letter, then letters, digits, `_` and `-`. */
  readonly serviceName: string
  /** A letter or a digit, then letters, digits, `_` and `-`. Default of `register`: `<serviceName>-<8 random characters>`. */
  readonly instanceId?: string | undefined
  /** A semantic version: `1.2.3`, `1.2.3-rc.1`. */
  readonly version: string
  /** The status at the start. Default `"ACTIVE"`. */
  readonly status?: Status | undefined
  /** The instances of a service among which one is active. Default: none. */
  readonly group?: string | undefined
  /** JSON values by name; a copy is sent. Default: empty. */
  readonly metadata?: Metadata | undefined
}
