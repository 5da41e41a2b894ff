/**
 * One running copy of a service, as others see it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The name of a service: a letter, then letters, digits, `_` and `-`. It is a
 * token of a NATS subject, so dots and wildcards are no part of it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ServiceName = Schema.String.check(Schema.isPattern(/^[a-zA-Z][a-zA-Z0-9_-]*$/)).pipe(
  Schema.brand("ServiceName")
)

/**
 * The name of a service, checked.
 *
 * @category models
 * @since 0.1.0
 */
export type ServiceName = typeof ServiceName.Type

/**
 * What tells the copies of a service apart: a letter or a digit, then letters,
 * digits, `_` and `-`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const InstanceId = Schema.String.check(Schema.isPattern(/^[a-zA-Z0-9][a-zA-Z0-9_-]*$/)).pipe(
  Schema.brand("InstanceId")
)

/**
 * What tells the copies of a service apart, checked.
 *
 * @category models
 * @since 0.1.0
 */
export type InstanceId = typeof InstanceId.Type

/**
 * What an instance says of itself. `ACTIVE` and `STANDBY` take work;
 * `DRAINING` finishes what it has.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Status = Schema.Literals(["STARTING", "ACTIVE", "STANDBY", "UNHEALTHY", "DRAINING"])

/**
 * What an instance says of itself.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = typeof Status.Type

/**
 * Anything that JSON can say, by name.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Metadata = Schema.Record(Schema.String, Schema.Json)

/**
 * Anything that JSON can say, by name.
 *
 * @category models
 * @since 0.1.0
 */
export type Metadata = typeof Metadata.Type

/**
 * One running copy of a service. With the store's clock (the default of the
 * registry) `lastHeartbeat` is the time at which the STORE took its last beat.
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
 * What a program says of itself to be registered: names as plain text, checked
 * before anything is sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface InstanceOptions {
  readonly serviceName: string
  /** Made up (`<serviceName>-<8 characters>`) where it is left out. */
  readonly instanceId?: string | undefined
  readonly version: string
  /** Default `"ACTIVE"`. */
  readonly status?: Status | undefined
  readonly group?: string | undefined
  /** Default: none. */
  readonly metadata?: Metadata | undefined
}
