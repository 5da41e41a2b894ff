/**
 * A campaign: watches the key, tries to win when it is allowed to, and announces leadership only after it has read
 * its own record back. The rules are E6 to E12 in docs/protocols/election.md. `challenger.ts` decides when a
 * candidate may try.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { FencingToken } from "../../FencingToken.ts"
import { KVStoreError, Unavailable } from "../../KVStoreError.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { makeNonce } from "../identity.ts"
import type { LeaveBudget } from "../leaving.ts"
import { annotate, causeOf, Repeated } from "../logs.ts"
import { conflictPause } from "../retry.ts"
import { traced, withoutParentSpan } from "../spans.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { CampaignFailures } from "./campaignFailures.ts"
import type { Candidacies } from "./candidacies.ts"
import { nextTerm, standing } from "./challenger.ts"
import type { Health } from "./health.ts"
import type { LateWrites } from "./lateWrites.ts"
import { longWait } from "./longWaits.ts"
import type { Observations } from "./observations.ts"
import type { SittingOut } from "./sittingOut.ts"
import { type Attempted, Tenure, type TermTimings } from "./tenure.ts"
import type { Elected } from "./term.ts"

export interface Candidate {
  readonly election: string
  readonly candidateId: string
  readonly times: TermTimings
  readonly metadata: Metadata
  readonly priority: number
  readonly healthCheck: Effect.Effect<boolean> | undefined
  /** In milliseconds. */
  readonly stopTimeout: number
  /** The failures in a row after which a leader resigns (E22). */
  readonly healthFailures: number
}

export interface CampaignServices {
  readonly store: Tenure["options"]["store"]
  readonly clock: Tenure["options"]["clock"]
  readonly observations: Observations
  readonly candidacies: Candidacies
  readonly lateWrites: LateWrites
  readonly leaving: { readonly budget: LeaveBudget; readonly timeout: Duration.Duration }
  readonly sittingOut: SittingOut
  /** Opens when the service is released: its candidates end, while the store can still be reached. */
  readonly closing: Latch.Latch
}

/** A term that was won, with a record that was read back as our own. */
export interface Won {
  readonly tenure: Tenure
  readonly elected: Elected
  readonly token: FencingToken
}

/** What all campaigns of one candidate have in common: `whileLeader` campaigns again after each term. */
export interface CandidateState {
  readonly health: Health
  readonly failures: CampaignFailures
  /** Whether the service runs the work, and stops it when it is released. */
  readonly runsWork: boolean
}

/** One call of `campaign`. */
interface Campaigning extends CandidateState {
  readonly services: CampaignServices
  readonly candidate: Candidate
}

/** Whether nobody leads, as far as this process has observed. */
const isFree = ({ candidate, services }: Campaigning): boolean => {
  const tag = services.observations.observation(candidate.election)?.seen._tag
  return tag === "Vacant" || tag === "Absent"
}

/** Fails if no later attempt can succeed. Otherwise logs the failure and pauses, until the record changes. */
const afterFailure = (campaigning: Campaigning, error: KVStoreError): Effect.Effect<void, KVStoreError> =>
  Effect.suspend(() => {
    const { candidate: { election }, failures, services: { observations } } = campaigning
    if (failures.isFinal(error)) return Effect.fail(error)
    const observation = observations.observation(election)
    return Effect.flatMap(
      failures.failed(error, isFree(campaigning)),
      (pause) => Effect.raceFirst(pause, observations.changed(election, observation))
    )
  })

/**
 * Reads the key. A read after one that failed waits longer for its answer, because the round trip may be longer than
 * the time of an attempt.
 */
const read = (campaigning: Campaigning, tenure: Tenure): Effect.Effect<void, KVStoreError> =>
  Effect.suspend(() => {
    const { failures, services: { observations } } = campaigning
    // A candidate reads for as long as it waits: the span of its campaign would collect all of that.
    const look = withoutParentSpan(failures.isFailing ? tenure.patientLook : tenure.look)
    return Effect.matchEffect(Effect.timed(look), {
      onFailure: (error) => afterFailure(campaigning, error),
      onSuccess: ([took, seen]) => {
        return Effect.andThen(
          observations.seen(tenure.options.election, seen),
          failures.answered(Duration.toMillis(took))
        )
      }
    })
  })

