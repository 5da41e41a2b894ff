/**
 * Records the behaviour of a simulated fleet for `Checks`: terms of leadership and
 * their work, writes to a guarded resource, registrations, and results of lookups. The
 * histories also contain facts of the simulation: stops, crashes, and the stored
 * messages.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { InvalidConfig } from "../AegisError.ts"
import type { Leadership, LossReason } from "../Election.ts"
import type { FencingToken } from "../FencingToken.ts"
import type { Registration, RegistryEvent } from "../Registry.ts"
import type { Disruption, GuardedWrite, LeaderHistory, RegistryHistory } from "./Checks.ts"
import * as registryRecords from "./internal/record/registrations.ts"
import * as termRecords from "./internal/record/terms.ts"
import { Simulation } from "./Simulation.ts"

export { InvalidConfig } from "../AegisError.ts"

/**
 * The recorder of one simulation run.
 *
 * **Details**
 *
 * In all members `node` is the id of the machine that performs the recorded action.
 * Times are simulated time in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface History {
  /**
   * Runs the work of a leader and records its term: when the work began, when its interruption began, and when it had
   * stopped. While the work runs, reads `isValid` at random intervals of 0.2 to 2 s on the machine's clock.
   */
  readonly term: <A, E, R>(
    node: string,
    leadership: Leadership,
    work: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /**
   * Records a write of a leader to a simulated resource. Returns whether the resource accepted the write.
   *
   * With `fence: true`, the default, the resource refuses a token lower than the highest accepted token. With
   * `fence: false` it accepts every write, and `Checks.noStaleWrite` reports the stale ones. `what` is the written
   * value, for reports. Invalid options fail with `InvalidConfig`, and nothing is recorded.
   */
  readonly write: (
    node: string,
    resource: string,
    token: FencingToken,
    options?: { readonly fence?: boolean | undefined; readonly what?: string | undefined }
  ) => Effect.Effect<boolean, InvalidConfig>
  /**
   * Runs `register` for an instance (`service/id`) and records its lifetime: from the call until `register` fails, the
   * scope closes, the process crashes, another process deregisters the instance, or the registration reports its loss.
   */
  readonly registered: <E, R>(
    node: string,
    instance: string,
    register: Effect.Effect<Registration, E, R>
  ) => Effect.Effect<Registration, E, R | Scope.Scope>
  /**
   * Runs `deregister`, by which another process deregisters an instance (`service/id`), and records the call. If it
   * succeeds with true and has left a delete marker, the lifetime that was current at the time of the call ends. After a
   * purge the instance may register again, and its lifetime continues.
   */
  readonly deregistered: <E, R>(
    instance: string,
    deregister: Effect.Effect<boolean, E, R>
  ) => Effect.Effect<boolean, E, R>
  /** Runs a lookup of a service and records its result: `service/id` of each instance. */
  readonly lookup: <E, R>(
    node: string,
    service: string,
    read: Effect.Effect<ReadonlyArray<string>, E, R>
  ) => Effect.Effect<ReadonlyArray<string>, E, R>
  /**
   * Follows the events of `Registry.watch(service)` and records the view: the instances that it lists after the first
   * `Ready`, after each change, and once a second on the machine's clock. Ends with the stream.
   */
  readonly watched: <E, R>(
    node: string,
    service: string,
    events: Stream.Stream<RegistryEvent, E, R>
  ) => Effect.Effect<void, E, R>
  /** The losses of leadership in recorded terms, with their reasons. */
  readonly losses: Effect.Effect<ReadonlyArray<TermLoss>>
  /** The history for `Checks.atMostOneLeader` and `Checks.leaderWithin`. */
  readonly leaders: Effect.Effect<
    LeaderHistory & {
      /** The disruptions of machines and of the store. */
      readonly disruptions: ReadonlyArray<Disruption>
    }
  >
  /** The history for `Checks.noStaleWrite`. */
  readonly writes: Effect.Effect<ReadonlyArray<GuardedWrite>>
  /** Returns the history for `Checks.registryAccuracy`. The argument is the name of the registry's bucket. */
  readonly registry: (bucket: string) => Effect.Effect<RegistryHistory>
}

/**
 * A loss of leadership, with the reason that `Leadership.lost` reported.
 *
 * @category models
 * @since 0.1.0
 */
export interface TermLoss {
  /** The name of the election. */
  readonly election: string
  /** The id of the leader's machine. */
  readonly node: string
  /** The reason that `Leadership.lost` returned. */
  readonly reason: LossReason
  /** When the loss was reported: simulated time in milliseconds. */
  readonly at: number
}

/**
 * Creates an empty history for the current simulation.
 *
 * **Example** (The terms of a leader)
 *
 * ```ts
 * import * as assert from "node:assert/strict"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { Election } from "effect-aegis"
 * import { Checks, History, Simulation } from "effect-aegis/testing"
 *
 * const program = Effect.gen(function*() {
 *   const simulation = yield* Simulation.Simulation
 *   const history = yield* History.make
 *   const node = yield* simulation.node("a")
 *   yield* Effect.forkChild(node.run(
 *     Election.Election.use((election) =>
 *       election.whileLeader("job", (leadership) => history.term("a", leadership, Effect.never))
 *     ).pipe(Effect.provide(Election.layer().pipe(Layer.provide(node.layer))))
 *   ))
 *   yield* Effect.sleep("10 seconds")
 *   return yield* history.leaders
 * })
 *
 * const { value: leaders } = await Effect.runPromise(Simulation.run(program))
 * assert.equal(leaders.terms.length, 1)
 * assert.deepEqual(Checks.atMostOneLeader(leaders), [])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<History, never, Simulation> = Effect.map(Simulation, (simulation) => ({
  ...termRecords.make(simulation),
  ...registryRecords.make(simulation)
}))
