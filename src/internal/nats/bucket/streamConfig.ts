/**
 * A bucket as a JetStream stream: what we ask for when we make one, and how one
 * that exists differs (docs/protocols/kv.md, K27 and K28). Pure.
 */
import * as Duration from "effect/Duration"
import { KVStoreConfig } from "../../../KVStoreConfig.ts"
import { longestAge } from "../../kv/limits.ts"
import { everything } from "../../subjects.ts"
import { nanosPerMilli } from "../../time.ts"
import type { StreamInfo, StreamSettings } from "../jetstream/api.ts"

/**
 * The server counts headers into a message's size (measured): a condition on a
 * key of the greatest length needs about 1.2 KiB of them.
 */
const headerAllowance = 2048

/** Servers of the 2.15 line stop at 1,000 where a stream does not say (measured): one for each watch and listing. */
const mostConsumers = 100_000

/** NATS refuses a longer window, and one longer than the age of what it would remember. */
const longestDuplicateWindow = Duration.minutes(2)

const nanos = (duration: Duration.Duration | undefined): number =>
  duration === undefined ? 0 : Math.round(Duration.toMillis(duration)) * nanosPerMilli

export const streamName = (bucket: string): string => `KV_${bucket}`

export const subjectPrefix = (bucket: string): string => `$KV.${bucket}.`

export const settingsFor = (config: KVStoreConfig, firstRevision: number): StreamSettings => ({
  name: streamName(config.bucket),
  subjects: [`${subjectPrefix(config.bucket)}${everything}`],
  max_msgs_per_subject: config.historySize,
  max_msg_size: config.maxValueSize + headerAllowance,
  max_bytes: config.maxBytes ?? -1,
  max_age: nanos(config.streamMaxAge),
  max_consumers: mostConsumers,
  storage: config.storage,
  num_replicas: config.replicas,
  discard: "new",
  duplicate_window: nanos(
    config.streamMaxAge === undefined
      ? longestDuplicateWindow
      : Duration.min(longestDuplicateWindow, config.streamMaxAge)
  ),
  allow_direct: true,
  allow_rollup_hdrs: true,
  deny_delete: true,
  deny_purge: false,
  no_ack: false,
  allow_msg_ttl: config.expiryMarkers !== undefined,
  subject_delete_marker_ttl: nanos(config.expiryMarkers),
  first_seq: firstRevision
})

/** A key that comes and goes before anybody looks: see `losesItsStart`. */
export const firstKey = "_first"

/**
 * Servers before 2.11 lose a whole stream that was made with `first_seq` when
 * they start again, for as long as its very first message is in it (measured on
 * 2.10.27; 2.15.1 keeps it). One that had a message, and has it no more, is kept (K3).
 */
export const losesItsStart = (version: string, { config, lastRevision }: StreamInfo): boolean =>
  !hasMarkers(version) && config.first_seq !== undefined && lastRevision < config.first_seq

/** The settings of a stream that a `KVStoreConfig` speaks of, by the name it has there. */
const compared = [
  ["historySize", "max_msgs_per_subject", 1],
  ["maxValueSize", "max_msg_size", -1],
  ["maxBytes", "max_bytes", -1],
  ["streamMaxAge", "max_age", 0],
  ["expiryMarkers", "subject_delete_marker_ttl", 0],
  ["storage", "storage", "file"],
  ["replicas", "num_replicas", 1],
  ["rollups (needed for purge)", "allow_rollup_hdrs", false]
] as const

const shown = (setting: string, value: unknown): string => {
  if (typeof value !== "number") return String(value)
  if (setting === "streamMaxAge" || setting === "expiryMarkers") {
    return value === 0 ? "none" : Duration.format(Duration.millis(value / nanosPerMilli))
  }
  if (value === -1) return "unlimited"
  if (setting !== "maxValueSize") return String(value)
  // A smaller limit is another client's, who left no room for headers.
  return value > headerAllowance ? String(value - headerAllowance) : `${value} (with headers)`
}

/**
 * What no bucket can stand on, whatever is accepted: a stream that takes its
 * messages from elsewhere (a mirror) looks empty and is not, and one that does
 * not acknowledge leaves every write unknown.
 */
export const unusable = (wanted: StreamSettings, found: Partial<StreamSettings>): ReadonlyArray<Difference> => {
  const isHere = wanted.subjects.every((subject) => found.subjects?.includes(subject) === true)
  return [
    ...isHere ? [] : [{
      setting: "subjects",
      expected: wanted.subjects.join(", "),
      actual: found.subjects?.join(", ") || "none"
    }],
    ...found.no_ack === true ? [{ setting: "no_ack", expected: "false", actual: "true" }] : []
  ]
}

export interface Difference {
  readonly setting: string
  readonly expected: string
  readonly actual: string
}

/** What differs, for people, and what to send so that it does not. */
export const differences = (
  wanted: StreamSettings,
  found: Partial<StreamSettings>
): { readonly list: ReadonlyArray<Difference>; readonly update: Partial<StreamSettings> } => {
  const differing = compared.filter(([, name, absent]) => (found[name] ?? absent) !== wanted[name])
  return {
    list: differing.map(([setting, name, absent]) => ({
      setting,
      expected: shown(setting, wanted[name]),
      actual: shown(setting, found[name] ?? absent)
    })),
    update: Object.fromEntries([
      ...differing.map(([, name]) => [name, wanted[name]] as const),
      // The server refuses an age shorter than this window.
      ...(differing.some(([, name]) => name === "max_age")
        ? [["duplicate_window", wanted.duplicate_window] as const]
        : []),
      // Markers need this flag, and no server lets it be taken back.
      ...(wanted.allow_msg_ttl ? [["allow_msg_ttl", true] as const] : [])
    ])
  }
}

/**
 * The configuration that a bucket has: what was asked for, but for what decides
 * how it behaves, where it was taken as it is.
 */
export const openedAs = (config: KVStoreConfig, found: Partial<StreamSettings>): KVStoreConfig =>
  new KVStoreConfig({
    ...config,
    // No limit on the server is more than any that we could ask for.
    historySize: Math.min(
      mostHistory,
      (found.max_msgs_per_subject ?? 1) < 1 ? mostHistory : found.max_msgs_per_subject!
    ),
    streamMaxAge: toAge(found.max_age),
    expiryMarkers: toAge(found.subject_delete_marker_ttl),
    storage: found.storage ?? "file",
    replicas: found.num_replicas ?? 1
  })

const mostHistory = 64

const toAge = (nanoseconds: number | undefined): Duration.Duration | undefined =>
  nanoseconds === undefined || nanoseconds <= 0
    ? undefined
    : Duration.min(Duration.millis(nanoseconds / nanosPerMilli), longestAge)

/** Whether a server can expire single keys, leave markers, and check a condition on another key (K6, K18). */
export const hasMarkers = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10))
  return major > 2 || (major === 2 && minor >= 11)
}
