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
 * **Details**
 *
 * The name of an election is 1 to 200 letters, digits, `_`, `-` and `/`. Any
 * number of elections can be held in one bucket; all of one service share one
 * watch.
 *
 * @category services
 * @since 0.1.0
 */
export class Election extends Context.Service<Election, {
  /**
   * Waits until this candidate leads, and leads until the scope is closed.
   *
   * **When to use**
   *
   * For a program that itself decides when leadership ends. Work that must stop
   * when leadership is lost is easier with `whileLeader`.
   *
   * **Details**
   *
   * Closing the scope hands leadership over: the next candidate wins at once. A
   * campaign that is interrupted hands back what it may have won. While the store
   * cannot be reached it goes on, for as long as it takes.
   *
   * Fails with `InvalidName`, `InvalidConfig`, `InvalidValue` or `ValueTooLarge`
   * before anything is sent, and with a `KVStoreError` for what the store refuses
   * for good, such as a denied permission.
   *
   * **Gotchas**
   *
   * Nothing is interrupted when leadership is lost: ask `Leadership.isValid`
   * before each step, or wait for `Leadership.lost`.
   *
   * **Example** (Leading until the scope is closed)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { Aegis, Election } from "effect-aegis"
   *
   * const program = Effect.gen(function*() {
   *   const election = yield* Election.Election
   *   const leadership = yield* election.campaign("invoices", { metadata: { zone: "a" } })
   *   yield* Effect.log(`leading in term ${leadership.term}`)
   *   if (yield* leadership.isValid) yield* Effect.log("sending invoices")
   * }).pipe(Effect.scoped)
   *
   * await Effect.runPromise(Effect.provide(program, Aegis.layerMemory()))
   * ```
   */
  readonly campaign: (
    election: string,
    options?: CandidateOptions
  ) => Effect.Effect<Leadership, ElectionError, Scope.Scope>
  /**
   * Campaigns, runs `work` while leading, and campaigns again after a loss, until
   * `work` ends.
   *
   * **Work that ends hands leadership over, and the next candidate runs it
   * again.** Work that is to run for as long as the process lives does not end:
   * `Effect.never` after its set-up, or a loop.
   *
   * **Details**
   *
   * On a loss `work` is interrupted and awaited, and runs again, from its
   * beginning, when this candidate has won again. It has
   * `leaseDuration - renewDeadline` to stop: after that another candidate may
   * lead, which is logged as an error and counted in the metric
   * `election.overrun`. Interrupting `whileLeader` stops the work first, renews
   * while it stops, and then hands leadership over.
   *
   * Fails with what `work` fails with, after a hand-over, and with an
   * `ElectionError` as `campaign` does; `work` that is no function is
   * `InvalidConfig`.
   *
   * **Gotchas**
   *
   * A process that was paused does not know that its lease has ended: pass
   * `Leadership.token` to what the work writes to.
   *
   * **Example** (Work of which one process in the fleet runs one at a time)
   *
   * ```ts
   * import { Effect, Schedule } from "effect"
   * import { Aegis, Election } from "effect-aegis"
   *
   * const report = (leadership: Election.Leadership) =>
   *   Effect.log(`reporting in term ${leadership.term}`).pipe(
   *     Effect.repeat(Schedule.spaced("100 millis")),
   *     // Ends this example; a real program leads for as long as it lives.
   *     Effect.timeoutOption("250 millis")
   *   )
   *
   * const program = Effect.gen(function*() {
   *   const election = yield* Election.Election
   *   yield* election.whileLeader("reports", report)
   * })
   *
   * await Effect.runPromise(Effect.provide(program, Aegis.layerMemory()))
   * ```
   */
  readonly whileLeader: <A, E, R>(
    election: string,
    work: (leadership: Leadership) => Effect.Effect<A, E, R>,
    options?: CandidateOptions
  ) => Effect.Effect<A, E | ElectionError, R>
  /**
   * Reads the leader of an election from the store: none where there is none, or
   * where the leader has not renewed for its lease.
   *
   * **Details**
   *
   * The candidates' own view is not asked: any process can read the leader. Fails
   * with `InvalidName` before anything is sent, and with a `KVStoreError` where
   * the store cannot be read: an outage is never none.
   *
   * **Example** (Where the leader is)
   *
   * ```ts
   * import { Effect, Option } from "effect"
   * import { Aegis, Election } from "effect-aegis"
   *
   * const program = Effect.gen(function*() {
   *   const election = yield* Election.Election
   *   yield* election.campaign("invoices", { candidateId: "billing-1" })
   *   const leader = yield* election.leader("invoices")
   *   return Option.match(leader, {
   *     onNone: () => "no leader",
   *     onSome: ({ candidateId, term }) => `${candidateId} in term ${term}`
   *   })
   * }).pipe(Effect.scoped)
   *
   * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
   * // => billing-1 in term 1
   * ```
   */
  readonly leader: (election: string) => Effect.Effect<Option.Option<LeaderRecord>, ElectionError>
  /**
   * Emits the leader of an election now, and then each change: a win, a loss, and
   * metadata that the leader proclaims. Renewals are no changes.
   *
   * **Details**
   *
   * None stands for no leader, also for one that has not renewed for its lease.
   * All streams of one service share one watch, which is opened again where it
   * fails. Fails with `InvalidName`, and with a `KVStoreError` where the epoch of
   * the bucket cannot be read.
   *
   * **Gotchas**
   *
   * A slow consumer sees the latest leader, and not each that there was between.
   *
   * **Example** (Following the leader)
   *
   * ```ts
   * import { Effect, Option, Stream } from "effect"
   * import { Aegis, Election } from "effect-aegis"
   *
   * const program = Effect.gen(function*() {
   *   const election = yield* Election.Election
   *   yield* Effect.forkChild(election.whileLeader("invoices", () => Effect.never, { candidateId: "billing-1" }))
   *   const leaders = election.observe("invoices").pipe(
   *     Stream.map(Option.match({ onNone: () => "no leader", onSome: ({ candidateId }) => candidateId })),
   *     Stream.takeUntil((leader) => leader === "billing-1")
   *   )
   *   yield* Stream.runForEach(leaders, (leader) => Effect.log(leader))
   * })
   *
   * await Effect.runPromise(Effect.provide(program, Aegis.layerMemory()))
   * ```
   */
  readonly observe: (election: string) => Stream.Stream<Option.Option<LeaderRecord>, ElectionError>
}>()("effect-aegis/Election") {}

