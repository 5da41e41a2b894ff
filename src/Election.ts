/**
 * Leader election over a `KVStore` bucket, with leases and fencing tokens.
 *
 * Each election is one key. A candidate wins with a compare-and-set on this key,
 * and the leader renews the record. Another candidate can win only after it has
 * observed the record unchanged for the whole lease of the leader. The clocks of
 * two hosts are never compared: a leader stops by its own clock before another
 * candidate can win, however slow the network is. This holds while the rates of
 * the two clocks differ by a factor of less than `leaseDuration / renewDeadline`.
 *
 * A lease does not protect a write of a process that was paused between the check
 * of `Leadership.isValid` and the write, and it does not survive the loss of the
 * bucket. `Leadership.token` covers these cases: a resource that stores the
 * highest token it has accepted can refuse a lower one.
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
import { forkReported } from "./internal/fibers.ts"
import { KVStore } from "./KVStore.ts"
import type { LeaderRecord } from "./LeaderRecord.ts"
import type { Metadata } from "./ServiceInstance.ts"

export * from "./ElectionError.ts"
export * from "./LeaderRecord.ts"

/**
 * Service for leader elections in one bucket. Each election has a name.
 *
 * **Details**
 *
 * The name of an election is 1 to 200 letters, digits, `_`, `-` and `/`. One
 * bucket can contain any number of elections. All elections of one service share
 * one watch of the bucket.
 *
 * @category services
 * @since 0.1.0
 */
