/**
 * Elapsed time, read from a Clock.
 */
import type * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

export const nanosPerMilli = 1_000_000

/** Milliseconds by the monotonic clock: subtract two readings of one clock, and use it for nothing else. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / nanosPerMilli

/** Whether more than `maxAge` has passed since a heartbeat, by a wall clock; where there was none it has. */
export const isOlder = (
  clock: Clock.Clock,
  maxAge: Duration.Duration
): (lastHeartbeat: DateTime.Utc | undefined) => boolean => {
  const millis = Duration.toMillis(maxAge)
  return (lastHeartbeat) =>
    lastHeartbeat === undefined || clock.currentTimeMillisUnsafe() - lastHeartbeat.epochMilliseconds > millis
}

/** A time to sleep in whole milliseconds, rounded up: timers that wake early make a loop spin. */
export const wholeMillis = (millis: number): Duration.Duration => Duration.millis(Math.max(0, Math.ceil(millis)))

/** Milliseconds of a time that may not have been given. */
export const optionalMillis = (duration: Duration.Duration | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toMillis(duration)
