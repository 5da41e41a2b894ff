/**
 * When heartbeats are due, and how long one may take: at an interval, or on a
 * caller's Schedule, whose delays show only as they come. It is followed, but
 * never as a hot loop; so is the Schedule of a cleanup (docs/protocols/registry.md,
 * R12 and R13).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { inWholeMillis } from "../retry.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import { shortestInterval } from "./options.ts"

/** A heartbeat that takes longer would eat up the time that the next one has. */
const longestAttempt = Duration.seconds(2)

/** After how long a heartbeat is cut off. */
export const attemptTimeout = (
  heartbeat: Schedule.Schedule<unknown> | Duration.Duration,
  maxAge: Duration.Duration
): Duration.Duration => {
  const share = Duration.isDuration(heartbeat) ? Duration.divideUnsafe(heartbeat, 2) : Duration.divideUnsafe(maxAge, 6)
  return Duration.min(longestAttempt, wholeMillis(Duration.toMillis(share)))
}

/** On time, and at once where it is late. As `Schedule.fixed`, which goes by the wall clock: set back, that one is late. */
export const steadily = (interval: Duration.Duration, clock: Clock.Clock): Schedule.Schedule<unknown> => {
  const millis = Duration.toMillis(interval)
  let due: number | undefined
  return inWholeMillis(Schedule.modifyDelay(Schedule.spaced(interval), () =>
    Effect.sync(() => {
      const now = monotonicMillis(clock)
      due = Math.max(now, (due ?? now) + millis)
      return wholeMillis(due - now)
    })))
}

/** A Schedule shows its gaps only as they come. */
export const watchGaps = (
  label: string,
  schedule: Schedule.Schedule<unknown>,
  maxAge: Duration.Duration
): Schedule.Schedule<unknown> => {
  const longestGap = Duration.divideUnsafe(maxAge, 2)
  return Schedule.tap(
    schedule,
    ({ duration }) =>
      Duration.isLessThanOrEqualTo(duration, longestGap) ? Effect.void : Effect.logWarning(
        `${label} has a gap of ${Duration.format(duration)}: ` +
          `more than half of maxAge (${Duration.format(maxAge)})`
      )
  )
}

/** Waits first, as `Effect.schedule`; starts `effect` no sooner than `shortestInterval` after its start before, and logs once that it had to. */
export const onSchedule = <A, E, R>(
  label: string,
  effect: Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<unknown>,
  clock: Clock.Clock
): Effect.Effect<unknown, E, R> =>
  Effect.suspend(() => {
    let startedAt = monotonicMillis(clock)
    let hasWarned = false
    const warn = Effect.suspend(() => {
      if (hasWarned) return Effect.void
      hasWarned = true
      const shortest = Duration.format(shortestInterval)
      return Effect.logWarning(`${label} asks for less than ${shortest} from one start to the next: it is given that`)
    })
    const started = Effect.suspend(() => {
      startedAt = monotonicMillis(clock)
      return effect
    })
    const paced = Schedule.modifyDelay(schedule, ({ duration }) =>
      Effect.suspend(() => {
        const shortest = startedAt + Duration.toMillis(shortestInterval) - monotonicMillis(clock)
        return Duration.toMillis(duration) >= shortest
          ? Effect.succeed(duration)
          : Effect.as(warn, wholeMillis(shortest))
      }))
    return Effect.schedule(started, paced)
  })
