/**
 * The configuration of a bucket's stream: the settings of a new stream, and the
 * differences of an existing one (docs/protocols/kv.md, K27 and K28). Pure.
 */
import * as Duration from "effect/Duration"
import { KVStoreConfig } from "../../../KVStoreConfig.ts"
import { ConfigMismatch } from "../../../KVStoreError.ts"
import { subjectPrefix } from "../../kv/headers.ts"
import { longestAge } from "../../kv/limits.ts"
import { everything } from "../../subjects.ts"
import { nanosPerMilli } from "../../time.ts"
import type { StreamInfo, StreamSettings } from "../jetstream/api.ts"

/**
 * The server's limit for a message includes its headers (K8). A condition on a key of
 * maximum length needs about 1.2 KiB of headers.
 */
const headerAllowance = 2048

/** Each watch and some listings use a consumer. The default limit of nats-server 2.15.1 is 1,000 per stream (K27). */
const mostConsumers = 100_000

/** The server's default. It refuses a window that is longer than the stream's `max_age`. */
const longestDuplicateWindow = Duration.minutes(2)

const nanos = (duration: Duration.Duration | undefined): number =>
  duration === undefined ? 0 : Math.round(Duration.toMillis(duration)) * nanosPerMilli

export const streamName = (bucket: string): string => `KV_${bucket}`

export const settingsFor = (config: KVStoreConfig, firstRevision: number): StreamSettings => ({
  name: streamName(config.bucket),
  subjects: [`${subjectPrefix(config.bucket)}${everything}`],
  max_msgs_per_subject: config.historySize,
  max_msg_size: config.maxValueSize === undefined ? -1 : config.maxValueSize + headerAllowance,
  max_bytes: config.maxBytes ?? -1,
  max_msgs: -1,
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
  first_seq: firstRevision,
  ...labelsOf(config)
})

/** The description and the metadata in the options. */
const labelsOf = ({ description, metadata }: KVStoreConfig): Pick<StreamSettings, "description" | "metadata"> => ({
  ...(description === undefined ? {} : { description }),
  ...(metadata === undefined ? {} : { metadata })
})

/**
 * The settings with which a lost bucket is recreated: those that its stream had last, also those that a bucket of this
 * library does not have.
 */
export const settingsOfLost = (
  config: KVStoreConfig,
  last: Partial<StreamSettings>,
  firstRevision: number
): StreamSettings => {
  const wanted = settingsFor(config, firstRevision)
  return mismatchOf(wanted, last) === undefined ? { ...wanted, ...last, first_seq: firstRevision } : wanted
}

/** A placeholder key, written and purged before the bucket is used: see `losesItsStart`. */
export const firstKey = "_first"

/**
 * Servers before 2.11 lose a stream that was created with `first_seq` when they
 * restart, as long as its very first message is still stored. They keep the stream
 * once that message has been removed (K3).
 */
export const losesItsStart = ({ config, lastRevision, version }: StreamInfo): boolean =>
  version === undefined && config.first_seq !== undefined && lastRevision < config.first_seq

/** An option of `KVStoreConfig`, the setting of the stream, and the default if the stream does not have the setting. */
const compared = [
  ["historySize", "max_msgs_per_subject", 1],
  ["maxValueSize", "max_msg_size", -1],
  ["maxBytes", "max_bytes", -1],
  ["streamMaxAge", "max_age", 0],
  ["expiryMarkers", "subject_delete_marker_ttl", 0],
  ["storage", "storage", "file"],
  ["replicas", "num_replicas", 1],
  ["rollups (needed for purge)", "allow_rollup_hdrs", false],
  ["max_msgs", "max_msgs", -1],
  ["discard (whether a full bucket refuses new values or removes old ones)", "discard", "old"]
] as const

/** A stream without a limit discards nothing. */
const isRelevant = (name: keyof StreamSettings, found: Partial<StreamSettings>): boolean =>
  name !== "discard" || (found.max_bytes ?? -1) > 0 || (found.max_msgs ?? -1) > 0

const shown = (setting: string, value: unknown): string => {
  if (typeof value !== "number") return String(value)
  if (setting === "streamMaxAge" || setting === "expiryMarkers") {
    return value === 0 ? "none" : Duration.format(Duration.millis(value / nanosPerMilli))
  }
  if (value === -1) return "unlimited"
  if (setting !== "maxValueSize") return String(value)
  // Another client created a stream with a smaller limit, without an allowance for headers.
  return value > headerAllowance ? String(value - headerAllowance) : `${value} (with headers)`
}

interface Difference {
  readonly setting: string
  readonly expected: string
  readonly actual: string
}

const asyncPersistence: Difference = {
  setting: "persist_mode",
  expected: "default",
  actual: "async (a crash of the server loses acknowledged writes)"
}

/**
 * Differences that make a stream unusable, and that `onMismatch` cannot accept. The
 * messages of a mirror or of sources have the subjects and revisions of another bucket,
 * and clients cannot write to a mirror. A stream without the bucket's subjects looks empty
 * although it is not. With `no_ack` the outcome of every write is unknown. With
 * `persist_mode: "async"` a crash of the server loses acknowledged writes, and their revisions
 * are used again. With a retention by interest or as a queue, values are removed that no client
 * deleted, and with `discard_new_per_subject` a value cannot be replaced. A stream with
 * transformed subjects stores a value under another key, and one of counters stores no other values.
 */
