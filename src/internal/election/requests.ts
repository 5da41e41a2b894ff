/**
 * How long a candidate waits for an answer, and between two attempts (docs/protocols/election.md, E13). Both follow
 * `renewInterval`, so that a leader can retry before its deadline. Pure.
 */

/** What the times of requests depend on, in milliseconds. */
interface Interval {
  readonly renewInterval: number
}

/** In milliseconds. */
const longestAttempt = 1000

/** An attempt is given up after this time, in milliseconds. */
export const attemptTimeout = ({ renewInterval }: Interval): number => Math.min(longestAttempt, renewInterval / 2)

/** How long a read waits after one that was given up, in milliseconds: long enough to learn the round trip. */
export const patience = (interval: Interval): number => 4 * attemptTimeout(interval)

/** The bounds of the random pause after a failed attempt, in milliseconds. */
export const pauseBounds = ({ renewInterval }: Interval): readonly [shortest: number, longest: number] => [
  Math.min(100, renewInterval / 20),
  Math.min(500, renewInterval / 4)
]

/** The shortest `renewDeadline` in milliseconds: after a renewal, two attempts and two pauses fit before it. */
export const shortestDeadline = (interval: Interval): number => {
  const [, longestPause] = pauseBounds(interval)
  return interval.renewInterval + 2 * (attemptTimeout(interval) + longestPause)
}
