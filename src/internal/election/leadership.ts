/**
 * The `Leadership` of a winner, and the work that runs during its term. The work is interrupted after a loss, and
 * awaited before leadership is handed over (docs/protocols/election.md, E23).
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Leadership } from "../../Election.ts"
import { type ElectionError, LeadershipLost } from "../../ElectionError.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { toMetadata } from "../metadata.ts"
import { invalidConfig, kindOf } from "../options.ts"
import { type CampaignServices, type Candidate, isHealthy, release, type Won } from "./campaign.ts"
import { checkSize, failure, sizeLimit } from "./candidate.ts"
import { ownEnd, stop } from "./stopping.ts"
import type { Tenure } from "./tenure.ts"

// -----------------------------------------------------------------------------
// leadership
// -----------------------------------------------------------------------------

const toLeadership = ({ elected, tenure, token }: Won, resign: Effect.Effect<void>): Leadership => {
  const { candidateId, election, metadata, store } = tenure.options
  // Awaiting `lost` here would deadlock work that proclaims while it is being stopped.
  const isOver = Effect.suspend(() => Effect.fail(new LeadershipLost({ reason: tenure.endReason ?? "resigned" })))
  return {
    election,
    candidateId,
    term: elected.term,
    token,
    electedAt: elected.electedAt,
    metadata,
    isValid: tenure.isValid,
    // Interruptible also in a finalizer of the work: otherwise the finalizer would wait for the hand-over, which waits
    // for it.
    lost: Effect.interruptible(tenure.lost),
    lossReason: Effect.sync(() => Option.fromUndefinedOr(tenure.endReason)),
    proclaim: (metadata: Metadata) =>
      Effect.fromResult(toMetadata(metadata)).pipe(
        Effect.tap((checked) => checkSize(tenure.options, checked, sizeLimit(store))),
        Effect.flatMap((checked) => tenure.proclaim(checked)),
        Effect.flatMap((outcome) => outcome === "landed" ? Effect.void : isOver),
        Effect.mapError(failure("proclaim", election))
      ),
    resign
  }
}

/** Runs the health check every `renewInterval` until the term ends or the scope is closed. Resigns if it is false. */
const resignWhenUnhealthy = (candidate: Candidate, tenure: Tenure, resign: Effect.Effect<void>) =>
  candidate.healthCheck === undefined ? Effect.void : forkReported(
    `the health check of the leader of "${candidate.election}"`,
    Effect.gen(function*() {
      do yield* Effect.sleep(Duration.millis(candidate.times.renewInterval))
      while (yield* isHealthy(candidate))
      yield* Effect.logWarning(`the health check of the leader of "${candidate.election}" is false: resigning`)
      yield* resign
    }).pipe(Effect.raceFirst(tenure.lost))
  )

/** Returns the leadership. It is handed over when the scope is closed. */
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

/** `Finished`: the work has ended by itself. `Stopped`: leadership ended first, and the work was interrupted. */
export type Outcome<A, E> =
  | { readonly _tag: "Finished"; readonly exit: Exit.Exit<A, E> }
  | { readonly _tag: "Stopped" }

const runUntil = <A, E, R>(
  tenure: Tenure,
  work: Effect.Effect<A, E, R>,
  toldToStop: Effect.Effect<unknown>
): Effect.Effect<Outcome<A, E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    // With its own scope: the resources of the work are released once it has stopped, not earlier.
    const running = Effect.forkDetach(Effect.scoped(work))
    const { fiber, stopped } = yield* Effect.acquireRelease(
      Effect.flatMap(running, (fiber) =>
        Effect.map(Effect.cached(Effect.uninterruptible(stop(tenure, fiber))), (stopped) => ({ fiber, stopped }))),
      ({ stopped }) =>
        stopped
    )
    yield* Effect.raceFirst(Fiber.await(fiber), toldToStop)
    // Work that waits for `lost` ends by itself.
    yield* Effect.yieldNow
    const endedFirst = fiber.pollUnsafe()
    const exit = yield* stopped
    // Work that has ended by itself has its result, also if it was told to stop: it must not run again.
    const end = endedFirst ?? ownEnd(exit)
    return end === undefined ? { _tag: "Stopped" } : { _tag: "Finished", exit: end }
  })

/** Untyped code may return something else: the promise of an async function, or undefined. */
const asEffect = <A, E, R>(election: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E | ElectionError, R> =>
  Effect.isEffect(work)
    ? work
    : Effect.fail(failure("whileLeader", election)(invalidConfig(`work: expected an Effect, got ${kindOf(work)}`)))

/** Runs the work until it ends, until leadership is lost, or until the work or the health check resigns. */
export const runWork = <A, E, R>(
  candidate: Candidate,
  won: Won,
  work: (leadership: Leadership) => Effect.Effect<A, E, R>
): Effect.Effect<Outcome<A, E | ElectionError>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const { tenure } = won
    const asked = yield* Deferred.make<void>()
    const lost = Effect.interruptible(tenure.lost)
    // The work is stopped before the hand-over. Work that calls `resign` is interrupted while it waits here.
    const resign = Effect.suspend(() => {
      tenure.beginRelease()
      return Effect.asVoid(Effect.andThen(Deferred.succeed(asked, undefined), lost))
    })
    yield* resignWhenUnhealthy(candidate, tenure, resign)
    const toldToStop = Effect.raceFirst(tenure.lost, Deferred.await(asked))
    const running = Effect.suspend(() => asEffect(candidate.election, work(toLeadership(won, resign))))
    return yield* runUntil(tenure, running, toldToStop)
  })
