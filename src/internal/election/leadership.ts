/**
 * The `Leadership` of a winner, and the work that runs during its term. The work is interrupted after a loss, and
 * awaited before leadership is handed over (docs/protocols/election.md, E23).
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Leadership } from "../../Election.ts"
import { type ElectionError, LeadershipLost } from "../../ElectionError.ts"
import { electionOverruns } from "../../Metrics.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { annotate } from "../logs.ts"
import { toMetadata } from "../metadata.ts"
import { update } from "../metrics.ts"
import { invalidConfig, kindOf } from "../options.ts"
import { recordLimit } from "../storedJson.ts"
import { wholeMillis } from "../time.ts"
import { type CampaignServices, type Candidate, release, type Won } from "./campaign.ts"
import { checkSize, failure } from "./candidate.ts"
import type { Health } from "./health.ts"
import { within } from "./nesting.ts"
import type { Tenure } from "./tenure.ts"

// -----------------------------------------------------------------------------
// leadership
// -----------------------------------------------------------------------------

const toLeadership = ({ elected, tenure, token }: Won, resign: Effect.Effect<void>): Leadership => {
  const { candidateId, election, metadata, store } = tenure.options
  /**
   * During a release there is no reason yet. Awaiting `lost` here would deadlock work that proclaims while it is
   * being stopped.
   */
  const isOver = Effect.suspend(() => Effect.fail(new LeadershipLost({ reason: tenure.lossReason ?? "resigned" })))
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
    proclaim: (metadata: Metadata) =>
      Effect.fromResult(toMetadata(metadata)).pipe(
        Effect.tap((checked) => checkSize(tenure.options, checked, recordLimit(store.config))),
        Effect.flatMap((checked) => tenure.proclaim(checked)),
        Effect.flatMap((outcome) => outcome === "landed" ? Effect.void : isOver),
        Effect.mapError(failure("proclaim", election))
      ),
    resign
  }
}

/** Resigns after `healthFailures` failed health checks in a row (E22). Ends with the term. */
const resignWhenUnhealthy = (
  { candidateId, election, healthFailures }: Candidate,
  health: Health,
  tenure: Tenure,
  resign: Effect.Effect<void>
): Effect.Effect<void> => {
  const checks = healthFailures === 1 ? "a health check has" : `${healthFailures} health checks in a row have`
  const line = Effect.logWarning(`resigning the leadership of "${election}": ${checks} failed`)
  const resigning = annotate("Election", { election, candidateId })(line).pipe(
    Effect.andThen(Effect.sync(() => tenure.beginRelease("unhealthy"))),
    Effect.andThen(resign)
  )
  // The loss interrupts only the wait: resigning goes on after the hand-over, which is the end of the term.
  return Effect.flatten(Effect.raceFirst(Effect.as(health.hasFailed, resigning), Effect.as(tenure.lost, Effect.void)))
}

/** Runs `what` beside the leadership, until the scope is closed. Without a health check there is nothing to wait for. */
const beside = ({ election, healthCheck }: Candidate, what: Effect.Effect<void>) =>
  healthCheck === undefined ? Effect.void : forkReported(`the health of the leader of "${election}"`, what)

/** Returns the leadership. It is handed over when the scope is closed. */
export const lead = (
  services: CampaignServices,
  candidate: Candidate,
  health: Health,
  won: Won
): Effect.Effect<Leadership, never, Scope.Scope> => {
  const { tenure } = won
  const resign = release(services, candidate, tenure)
  // The campaign has ended with its term.
  const watch = Effect.andThen(resignWhenUnhealthy(candidate, health, tenure, resign), health.end)
  return Effect.as(beside(candidate, watch), toLeadership(won, resign))
}

// -----------------------------------------------------------------------------
// work
// -----------------------------------------------------------------------------

/** Reports work that still runs when the lease ends. */
const watchOverrun = (tenure: Tenure) =>
  Effect.gen(function*() {
    // Renewals continue while the work stops, so the end of the lease moves.
    while (tenure.untilLeaseEnds > 0) yield* Effect.sleep(wholeMillis(tenure.untilLeaseEnds))
    yield* update(electionOverruns, { election: tenure.options.election })
    yield* Effect.logError(
      `the work of "${tenure.options.election}" still runs after its lease has ended: another leader may have ` +
        "started. Make the work stop within leaseDuration - renewDeadline, and check the fencing token where it writes"
    )
  })

const stop = <A, E>(tenure: Tenure, work: Fiber.Fiber<A, E>) =>
  Effect.gen(function*() {
    // Whatever ended the work (its own end, an interruption or a loss), `isValid` is false from here on.
    tenure.beginRelease()
    const overrun = yield* Effect.forkDetach(watchOverrun(tenure))
    yield* Fiber.interrupt(work)
    yield* Fiber.interrupt(overrun)
  })

/**
 * `Finished`: the work has ended. `ToldToStop`: leadership ended first. The work is stopped when the scope is closed.
 */
export type Outcome<A, E> =
  | { readonly _tag: "Finished"; readonly exit: Exit.Exit<A, E> }
  | { readonly _tag: "ToldToStop" }

const runUntil = <A, E, R>(
  tenure: Tenure,
  work: Effect.Effect<A, E, R>,
  toldToStop: Effect.Effect<unknown>
): Effect.Effect<Outcome<A, E>, never, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.gen(function*() {
    // With its own scope: the resources of the work are released once it has stopped, not earlier.
    const running = Effect.forkDetach(Effect.scoped(work))
    const fiber = yield* Effect.acquireRelease(running, (fiber) => stop(tenure, fiber))
    return yield* Effect.raceFirst(
      Effect.map(Fiber.await(fiber), (exit): Outcome<A, E> => ({ _tag: "Finished", exit })),
      Effect.as(toldToStop, { _tag: "ToldToStop" } as const)
    )
  })

/** Untyped code may return something else: the promise of an async function, or undefined. */
const asEffect = <A, E, R>(election: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E | ElectionError, R> =>
  Effect.isEffect(work)
    ? work
    : Effect.fail(failure("whileLeader", election)(invalidConfig(`work: expected an Effect, got ${kindOf(work)}`)))

/** Runs the work until it ends, until leadership is lost, or until the work or the health check resigns. */
export const runWork = <A, E, R>(
  candidate: Candidate,
  health: Health,
  won: Won,
  work: (leadership: Leadership) => Effect.Effect<A, E, R>
): Effect.Effect<Outcome<A, E | ElectionError>, never, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.gen(function*() {
    const { tenure } = won
    const asked = yield* Deferred.make<void>()
    const lost = Effect.interruptible(tenure.lost)
    // The work is stopped before the hand-over. Work that calls `resign` is interrupted while it waits here.
    const resign = Effect.suspend(() => {
      tenure.beginRelease()
      return Effect.asVoid(Effect.andThen(Deferred.succeed(asked, undefined), lost))
    })
    yield* beside(candidate, resignWhenUnhealthy(candidate, health, tenure, resign))
    const toldToStop = Effect.raceFirst(tenure.lost, Deferred.await(asked))
    const running = within(
      tenure,
      Effect.suspend(() => asEffect(candidate.election, work(toLeadership(won, resign))))
    )
    return yield* runUntil(tenure, running, toldToStop)
  })
