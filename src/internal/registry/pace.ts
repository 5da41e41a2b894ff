/**
 * A caller's Schedule, whose delays show only as they come: followed, but never
 * as a hot loop.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { monotonicMillis, wholeMillis } from "../time.ts"
import { shortestInterval } from "./options.ts"

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
