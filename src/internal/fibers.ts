/**
 * Background work that does not end in silence: a forked fiber that fails says
 * nothing by itself.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/** Forks into the scope; what ends it other than its scope is logged as an error. */
export const forkReported = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> =>
  Effect.forkScoped(
    Effect.tapCause(effect, (cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(`${what} ended`, cause))
  )
