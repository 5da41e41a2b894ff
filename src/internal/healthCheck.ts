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

/** A check that hangs, fails or dies counts as false, and so does another answer than true or false. */
export const isHealthy = (healthCheck: Effect.Effect<boolean>): Effect.Effect<boolean> =>
  healthCheck.pipe(
    Effect.timeoutOrElse({ duration: longestHealthCheck, orElse: () => Effect.succeed(false) }),
    // Without this warning, a check that returns no boolean would count as false without a trace.
    Effect.tap((answer: unknown) =>
      typeof answer === "boolean"
        ? Effect.void
        : Effect.logWarning(`healthCheck: expected true or false, got ${shown(answer)}: counted as false`)
    ),
    Effect.map((answer: unknown) => answer === true),
    Effect.catchCause((cause) =>
      Effect.as(Effect.logWarning("a healthCheck failed and is counted as false", cause), false)
    )
  )
