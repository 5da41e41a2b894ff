/**
 * The bounds of a bucket's settings, and how its name is written.
 */
import * as Duration from "effect/Duration"

/** A year: far beyond any bucket's use, and well inside what a server can count in nanoseconds. */
export const longestAge = Duration.days(366)

/** Servers refuse a shorter one. */
export const shortestAge = Duration.millis(100)

/** Servers refuse a shorter one. */
export const shortestMarker = Duration.seconds(1)

/** Values of a key: servers of the KV protocol keep no more. */
export const longestHistory = 64

/** Bytes: no server can be configured to take a larger payload. */
export const largestValue = 64 * 1024 * 1024

/** Copies: servers make no more of a stream. */
export const mostReplicas = 5

export const shortestTimeout = Duration.millis(1)

/** Far beyond any use, and well inside what a timer can count. */
export const longestTimeout = Duration.hours(1)

/** It is a part of the stream's name, and a token in the subjects of its keys. */
export const bucketForm = /^[a-zA-Z0-9_-]{1,200}$/

export const bucketFormInWords = "1 to 200 letters, digits, _ and -"
