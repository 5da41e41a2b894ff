/**
 * Who leads.
 *
 * Work that must run once in a fleet runs once, and when its host dies another
 * takes over as soon as it may. The only thing trusted is the store's
 * compare-and-set; no two hosts' clocks are ever compared. A leader stops by its
 * own clock before anyone else may start, however the network behaves, while the
 * RATES of their clocks differ by less than `leaseDuration / renewDeadline`.
 *
 * What no lease can give (a process that is paused between a check and the write
 * it guards, a bucket that is lost) is what `Leadership.token` is for: a resource
 * that remembers the highest token it has seen refuses an older one.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ElectionError, LeadershipLost, type LossReason } from "./ElectionError.ts"
import { Board } from "./internal/election/board.ts"
import type { CampaignServices, Candidate, Won } from "./internal/election/campaign.ts"
import * as campaigns from "./internal/election/campaign.ts"
import { checkName, failure, toCandidate, toMetadata, toTimes } from "./internal/election/candidate.ts"
import * as leaders from "./internal/election/leader.ts"
import type { CandidateOptions, LeaderRecord, Leadership, Options, Timings } from "./internal/election/models.ts"
import type { Tenure } from "./internal/election/tenure.ts"
import { runUntil } from "./internal/election/work.ts"
import { forkReported } from "./internal/fibers.ts"
import { KVStore } from "./KVStore.ts"
import { InvalidConfig, type KVStoreError } from "./KVStoreError.ts"
import type { Metadata } from "./ServiceInstance.ts"

export * from "./ElectionError.ts"
export * from "./internal/election/models.ts"

/**
 * Elections in one bucket.
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

/** A NATS cluster may take no writes for 9 s after it lost a node; then a reconnect and an attempt. */
const shortestDeadlineOnCluster = 12_000

const storeFailure = (operation: string, election: string | undefined) => (error: KVStoreError): ElectionError =>
  failure(operation, election)(error)

/** Buckets in which elections cannot be held safely, and why. */
const checkBucket = Effect.fnUntraced(function*(
  store: KVStore["Service"],
  timings: Timings
): Effect.fn.Return<void, ElectionError> {
  const { historySize, replicas, storage, streamMaxAge } = store.config
  const refuse = (problem: string) => Effect.fail(failure("Election.layer", undefined)(new InvalidConfig({ problem })))
  const times = yield* Effect.mapError(toTimes(timings), failure("Election.layer", undefined))
  const status = yield* Effect.mapError(store.status, storeFailure("Election.layer", undefined))
  if (historySize !== 1) return yield* refuse(`historySize must be 1 for elections, and is ${historySize}`)
  if (streamMaxAge !== undefined) {
    return yield* refuse("streamMaxAge would remove a healthy leader's record: leave it out")
  }
  if (status.backend === "nats" && storage === "memory") {
    return yield* refuse(
      "storage must be \"file\": a restart would start revisions again, and fencing tokens with them"
    )
  }
  if (replicas > 1 && times.renewDeadline < shortestDeadlineOnCluster) {
    yield* Effect.logWarning("renewDeadline is below 12 s: the loss of one NATS node will cost leadership")
  }
})