/**
 * How elections in a bucket are held.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The timings of candidates that have none of their own. Default: `resilient`. */
  readonly timings?: Timings | undefined
}

/**
 * How long leadership lasts without a renewal, and how often it is renewed:
 * `leaseDuration > renewDeadline >= 2 x renewInterval`, and `renewInterval` at
 * least 10 ms. A number is milliseconds.
 *
 * **Details**
 *
 * A NATS cluster that loses a node may take no writes for 4 to 9 seconds: with a
 * `renewDeadline` below 12 seconds that costs leadership, and a layer on a
 * replicated bucket logs a warning.
 *
 * Candidates of one election may have timings of their own; each waits for the
 * lease of the leader, not for its own.
 *
 * @see {@link resilient}, the default
 * @see {@link balanced} for a single server
 * @see {@link fast} for tests
 *
 * @category models
 * @since 0.1.0
 */
export interface Timings {
  /** How long other candidates watch the record of a leader unchanged before one of them takes it. */
  readonly leaseDuration: Duration.Input
  /**
   * How long after it SENT the last renewal that was written a leader stops. The
   * time from then to the end of `leaseDuration` is what its work has to stop.
   */
  readonly renewDeadline: Duration.Input
  /** The time between two renewals. A renewal that fails is tried again within half a second. */
  readonly renewInterval: Duration.Input
}

/**
 * How a candidate takes part in an election.
 *
 * @category models
 * @since 0.1.0
 */
