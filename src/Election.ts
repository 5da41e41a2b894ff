/**
 * Leader election over a KVStore bucket, with leases and fencing tokens.
 *
 * Each election is one key. Candidates take it by compare-and-set, the leader
 * renews it, and another candidate may take it once it has watched the record
 * unchanged for the leader's lease. No two hosts' clocks are compared: a leader
 * stops by its own clock before another candidate may start, however the network
 * behaves, while the RATES of their clocks differ by less than
 * `leaseDuration / renewDeadline`.
 *
 * A lease cannot protect a process that is paused between a check and the write
 * it guards, and it ends with the bucket. `Leadership.token` is for these cases:
 * a resource that remembers the highest token it has seen can refuse an older
 * one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { ElectionError, LossReason } from "./ElectionError.ts"
import type { FencingToken } from "./FencingToken.ts"
import * as service from "./internal/election/service.ts"
import { KVStore } from "./KVStore.ts"
import type { LeaderRecord } from "./LeaderRecord.ts"
import type { Metadata } from "./ServiceInstance.ts"

export * from "./ElectionError.ts"
export * from "./LeaderRecord.ts"

/**
 * Leader elections in one bucket, by name.
 *
 * @category services
 * @since 0.1.0
 */
export class Election extends Context.Service<Election, {
  /** Waits until this candidate leads. Closing the scope hands leadership over. */
  readonly campaign: (
    election: string,
    options?: CandidateOptions
  ) => Effect.Effect<Leadership, ElectionError, Scope.Scope>
  /**
   * Campaigns for ever and runs `work` while leading. On loss `work` is
   * interrupted and awaited; it has `leaseDuration - renewDeadline` to stop, and what
   * runs longer, or in a process that was paused, is what fencing is for. Ends
   * when `work` ends.
   */
  readonly whileLeader: <A, E, R>(
    election: string,
    work: (leadership: Leadership) => Effect.Effect<A, E, R>,
    options?: CandidateOptions
  ) => Effect.Effect<A, E | ElectionError, R>
  /** None where nobody leads, or where who led has not renewed for a lease. */
  readonly leader: (election: string) => Effect.Effect<Option.Option<LeaderRecord>, ElectionError>
  /** The leader now, then every change. A renewal is none. */
  readonly observe: (election: string) => Stream.Stream<Option.Option<LeaderRecord>, ElectionError>
}>()("effect-aegis/Election") {}

/**
 * How elections in a bucket are held.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Default: `resilient`. */
  readonly timings?: Timings | undefined
}

/**
 * How long leadership lasts: `leaseDuration > renewDeadline >= 2 x renewInterval`.
 *
 * **Details**
 *
 * A leader renews every `renewInterval`, and stops `renewDeadline` after it SENT
 * the last renewal that landed. Others wait until they have watched its record
 * unchanged for `leaseDuration`. What lies between the two is the time that its work has
 * to stop. A NATS cluster that loses a node may take no writes for 4 to 9
 * seconds: below 12 seconds of `renewDeadline` that costs leadership.
 *
 * @category models
 * @since 0.1.0
 */
export interface Timings {
  readonly leaseDuration: Duration.Input
  readonly renewDeadline: Duration.Input
  readonly renewInterval: Duration.Input
}

/**
 * How to stand.
 *
 * @category models
 * @since 0.1.0
 */
export interface CandidateOptions {
  /** Default: host name, process id and 8 random characters. */
  readonly candidateId?: string | undefined
  /** Default: the layer's, `resilient`. */
  readonly timings?: Timings | undefined
  /** Shown to who asks for the leader. Default: none. */
  readonly metadata?: Metadata | undefined
  /** Lower goes first when a seat is free: this many steps of `renewInterval` later. A whole number from 0, the default. */
  readonly priority?: number | undefined
  /** Unhealthy candidates do not stand, and an unhealthy leader resigns. A hang or a defect is unhealthy. */
  readonly healthCheck?: Effect.Effect<boolean> | undefined
}

/**
 * Leadership, for as long as it lasts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Leadership {
  readonly election: string
  readonly candidateId: string
  readonly term: number
  /** For resources that can refuse a leader which has been replaced without knowing it. */
  readonly token: FencingToken
  readonly electedAt: DateTime.Utc
  readonly metadata: Metadata
  /** Reads the clocks each time: false as soon as the lease could have been taken, also after a pause; false for good then. */
  readonly isValid: Effect.Effect<boolean>
  /** Succeeds, once, with the reason. */
  readonly lost: Effect.Effect<LossReason>
  /** Changes what others read of this leader. One that fails may still be written, with the next renewal. */
  readonly proclaim: (metadata: Metadata) => Effect.Effect<void, ElectionError>
  /** Hands over. In `whileLeader` the work is interrupted and awaited first. */
  readonly resign: Effect.Effect<void>
}

/**
 * Survives the loss of a node of a NATS cluster: 20 / 14 / 4 seconds.
 *
 * @category timings
 * @since 0.1.0
 */
export const resilient: Timings = {
  leaseDuration: "20 seconds",
  renewDeadline: "14 seconds",
  renewInterval: "4 seconds"
}

/**
 * For a single server, or where a fail-over of the store may cost leadership: 10 / 7 / 2 seconds.
 *
 * @category timings
 * @since 0.1.0
 */
export const balanced: Timings = { leaseDuration: "10 seconds", renewDeadline: "7 seconds", renewInterval: "2 seconds" }

/**
 * For tests and short tasks: 3 / 2 / 0.5 seconds.
 *
 * @category timings
 * @since 0.1.0
 */
export const fast: Timings = { leaseDuration: "3 seconds", renewDeadline: "2 seconds", renewInterval: "500 millis" }

/**
 * Makes an `Election` on the `KVStore` of the context, for as long as the scope
 * is open.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Options
): Effect.Effect<Election["Service"], ElectionError, KVStore | Scope.Scope> =>
  Effect.flatMap(KVStore, (store) => service.make("Election.make", store, options, resilient))

/**
 * Elections in a bucket of their own. Refuses a bucket that keeps history, ages
 * its values, or is lost with the server's memory.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Election, ElectionError, KVStore> =>
  Layer.effect(
    Election,
    Effect.flatMap(KVStore, (store) => service.make("Election.layer", store, options, resilient))
  )
