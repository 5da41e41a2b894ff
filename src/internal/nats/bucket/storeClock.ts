/**
 * The server's wall time, carried on by this host's monotonic clock: a step of
 * the host's own wall clock does not move it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { monotonicMillis } from "../../time.ts"

const nanosPerMilli = 1_000_000

/** One question to the server, in milliseconds: its time, and our monotonic time before and after. */
interface Sample {
  readonly serverTime: number
  readonly sent: number
  readonly received: number
}

/** Add `offset` to the monotonic time to have the server's; off by at most `error`. */
export interface ClockReading {
  readonly offset: number
  readonly error: number
  readonly takenAt: number
}

/** How far two oscillators may run apart: 500 ppm is worse than any that keeps NTP. */
const driftPerMilli = 0.0005

/** The answer was stamped between sending and receiving: the middle is off by half the round trip at most. */
const toReading = (sample: Sample): ClockReading => ({
  offset: sample.serverTime - (sample.sent + sample.received) / 2,
  error: (sample.received - sample.sent) / 2,
  takenAt: sample.received
})

/** The better of what is known and a new sample; what is known gets worse with its age. */
export const better = (known: ClockReading | undefined, sample: Sample): ClockReading => {
  const reading = toReading(sample)
  if (known === undefined) return reading
  const aged = known.error + (reading.takenAt - known.takenAt) * driftPerMilli
  // Two that cannot both be right: the host slept, or the server's clock was set. The new one speaks of now.
  const contradicts = Math.abs(reading.offset - known.offset) > aged + reading.error
  return contradicts || reading.error <= aged ? reading : known
}

/** A Clock that reads the server's time; it waits as the host's own does. */
export const make = (host: Clock.Clock, offset: () => number): Clock.Clock => {
  const millis = () => monotonicMillis(host) + offset()
  const nanos = () => BigInt(Math.round(millis() * nanosPerMilli))
  return {
    currentTimeMillisUnsafe: () => Math.floor(millis()),
    currentTimeMillis: Effect.sync(() => Math.floor(millis())),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => host.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: host.monotonicTimeNanos,
    sleep: (duration) => host.sleep(duration)
  }
}