export interface CandidateOptions {
  /**
   * The name that observers read. Two candidates may have one name: they are two
   * all the same. Default: host name, process id and 8 random characters.
   */
  readonly candidateId?: string | undefined
  /** The timings of this candidate. Default: those of the layer. */
  readonly timings?: Timings | undefined
  /**
   * Data for observers, as JSON, copied when it is given. With the rest of the
   * record it must fit into the bucket's `maxValueSize`. Default: none.
   */
  readonly metadata?: Metadata | undefined
  /**
   * The order in which candidates take over after a hand-over, or begin in an
   * election that has no record yet: this one waits `priority` times
   * `renewInterval`. A whole number from 0, the default, to 1000. It does not depose
   * a leader, and does not count after a crash.
   */
  readonly priority?: number | undefined
  /**
   * Whether this candidate can lead. While it is false the candidate does not
   * campaign; a leader resigns. Run before each attempt to win, and every
   * `renewInterval` of a leader. A check that takes over a second, fails or dies
   * counts as false, and so does an answer that is no boolean. Default: always true.
   */
  readonly healthCheck?: Effect.Effect<boolean> | undefined
}

/**
 * A term of leadership that this candidate has won.
 *
 * @category models
 * @since 0.1.0
 */
export interface Leadership {
  /** The name of the election. */
  readonly election: string
  /** The name of this candidate, as observers read it. */
  readonly candidateId: string
  /** How many times this election has been won, this term included: the first term is 1. */
  readonly term: number
  /** The token of this term, for resources that refuse a leader that has been replaced without knowing it. */
  readonly token: FencingToken
  /** The time of the win by this host's clock. */
  readonly electedAt: DateTime.Utc
  /** The metadata that the candidate campaigned with. */
  readonly metadata: Metadata
  /**
   * Whether this candidate still leads. Reads the clocks at each call, and sends
   * nothing: false `renewDeadline` after the last renewal that was written was
   * sent, also in a process that was paused, and from the moment at which
   * leadership is handed over. Once false it stays false.
   */
  readonly isValid: Effect.Effect<boolean>
  /** Waits until leadership is lost, or handed over, and succeeds with the reason. */
  readonly lost: Effect.Effect<LossReason>
  /**
   * Replaces the metadata that observers read.
   *
   * Fails with `InvalidValue` or `ValueTooLarge` before anything is sent, with
   * `LeadershipLost` where this term has ended, and with a `KVStoreError`. After
   * one that `isRetryable`, or an unknown outcome, the next renewal writes the
   * metadata all the same.
   */
  readonly proclaim: (metadata: Metadata) => Effect.Effect<void, ElectionError>
  /**
   * Hands leadership over, and waits until that is done or this term has ended.
   * In `whileLeader` the work is interrupted and awaited first, and the candidate
   * campaigns again. It lets other candidates go first for twice `renewInterval`.
   */
  readonly resign: Effect.Effect<void>
}

/**
 * Timings that survive the loss of a node of a NATS cluster: a lease of 20
 * seconds, a deadline of 14 seconds, renewals every 4 seconds. The default.
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
 * Timings for a single server, or where a fail-over of the store may cost
 * leadership: a lease of 10 seconds, a deadline of 7 seconds, renewals every 2
 * seconds.
 *
 * @category timings
 * @since 0.1.0
 */
export const balanced: Timings = { leaseDuration: "10 seconds", renewDeadline: "7 seconds", renewInterval: "2 seconds" }

/**
 * Timings for tests and short tasks: a lease of 3 seconds, a deadline of 2
 * seconds, renewals every half second.
 *
 * @category timings
 * @since 0.1.0
 */
export const fast: Timings = { leaseDuration: "3 seconds", renewDeadline: "2 seconds", renewInterval: "500 millis" }

/**
 * Creates an `Election` on the `KVStore` of the context, for as long as the scope
 * is open. Refuses what `layer` refuses.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Options
): Effect.Effect<Election["Service"], ElectionError, KVStore | Scope.Scope> =>
  Effect.flatMap(KVStore, (store) => service.make("Election.make", store, options, resilient))

/**
 * Provides `Election` on a `KVStore` bucket.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` for options that cannot be used, and for a bucket in
 * which elections are not safe: one that keeps history, one with a
 * `streamMaxAge`, which would remove the record of a healthy leader, and one with
 * `storage: "memory"` on a NATS server, where a restart begins revisions again.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Election, ElectionError, KVStore> =>
  Layer.effect(
    Election,
    Effect.flatMap(KVStore, (store) => service.make("Election.layer", store, options, resilient))
  )
