/**
 * Health checks of callers: of candidates and of registered instances. A check runs in a fiber of its own and is never
 * awaited without a limit: it may hang, and it may not be interruptible.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { integer, shown, thatIs, withDefault } from "./options.ts"
import { withoutParentSpan } from "./spans.ts"

/** A check that takes longer has failed. */
const longestHealthCheck = Duration.seconds(1)

/** Reads a health check. */
export const healthCheckSetting = thatIs(
  (value: unknown): value is Effect.Effect<boolean> => Effect.isEffect(value),
  "an Effect that succeeds with true or false"
)

/** Reads the number of failures in a row that have a consequence. */
export const healthFailuresSetting = (otherwise: number) => withDefault(integer(1), otherwise)

/** The outcome of a check. `failed`: it failed, died, or returned another answer than true or false. */
export type HealthOutcome = "healthy" | "unhealthy" | "timedOut" | "failed"

/** The result of a health check. `why` completes a sentence that begins with "its health check". */
export type Answer =
  | { readonly _tag: "Healthy" }
  | {
    readonly _tag: "Unhealthy"
    readonly outcome: Exclude<HealthOutcome, "healthy">
    readonly why: string
    readonly cause?: Cause.Cause<unknown>
  }

const healthy: Answer = { _tag: "Healthy" }

const tooLong: Answer = {
  _tag: "Unhealthy",
  outcome: "timedOut",
  why: `takes longer than ${Duration.format(longestHealthCheck)}`
}

/** The outcome, for a metric. */
export const outcomeOf = (answer: Answer): HealthOutcome => answer._tag === "Healthy" ? "healthy" : answer.outcome

/** The cause of a failure, for a log line. */
export const causeOf = (answer: Answer): ReadonlyArray<Cause.Cause<unknown>> =>
  answer._tag === "Healthy" || answer.cause === undefined ? [] : [answer.cause]

/** A check that fails or dies has failed, and so has one with another answer than true. */
const toAnswer = (exit: Exit.Exit<unknown>): Answer => {
  if (Exit.isFailure(exit)) return { _tag: "Unhealthy", outcome: "failed", why: "failed", cause: exit.cause }
  if (exit.value === true) return healthy
  return exit.value === false
    ? { _tag: "Unhealthy", outcome: "unhealthy", why: "is false" }
    : { _tag: "Unhealthy", outcome: "failed", why: `returned ${shown(exit.value)}, expected true or false` }
}

/**
 * Returns an effect that runs the check and has its answer within a second. A check that takes longer is interrupted; while
 * one has not come back, the answer is unhealthy and no other one begins. When the scope closes, a running check is
 * interrupted and not awaited.
 */
export const makeHealthCheck = (
  healthCheck: Effect.Effect<boolean>
): Effect.Effect<Effect.Effect<Answer>, never, Scope.Scope> =>
  Effect.suspend(() => {
    let running: Fiber.Fiber<boolean> | undefined
    // Started before the timer: a blocked event loop, or the clock of a test, may skip the time between.
    const checking = Effect.forkDetach(withoutParentSpan(healthCheck), { startImmediately: true })
    const begin = Effect.map(checking, (fiber) => {
      running = fiber
      fiber.addObserver(() => {
        running = undefined
      })
      return fiber
    })
    const ask = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        if (running !== undefined) return tooLong
        const fiber = yield* begin
        const exit = yield* restore(Effect.timeoutOption(Fiber.await(fiber), longestHealthCheck))
        const late = Option.getOrUndefined(exit) ?? fiber.pollUnsafe()
        if (late !== undefined) return toAnswer(late)
        fiber.interruptUnsafe()
        return tooLong
      })
    )
    return Effect.acquireRelease(Effect.succeed(ask), () => Effect.sync(() => running?.interruptUnsafe()))
  })