export const mismatchOf = (wanted: StreamSettings, found: Partial<StreamSettings>): ConfigMismatch | undefined => {
  const isHere = wanted.subjects.every((subject) => found.subjects?.includes(subject) === true)
  const sources = [...found.mirror === undefined ? [] : [found.mirror], ...found.sources ?? []]
  const copied = sources.map(({ name }) => name).join(", ")
  if (copied !== "") {
    return new ConfigMismatch({
      differences: [{ setting: "mirror and sources", expected: "none", actual: `a copy of ${copied}` }]
    })
  }
  const { discard_new_per_subject: isFirstKept = false, no_ack: isUnanswered = false, retention = "limits" } = found
  const isCounter = found.allow_msg_counter === true
  const isTransformed = found.subject_transform !== undefined
  const differences = [
    ...isHere ? [] : [{
      setting: "subjects",
      expected: wanted.subjects.join(", "),
      actual: found.subjects?.join(", ") || "none"
    }],
    ...isUnanswered ? [{ setting: "no_ack", expected: "false", actual: "true" }] : [],
    ...found.persist_mode === "async" ? [asyncPersistence] : [],
    ...retention === "limits" ? [] : [{ setting: "retention", expected: "limits", actual: retention }],
    ...isCounter ? [{ setting: "allow_msg_counter", expected: "false", actual: "true" }] : [],
    ...isTransformed ? [{ setting: "subject_transform", expected: "none", actual: "one" }] : [],
    ...isFirstKept ? [{ setting: "discard_new_per_subject", expected: "false", actual: "true" }] : []
  ]
  return differences.length === 0 ? undefined : new ConfigMismatch({ differences })
}

/** The description and the metadata in the options, if they differ from those of the stream. */
export const differingLabels = (
  wanted: StreamSettings,
  { description, metadata = {} }: Partial<StreamSettings>
): Pick<StreamSettings, "description" | "metadata"> => {
  const isSame = Object.entries(wanted.metadata ?? {}).every(([name, text]) => metadata[name] === text)
  return {
    ...(wanted.description === undefined || wanted.description === description
      ? {}
      : { description: wanted.description }),
    ...(isSame ? {} : { metadata: { ...metadata, ...wanted.metadata } })
  }
}

/** The differences as an error shows them, and the update of the stream that removes them. */
export const differences = (
  wanted: StreamSettings,
  found: Partial<StreamSettings>
): { readonly list: ReadonlyArray<Difference>; readonly update: Partial<StreamSettings> } => {
  const differing = compared.filter(([, name, absent]) =>
    (found[name] ?? absent) !== wanted[name] && isRelevant(name, found)
  )
  return {
    list: differing.map(([setting, name, absent]) => ({
      setting,
      expected: shown(setting, wanted[name]),
      actual: shown(setting, found[name] ?? absent)
    })),
    update: Object.fromEntries([
      ...differing.map(([, name]) => [name, wanted[name]] as const),
      // The server refuses a `max_age` shorter than this window.
      ...(differing.some(([, name]) => name === "max_age")
        ? [["duplicate_window", wanted.duplicate_window] as const]
        : []),
      // Markers need this flag. It cannot be turned off later.
      ...(wanted.allow_msg_ttl ? [["allow_msg_ttl", true] as const] : [])
    ])
  }
}

/**
 * The effective configuration of an opened bucket: the options, with the history,
 * limits, age, markers, storage and replicas of the stream.
 */
export const openedAs = (config: KVStoreConfig, found: Partial<StreamSettings>): KVStoreConfig =>
  new KVStoreConfig({
    ...config,
    maxValueSize: valueSizeOf(config, found),
    maxBytes: positive(found.max_bytes),
    historySize: keptPerKey(found),
    streamMaxAge: toAge(found.max_age),
    expiryMarkers: toAge(found.subject_delete_marker_ttl),
    discard: isRelevant("discard", found) ? found.discard ?? "old" : "new",
    storage: found.storage ?? "file",
    replicas: found.num_replicas ?? 1
  })

const positive = (limit: number | undefined): number | undefined =>
  limit === undefined || limit <= 0 ? undefined : limit

/** The limit of another client includes the headers; the server checks that. */
const valueSizeOf = (config: KVStoreConfig, found: Partial<StreamSettings>): number | undefined =>
  found.max_msg_size === settingsFor(config, 0).max_msg_size ? config.maxValueSize : positive(found.max_msg_size)

const mostHistory = 64

/** A stream can have a longer history than a bucket, or an unlimited one: then the maximum counts. */
export const keptPerKey = ({ max_msgs_per_subject: kept = 1 }: Partial<StreamSettings>): number =>
  kept < 1 ? mostHistory : Math.min(mostHistory, kept)

const toAge = (nanoseconds: number | undefined): Duration.Duration | undefined =>
  nanoseconds === undefined || nanoseconds <= 0
    ? undefined
    : Duration.min(Duration.millis(nanoseconds / nanosPerMilli), longestAge)

const isFrom = (version: string, from: number): boolean => {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10))
  return major > 2 || (major === 2 && minor >= from)
}

/** Whether a server of this version supports expiry markers, batches and conditions on another key (K6, K15, K18). */
export const hasMarkers = (version: string): boolean => isFrom(version, 11)

/** Whether consumers with several filters are known to lose nothing on a server of this version (K20). */
export const hasSafeFilters = (version: string): boolean => isFrom(version, 15)

/** Whether this library supports a server of this version. */
export const isSupported = (version: string): boolean => isFrom(version, 10)
