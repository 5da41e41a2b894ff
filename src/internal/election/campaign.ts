/**
 * A campaign: watches the key, tries to win when it is allowed to, and announces leadership only after it has read
 * its own record back. The rules are E6 to E12 in docs/protocols/election.md. `challenger.ts` decides when a
 * candidate may try.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { FencingToken } from "../../FencingToken.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { makeNonce } from "../identity.ts"
import type { LeaveBudget } from "../leaving.ts"
import { annotate, Repeated } from "../logs.ts"
import { conflictPause } from "../retry.ts"
import { traced, withoutParentSpan } from "../spans.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Candidacies } from "./candidacies.ts"
import { standing } from "./challenger.ts"
import type { Health } from "./health.ts"
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
  /** The failures in a row after which a leader resigns (E22). */
  readonly healthFailures: number
}

export interface CampaignServices {
  readonly store: Tenure["options"]["store"]
  readonly clock: Tenure["options"]["clock"]
  readonly observations: Observations
  readonly candidacies: Candidacies
  readonly leaving: { readonly budget: LeaveBudget; readonly timeout: Duration.Duration }
  readonly sittingOut: SittingOut
}

/** A term that was won, with a record that was read back as our own. */
export interface Won {
  readonly tenure: Tenure
  readonly elected: Elected
  readonly token: FencingToken
}

/** Reads the key. A transient failure is logged and changes nothing. Other errors end the campaign. */
const read = (services: CampaignServices, tenure: Tenure): Effect.Effect<void, KVStoreError> =>
  // A candidate reads for as long as it waits: the span of its campaign would collect all of that.
  withoutParentSpan(tenure.look).pipe(
    Effect.map((seen) => {
      services.observations.see(tenure.options.election, seen)
    }),
    Effect.catchIf(
      (error) => error.isRetryable || error.reason._tag === "OutcomeUnknown",
      (error) => Effect.andThen(Effect.logDebug(error.message), conflictPause)
    )
  )

/** A leader with other timings decides how long its candidates wait: this is seldom meant. */
const reportLongLease = (
  election: string,
  { candidateId, leaseMillis }: { readonly candidateId: string; readonly leaseMillis: number },
  { leaseDuration }: TermTimings
): Effect.Effect<void> =>
  Effect.logWarning(
    `the leader of "${election}", ${candidateId}, has a lease of ${
      Duration.format(Duration.millis(leaseMillis))
    }, which is ` +
      `longer than the own leaseDuration of ${Duration.format(Duration.millis(leaseDuration))}: if it crashes, this ` +
      "candidate waits for that time"
  )

/** Watches until the candidate may try to win, and tries, until an attempt of this tenure has won. */
const stand = (
  services: CampaignServices,
  candidate: Candidate,
  health: Health,
  tenure: Tenure
): Effect.Effect<void, KVStoreError> =>
  Effect.gen(function*() {
    const { observations, clock, sittingOut } = services
    const { election, times } = candidate
    // Reads the key about once per lease, in case the watch is silent without failing (E6).
    const backstop = yield* Random.nextBetween(0.8, 1.2)
    let readAt = monotonicMillis(clock)
    yield* read(services, tenure)
    // Bounded: a check that takes too long has an answer, too.
    yield* health.answered
    const waits = new Repeated()
    while (true) {
      const observation = observations.observation(election)
      if (observation !== undefined && tenure.claim(observation.seen) === "won") return
      const now = monotonicMillis(clock)
      const readAgainAt = readAt + backstop * times.leaseDuration
      if (observation === undefined || now >= readAgainAt) {
        readAt = now
        yield* read(services, tenure)
        continue
      }
      const may = standing(observation, { ...times, priority: candidate.priority })
      const at = Math.max(may.at, sittingOut.until(candidate))
      if (now < at) {
        const { seen } = observation
        if (seen._tag === "Held" && seen.record.leaseMillis > times.leaseDuration) {
          yield* waits.log(seen.record.candidateId, reportLongLease(election, seen.record, times))
        }
        const wake = Effect.sleep(wholeMillis(Math.min(at, readAgainAt) - now))
        yield* Effect.raceFirst(observations.changed(election, observation), wake)
      } else if (health.isHealthy()) {
        if ((yield* attempt(services, tenure, may.on, observation.term + 1)) === "won") return
      } else {
        const wake = Effect.sleep(wholeMillis(readAgainAt - now))
        yield* Effect.raceAllFirst([observations.changed(election, observation), health.recovered, wake])
      }
    }
  })

