/**
 * Background fibers whose failures are logged.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { withoutParentSpan } from "./spans.ts"

/** Forks an effect into the scope, without a parent span. Logs an error if the effect fails. */
export const forkReported = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> =>
  Effect.forkScoped(
    Effect.tapCause(withoutParentSpan(effect), (cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(`${what} failed`, cause))
  )
