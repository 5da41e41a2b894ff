/**
 * What a fleet did, recorded for the checkers: terms of leadership and their
 * work, writes to a guarded resource, registrations, and what others saw of them.
 * What the simulation knows by itself (who was stopped, who crashed, what the
 * store took) is put to it at the end.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InvalidConfig } from "../AegisError.ts"
import type { Leadership, LossReason } from "../Election.ts"
import type { FencingToken } from "../FencingToken.ts"
import * as registryRecords from "../internal/testing/registryRecords.ts"
import * as termRecords from "../internal/testing/termRecords.ts"
import type { Registration } from "../Registry.ts"
import type { Disruption, GuardedWrite, LeaderHistory, RegistryHistory } from "./Checks.ts"
import { Simulation } from "./Simulation.ts"

export { InvalidConfig } from "../AegisError.ts"

/**
 * Records of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface History {
  /**
   * The work of a term, recorded: when it began, when it was told to stop, when it
   * had stopped; and `isValid` is read beside it again and again.
   */
  readonly term: <A, E, R>(
    node: string,
    leadership: Leadership,
    work: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /**
   * A write to a resource; whether it was taken. One with a fence, which is the default, remembers the highest token that
   * it has seen, and refuses a lower one: what it takes is never stale. One without (`fence: false`) takes everything:
   * there a leader must know by itself that it leads, and `Checks.noStaleWrite` tells where it did not.
   */
  readonly write: (
    node: string,
    resource: string,
    token: FencingToken,
    options?: { readonly fence?: boolean | undefined; readonly what?: string | undefined }
  ) => Effect.Effect<boolean, InvalidConfig>
  /** A registration, recorded until its scope closes. */
  readonly registered: <E, R>(
    node: string,
    instance: string,
    register: Effect.Effect<Registration, E, R>
  ) => Effect.Effect<Registration, E, R | Scope.Scope>
  /**
   * An instance that somebody deregisters by hand: where that succeeds with true, the life that ran when it was asked for
   * is over.
   */
  readonly deregistered: <E, R>(
    instance: string,
    deregister: Effect.Effect<boolean, E, R>
  ) => Effect.Effect<boolean, E, R>
  /** What a reader was told of a service: `service/id` each. */
  readonly lookup: <E, R>(
    node: string,
    service: string,
    read: Effect.Effect<ReadonlyArray<string>, E, R>
  ) => Effect.Effect<ReadonlyArray<string>, E, R>
  /** Why leadership was lost, for those terms that ended so. */
  readonly losses: Effect.Effect<ReadonlyArray<TermLoss>>
  /** For `Checks.atMostOneLeader`, and for `Checks.leaderWithin`. */
  readonly leaders: Effect.Effect<LeaderHistory & { readonly disruptions: ReadonlyArray<Disruption> }>
  /** For `Checks.noStaleWrite`. */
  readonly writes: Effect.Effect<ReadonlyArray<GuardedWrite>>
  /** For `Checks.registryAccuracy`: of the registry in this bucket. */
  readonly registry: (bucket: string) => Effect.Effect<RegistryHistory>
}

/**
 * Leadership that was lost, and why its leader was told so: milliseconds of true
 * time.
 *
 * @category models
 * @since 0.1.0
 */
export interface TermLoss {
  readonly election: string
  readonly node: string
  readonly reason: LossReason
  readonly at: number
}

/**
 * An empty history of the simulation that it is made in.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<History, never, Simulation> = Effect.map(Simulation, (simulation) => ({
  ...termRecords.make(simulation),
  ...registryRecords.make(simulation)
}))
