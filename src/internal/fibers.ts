/**
 * Background fibers whose failures are logged.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { annotate, type ModuleName } from "./logs.ts"
import { withoutParentSpan } from "./spans.ts"

/**
 * Forks an effect into the scope, without a parent span. Logs an error if the effect fails: `module` annotates this line, and
 * not those of the effect, which can be a caller's.
 */
export const forkReported = <A, E, R>(
  module: ModuleName,
  what: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> =>
  Effect.forkScoped(
    Effect.tapCause(withoutParentSpan(effect), (cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : annotate(module)(Effect.logError(`${what} failed`, cause)))
  )