export class Election extends Context.Service<Election, {
  /**
   * Waits until this candidate is elected, and leads until the scope is closed.
   *
   * **When to use**
   *
   * Use when the program itself decides when its leadership ends. For work that
   * must stop when leadership is lost, use `whileLeader`.
   *
   * **Details**
   *
   * Closing the scope hands leadership over, and another candidate can win at
   * once. Interrupting the campaign releases leadership too, if the last attempt
   * has won it.
   *
   * Fails with `InvalidName`, `InvalidConfig`, `InvalidValue` or `ValueTooLarge`
   * before a request is sent. Fails with a `KVStoreError` only if the connection is
   * closed for good, or if the bucket does not exist and no read of this campaign
   * was answered before. All other failures, also a missing permission and a full
   * bucket, are retried without a limit, logged, and counted in
   * `Metrics.electionCampaignFailures`.
   *
   * **Gotchas**
   *
   * The loss of leadership interrupts nothing. Check `Leadership.isValid` before
   * each step, or wait for `Leadership.lost`.
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
   *   if (yield* leadership.isValid) {
   *     yield* Effect.log(`sending invoices in term ${leadership.term}`)
   *   }
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
   * Campaigns, runs `work` while this candidate leads, and campaigns again after
   * a loss. Ends when `work` ends.
   *
   * **Details**
   *
   * When `work` ends, leadership is handed over, and the next leader runs its own
   * `work` from the beginning. Work that is meant to run as long as the process
   * must not end: use a loop, or `Effect.never` after the set-up.
   *
   * After a loss, `work` is interrupted and awaited. It runs again from the
   * beginning when this candidate wins again, unless it ended with a result of its
   * own: then that is the result of `whileLeader`. It must stop within
   * `leaseDuration - renewDeadline`: after this time another candidate may lead, and
   * the overrun is logged as an error and counted in `Metrics.electionOverruns`.
   * Interrupting `whileLeader` first stops the work, with renewals until the work
   * has stopped, for at most `CandidateOptions.stopTimeout`, and then hands
   * leadership over.
   *
   * `work` has a scope of its own, which is closed when `work` has ended or was
   * interrupted, before the hand-over.
   *
   * Fails with the error of `work`, after the hand-over, and with an
   * `ElectionError` as `campaign` does, where a read that was answered in an earlier
   * term counts, too. The reason is `InvalidConfig` if `work` is not a function that
   * returns an effect. A campaign in `work` for the election that it leads fails with
   * `InvalidConfig`: it would wait for its own end.
   *
   * **Gotchas**
   *
   * A process that was paused does not know that its lease has ended. Pass
   * `Leadership.token` to each resource to which the work writes.
   *
   * Interruption does not end a promise: it continues while another candidate leads,
   * and is not reported as an overrun. Pass it the signal, as in
   * `Effect.tryPromise({ try: (signal) => fetch(url, { signal }), catch })`.
   *
   * A fiber that `work` has started with `Effect.forkDetach` is not stopped with it.
   * Use `Effect.forkChild` or `Effect.forkScoped`. A detached fiber can campaign for
   * the same election once the term has ended.
   *
   * **Example** (Running a task in one process of a fleet at a time)
   *
   * ```ts
   * import { Effect, Schedule } from "effect"
   * import { Aegis, Election } from "effect-aegis"
   *
   * const report = (leadership: Election.Leadership) =>
   *   Effect.log(`reporting in term ${leadership.term}`).pipe(
   *     Effect.repeat(Schedule.spaced("100 millis")),
   *     // Ends this example. A real program repeats without a limit.
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
  ) => Effect.Effect<A, E | ElectionError, Exclude<R, Scope.Scope>>
  /**
   * Reads the leader of an election from the store. Returns none if there is no
   * leader, or if the leader has not renewed for its whole lease.
   *
   * **Details**
   *
   * The result is independent of the candidates' own view, so any process can
   * read the leader. Fails with `InvalidName` before a request is sent, and with
   * a `KVStoreError` if the store cannot be read. An outage is never reported as
   * none.
   *
   * **Example** (Reading the leader)
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
   * Emits the current leader of an election, and then each change: a win, a loss,
   * metadata that the leader proclaims, and the state `Releasing` while its work
   * stops. Renewals emit nothing else.
   *
   * **Details**
   *
   * None means that there is no leader, or that the leader has not renewed for
   * its whole lease. All streams of one service share one watch, which is
   * reopened after a failure. Fails with `InvalidName`, and with a `KVStoreError`
   * if the store refuses the watch permanently, for example because a permission is
   * missing, or if the creation time of the bucket cannot be read. While a candidate
   * of this service keeps the watch open, a stream that is started again can fail for
   * 6 seconds after the permission was granted.
   *
   * **Gotchas**
   *
   * A slow consumer receives the latest leader and can miss the leaders between.
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
   *     // Ends this example. A real program follows the leader without a limit.
   *     Stream.takeUntil((leader) => leader === "billing-1")
   *   )
   *   yield* Stream.runForEach(leaders, (leader) => Effect.log(leader))
   * })
   *
   * await Effect.runPromise(Effect.provide(program, Aegis.layerMemory()))
   * ```
   */
  readonly observe: (election: string) => Stream.Stream<Option.Option<LeaderRecord>, ElectionError>
  /**
   * Asks the current leader to hand over, and waits until it does not lead any more. False if nobody leads.
   *
   * **When to use**
   *
   * Use to move a leadership away from a process, or to free an election whose leader
   * does not renew any more, instead of removing its record: a removal can let two
   * candidates lead at once.
   *
   * **Details**
   *
   * The request is for this leader only: if another one follows, it is not asked. The
   * leader stops its work first, and sits out until other candidates have had their
   * turn. A leader that does not renew for its whole lease, as this process observes
   * it, cannot be asked: then its record is made vacant. Its work may still run after that,
   * which the log says, with the line `freed`.
   *
   * Fails with `InvalidName` and `InvalidConfig` before a request is sent, with
   * `StepDownTimeout` if the leader has not handed over in time, and with a
   * `KVStoreError`.
   *
   * **Example** (Moving a leadership to another process)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { Aegis, Election } from "effect-aegis"
   *
   * const program = Effect.gen(function*() {
   *   const election = yield* Election.Election
   *   yield* Effect.forkChild(election.whileLeader("invoices", () => Effect.never, { candidateId: "billing-1" }))
   *   yield* Effect.sleep("100 millis")
   *   const handedOver = yield* election.stepDown("invoices")
   *   return [handedOver, yield* election.stepDown("invoices")]
   * })
   *
   * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
   * // => [ true, false ]
   * ```
   */
  readonly stepDown: (election: string, options?: StepDownOptions) => Effect.Effect<boolean, ElectionError>
  /** The part of this service in an election. No request is sent. Fails with `InvalidName`. */
  readonly status: (election: string) => Effect.Effect<ElectionStatus, ElectionError>
  /** The campaigns and leaderships of this service, in all elections. No request is sent. */
  readonly candidates: Effect.Effect<ReadonlyArray<CandidateStatus>>
}>()("effect-aegis/Election") {}

/**
 * A campaign or a leadership in this process. Times are by the clock of this host.
 *
 * @category models
 * @since 0.1.0
 */