/** Watches until the candidate may try to win, and tries, until an attempt of this tenure has won. */
const stand = (campaigning: Campaigning, tenure: Tenure): Effect.Effect<void, KVStoreError> =>
  Effect.gen(function*() {
    const { candidate, health, services: { clock, observations, sittingOut } } = campaigning
    const { election, times } = candidate
    // Reads the key about once per lease, in case the watch is silent without failing, and about once per renewInterval
    // without the right to watch (E6).
    const backstop = yield* Random.nextBetween(0.8, 1.2)
    let readAt = monotonicMillis(clock)
    yield* read(campaigning, tenure)
    // Bounded: a check that takes too long has an answer, too.
    yield* health.answered
    const waits = new Repeated()
    while (true) {
      const observation = observations.observation(election)
      if (observation !== undefined && tenure.claim(observation.seen) === "won") return
      const now = monotonicMillis(clock)
      const readAgainAt = readAt + backstop * (observations.isRefused ? times.renewInterval : times.leaseDuration)
      if (observation === undefined || now >= readAgainAt) {
        readAt = now
        yield* read(campaigning, tenure)
        continue
      }
      const may = standing(observation, { ...times, priority: candidate.priority })
      const at = Math.max(may.at, sittingOut.until(candidate))
      if (now < at) {
        const long = longWait(election, observation, times.leaseDuration)
        if (long !== undefined) yield* waits.log(long.reason, Effect.logWarning(long.line))
        const wake = Effect.sleep(wholeMillis(Math.min(at, readAgainAt) - now))
        yield* Effect.raceFirst(observations.changed(election, observation), wake)
      } else if (health.isHealthy()) {
        if ((yield* attempt(campaigning, tenure, may.on, nextTerm(observation))) === "won") return
      } else {
        const wake = Effect.sleep(wholeMillis(readAgainAt - now))
        yield* Effect.raceAllFirst([observations.changed(election, observation), health.recovered, wake])
      }
    }
  })

/** Sends one attempt. If it did not win, the next attempt starts from what the key contains now. */
const attempt = (
  campaigning: Campaigning,
  tenure: Tenure,
  on: number | "nothing",
  term: number
): Effect.Effect<Attempted, KVStoreError> =>
  Effect.gen(function*() {
    const sent = yield* Effect.result(tenure.stand(on, term))
    if (Result.isSuccess(sent) && sent.success === "won") {
      yield* campaigning.failures.succeeded
      return "won"
    }
    yield* read(campaigning, tenure)
    yield* Result.isSuccess(sent) ? conflictPause : afterFailure(campaigning, sent.failure)
    return "unknown"
  })

/** The creation time of the bucket, and then the record, so that a recreated bucket gives no wrong epoch. */
const readToken = (services: CampaignServices, tenure: Tenure) =>
  Effect.gen(function*() {
    const { created } = yield* tenure.bounded("status", services.store.status)
    return { epoch: Math.floor(created.epochMilliseconds), seen: yield* tenure.look }
  })

/** Reads the epoch after the winning write, and the record after the epoch. Only then is leadership announced (E11). */
const announce = (campaigning: Campaigning, tenure: Tenure): Effect.Effect<Won | undefined, KVStoreError> =>
  Effect.gen(function*() {
    const { failures, services } = campaigning
    let failure: KVStoreError | undefined
    while (tenure.canAnnounce) {
      const told = yield* Effect.result(readToken(services, tenure))
      if (Result.isFailure(told)) {
        failure = told.failure
        if (failures.isFinal(failure)) return yield* Effect.fail(failure)
        yield* tenure.pause
        continue
      }
      const { epoch, seen } = told.success
      const confirmation = tenure.confirm(seen)
      if (confirmation._tag === "ReadAgain") yield* tenure.pause
      else if (confirmation._tag === "Over") services.observations.see(tenure.options.election, seen)
      // The time may have ended during the reads.
      else if (tenure.announce()) {
        const { elected } = confirmation
        return { tenure, elected, token: new FencingToken({ epoch, revision: elected.revision }) }
      }
    }
    yield* failures.couldNotLead(
      failure,
      tenure.couldNotAnnounce ? "late" : tenure.lossReason,
      unannounced(tenure, failure)
    )
    return undefined
  })

/** The line of a candidate that has won and does not lead: nobody else can lead for that time. */
const unannounced = (tenure: Tenure, failure: KVStoreError | undefined): Effect.Effect<void> => {
  const { election } = tenure.options
  return tenure.couldNotAnnounce
    ? Effect.logError(
      `this candidate has won "${election}", but does not lead: ${
        failure === undefined
          ? "its write was stored or answered later than"
          : `it could not read the bucket and its record (${causeOf(failure)}) within`
      } renewDeadline. It hands leadership over, and does not ` +
        "try again for two leases"
    )
    : Effect.logWarning(
      `this candidate has won "${election}", but does not lead: ${
        tenure.lossReason === "removed" ? "its record was removed" : "another candidate has written the record"
      }`
    )
}

