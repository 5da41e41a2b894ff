/**
 * Limits of the settings of a bucket, and the form of its name.
 */
import * as Duration from "effect/Duration"

/** Longer than any use, and within the range of a server, which counts nanoseconds. */
export const longestAge = Duration.days(366)

/** Servers refuse a shorter maximum age. */
export const shortestAge = Duration.millis(100)

/** Servers refuse a shorter lifetime of markers. */
export const shortestMarker = Duration.seconds(1)

/** A write that was sent before the deletion must not arrive after the tombstone was removed. */
export const shortestTombstone = Duration.hours(1)

/** Values per key: the maximum of NATS KV. */
export const longestHistory = 64

/** In bytes: the largest `max_payload` that a server can be configured with. */
export const largestValue = 64 * 1024 * 1024

/** In bytes: the maximum of JetStream for the description of a stream. */
export const longestDescription = 4096

/** In bytes: half of what JetStream allows for the metadata of a stream. */
export const largestMetadata = 64 * 1024

/** Copies of a stream: the maximum of JetStream. */
export const mostReplicas = 5

export const shortestTimeout = Duration.millis(1)

/** Longer than any use, and within the range of timers. */
export const longestTimeout = Duration.hours(1)

/** The name is a part of the stream name, and a token in the subjects of the keys. */
export const bucketForm = /^[a-zA-Z0-9_-]{1,200}$/

export const bucketFormInWords = "1 to 200 letters, digits, _ and -"