export interface CandidateStatus {
  /** The name of the election. */
  readonly election: string
  /** The candidate. */
  readonly candidateId: string
  /**
   * - `Campaigning`: the candidate waits until it is elected
   * - `Leading`: it was elected, and its term has not ended
   * - `Releasing`: its term has ended, or its work is stopping
   */
  readonly state: "Campaigning" | "Leading" | "Releasing"
  /** When the candidate came into this state. */
  readonly since: DateTime.Utc
  /** When the last renewal was stored; none before the first. */
  readonly lastRenewal: Option.Option<DateTime.Utc>
  /** The time until another candidate may lead, if nothing is renewed; none without a lease. */
  readonly leaseEndsIn: Option.Option<Duration.Duration>
}

/**
 * The part of a service in an election: its candidate that leads, or else one that hands over, or else one that
 * campaigns.
 *
 * @category models
 * @since 0.1.0
 */
export type ElectionStatus = CandidateStatus | {
  /** The name of the election. */
  readonly election: string
  /** No candidate of this service campaigns or leads. */
  readonly state: "NotCampaigning"
}

/**
 * Options of `stepDown`.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepDownOptions {
  /**
   * How long to wait for the hand-over: 0 to 1 hour. Default: twice the lease of the
   * leader, at most 1 minute.
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Options of an `Election` service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The timings of candidates that do not set `CandidateOptions.timings`. Default: `resilient`. */
  readonly timings?: Timings | undefined
  /**
   * The longest time for which the end of a leadership's scope waits for the store, to
   * hand leadership over. After it, another candidate wins when the lease has ended. The
   * work has stopped before. 0 to 1 minute. Default 2 seconds. With `Aegis`, the time of
   * all registrations and leaderships that end together.
   */
  readonly leaveTimeout?: Duration.Input | undefined
  /**
   * The age, by the store's clock, at which the record of an election without a leader is removed from the bucket. The
   * election then begins with term 1 again; tokens still grow. The records are removed by services with candidates,
   * each at random times, but never those of elections for which they have a candidate. Markers of the removed records
   * stay in the bucket: see `purgeTombstones` of the store. At least 1 hour. Default 1 day.
   */
  readonly removeVacantAfter?: Duration.Input | undefined
}

/**
 * How long leadership lasts without a renewal, and how often it is renewed. A
 * number is milliseconds.
 *
 * **Details**
 *
 * `leaseDuration > renewDeadline`, `leaseDuration` is at most 1 hour, and
 * `renewInterval` is at least 10 ms. Two attempts and the pauses after them must fit
 * between a `renewInterval` and `renewDeadline`: `renewDeadline` is at least 2.5 times
 * `renewInterval`, with an interval of 2 to 3 seconds at least `renewInterval` and 3
 * seconds, and with a longer one at least twice `renewInterval`.
 *
 * A NATS cluster that loses a node may reject writes for 4 to 9 seconds. With a
 * `renewDeadline` below 12 seconds, such an outage can end leadership: a layer on
 * a replicated bucket logs a warning.
 *
 * The candidates of one election may have different timings. Each candidate waits
 * for the lease of the leader, not for its own.
 *
 * @see {@link resilient}, the default
 * @see {@link balanced} for a single server
 * @see {@link fast} for tests
 *
 * @category models
 * @since 0.1.0
 */
export interface Timings {
  /** How long another candidate must observe the record of the leader unchanged before it can win. */
  readonly leaseDuration: Duration.Input
  /**
   * How long a leader is valid without a renewal, counted from the time at which
   * it SENT its last successful renewal. The rest of `leaseDuration` after this
   * deadline is the time that its work has to stop.
   */
  readonly renewDeadline: Duration.Input
  /**
   * The time between two renewals. An attempt is given up after half of it, at most 1
   * second, so the round trip to the store must be shorter. It is retried after a random
   * pause of a 20th to a quarter of it, at most 100 to 500 ms.
   */
  readonly renewInterval: Duration.Input
}

/**
 * Options of a candidate in an election.
 *
 * @category models
 * @since 0.1.0
 */
