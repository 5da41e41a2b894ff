/**
 * The requests of the JetStream API that a bucket needs: subjects, JSON bodies and
 * answers. They are the same for every client.
 */
import * as Effect from "effect/Effect"
import type { MessageHeaders, PortFailure } from "../port.ts"
import { ApiAccess } from "./apiAccess.ts"
import { type Call, callsOver, noHeaders, readAnswer, toJson } from "./calls.ts"
import { type MessageReads, messageReads } from "./reads.ts"
import { codes } from "./reasons.ts"
import type { Requester } from "./requester.ts"

interface Metadata {
  readonly [name: string]: string
}

/** The settings of a stream that a bucket determines. Durations are in nanoseconds, sizes in bytes. */
export interface StreamSettings {
  readonly name: string
  readonly subjects: ReadonlyArray<string>
  readonly max_msgs_per_subject: number
  readonly max_msg_size: number
  readonly max_bytes: number
  readonly max_msgs: number
  readonly max_age: number
  readonly max_consumers: number
  readonly storage: "file" | "memory"
  readonly num_replicas: number
  readonly discard: "new" | "old"
  readonly duplicate_window: number
  readonly allow_direct: boolean
  readonly allow_rollup_hdrs: boolean
  readonly deny_delete: boolean
  readonly deny_purge: boolean
  readonly no_ack: boolean
  readonly allow_msg_ttl: boolean
  readonly subject_delete_marker_ttl: number
  readonly first_seq: number
  readonly retention?: "limits" | "interest" | "workqueue"
  readonly discard_new_per_subject?: boolean
  readonly subject_transform?: object
  readonly allow_msg_counter?: boolean
  /** `async`: the server stores a message after it has acknowledged it. Since nats-server 2.12; older ones ignore it. */
  readonly persist_mode?: "default" | "async"
  readonly description?: string
  readonly metadata?: Metadata
  /** The streams whose messages the stream copies. */
  readonly mirror?: { readonly name: string }
  readonly sources?: ReadonlyArray<{ readonly name: string }>
}

export interface StreamInfo {
  readonly config: Partial<StreamSettings>
  /** The version of the server that answered: the stream's leader. Undefined before 2.11 (K34). */
  readonly version?: string | undefined
  /** When the stream was created, by the server's clock (RFC 3339). */
  readonly created: string
  /** The server's time when it sent this answer (RFC 3339). */
  readonly ts: string | undefined
  readonly messages: number
  readonly bytes: number
  readonly lastRevision: number
  /** The number of removed messages between the first and the last one. */
  readonly deleted: number
  /**
   * Whether the stream has a leader. If a leader has stepped down and has no successor, another node answers with the state
   * of its own copy, which may lag behind (measured on nats-server 2.10.27 and 2.15.1 with full storage).
   */
  readonly hasLeader: boolean
}

export interface ConsumerSettings {
  readonly name: string
  readonly filter_subject?: string
  /** Several filters, of which none covers another one. */
  readonly filter_subjects?: ReadonlyArray<string>
  readonly deliver_policy: "last_per_subject" | "by_start_sequence"
  readonly opt_start_seq?: number
  readonly ack_policy: "none"
  readonly replay_policy: "instant"
  readonly inactive_threshold: number
  readonly mem_storage: boolean
  readonly num_replicas: number
  /** Whether messages are delivered without their values. */
  readonly headers_only?: boolean
}

/** A request for messages. Sizes are in bytes, durations in nanoseconds. */
export interface PullSettings {
  readonly batch: number
  readonly max_bytes: number
  /** Whether the pull ends when the consumer has no more messages. */
  readonly no_wait?: boolean
  /** The time after which a pull that waits for messages ends. */
  readonly expires?: number
  readonly idle_heartbeat?: number
}

/** An acknowledged write: the stream that stored the message, and the message's sequence. */
interface Acknowledged {
  readonly stream: string
  readonly seq: number
}

/** The space that is reserved by the `max_bytes` of streams, and the limit; -1: no limit. */
interface Reserved {
  readonly reserved_memory?: number
  readonly reserved_storage?: number
  readonly limits: { readonly max_memory: number; readonly max_storage: number }
}

/** The limits of the account: one for all streams, or one for each number of replicas (`R1`, `R3`). */
export interface AccountLimits extends Reserved {
  readonly tiers?: { readonly [tier: string]: Reserved | undefined }
}

export interface Subjects {
  readonly names: ReadonlyArray<string>
  /** The last revision of the stream when the first names were read. */
  readonly lastRevision: number
  /** The mean size of the stream's messages, in bytes. */
  readonly meanSize: number
}

