/** The monotonic clock of the machine. On Linux all processes read the same clock. */

const nanosPerMilli = 1_000_000

/** Milliseconds since the machine was started, with a resolution below one microsecond. */
export const sharedMillis = (): number => Number(process.hrtime.bigint()) / nanosPerMilli
