/**
 * Health checks of callers: of candidates and of registered instances.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { shown, thatIs } from "./options.ts"

/** A check that takes longer counts as false. */
const longestHealthCheck = Duration.seconds(1)

/** Reads a health check. */
export const healthCheckSetting = thatIs(
  (value: unknown): value is Effect.Effect<boolean> => Effect.isEffect(value),
  "an Effect that succeeds with true or false"
)

/** The outcome of a check. `failed`: it failed, died, or returned another answer than true or false. */
export type HealthOutcome = "healthy" | "unhealthy" | "timedOut" | "failed"

const outcomeOf = (answer: unknown): Effect.Effect<HealthOutcome> =>
  typeof answer === "boolean"
    ? Effect.succeed(answer ? "healthy" : "unhealthy")
    // Without this warning, a check that returns no boolean would count as false without a trace.
    : Effect.as(
      Effect.logWarning(`healthCheck: expected true or false, got ${shown(answer)}: counted as false`),
      "failed"
    )

/** Runs a check once. All outcomes but `healthy` count as false. */
export const checkHealth = (healthCheck: Effect.Effect<boolean>): Effect.Effect<HealthOutcome> =>
  healthCheck.pipe(
    Effect.flatMap(outcomeOf),
    Effect.timeoutOrElse({ duration: longestHealthCheck, orElse: () => Effect.succeed<HealthOutcome>("timedOut") }),
    Effect.catchCause((cause) =>
      Effect.as(Effect.logWarning("a healthCheck failed and is counted as false", cause), "failed" as const)
    )
  )
