/** A clock of a host that jumps ahead, so that stored values become old. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The clock of the host, which `jump` puts ahead by two hours. */
export const jumpingClock = (clock: Clock.Clock) => {
  let ahead = 0
  const jumping: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + ahead,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (millis) => millis + ahead),
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n,
    currentTimeNanos: Effect.map(clock.currentTimeNanos, (nanos) => nanos + BigInt(ahead) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n,
    monotonicTimeNanos: Effect.map(clock.monotonicTimeNanos, (nanos) => nanos + BigInt(ahead) * 1_000_000n),
    sleep: (duration) => clock.sleep(duration)
  }
  const jump = Effect.sync(() => {
    ahead += Duration.toMillis("2 hours")
  })
  return { jumping, jump }
}