/** Sends one attempt. After an unknown outcome it reads the key, and the next attempt starts from there. */
const attempt = (
  services: CampaignServices,
  tenure: Tenure,
  on: number | "nothing",
  term: number
): Effect.Effect<Attempted, KVStoreError> =>
  Effect.gen(function*() {
    const outcome = yield* tenure.stand(on, term)
    if (outcome === "won") return outcome
    yield* read(services, tenure)
    yield* conflictPause
    return outcome
  })

/** Reads the epoch after the winning write, and the record after the epoch. Only then is leadership announced (E11). */
const announce = (services: CampaignServices, tenure: Tenure): Effect.Effect<Won | undefined, KVStoreError> =>
  Effect.gen(function*() {
    while (yield* tenure.isValid) {
      const told = yield* Effect.gen(function*() {
        const { created } = yield* tenure.bounded("status", services.store.status)
        return { epoch: Math.floor(created.epochMilliseconds), seen: yield* tenure.look }
      }).pipe(Effect.catchIf(
        (error) => error.isRetryable || error.reason._tag === "OutcomeUnknown",
        () => Effect.undefined
      ))
      const confirmation = told === undefined ? undefined : tenure.confirm(told.seen)
      if (told === undefined || confirmation === undefined || confirmation._tag === "ReadAgain") {
        yield* conflictPause
      } else if (confirmation._tag === "Over") {
        services.observations.see(tenure.options.election, told.seen)
      } else {
        const { elected } = confirmation
        // The lease may have ended during the reads.
        if (yield* tenure.isValid) {
          return { tenure, elected, token: new FencingToken({ epoch: told.epoch, revision: elected.revision }) }
        }
      }
    }
    return undefined
  })

/** Campaigns with one nonce, until it leads or is known to have never led. */
const tryOnce = (
  services: CampaignServices,
  candidate: Candidate,
  health: Health
): Effect.Effect<Won | undefined, KVStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const { election, candidateId, metadata, times } = candidate
    const { clock, store } = services
    const nonce = yield* makeNonce
    const { candidacy, tenure } = yield* services.candidacies.add(
      candidate,
      ({ renewed }) =>
        new Tenure({
          store,
          clock,
          election,
          candidateId,
          nonce,
          times,
          metadata,
          renewed: Effect.andThen(services.leaving.budget.answered, renewed)
        })
    )
    // Runs after the release.
    yield* Effect.addFinalizer(() => candidacy.ended)
    // Added before the first attempt: an attempt that is interrupted may have landed.
    yield* Effect.addFinalizer(() => leave(services, candidate, tenure))
    yield* stand(services, candidate, health, tenure)
    yield* candidacy.renewed
    yield* forkReported(`the renewals of "${election}"`, tenure.renewals)
    yield* forkReported(`the deadline of "${election}"`, tenure.watchDeadline)
    const won = yield* announce(services, tenure)
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
    )
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

/**
 * Campaigns until it leads. Closing the scope hands leadership over. A campaign that fails or is interrupted also
 * releases.
 */
export const campaign = (
  services: CampaignServices,
  candidate: Candidate,
  health: Health
): Effect.Effect<Won, KVStoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    yield* Effect.logInfo(`campaigning for "${candidate.election}"`)
    while (true) {
      const own = yield* Scope.fork(scope)
      const won = yield* Scope.provide(tryOnce(services, candidate, health), own).pipe(
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