/** Campaigns with one nonce, until it leads or is known to have never led. */
const tryOnce = (campaigning: Campaigning): Effect.Effect<Won | undefined, KVStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const { candidate, runsWork, services } = campaigning
    const { election, candidateId, metadata, times } = candidate
    const { clock, store } = services
    const nonce = yield* makeNonce
    const { candidacy, tenure } = yield* services.candidacies.add(
      candidate,
      runsWork,
      ({ renewed }) =>
        new Tenure({
          store,
          clock,
          election,
          candidateId,
          nonce,
          times,
          metadata,
          stopTimeout: candidate.stopTimeout,
          renewed: Effect.andThen(services.leaving.budget.answered, renewed)
        })
    )
    // Both run after the release.
    yield* Effect.addFinalizer(() => services.lateWrites.watch(tenure))
    yield* Effect.addFinalizer(() => candidacy.ended)
    // Added before the first attempt: an attempt that is interrupted may have landed.
    yield* Effect.addFinalizer(() => leave(services, candidate, tenure))
    yield* stand(campaigning, tenure)
    yield* candidacy.renewed
    yield* forkReported("Election", `the renewals of "${election}"`, tenure.renewals)
    yield* forkReported("Election", `the deadline of "${election}"`, tenure.watchDeadline)
    const won = yield* announce(campaigning, tenure)
    if (won !== undefined) yield* candidacy.elected(tenure, won.elected.term)
    return won
  })

/** Hands leadership over (E20), and makes the former leader wait (E21). */
export const release = (services: CampaignServices, candidate: Candidate, tenure: Tenure): Effect.Effect<void> =>
  Effect.suspend(() => {
    tenure.beginRelease()
    // The wait starts again after the release: if the store is unavailable, other candidates learn of the hand-over
    // only then.
    return Effect.andThen(
      Effect.andThen(sitOut(services, candidate, tenure), tenure.release),
      sitOut(services, candidate, tenure)
    ).pipe(annotate("Election", { election: candidate.election, candidateId: candidate.candidateId }))
  })

/** Hands leadership over at the end of its scope, for at most `leaveTimeout` (E20). */
const leave = (services: CampaignServices, candidate: Candidate, tenure: Tenure): Effect.Effect<void> => {
  const { budget, timeout } = services.leaving
  const left = budget.run({
    timeout,
    leave: release(services, candidate, tenure),
    hasAnswered: () => tenure.wasHandedOver
  })
  return Effect.flatMap(left, (released) => Option.isSome(released) ? Effect.void : tenure.giveUp("no answer in time"))
}

const sitOut = (
  { candidacies, sittingOut }: CampaignServices,
  candidate: Candidate,
  tenure: Tenure
): Effect.Effect<void> =>
  Effect.suspend(() => sittingOut.begin(candidate, tenure, candidacies.highestPriority(candidate.election)))

/** The service was released: no later attempt can succeed. */
export const released = (operation: string, store: CampaignServices["store"]): KVStoreError =>
  new KVStoreError({
    bucket: store.config.bucket,
    operation,
    key: undefined,
    reason: new Unavailable({ problem: "the layer of Election was released", isClosed: true })
  })

/**
 * Campaigns until it leads, or until the service is released. Closing the scope hands leadership over, or ends the campaign. A
 * campaign that fails or is interrupted also releases.
 */
export const campaign = (
  services: CampaignServices,
  candidate: Candidate,
  state: CandidateState
): Effect.Effect<Won, KVStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const { closing, store } = services
    const closed = Latch.makeUnsafe(false)
    yield* Effect.addFinalizer(() => closed.open)
    return yield* Effect.raceAllFirst([
      untilElected(services, candidate, state),
      Effect.andThen(closing.await, Effect.suspend(() => Effect.fail(released("campaign", store)))),
      Effect.andThen(closed.await, Effect.interrupt)
    ])
  })

const untilElected = (
  services: CampaignServices,
  candidate: Candidate,
  state: CandidateState
): Effect.Effect<Won, KVStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const campaigning = { services, candidate, ...state }
    yield* Effect.logInfo(`campaigning for "${candidate.election}"`)
    while (true) {
      const own = yield* Scope.fork(scope)
      const won = yield* Scope.provide(tryOnce(campaigning), own).pipe(
        Effect.onExit((exit) => Exit.isSuccess(exit) && exit.value !== undefined ? Effect.void : Scope.close(own, exit))
      )
      if (won !== undefined) return won
    }
  }).pipe(
    traced(
      "election.campaign",
      () => ({ "election.name": candidate.election, "election.candidate": candidate.candidateId })
    ),
    annotate("Election", { election: candidate.election, candidateId: candidate.candidateId })
  )
