/**
 * The configuration of a stream as the server handles it: adds defaults, drops
 * the fields that 2.10 does not know, validates, and converts the limits.
 */
import type { StreamSettings } from "../../../internal/nats/jetstream/api.ts"
import { nanosPerMilli } from "../../../internal/time.ts"

export type StreamConfig = Partial<StreamSettings>

export interface Limits {
  readonly firstRevision: number
  readonly historySize: number
  /** All times are in milliseconds. A missing limit is infinite. */
  readonly maxAge: number
  readonly markerAge: number
  readonly maxBytes: number
  readonly maxMessageSize: number
  readonly maxConsumers: number
  readonly duplicateWindow: number
  readonly storage: "file" | "memory"
}

/** The limit of the 2.15 server for streams without `max_consumers`. */
const defaultMaxConsumers = 1000

const defaultDuplicateWindow = 120_000

const shortestMaxAge = 100

const shortestMarkerAge = 1000

/** Metadata that a 2.15 server adds to its answers. It does not store them; a 2.10 server stores what clients send. */
const ownMetadata = { "_nats.level": "5", "_nats.ver": "2.15.1" }

const withoutOwn = (metadata: StreamConfig["metadata"]): StreamConfig["metadata"] => {
  const others = Object.entries(metadata ?? {}).filter(([name]) => !(name in ownMetadata))
  return others.length === 0 ? undefined : Object.fromEntries(others)
}

/** The configuration as the server answers it. */
export const shown = (config: StreamConfig, isOld: boolean): StreamConfig =>
  isOld
    ? config
    : { allow_msg_ttl: false, ...config, metadata: { ...config.metadata, ...ownMetadata } }

const positive = (value: number | undefined): number =>
  value === undefined || value <= 0 ? Number.POSITIVE_INFINITY : value

const millis = (nanos: number | undefined): number => positive(nanos) / nanosPerMilli

/**
 * Adds the server's defaults and drops the fields that this version does not know. Sorts the fields, so that equal
 * configurations have equal JSON.
 */
export const completed = (asked: StreamConfig, isOld: boolean): StreamConfig => {
  const hasMarkers = !isOld && (asked.subject_delete_marker_ttl ?? 0) > 0
  const metadata = isOld ? asked.metadata : withoutOwn(asked.metadata)
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
    ...(metadata === undefined ? {} : { metadata }),
    ...(hasMarkers ? { allow_msg_ttl: true, allow_rollup_hdrs: true } : {})
  }
  const known = Object.entries(all).filter(([name, value]) =>
    // The server does not return flags that are off, nor zero values of these two fields.
    value !== false && value !== undefined &&
    !(value === 0 && (name === "first_seq" || name === "subject_delete_marker_ttl")) &&
    !(isOld && (name === "allow_msg_ttl" || name === "subject_delete_marker_ttl"))
  )
  return Object.fromEntries(known.toSorted(([a], [b]) => a < b ? -1 : 1))
}

/** Returns why the configuration is invalid (error 10052), or undefined. */
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
  duplicateWindow: (config.duplicate_window ?? 0) / nanosPerMilli,
  storage: config.storage === "memory" ? "memory" : "file"
})
