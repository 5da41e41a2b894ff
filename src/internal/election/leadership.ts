/**
 * The `Leadership` of a winner, and the work that runs while it lasts. The work
 * is interrupted when leadership goes, and awaited before leadership is handed
 * over (docs/protocols/election.md, E23).
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { Leadership } from "../../Election.ts"
import { type ElectionError, LeadershipLost } from "../../ElectionError.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { toMetadata } from "../metadata.ts"
import { invalidConfig, kindOf } from "../options.ts"
import { wholeMillis } from "../time.ts"
import { type CampaignServices, type Candidate, isHealthy, release, type Won } from "./campaign.ts"
import { checkSize, failure } from "./candidate.ts"
import type { Tenure } from "./tenure.ts"

// -----------------------------------------------------------------------------
// leadership
// -----------------------------------------------------------------------------

const toLeadership = ({ elected, tenure, token }: Won, resign: Effect.Effect<void>): Leadership => {
  const { candidateId, election, metadata, store } = tenure.options
  /** While it is being released there is no reason yet, and the work, which is stopped first, must not wait for one. */
  const isOver = Effect.suspend(() => Effect.fail(new LeadershipLost({ reason: tenure.lossReason ?? "resigned" })))
  return {
    election,
    candidateId,
    term: elected.term,
    token,
    electedAt: elected.electedAt,
    metadata,
    isValid: tenure.isValid,
    // Interruptible also in a finalizer of the work, which would wait for its own end otherwise.
    lost: Effect.interruptible(tenure.lost),
    proclaim: (metadata: Metadata) =>
      Effect.fromResult(toMetadata(metadata)).pipe(
        Effect.tap((checked) => checkSize(tenure.options, checked, store.config.maxValueSize)),
        Effect.flatMap((checked) => tenure.proclaim(checked)),
        Effect.flatMap((outcome) => outcome === "landed" ? Effect.void : isOver),
        Effect.mapError(failure("proclaim", election))
      ),
    resign
  }
}

/** Asked every `renewInterval`, for as long as it leads and the scope is open. */
const resignWhenUnhealthy = (candidate: Candidate, tenure: Tenure, resign: Effect.Effect<void>) =>
  candidate.healthCheck === undefined ? Effect.void : forkReported(
    `the health check of "${candidate.election}"`,
    Effect.gen(function*() {
      do yield* Effect.sleep(Duration.millis(candidate.times.renewInterval))
      while (yield* isHealthy(candidate))
      yield* Effect.logWarning(`the leader of "${candidate.election}" is unhealthy: it resigns`)
      yield* resign
    }).pipe(Effect.raceFirst(tenure.lost))
  )

/** Leadership until the scope is closed. */
export const lead = (
  services: CampaignServices,
  candidate: Candidate,
  won: Won
): Effect.Effect<Leadership, never, Scope.Scope> => {
  const resign = release(services, candidate, won.tenure)
  return Effect.as(resignWhenUnhealthy(candidate, won.tenure, resign), toLeadership(won, resign))
}

// -----------------------------------------------------------------------------
// work
// -----------------------------------------------------------------------------

const overruns = Metric.counter("election.overrun", {
  description: "Work that was still stopping when the lease ended: another leader may have started"
})

/** Tells, loudly, that work still runs when others may lead. */
const watchOverrun = (tenure: Tenure) =>
  Effect.gen(function*() {
    // Renewals continue while the work stops: the end of the lease moves.
    while (tenure.untilLeaseEnds > 0) yield* Effect.sleep(wholeMillis(tenure.untilLeaseEnds))
    yield* Metric.update(overruns, 1)
    yield* Effect.logError(
      `the work of "${tenure.options.election}" still runs after its lease has ended: another leader may have started. ` +
        "Stop it within leaseDuration - renewDeadline, and guard what it writes with the fencing token"
    )
  })

const stop = <A, E>(tenure: Tenure, work: Fiber.Fiber<A, E>) =>
  Effect.gen(function*() {
    // Also without `resign`: leadership is given up when its work is stopped.
    tenure.beginRelease()
    const overrun = yield* Effect.forkDetach(watchOverrun(tenure))
    yield* Fiber.interrupt(work)
    yield* Fiber.interrupt(overrun)
  })

/** `Finished`: the work has ended. `ToldToStop`: leadership went first; the work has stopped when the scope is closed. */
export type Outcome<A, E> =
  | { readonly _tag: "Finished"; readonly exit: Exit.Exit<A, E> }
  | { readonly _tag: "ToldToStop" }

const runUntil = <A, E, R>(
  tenure: Tenure,
  work: Effect.Effect<A, E, R>,
  toldToStop: Effect.Effect<unknown>
): Effect.Effect<Outcome<A, E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    // In a separate scope: the resources of the work are released when it has stopped, and not before.
    const running = Effect.forkDetach(Effect.scoped(work))
    const fiber = yield* Effect.acquireRelease(running, (fiber) => stop(tenure, fiber))
    return yield* Effect.raceFirst(
      Effect.map(Fiber.await(fiber), (exit): Outcome<A, E> => ({ _tag: "Finished", exit })),
      Effect.as(toldToStop, { _tag: "ToldToStop" } as const)
    )
  })

/** What a program that no compiler has seen may return: an async function's promise, or nothing. */
const asEffect = <A, E, R>(election: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E | ElectionError, R> =>
  Effect.isEffect(work)
    ? work
    : Effect.fail(failure("whileLeader", election)(invalidConfig(`work: expected an Effect, got ${kindOf(work)}`)))

/** Runs work until it ends, or leadership goes. */
export const runWork = <A, E, R>(
  candidate: Candidate,
  won: Won,
  work: (leadership: Leadership) => Effect.Effect<A, E, R>
): Effect.Effect<Outcome<A, E | ElectionError>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const { tenure } = won
    const asked = yield* Deferred.make<void>()
    const lost = Effect.interruptible(tenure.lost)
    // The work is stopped before leadership is handed over; work that resigns is interrupted while it waits here.
    const resign = Effect.suspend(() => {
      tenure.beginRelease()
      return Effect.asVoid(Effect.andThen(Deferred.succeed(asked, undefined), lost))
    })
    yield* resignWhenUnhealthy(candidate, tenure, resign)
    const toldToStop = Effect.raceFirst(tenure.lost, Deferred.await(asked))
    const running = Effect.suspend(() => asEffect(candidate.election, work(toLeadership(won, resign))))
    return yield* runUntil(tenure, running, toldToStop)
  })
