/**
 * The elapsed time of a leader, by both clocks of its host.
 */
import type * as Clock from "effect/Clock"
import { monotonicMillis } from "../time.ts"

/**
 * The resolution of the wall clock in milliseconds. Differences up to this are
 * rounding, not time that the monotonic clock has missed: adding them up over
 * many samples could double the elapsed time.
 */
const tick = 1

/**
 * Elapsed time of this process in milliseconds: the sum over samples of the
 * larger of the monotonic and the wall-clock difference. The monotonic clock
 * may not advance in a suspended machine, and the wall clock can be set back
 * (E16).
 */
export class ElapsedTime {
  private readonly clock: Clock.Clock
  private monotonic: number
  /** How far the wall clock is ahead of the monotonic clock, as of the last difference that was counted. */
  private ahead: number
  private elapsed = 0

  constructor(clock: Clock.Clock) {
    this.clock = clock
    this.monotonic = monotonicMillis(clock)
    this.ahead = clock.currentTimeMillisUnsafe() - this.monotonic
  }

  sample(): number {
    const monotonic = monotonicMillis(this.clock)
    const missed = this.clock.currentTimeMillisUnsafe() - monotonic - this.ahead
    this.elapsed += Math.max(0, monotonic - this.monotonic)
    this.monotonic = monotonic
    if (Math.abs(missed) > tick) {
      this.elapsed += Math.max(0, missed)
      this.ahead += missed
    }
    return this.elapsed
  }
}