export interface JetStream extends MessageReads {
  readonly port: Requester["port"]
  readonly access: ApiAccess
  /** Stores a message. Here and below, `timeout` is in milliseconds. */
  readonly publish: (
    subject: string,
    data: Uint8Array,
    headers: MessageHeaders,
    timeout: number
  ) => Effect.Effect<Acknowledged, PortFailure>
  readonly streamInfo: (stream: string, timeout: number) => Effect.Effect<StreamInfo, PortFailure>
  readonly account: (timeout: number) => Effect.Effect<AccountLimits, PortFailure>
  readonly createStream: (settings: StreamSettings, timeout: number) => Effect.Effect<void, PortFailure>
  readonly updateStream: (
    stream: string,
    settings: Partial<StreamSettings>,
    timeout: number
  ) => Effect.Effect<void, PortFailure>
  readonly deleteStream: (stream: string, timeout: number) => Effect.Effect<void, PortFailure>
  /** The names of the streams that store messages of a subject, which may have wildcards. */
  readonly streamNames: (subject: string, timeout: number) => Effect.Effect<ReadonlyArray<string>, PortFailure>
  /** Removes the messages of a subject up to a revision, or all, without leaving a marker. */
  readonly purgeSubject: (
    stream: string,
    purged: { readonly subject: string; readonly upTo?: number },
    timeout: number
  ) => Effect.Effect<void, PortFailure>
  /** The subjects that match a subject with wildcards and have a message. */
  readonly subjects: (stream: string, subject: string, timeout: number) => Effect.Effect<Subjects, PortFailure>
  /** The window of the connection for pulls. */
  readonly window: Requester["window"]
  /**
   * Requests messages from a consumer. They arrive at `replyTo`, as the message that ends the pull. Throws if the
   * connection does not accept the request.
   */
  readonly pull: (stream: string, consumer: string, settings: PullSettings, replyTo: string) => void
  /** The subject of a pull, as a refusal of the server names it. */
  readonly pullSubject: (stream: string, consumer: string) => string
  /** Creates a consumer and returns the number of messages that it has to deliver. */
  readonly createConsumer: (
    stream: string,
    settings: ConsumerSettings,
    timeout: number
  ) => Effect.Effect<number, PortFailure>
  /** Succeeds if the consumer exists. */
  readonly consumerInfo: (stream: string, consumer: string, timeout: number) => Effect.Effect<void, PortFailure>
  readonly deleteConsumer: (stream: string, consumer: string, timeout: number) => Effect.Effect<void, PortFailure>
}

/** Names that two successive pages (of 100,000 names) share. Assumption: fewer are removed between the two requests. */
const pageOverlap = 1000

interface StreamState {
  readonly messages: number
  readonly bytes: number
  readonly last_seq: number
  readonly num_deleted?: number
  readonly subjects?: { readonly [subject: string]: number }
}

interface InfoAnswer {
  readonly config: Partial<StreamSettings>
  readonly created: string
  readonly ts?: string
  readonly state: StreamState
  /** The nodes of the stream, in a cluster. */
  readonly cluster?: { readonly leader?: string } | undefined
  /** The number of all subjects; the server returns them in pages. */
  readonly total?: number
}

/** Without a cluster the answer names no leader. */
const hasLeader = ({ cluster }: Pick<InfoAnswer, "cluster">): boolean =>
  cluster === undefined || (cluster.leader ?? "") !== ""

const noLeader: PortFailure = {
  _tag: "Api",
  code: codes.clusterWithoutLeader,
  description: "the stream has no leader"
}

/** A page of the names of streams. */
interface NamesAnswer {
  readonly streams: ReadonlyArray<string> | null
  /** The number of all names. */
  readonly total: number
}

/** Metadata that a server from 2.11 on adds to its answers, and does not store. */
const versionMetadata = "_nats.ver"
const ownMetadata = new Set([versionMetadata, "_nats.level"])

/**
 * A server before 2.11 returns all metadata that a client has stored, also under this name; but it drops the setting
 * `allow_msg_ttl`, which later servers always return.
 */
const versionOf = ({ allow_msg_ttl, metadata }: InfoAnswer["config"]): string | undefined =>
  allow_msg_ttl === undefined ? undefined : metadata?.[versionMetadata]

/** The settings without the metadata that a server before 2.11 would store and return as if it were its own. */
const withoutVersion = <A extends Partial<StreamSettings>>(config: A): A => {
  if (config.metadata === undefined) return config
  const metadata = Object.entries(config.metadata).filter(([name]) => !ownMetadata.has(name))
  return { ...config, metadata: Object.fromEntries(metadata) }
}

/** For a server these values of a setting are the same as a missing setting. */
const isDefault = (value: unknown): boolean => value === false || value === 0 || value === -1 || value === ""

/** A server can have a low `max_payload`, which a request with all settings would exceed. */
const withoutDefaults = (settings: StreamSettings): Partial<StreamSettings> =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => !isDefault(value)))

/** Names that two successive pages of stream names (1,024) share. Assumption: fewer are removed between the two requests. */
const streamOverlap = 100