const make = Effect.fnUntraced(function*(
  store: KVStore["Service"],
  timings: Timings
): Effect.fn.Return<Election["Service"], ElectionError, Scope.Scope> {
  yield* checkBucket(store, timings)
  const clock = yield* Clock.Clock
  const board = new Board(store, clock)
  const followed = yield* RcRef.make({ acquire: Effect.as(board.follow, board) })
  const services: CampaignServices = { store, clock, board, sitsOut: new Map() }

  const enter = (operation: string, election: string, options: CandidateOptions = {}) =>
    Effect.mapError(toCandidate(election, options, timings), failure(operation, election))

  /** Leadership, won; whoever holds the scope holds it. */
  const win = (operation: string, candidate: Candidate) =>
    Effect.andThen(
      RcRef.get(followed),
      Effect.mapError(campaigns.campaign(services, candidate), storeFailure(operation, candidate.election))
    )

  const campaign = Effect.fnUntraced(function*(election: string, options?: CandidateOptions) {
    const candidate = yield* enter("campaign", election, options)
    const won = yield* win("campaign", candidate)
    const resign = campaigns.release(services, candidate, won.tenure)
    yield* resignWhenUnhealthy(candidate, won.tenure, resign)
    return toLeadership(won, resign)
  })

  /** One term: none where leadership went before the work ended. */
  const term = <A, E, R>(candidate: Candidate, work: (leadership: Leadership) => Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const won = yield* win("whileLeader", candidate)
      const asked = yield* Deferred.make<void>()
      const { lost } = won.tenure
      // The work is stopped before leadership is handed over; work that resigns is interrupted while it waits here.
      const resign = Effect.suspend(() => {
        won.tenure.beginRelease()
        return Effect.asVoid(Effect.andThen(Deferred.succeed(asked, undefined), untilOver(lost)))
      })
      yield* resignWhenUnhealthy(candidate, won.tenure, resign)
      const toldToStop = Effect.raceFirst(Deferred.await(lost), Deferred.await(asked))
      return yield* runUntil(won.tenure, work(toLeadership(won, resign)), toldToStop)
    }).pipe(Effect.scoped)

  return {
    campaign,
    whileLeader: (election, work, options) =>
      Effect.gen(function*() {
        const candidate = yield* enter("whileLeader", election, options)
        while (true) {
          const ended = yield* term(candidate, work)
          if (Option.isSome(ended)) return yield* ended.value
        }
      }),
    leader: (election) =>
      checked("leader", election, Effect.mapError(leaders.leader(store, election), storeFailure("leader", election))),
    observe: (election) =>
      Stream.unwrap(checked(
        "changes",
        election,
        Effect.as(
          RcRef.get(followed),
          Stream.mapError(leaders.observe(store, clock, board, election), storeFailure("changes", election))
        )
      ))
  }
})

const checked = <A, R>(operation: string, election: string, effect: Effect.Effect<A, ElectionError, R>) =>
  Effect.suspend(() => {
    const wrong = checkName(election)
    return wrong === undefined ? effect : Effect.fail(failure(operation, election)(wrong))
  })

/** Asked every `renewInterval`, for as long as it leads and the scope is open. */
const resignWhenUnhealthy = (candidate: Candidate, tenure: Tenure, resign: Effect.Effect<void>) =>
  candidate.healthCheck === undefined ? Effect.void : forkReported(
    `the health check of "${candidate.election}"`,
    Effect.gen(function*() {
      do yield* Effect.sleep(Duration.millis(candidate.times.renewInterval))
      while (yield* campaigns.isHealthy(candidate))
      yield* Effect.logWarning(`the leader of "${candidate.election}" is unhealthy: it resigns`)
      yield* resign
    }).pipe(Effect.raceFirst(Deferred.await(tenure.lost)))
  )

/** Interruptible also in a finalizer of the work, which would wait for its own end otherwise. */
const untilOver = (lost: Tenure["lost"]): Effect.Effect<LossReason> => Effect.interruptible(Deferred.await(lost))

const toLeadership = ({ tenure, token }: Won, resign: Effect.Effect<void>): Leadership => {
  const { candidateId, election } = tenure.options
  /** While it is being released there is no reason yet, and whoever is to be stopped first must not wait for one. */
  const isOver = Effect.gen(function*() {
    const reason = (yield* Deferred.isDone(tenure.lost)) ? yield* Deferred.await(tenure.lost) : "resigned"
    return yield* new LeadershipLost({ reason })
  })
  return {
    election,
    candidateId,
    term: tenure.term,
    token,
    electedAt: tenure.electedAt,
    metadata: tenure.metadata,
    isValid: tenure.isValid,
    lost: untilOver(tenure.lost),
    proclaim: (metadata: Metadata) =>
      toMetadata(metadata).pipe(
        Effect.flatMap((checkedMetadata) => tenure.proclaim(checkedMetadata)),
        Effect.flatMap((landed) => landed ? Effect.void : isOver),
        Effect.mapError(failure("proclaim", election))
      ),
    resign
  }
}

/**
 * Elections in a bucket of their own. Refuses a bucket that keeps history, ages
 * its values, or is lost with the server's memory.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Election, ElectionError, KVStore> =>
  Layer.effect(Election, Effect.flatMap(KVStore, (store) => make(store, options.timings ?? resilient)))