export interface CandidateOptions {
  /**
   * The name of this candidate for observers. Two candidates may have the same
   * name: each is still a separate candidate. A former leader sits out by its name.
   * Default: host name, process id and 8 random characters, once per `Election`
   * service.
   */
  readonly candidateId?: string | undefined
  /** The timings of this candidate. Default: the timings of the service. */
  readonly timings?: Timings | undefined
  /**
   * A JSON object for observers. It is copied when the effect begins, that of
   * `layerSingleton` also when it is started again after a failure: later changes of
   * the object have no effect. The record with this metadata, and the digits that
   * later renewals add, must fit into the `maxValueSize` of the bucket and the
   * `max_payload` of the server. Default: `{}`.
   */
  readonly metadata?: Metadata | undefined
  /**
   * The order of candidates, the lowest value first. After a hand-over, and in an
   * election without a record, this candidate waits `priority` times its
   * `renewInterval` before it tries to win. After a crash it waits for the lease of
   * the leader and `priority` fifths of it. An integer from 0 to 10. Default: 0. A
   * candidate with a lower value does not replace a leader. A former leader sits out,
   * so that others win first: see `Leadership.resign`.
   */
  readonly priority?: number | undefined
  /**
   * Reports whether this candidate is able to lead. While its last result is false,
   * the candidate does not try to win. A leader resigns after `healthFailures`
   * failures in a row, and then waits for 12 times `renewInterval`. The check runs
   * every `renewInterval`, also while the candidate waits, so that no hand-over waits
   * for it: only the first attempt of a campaign does. A check that fails, dies, or
   * returns a non-boolean counts as false. One that takes more than a second counts as
   * false and is interrupted, and no other one begins until it has ended. Default:
   * always true.
   */
  readonly healthCheck?: Effect.Effect<boolean> | undefined
  /**
   * How long leadership is renewed while the work of `whileLeader` or `layerSingleton` stops: the hand-over waits for the
   * finalizers of the work. After this time nothing is renewed, and another candidate leads when the lease has ended,
   * although the work may still run. 0 to 1 hour. Default: `leaseDuration`.
   */
  readonly stopTimeout?: Duration.Input | undefined
  /** The number of failures in a row after which a leader resigns, at least 1. Default: 2. */
  readonly healthFailures?: number | undefined
}

/**
 * One term of leadership that this candidate has won.
 *
 * @category models
 * @since 0.1.0
 */
export interface Leadership {
  /** The name of the election. */
  readonly election: string
  /** The name of this candidate for observers. */
  readonly candidateId: string
  /** The number of this term: how many times the election has been won. The first term is 1. */
  readonly term: number
  /** The fencing token of this term, with which a resource can refuse a former leader. */
  readonly token: FencingToken
  /** When the write that won was sent, by the wall clock of this host. For display. */
  readonly electedAt: DateTime.Utc
  /** A frozen copy of the metadata in the options of the candidate. `proclaim` does not change this field. */
  readonly metadata: Metadata
  /**
   * Returns whether this candidate leads. It reads the clocks at each call and
   * sends no request. It is false from `renewDeadline` after the last successful
   * renewal was sent, also in a process that was paused, and from the start of a
   * hand-over. Once false, it stays false.
   */
  readonly isValid: Effect.Effect<boolean>
  /** Waits until leadership is lost or handed over, and succeeds with the reason. */
  readonly lost: Effect.Effect<LossReason>
  /**
   * Why this candidate does not lead any more; none while it leads. Sends no request and does not wait, so that a
   * finalizer of the work can use it: it is `resigned` from the start of a hand-over.
   */
  readonly lossReason: Effect.Effect<Option.Option<LossReason>>
  /**
   * Replaces the metadata that observers read.
   *
   * Fails with `InvalidValue` or `ValueTooLarge` before a request is sent, with
   * `LeadershipLost` if this term has ended, and with a `KVStoreError`. After a
   * `KVStoreError` that `isRetryable` or has an unknown outcome, the next renewal
   * still writes the new metadata.
   */
  readonly proclaim: (metadata: Metadata) => Effect.Effect<void, ElectionError>
  /**
   * Hands leadership over, and waits until the hand-over is written or the term
   * has ended. In `whileLeader`, the work is interrupted and awaited first, and
   * the candidate campaigns again. This candidate then sits out: it waits for
   * `renewInterval`, times the highest `priority` of the candidates in this
   * process plus 2, before it tries to win, so that other candidates can win
   * first.
   */
  readonly resign: Effect.Effect<void>
}

