/**
 * Records what a fleet does, for `Checks`: terms of leadership and their work, writes
 * to a guarded resource, registrations, and what lookups returned. The simulation adds
 * its own facts at the end: stops, crashes, and the writes that the store took.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InvalidConfig } from "../AegisError.ts"
import type { Leadership, LossReason } from "../Election.ts"
import type { FencingToken } from "../FencingToken.ts"
import type { Registration } from "../Registry.ts"
import type { Disruption, GuardedWrite, LeaderHistory, RegistryHistory } from "./Checks.ts"
import * as registryRecords from "./internal/record/registrations.ts"
import * as termRecords from "./internal/record/terms.ts"
import { Simulation } from "./Simulation.ts"

export { InvalidConfig } from "../AegisError.ts"

/**
 * The records of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface History {
  /**
   * Records the work of a term: when it began, when its interruption began, and when it
   * had stopped; and reads `isValid` again and again while it runs.
   */
  readonly term: <A, E, R>(
    node: string,
    leadership: Leadership,
    work: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /**
   * Records a write to a resource, and returns whether the resource accepted it. A resource with a fence, the default,
   * refuses a token that is lower than the highest one that it has seen: it accepts no stale write. One without
   * (`fence: false`) accepts every write: `Checks.noStaleWrite` reports the writes of leaders that had lost leadership.
   * Options that are not valid are `InvalidConfig`, and nothing is recorded.
   */
  readonly write: (
    node: string,
    resource: string,
    token: FencingToken,
    options?: { readonly fence?: boolean | undefined; readonly what?: string | undefined }
  ) => Effect.Effect<boolean, InvalidConfig>
  /** Records a registration until its scope closes. */
  readonly registered: <E, R>(
    node: string,
    instance: string,
    register: Effect.Effect<Registration, E, R>
  ) => Effect.Effect<Registration, E, R | Scope.Scope>
  /**
   * Records a deregistration by others: where it succeeds with true, the lifetime that was under way at its beginning
   * ends.
   */
  readonly deregistered: <E, R>(
    instance: string,
    deregister: Effect.Effect<boolean, E, R>
  ) => Effect.Effect<boolean, E, R>
  /** Records what a lookup of a service returned: `service/id` each. */
  readonly lookup: <E, R>(
    node: string,
    service: string,
    read: Effect.Effect<ReadonlyArray<string>, E, R>
  ) => Effect.Effect<ReadonlyArray<string>, E, R>
  /** The losses of leadership, with their reasons. */
  readonly losses: Effect.Effect<ReadonlyArray<TermLoss>>
  /** The history for `Checks.atMostOneLeader` and `Checks.leaderWithin`. */
  readonly leaders: Effect.Effect<LeaderHistory & { readonly disruptions: ReadonlyArray<Disruption> }>
  /** The history for `Checks.noStaleWrite`. */
  readonly writes: Effect.Effect<ReadonlyArray<GuardedWrite>>
  /** The history for `Checks.registryAccuracy`, of the registry in this bucket. */
  readonly registry: (bucket: string) => Effect.Effect<RegistryHistory>
}

/**
 * A loss of leadership, with the reason that its leader was given: milliseconds of
 * true time.
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
 * Makes an empty history of the simulation of its context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<History, never, Simulation> = Effect.map(Simulation, (simulation) => ({
  ...termRecords.make(simulation),
  ...registryRecords.make(simulation)
}))
