/**
 * How failed work is tried again: soon, then less often, and never in step with
 * others.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { wholeMillis } from "./time.ts"

/** Delays in whole milliseconds, one at least: on a virtual clock that stands between two milliseconds `Schedule.fixed` would spin. */
export const inWholeMillis = <Output, Input>(
  schedule: Schedule.Schedule<Output, Input>
): Schedule.Schedule<Output, Input> =>
  Schedule.modifyDelay(
    schedule,
    ({ duration }) => Effect.succeed(wholeMillis(Math.max(1, Duration.toMillis(duration))))
  )

/** Doubling from the shortest to the longest, give or take a fifth, for ever. */
export const backoff = (shortest: Duration.Duration, longest: Duration.Duration) =>
  Schedule.min([Schedule.exponential(shortest), Schedule.spaced(longest)]).pipe(Schedule.jittered, inWholeMillis)
