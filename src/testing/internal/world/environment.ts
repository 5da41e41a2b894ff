/**
 * What the parts of a simulated fleet stand on: its time, its chance, and who
 * writes down what happened. Nothing here knows of Effect.
 */
import type { Chance } from "./chance.ts"

/** Something that happens later, unless it is cancelled. */
export interface Timer {
  readonly cancel: () => void
}

export interface Environment {
  /** Milliseconds since the simulation began, true time; not always whole. */
  readonly now: () => number
  /** Does something later, in the order of times; what falls on one time comes in an order that the seed decides. */
  readonly after: (millis: number, run: () => void) => Timer
  readonly chance: Chance
  /** A fault took effect: it changed an answer, or its time. */
  readonly injected: (fault: string) => void
  /** A line for the timeline, written only where somebody reads it. */
  readonly note: (who: string, what: () => string) => void
}
