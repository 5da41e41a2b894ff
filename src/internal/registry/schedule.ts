/**
 * Schedules of heartbeats and of the cleanup: a fixed interval, or the caller's
 * Schedule with a minimum delay, so that it cannot become a hot loop
 * (docs/protocols/registry.md, R12 and R13).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { reachabilityOf } from "../reachability.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import { shortestInterval } from "./options.ts"

/** The pauses after failed writes, with jitter, while the store is not available. They are shorter for a short maxAge. */
export const shortestRetry = Duration.millis(250)
const longestRetry = Duration.seconds(2)
const partOfMaxAge = { shortest: 1 / 40, longest: 1 / 10 }

/** Whether the store has come back, from now on. Never for a store whose reach is not known. */
const isBack = (store: object): Effect.Effect<void> =>
  reachabilityOf(store).pipe(
    Stream.drop(1),
    Stream.filter(({ _tag }) => _tag === "Reachable"),
    Stream.take(1),
    Stream.runDrain
  )

/** A random part of a time, so that the processes of a fleet do not all write at once. */
const somewhatOf = (time: Duration.Duration): Effect.Effect<Duration.Duration> =>
  Effect.map(Random.next, (part) => wholeMillis(Duration.toMillis(time) * part))

/**
 * Repeats an effect after each failure that is not final. The pauses grow, and a store that comes back ends them.
 */
export const retrying = <E, R>(
  effect: Effect.Effect<void, E, R>,
  { isFinal, maxAge, store }: {
    readonly store: object
    readonly maxAge: Duration.Duration
    readonly isFinal: (error: E) => boolean
  }
): Effect.Effect<void, E, R> => {
  const millis = Duration.toMillis(maxAge)
  const shortest = Duration.min(shortestRetry, wholeMillis(millis * partOfMaxAge.shortest))
  const longest = Duration.min(longestRetry, wholeMillis(millis * partOfMaxAge.longest))
  return Effect.suspend(() => {
    let pause = shortest
    const wait = Effect.suspend(() => {
      const jittered = Effect.map(
        Random.nextBetween(0.8, 1.2),
        (factor) => wholeMillis(Duration.toMillis(pause) * factor)
      )
      pause = Duration.min(longest, Duration.times(pause, 2))
      const back = Effect.andThen(isBack(store), Effect.flatMap(somewhatOf(shortest), Effect.sleep))
      return Effect.raceFirst(Effect.flatMap(jittered, Effect.sleep), back)
    })
    const attempt: Effect.Effect<void, E, R> = Effect.catchIf(
      effect,
      (error) => !isFinal(error),
      () => Effect.andThen(wait, attempt)
    )
    return attempt
  })
}

/** Even an interval that was missed leaves other fibers their turn. */
const shortestSleep = Duration.millis(1)

/** The time that an owner needs after an outage until its connection is back and its next attempt, in milliseconds. */
export const reconnecting = 2500

/** Longest timeout of one attempt. A longer one would use up the time for the next attempts before maxAge. */
const longestAttempt = Duration.seconds(2)

/** The time between two heartbeats. The delays of a Schedule are not known in advance. */
export const intervalOf = (
  heartbeat: Schedule.Schedule<unknown> | Duration.Duration,
  maxAge: Duration.Duration
): Duration.Duration => Duration.isDuration(heartbeat) ? heartbeat : Duration.divideUnsafe(maxAge, 3)

/**
 * Timeout of one attempt of a heartbeat: half of the interval (for a Schedule: a sixth
 * of maxAge), at most 2 seconds.
 */
export const attemptTimeout = (
  heartbeat: Schedule.Schedule<unknown> | Duration.Duration,
  maxAge: Duration.Duration
): Duration.Duration => {
  const share = Duration.isDuration(heartbeat) ? Duration.divideUnsafe(heartbeat, 2) : Duration.divideUnsafe(maxAge, 6)
  return Duration.min(longestAttempt, wholeMillis(Duration.toMillis(share)))
}

/** The shortest part of an interval. Processes that start at the same time, or return after an outage, drift apart. */
const leastPart = 0.9

/**
 * Runs `effect` at an interval, or somewhat earlier, and at once if an interval was missed. Waits before the first run.
 * Unlike `Schedule.fixed` it uses the monotonic clock: `Schedule.fixed` is late after the wall clock is set back. A loop
 * without a Schedule, because a process can have many of them at once, and what a Schedule keeps is several kB.
 */
export const steadily = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  interval: Duration.Duration,
  clock: Clock.Clock
): Effect.Effect<never, E, R> => {
  const millis = Duration.toMillis(interval)
  let due: number | undefined
  const next = Effect.flatMap(Random.nextBetween(leastPart, 1), (part) => {
    const now = monotonicMillis(clock)
    due = Math.max(now, (due ?? now) + millis * part)
    return Effect.sleep(Duration.max(shortestSleep, wholeMillis(due - now)))
  })
  return Effect.forever(Effect.andThen(next, effect), { disableYield: true })
}

/** Logs a warning for each delay of more than half of maxAge. The delays of a Schedule are not known in advance. */
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
        `${label} has a delay of ${Duration.format(duration)}, more than half ` +
          `of maxAge (${Duration.format(maxAge)}): the instance may expire`
      )
  )
}

/**
 * Runs `effect` on the schedule; like `Effect.schedule`, waits before the first run.
 * Starts are at least `shortestInterval` apart. The first time that the schedule asks
 * for a shorter delay, a warning is logged.
 */
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
      return Effect.logWarning(
        `${label} has a delay below the minimum of ${shortest}: the minimum is used`
      )
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
