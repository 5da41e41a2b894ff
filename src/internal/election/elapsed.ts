/**
 * The time that has passed for a leader, by both clocks of its host.
 */
import type * as Clock from "effect/Clock"
import { monotonicMillis } from "../time.ts"

/**
 * A wall clock tells whole milliseconds. What it differs by within one of them
 * is no time that the monotonic clock has missed: summed over many samples, it
 * would make time run up to twice as fast.
 */
const tick = 1

/**
 * Time that has passed for this process, in milliseconds, summed over samples:
 * each adds the larger of the monotonic and the wall difference. A suspended
 * machine's monotonic clock stands still, and a wall clock may be set back (E16).
 */
export class ElapsedTime {
  private readonly clock: Clock.Clock
  private monotonic: number
  /** How far the wall clock is ahead of the monotonic one, as far as that has been counted. */
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
