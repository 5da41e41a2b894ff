/**
 * Models of service instances: the options to register an instance, and the
 * instance that the registry returns.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Schema of the name of a service: a letter, then letters, digits, `_` and `-`. The
 * name is one token of a NATS subject, so it has no dots or wildcards.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ServiceName = Schema.String.check(Schema.isPattern(/^[a-zA-Z][a-zA-Z0-9_-]*$/)).pipe(
  Schema.brand("ServiceName")
)

/**
 * Name of a service that has passed the checks of the schema.
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
 * Id of an instance that has passed the checks of the schema.
 *
 * @category models
 * @since 0.1.0
 */
export type InstanceId = typeof InstanceId.Type

/**
 * Schema of the statuses that an instance of this library can report. The registry stores the
 * status and does not act on it. By convention an `ACTIVE` instance accepts work, a `STANDBY`
 * instance waits to become active, and a `DRAINING` instance only finishes its current work.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Status = Schema.Literals(["STARTING", "ACTIVE", "STANDBY", "UNHEALTHY", "DRAINING"])

/**
 * Status that an instance of this library can report.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = typeof Status.Type

/**
 * Schema of the metadata of an instance or a leader: a JSON object.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Metadata = Schema.Record(Schema.String, Schema.Json)

/**
 * Metadata of an instance or a leader: a JSON object.
 *
 * @category models
 * @since 0.1.0
 */
export type Metadata = typeof Metadata.Type

const largestPort = 65_535

/**
 * One running instance of a service, as the registry returns it.
 *
 * **Details**
 *
 * `version` is a semantic version and `status` a `Status` if this library registered the
 * instance; another library, or a later version of this one, may have stored any text. An
 * instance with an unknown status is not `ACTIVE`. `group` is stored as
 * `stickyActiveGroup`, which is its name in AegisSDK. Instances that the registry returns are
 * frozen, with their metadata, because several readers share them.
 *
 * @category models
 * @since 0.1.0
 */
export class ServiceInstance extends Schema.Class<ServiceInstance>("effect-aegis/ServiceInstance")({
  /** Name of the service. */
  serviceName: ServiceName,
  /** Id of the instance, unique within the service. */
  instanceId: InstanceId,
  /** Version of the service that the instance runs. */
  version: Schema.String,
  /** Status that the instance reports: a `Status`, or another text that another library has stored. */
  status: Schema.String,
  /**
   * Time of the last heartbeat. By default, the time at which the store stored it, by the store's clock. In a registry
   * with `clock: "local"`, the time at which the instance sent it, by the clock of the instance's host.
   */
  lastHeartbeat: Schema.DateTimeUtc,
  /** Name of a group, as given at the registration. It is only stored. Absent if the instance has no group. */
  group: Schema.optional(Schema.String),
  /** Host name or address at which the instance can be reached, as given at the registration. */
  host: Schema.optional(Schema.NonEmptyString),
  /** Port at which the instance can be reached, from 1 to 65535, as given at the registration. */
  port: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: largestPort }))),
  /**
   * When this process registered the instance, by the same clock as `lastHeartbeat`. Absent if another library registered
   * it.
   */
  startedAt: Schema.optional(Schema.DateTimeUtc),
  /** Metadata of the instance: a JSON object. */
  metadata: Metadata
}) {}

/**
 * The instance to register. All fields are checked before anything is written.
 *
 * @category models
 * @since 0.1.0
 */
export interface InstanceOptions {
  /** Name of the service: a letter, then letters, digits, `_` and `-`. */
  readonly serviceName: string
  /**
   * Id of the instance, unique within the service: a letter or a digit, then
   * letters, digits, `_` and `-`. Default of `register`: `<serviceName>-` and 8
   * random characters.
   */
  readonly instanceId?: string | undefined
  /** Semantic version of the service, such as `1.2.3` or `1.2.3-rc.1`. */
  readonly version: string
  /** Status to report. Default `"ACTIVE"`. */
  readonly status?: Status | undefined
  /**
   * Name of a group of instances, for readers of the instance. It is only stored: this library does not use it, and
   * elects no active instance in a group. Default: no group.
   */
  readonly group?: string | undefined
  /** Host name or address at which other processes reach the instance. Default: none. */
  readonly host?: string | undefined
  /** Port at which other processes reach the instance, an integer from 1 to 65535. Default: none. */
  readonly port?: number | undefined
  /**
   * JSON object to store with the instance. It is copied when the effect begins: later changes of the object have no
   * effect. Default: empty.
   */
  readonly metadata?: Metadata | undefined
}
