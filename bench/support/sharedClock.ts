/** The monotonic clock of the machine: one and the same for all of its processes, on Linux. */

const nanosPerMilli = 1_000_000

/** Milliseconds since the machine was started, to some hundred nanoseconds. */
export const sharedMillis = (): number => Number(process.hrtime.bigint()) / nanosPerMilli
