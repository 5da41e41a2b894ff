/**
 * The `Leadership` of a winner, and the work that runs during its term. The work is interrupted after a loss, and
 * awaited before leadership is handed over (docs/protocols/election.md, E23).
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Leadership } from "../../Election.ts"
import { type ElectionError, LeadershipLost } from "../../ElectionError.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { annotate } from "../logs.ts"
import { toMetadata } from "../metadata.ts"
import { invalidConfig, kindOf } from "../options.ts"
import { quoted } from "../texts.ts"
import { type CampaignServices, type Candidate, release, type Won } from "./campaign.ts"
import { checkSize, failure, sizeLimit } from "./candidate.ts"
import type { Health } from "./health.ts"
import { within } from "./nesting.ts"
import { askedToStepDown } from "./stepDown.ts"
import { ownEnd, stop } from "./stopping.ts"
import type { Leaving, Tenure } from "./tenure.ts"

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

/** Resigns once `asked` succeeds, with the line that it returns. Ends with the term. */
const resignOnce = (
  { tenure }: Won,
  why: Leaving,
  asked: Effect.Effect<Effect.Effect<void>>,
  resign: Effect.Effect<void>
): Effect.Effect<void> => {
  const { candidateId, election } = tenure.options
  const resigning = Effect.map(asked, (line) =>
    annotate("Election", { election, candidateId })(line).pipe(
      Effect.andThen(Effect.sync(() => tenure.beginRelease(why))),
      Effect.andThen(resign)
    ))
  // The loss interrupts only the wait: resigning goes on after the hand-over, which is the end of the term.
  return Effect.flatten(Effect.raceFirst(resigning, Effect.as(tenure.lost, Effect.void)))
}

/** Resigns after `healthFailures` failed health checks in a row (E22). */
const resignWhenUnhealthy = (
  { election, healthFailures }: Candidate,
  health: Health,
  won: Won,
  resign: Effect.Effect<void>
): Effect.Effect<void> => {
  const checks = healthFailures === 1 ? "a health check has" : `${healthFailures} health checks in a row have`
  const line = Effect.logWarning(`resigning the leadership of "${election}": ${checks} failed`)
  return resignOnce(won, "unhealthy", Effect.as(health.hasFailed, line), resign)
}

/** Resigns when a process asks for it (E30). */
const resignWhenAsked = (services: CampaignServices, won: Won, resign: Effect.Effect<void>): Effect.Effect<void> => {
  const { election } = won.tenure.options
  const asked = Effect.map(
    askedToStepDown(services.observations, won.tenure),
    ({ by }) => Effect.logInfo(`stepping down as the leader of "${election}": ${quoted(by)} has asked for it`)
  )
  return resignOnce(won, "steppedDown", asked, resign)
}

/** Runs what can end a leadership beside it, until the scope is closed. */
const watch = (
  services: CampaignServices,
  candidate: Candidate,
  health: Health,
  won: Won,
  resign: Effect.Effect<void>
) => {
  const { election, healthCheck } = candidate
  const asked = forkReported(
    "Election",
    `requests to the leader of "${election}"`,
    resignWhenAsked(services, won, resign)
  )
  // Without a health check there is nothing to wait for. The campaign has ended with its term.
  return healthCheck === undefined ? asked : Effect.andThen(
    asked,
    forkReported(
      "Election",
      `the health of the leader of "${election}"`,
      resignWhenUnhealthy(candidate, health, won, resign)
    )
  )
}

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
  const ending = forkReported("Election", "the end of a campaign", Effect.andThen(tenure.lost, health.end))
  return Effect.as(
    Effect.andThen(watch(services, candidate, health, won, resign), ending),
    toLeadership(won, resign)
  )
}

// -----------------------------------------------------------------------------
// work
// -----------------------------------------------------------------------------

/** `Finished`: the work has ended by itself. `Stopped`: leadership ended first, and the work was interrupted. */
export type Outcome<A, E> =
  | { readonly _tag: "Finished"; readonly exit: Exit.Exit<A, E> }
  | { readonly _tag: "Stopped" }

/** Runs an effect once, and to its end. Later calls wait for its result. */
const once = <A>(effect: Effect.Effect<A>): Effect.Effect<A> => {
  const done = Deferred.makeUnsafe<A>()
  const run = Effect.uninterruptible(Effect.tap(effect, (result) => Deferred.succeed(done, result)))
  let hasBegun = false
  return Effect.suspend(() => {
    const first = !hasBegun
    hasBegun = true
    return first ? run : Deferred.await(done)
  })
}

const runUntil = <A, E, R>(
  tenure: Tenure,
  work: Effect.Effect<A, E, R>,
  toldToStop: Effect.Effect<unknown>
): Effect.Effect<Outcome<A, E>, never, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.gen(function*() {
    let itsEnd: Exit.Exit<A, E> | undefined
    const hasEnded = Latch.makeUnsafe(false)
    // An interrupt in the finalizers of its scope would replace a success.
    const itself = Effect.onExit(work, (exit) =>
      Effect.sync(() => {
        itsEnd = exit
        hasEnded.openUnsafe()
      }))
    // With its own scope: the resources of the work are released once it has stopped, not earlier.
    const running = Effect.forkDetach(Effect.scoped(itself))
    const { fiber, stopped } = yield* Effect.acquireRelease(
      Effect.map(running, (fiber) => ({ fiber, stopped: once(stop(tenure, fiber, hasEnded)) })),
      ({ stopped }) => stopped
    )
    // The finalizers of work that has ended are not interrupted. Their time is limited, too.
    yield* Effect.raceAllFirst([Fiber.await(fiber), hasEnded.await, toldToStop])
    // Work that waits for `lost` ends by itself.
    yield* Effect.yieldNow
    const endsItself = hasEnded.isOpen()
    const exit = yield* stopped
    // Work that has ended by itself has its result, also if it was told to stop: it must not run again.
    const end = endsItself
      ? exit
      : ownEnd(exit) ?? (itsEnd !== undefined && Exit.isSuccess(itsEnd) ? itsEnd : undefined)
    return end === undefined ? { _tag: "Stopped" } : { _tag: "Finished", exit: end }
  })

/** Untyped code may return something else: the promise of an async function, or undefined. */
const asEffect = <A, E, R>(election: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E | ElectionError, R> =>
  Effect.isEffect(work)
    ? work
    : Effect.fail(failure("whileLeader", election)(invalidConfig(`work: expected an Effect, got ${kindOf(work)}`)))

/** Runs the work until it ends, until leadership is lost, or until the work or the health check resigns. */
export const runWork = <A, E, R>(
  services: CampaignServices,
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
    yield* watch(services, candidate, health, won, resign)
    const toldToStop = Effect.raceAllFirst([tenure.lost, Deferred.await(asked), services.closing.await])
    const running = within(
      tenure,
      Effect.suspend(() => asEffect(candidate.election, work(toLeadership(won, resign))))
    )
    return yield* runUntil(tenure, running, toldToStop)
  })
