/** The largest sizes and times that a bucket can have. */
import * as Duration from "effect/Duration"

/** A year: far beyond any bucket's use, and well inside what a server can count in nanoseconds. */
export const longestAge = Duration.days(366)