/** Reads all pages of the names of streams. Pages overlap, because removed names shift the following ones. */
const namesOver = (call: Call): JetStream["streamNames"] =>
  Effect.fnUntraced(function*(subject, timeout) {
    const found = new Set<string>()
    let offset = 0
    while (true) {
      const { streams, total } = yield* call<NamesAnswer>("STREAM.NAMES", { subject, offset }, timeout)
      const page = streams ?? []
      page.forEach((name) => found.add(name))
      if (page.length <= streamOverlap || offset + page.length >= total) return [...found]
      offset += page.length - streamOverlap
    }
  })

/** Requests for the stream and for the subjects in it. */
const streamCalls = (
  call: Call
): Pick<
  JetStream,
  "streamInfo" | "createStream" | "updateStream" | "deleteStream" | "streamNames" | "purgeSubject" | "subjects"
> => {
  const info = (stream: string, body: unknown, timeout: number) =>
    call<InfoAnswer>(`STREAM.INFO.${stream}`, body, timeout)

  /** Reads all pages. Pages overlap, because removed names shift the following ones to lower offsets. */
  const subjects = Effect.fnUntraced(function*(stream: string, subject: string, timeout: number) {
    const found = new Set<string>()
    let offset = 0
    let lastRevision: number | undefined
    while (true) {
      const { cluster, state, total = 0 } = yield* info(stream, { subjects_filter: subject, offset }, timeout)
      if (!hasLeader({ cluster })) return yield* Effect.fail(noLeader)
      const page = Object.keys(state.subjects ?? {})
      page.forEach((one) => found.add(one))
      lastRevision ??= state.last_seq
      if (page.length <= pageOverlap || offset + page.length >= total) {
        const meanSize = state.messages === 0 ? 0 : state.bytes / state.messages
        return { names: [...found], lastRevision, meanSize }
      }
      offset += page.length - pageOverlap
    }
  })

  return {
    streamInfo: (stream, timeout) =>
      Effect.map(info(stream, undefined, timeout), ({ cluster, config, created, state, ts }) => ({
        hasLeader: hasLeader({ cluster }),
        config,
        version: versionOf(config),
        created,
        ts,
        messages: state.messages,
        bytes: state.bytes,
        lastRevision: state.last_seq,
        deleted: state.num_deleted ?? 0
      })),
    createStream: (settings, timeout) =>
      Effect.asVoid(call(`STREAM.CREATE.${settings.name}`, withoutDefaults(withoutVersion(settings)), timeout)),
    updateStream: (stream, settings, timeout) =>
      Effect.flatMap(
        info(stream, undefined, timeout),
        // An update replaces the whole configuration, so the other settings are sent unchanged.
        ({ config }) =>
          Effect.asVoid(call(`STREAM.UPDATE.${stream}`, { ...withoutVersion(config), ...settings }, timeout))
      ),
    deleteStream: (stream, timeout) => Effect.asVoid(call(`STREAM.DELETE.${stream}`, undefined, timeout)),
    streamNames: namesOver(call),
    purgeSubject: (stream, { subject, upTo }, timeout) => {
      // The server removes the messages before `seq`.
      const body = { filter: subject, ...(upTo === undefined ? {} : { seq: upTo + 1 }) }
      return Effect.asVoid(call(`STREAM.PURGE.${stream}`, body, timeout))
    },
    subjects
  }
}

const consumerCalls = (call: Call): Pick<JetStream, "createConsumer" | "consumerInfo" | "deleteConsumer"> => ({
  createConsumer: (stream, settings, timeout) =>
    Effect.map(
      call<{ readonly num_pending: number }>(
        [
          "CONSUMER.CREATE",
          stream,
          settings.name,
          ...settings.filter_subject === undefined ? [] : [settings.filter_subject]
        ]
          .join("."),
        { stream_name: stream, config: settings, action: "create" },
        timeout
      ),
      ({ num_pending }) => num_pending
    ),
  consumerInfo: (stream, consumer, timeout) =>
    Effect.asVoid(call(`CONSUMER.INFO.${stream}.${consumer}`, undefined, timeout)),
  deleteConsumer: (stream, consumer, timeout) =>
    Effect.asVoid(call(`CONSUMER.DELETE.${stream}.${consumer}`, undefined, timeout))
})

export const make = (requester: Requester, access: ApiAccess = new ApiAccess()): JetStream => {
  const call = callsOver(requester, access)
  const pullSubject = (stream: string, consumer: string) => `${access.prefix}.CONSUMER.MSG.NEXT.${stream}.${consumer}`
  return {
    port: requester.port,
    access,
    window: requester.window,
    pullSubject,
    pull: (stream, consumer, settings, replyTo) =>
      requester.port.publish(pullSubject(stream, consumer), toJson(settings), noHeaders, replyTo),
    publish: (subject, data, headers, timeout) =>
      Effect.flatMap(
        requester.request(access.written(subject), data, headers, timeout),
        readAnswer<Acknowledged>
      ),
    account: (timeout) => call<AccountLimits>("INFO", undefined, timeout),
    ...messageReads(requester, access, call),
    ...streamCalls(call),
    ...consumerCalls(call)
  }
}
