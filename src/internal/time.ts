/**
 * Elapsed time and ages by a `Clock`.
 */
import type * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

export const nanosPerMilli = 1_000_000

/** Milliseconds of the monotonic clock. Only the difference of two readings of the same clock has a meaning. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / nanosPerMilli

/** Whether a write, such as a heartbeat, is older than `maxAge` by the time of `clock`. True if there was no write. */
export const isOlder = (
  clock: Clock.Clock,
  maxAge: Duration.Duration
): (lastHeartbeat: DateTime.Utc | undefined) => boolean => {
  const millis = Duration.toMillis(maxAge)
  return (lastHeartbeat) =>
    lastHeartbeat === undefined || clock.currentTimeMillisUnsafe() - lastHeartbeat.epochMilliseconds > millis
}

/** A duration to sleep, rounded up to whole milliseconds: a timer that fires early would make a loop spin. */
export const wholeMillis = (millis: number): Duration.Duration => Duration.millis(Math.max(0, Math.ceil(millis)))

/** Milliseconds of an optional duration. */
export const optionalMillis = (duration: Duration.Duration | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toMillis(duration)
