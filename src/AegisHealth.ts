/**
 * Models of the health of a process, and their schema. `Aegis` exports them.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { CandidateStatus } from "./Election.ts"
import type { RegistrationStatus } from "./Registry.ts"

/**
 * What this process knows of its part in the fleet. Ages are by the clock of this host.
 *
 * @category models
 * @since 0.1.0
 */
export interface Health {
  /**
   * Whether the process should get requests: false while a call of `register` waits, and while
   * an instance has the status `STARTING`, `UNHEALTHY` or `DRAINING`. True without a
   * registration. An outage of the store does not change it, so that it does not take a whole
   * fleet out of its load balancer.
   */
  readonly ready: boolean
  /**
   * Whether the connection of the `NatsClient` in the context is up. True without one, as with the
   * memory backend.
   */
  readonly connected: boolean
  /** The registrations. */
  readonly registrations: ReadonlyArray<RegistrationHealth>
  /** The campaigns and leaderships. */
  readonly elections: ReadonlyArray<ElectionHealth>
}

/**
 * A registration in `Health`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegistrationHealth extends RegistrationStatus {
  /** The age of the last heartbeat; none before the first. */
  readonly heartbeatAge: Option.Option<Duration.Duration>
}

/**
 * A campaign or a leadership in `Health`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ElectionHealth extends CandidateStatus {
  /** The age of the last renewal; none before the first. */
  readonly renewalAge: Option.Option<Duration.Duration>
}

const ageOrNull = Schema.OptionFromNullOr(Schema.DurationFromMillis)
const timeOrNull = Schema.OptionFromNullOr(Schema.DateTimeUtcFromString)

/**
 * Schema of `Health`, for the endpoint of an HTTP API or for JSON. Ages and times that are left
 * are encoded as milliseconds, dates as ISO 8601 texts, and none as null.
 *
 * **Example** (Encoding the health of a process as JSON)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Aegis } from "effect-aegis"
 *
 * const program = Effect.flatMap(Aegis.health, Schema.encodeEffect(Schema.fromJsonString(Aegis.Health)))
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => {"ready":true,"connected":true,"registrations":[],"elections":[]}
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const Health: Schema.Codec<Health, Schema.Json> = Schema.Struct({
  ready: Schema.Boolean,
  connected: Schema.Boolean,
  registrations: Schema.Array(
    Schema.Struct({
      serviceName: Schema.String,
      instanceId: Schema.String,
      isRegistered: Schema.Boolean,
      status: Schema.String,
      lastHeartbeat: timeOrNull,
      heartbeatAge: ageOrNull
    })
  ),
  elections: Schema.Array(
    Schema.Struct({
      election: Schema.String,
      candidateId: Schema.String,
      state: Schema.Literals(["Campaigning", "Leading", "Releasing"]),
      since: Schema.DateTimeUtcFromString,
      lastRenewal: timeOrNull,
      leaseEndsIn: ageOrNull,
      renewalAge: ageOrNull
    })
  )
})
