/**
 * The service behind `Election`: checks what it is asked, and gives each campaign
 * its candidate, its term and its end. The rules of a term are in `tenure.ts`.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CandidateOptions, Election, Leadership, Options, Timings } from "../../Election.ts"
import { type ElectionError, LeadershipLost, type LossReason } from "../../ElectionError.ts"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { toMetadata } from "../metadata.ts"
import { invalid, kindOf } from "../options.ts"
import type { CampaignServices, Candidate, Won } from "./campaign.ts"
import * as campaigns from "./campaign.ts"
import { checkName, checkSize, failure, toCandidate, toLayerTimes } from "./candidate.ts"
import { Board } from "./observations.ts"
import * as leaders from "./observe.ts"
import type { Tenure, TermTimings } from "./tenure.ts"
import { runUntil } from "./work.ts"

/** A NATS cluster may take no writes for 9 s after it lost a node; then a reconnect and an attempt. */
const shortestDeadlineOnCluster = 12_000

const storeFailure = (operation: string, election: string | undefined) => (error: KVStoreError): ElectionError =>
  failure(operation, election)(error)

/** Refuses a bucket in which elections cannot be held safely, and says why. */
const checkBucket = Effect.fnUntraced(function*(
  operation: string,
  store: KVStore["Service"],
  times: TermTimings
): Effect.fn.Return<void, ElectionError> {
  const { historySize, replicas, storage, streamMaxAge } = store.config
  const refuse = (problem: string) => Effect.fail(failure(operation, undefined)(invalid(problem)))
  if (historySize !== 1) return yield* refuse(`historySize: expected 1 for elections, got ${historySize}`)
  if (streamMaxAge !== undefined) {
    return yield* refuse(
      `streamMaxAge: expected none for elections, as it removes a healthy leader's record, got ${
        Duration.format(streamMaxAge)
      }`
    )
  }
  const status = yield* Effect.mapError(store.status, storeFailure(operation, undefined))
  if (status.backend === "nats" && storage === "memory") {
    return yield* refuse(
      "storage: expected \"file\" for elections, as a restart of the server begins revisions and fencing tokens " +
        "again, got \"memory\""
    )
  }
  if (replicas > 1 && times.renewDeadline < shortestDeadlineOnCluster) {
    yield* Effect.logWarning("renewDeadline is below 12 s: the loss of one NATS node will cost leadership")
  }
})

/** What the campaigns of one service share. */
interface Elections {
  readonly services: CampaignServices
  /** Follows the bucket while the scope is open; all who follow it share one watch. */
  readonly followed: Effect.Effect<Board, never, Scope.Scope>
  /** For candidates that have no timings of their own. */
  readonly times: TermTimings
}

/** `operation` is the constructor that was called: errors name it. */
export const make = Effect.fnUntraced(function*(
  operation: string,
  store: KVStore["Service"],
  options: Options | undefined,
  otherwise: Timings
): Effect.fn.Return<Election["Service"], ElectionError, Scope.Scope> {
  const times = yield* Effect.mapError(toLayerTimes(options, otherwise), failure(operation, undefined))
  yield* checkBucket(operation, store, times)
  const clock = yield* Clock.Clock
  const board = new Board(store, clock)
  const followed = RcRef.get(yield* RcRef.make({ acquire: Effect.as(board.follow, board) }))
  const elections: Elections = { services: { store, clock, board, sitsOut: new Map() }, followed, times }
  return {
    campaign: (election, options) => campaign(elections, election, options),
    whileLeader: (election, work, options) => whileLeader(elections, election, work, options),
    leader: (election) =>
      checked(
        "leader",
        election,
        Effect.mapError(leaders.leader(store, board, election), storeFailure("leader", election))
      ),
    observe: (election) =>
      Stream.unwrap(checked(
        "observe",
        election,
        Effect.as(
          followed,
          Stream.mapError(leaders.observe(store, board, election), storeFailure("observe", election))
        )
      ))
  }
})

const enter = (
  { services: { store }, times }: Elections,
  operation: string,
  election: string,
  options: CandidateOptions | undefined
): Effect.Effect<Candidate, ElectionError> =>
  Effect.mapError(
    toCandidate(election, options, times, store.config.maxValueSize),
    failure(operation, election)
  )

/** Leadership lasts for as long as the scope is open. */
const win = ({ followed, services }: Elections, operation: string, candidate: Candidate) =>
  Effect.andThen(
    followed,
    Effect.mapError(campaigns.campaign(services, candidate), storeFailure(operation, candidate.election))
  )

const campaign = Effect.fnUntraced(function*(
  elections: Elections,
  election: string,
  options: CandidateOptions | undefined
): Effect.fn.Return<Leadership, ElectionError, Scope.Scope> {
  const candidate = yield* enter(elections, "campaign", election, options)
  const won = yield* win(elections, "campaign", candidate)
  const resign = campaigns.release(elections.services, candidate, won.tenure)
  yield* resignWhenUnhealthy(candidate, won.tenure, resign)
  return toLeadership(won, resign)
})

const whileLeader = <A, E, R>(
  elections: Elections,
  election: string,
  work: (leadership: Leadership) => Effect.Effect<A, E, R>,
  options: CandidateOptions | undefined
): Effect.Effect<A, E | ElectionError, R> =>
  Effect.gen(function*() {
    const candidate = yield* enter(elections, "whileLeader", election, options)
    if (typeof work !== "function") {
      const reason = invalid(`work: expected a function of the leadership, got ${kindOf(work)}`)
      return yield* failure("whileLeader", election)(reason)
    }
    while (true) {
      const ended = yield* runTerm(elections, candidate, work)
      if (Option.isSome(ended)) return yield* ended.value
    }
  })

/** What a program that no compiler has seen may return: an async function's promise, or nothing. */
const asEffect = <A, E, R>(election: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E | ElectionError, R> =>
  Effect.isEffect(work)
    ? work
    : Effect.fail(failure("whileLeader", election)(invalid(`work: expected an Effect, got ${kindOf(work)}`)))

/** One term: none where leadership went before the work ended. */
const runTerm = <A, E, R>(
  elections: Elections,
  candidate: Candidate,
  work: (leadership: Leadership) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const won = yield* win(elections, "whileLeader", candidate)
    const asked = yield* Deferred.make<void>()
    const { lost } = won.tenure
    // The work is stopped before leadership is handed over; work that resigns is interrupted while it waits here.
    const resign = Effect.suspend(() => {
      won.tenure.beginRelease()
      return Effect.asVoid(Effect.andThen(Deferred.succeed(asked, undefined), untilOver(lost)))
    })
    yield* resignWhenUnhealthy(candidate, won.tenure, resign)
    const toldToStop = Effect.raceFirst(Deferred.await(lost), Deferred.await(asked))
    const running = Effect.suspend(() => asEffect(candidate.election, work(toLeadership(won, resign))))
    return yield* runUntil(won.tenure, running, toldToStop)
  }).pipe(Effect.scoped)

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
      Effect.fromResult(toMetadata(metadata)).pipe(
        Effect.tap((checked) => checkSize(tenure.options, checked, tenure.options.store.config.maxValueSize)),
        Effect.flatMap((checked) => tenure.proclaim(checked)),
        Effect.flatMap((landed) => landed ? Effect.void : isOver),
        Effect.mapError(failure("proclaim", election))
      ),
    resign
  }
}