/**
 * Timings for a replicated NATS cluster: leadership survives the loss of a node.
 * The default.
 *
 * **Details**
 *
 * The lease is 20 seconds, the deadline is 14 seconds, and the leader renews
 * every 4 seconds.
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
 * Timings for a single server, or for a cluster whose fail-over may end
 * leadership.
 *
 * **Details**
 *
 * The lease is 10 seconds, the deadline is 7 seconds, and the leader renews every
 * 2 seconds.
 *
 * @category timings
 * @since 0.1.0
 */
export const balanced: Timings = { leaseDuration: "10 seconds", renewDeadline: "7 seconds", renewInterval: "2 seconds" }

/**
 * Timings for tests and short tasks.
 *
 * **Details**
 *
 * The lease is 3 seconds, the deadline is 2 seconds, and the leader renews every
 * 500 milliseconds.
 *
 * @category timings
 * @since 0.1.0
 */
export const fast: Timings = { leaseDuration: "3 seconds", renewDeadline: "2 seconds", renewInterval: "500 millis" }

/**
 * Creates an `Election` on the `KVStore` in the context. The service lives until
 * the scope is closed.
 *
 * **Details**
 *
 * Fails with the same errors as `layer`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Options
): Effect.Effect<Election["Service"], ElectionError, KVStore | Scope.Scope> =>
  Effect.flatMap(KVStore, (store) => service.make("Election.make", store, options, resilient))

/**
 * Provides `Election` on the `KVStore` in the context.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` if an option is invalid, or if elections are not
 * safe in the bucket: with a `historySize` other than 1, with a `streamMaxAge` (it can
 * remove the record of a valid leader), with `discard: "old"` if the bucket has a limit
 * (it then can, too), or with `storage: "memory"` on NATS (a server restart reuses
 * revisions). Fails with a `KVStoreError` if the status of the bucket cannot be read.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Election, ElectionError, KVStore> =>
  Layer.effect(
    Election,
    Effect.flatMap(KVStore, (store) => service.make("Election.layer", store, options, resilient))
  )

/**
 * Runs work in one process of the fleet, for as long as the layer is in use. It is started
 * again after a loss of leadership and after a failure, in this process or in another one.
 * It never ends, as its type says: use `Effect.forever`, or `Effect.never` after the set-up.
 *
 * **When to use**
 *
 * Use for a job, a consumer or a scheduler of which the fleet needs exactly one. For work
 * that ends, use `whileLeader`.
 *
 * **Details**
 *
 * Building the layer does not wait until this candidate leads. While it leads, `run` runs; after
 * a loss it is interrupted and awaited, as in `whileLeader`. A failure or a defect of
 * `run` is logged as an error, counted in `Metrics.electionWorkFailures`, and hands leadership over; this
 * candidate campaigns again after a pause with jitter, from 1 second up to 1 minute as failures continue. A
 * campaign that fails is logged, and begins again after such a pause, too. Work that should outlast an outage handles
 * the errors of its operations. Once the connection of the store is closed for good, the work ends, with an error in
 * the log.
 *
 * Everything that `whileLeader` says about stopping work, promises and detached fibers holds for `run`, too.
 *
 * `run` can be a function of the `Leadership`, whose `token` guards the resources to
 * which it writes. Building the layer fails with an `ElectionError` if the name or an
 * option is invalid.
 *
 * **Example** (One report for the whole fleet)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Aegis, Election } from "effect-aegis"
 *
 * const report = Effect.logInfo("reporting").pipe(Effect.delay("1 second"), Effect.forever)
 *
 * const Report = Election.layerSingleton("report", report, { candidateId: "orders-1" })
 *
 * const program = Effect.gen(function*() {
 *   const election = yield* Election.Election
 *   yield* Effect.sleep("100 millis")
 *   const { state } = yield* election.status("report")
 *   return state
 * })
 *
 * const Live = Layer.provideMerge(Report, Aegis.layerMemory())
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Live)))
 * // => Leading
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSingleton = <E, R>(
  election: string,
  run: Effect.Effect<never, E, R> | ((leadership: Leadership) => Effect.Effect<never, E, R>),
  options?: CandidateOptions
): Layer.Layer<never, ElectionError, Election | Exclude<R, Scope.Scope>> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const elections = yield* Election
    const work = yield* service.toSingleton(elections, election, run, options)
    yield* forkReported("Election", `the singleton "${election}"`, work)
  }))
