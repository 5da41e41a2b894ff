/**
 * Time, randomness and logging for the parts of a simulated fleet. Independent
 * of Effect.
 */
import type { Chance } from "./chance.ts"

/** A scheduled event. */
export interface Timer {
  readonly cancel: () => void
}

export interface Environment {
  /** Simulated time: milliseconds since the simulation began, can have a fraction. */
  readonly now: () => number
  /** Schedules an event. Events run in the order of their times; the seed decides the order at equal times. */
  readonly after: (millis: number, run: () => void) => Timer
  readonly chance: Chance
  /** Counts a fault that took effect: it changed an answer, or the time of an answer. */
  readonly injected: (fault: string) => void
  /** Adds a line to the timeline, if a timeline is recorded. */
  readonly note: (who: string, what: () => string) => void
}
