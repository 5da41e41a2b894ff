/**
 * A stream's configuration as the server takes it: what it adds, what an older
 * one does not know, what it refuses, and the limits in units that are counted in.
 */
import type { StreamSettings } from "../../../internal/nats/jetstream/api.ts"
import { nanosPerMilli } from "../../../internal/time.ts"

export type StreamConfig = Partial<StreamSettings>

export interface Limits {
  readonly firstRevision: number
  readonly historySize: number
  /** Milliseconds, as below; infinite where there is none. */
  readonly maxAge: number
  readonly markerAge: number
  readonly maxBytes: number
  readonly maxMessageSize: number
  readonly maxConsumers: number
  readonly duplicateWindow: number
}

/** The 2.15 line stops here where the stream does not say. */
const defaultMaxConsumers = 1000

const defaultDuplicateWindow = 120_000

const shortestMaxAge = 100

const shortestMarkerAge = 1000

const positive = (value: number | undefined): number =>
  value === undefined || value <= 0 ? Number.POSITIVE_INFINITY : value

const millis = (nanos: number | undefined): number => positive(nanos) / nanosPerMilli

/** With what the server adds, without what this version does not know. Names are in one order, so that texts compare. */
export const completed = (asked: StreamConfig, isOld: boolean): StreamConfig => {
  const hasMarkers = !isOld && (asked.subject_delete_marker_ttl ?? 0) > 0
  const all: StreamConfig = {
    max_msgs_per_subject: -1,
    max_msg_size: -1,
    max_bytes: -1,
    max_age: 0,
    max_consumers: -1,
    storage: "file",
    num_replicas: 1,
    discard: "old",
    duplicate_window: Math.min(defaultDuplicateWindow, millis(asked.max_age)) * nanosPerMilli,
    ...asked,
    ...(hasMarkers ? { allow_msg_ttl: true, allow_rollup_hdrs: true } : {})
  }
  const known = Object.entries(all).filter(([name, value]) =>
    // A flag that is off, and a first sequence that is the usual one, are not given back.
    value !== false && !(value === 0 && (name === "first_seq" || name === "subject_delete_marker_ttl")) &&
    !(isOld && (name === "allow_msg_ttl" || name === "subject_delete_marker_ttl"))
  )
  return Object.fromEntries(known.toSorted(([a], [b]) => a < b ? -1 : 1))
}

/** Why it is not one that can be had (10052). */
export const invalid = (config: StreamConfig): string | undefined => {
  const limits = limitsOf(config, false)
  if (limits.maxAge < shortestMaxAge) return "max age needs to be >= 100ms"
  if (limits.markerAge < shortestMarkerAge) return "subject delete marker TTL must be at least 1 second"
  return Number.isFinite(limits.duplicateWindow) && limits.duplicateWindow > limits.maxAge
    ? "duplicates window can not be larger then max age"
    : undefined
}

export const limitsOf = (config: StreamConfig, isOld: boolean): Limits => ({
  firstRevision: config.first_seq ?? 1,
  historySize: positive(config.max_msgs_per_subject),
  maxAge: millis(config.max_age),
  markerAge: millis(config.subject_delete_marker_ttl),
  maxBytes: positive(config.max_bytes),
  maxMessageSize: positive(config.max_msg_size),
  maxConsumers: isOld || (config.max_consumers ?? -1) > 0 ? positive(config.max_consumers) : defaultMaxConsumers,
  duplicateWindow: (config.duplicate_window ?? 0) / nanosPerMilli
})
