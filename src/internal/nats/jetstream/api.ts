/**
 * The requests of the JetStream API that a bucket needs: subjects, JSON bodies and
 * answers. They are the same for every client.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { noBytes } from "../../utf8.ts"
import { type MessageHeaders, type NatsMessage, type PortFailure, reported } from "../port.ts"
import { headerReader, isStored } from "./messages.ts"
import type { Many, Requester } from "./requester.ts"

/** A stored message. */
export interface KeptMessage {
  readonly subject: string
  readonly revision: number
  /** Unix milliseconds, by the server's clock. */
  readonly created: number
  readonly header: (name: string) => string
  readonly data: Uint8Array
}

/** The settings of a stream that a bucket determines. Durations are in nanoseconds, sizes in bytes. */
export interface StreamSettings {
  readonly name: string
  readonly subjects: ReadonlyArray<string>
  readonly max_msgs_per_subject: number
  readonly max_msg_size: number
  readonly max_bytes: number
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
}

export interface ConsumerSettings {
  readonly name: string
  readonly filter_subject: string
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

/** The last messages of several subjects. `isComplete` is false if they exceed 1,024 messages or 8 MiB. */
export interface Batch<A> {
  readonly messages: ReadonlyArray<A>
  readonly isComplete: boolean
}

/** An acknowledged write: the stream that stored the message, and the message's sequence. */
interface Acknowledged {
  readonly stream: string
  readonly seq: number
}

interface Subjects {
  readonly names: ReadonlyArray<string>
  /** The last revision of the stream when the first names were read. */
  readonly lastRevision: number
  /** The mean size of the stream's messages, in bytes. */
  readonly meanSize: number
}

export interface JetStream {
  readonly port: Requester["port"]
  /** Stores a message. Here and below, `timeout` is in milliseconds. */
  readonly publish: (
    subject: string,
    data: Uint8Array,
    headers: MessageHeaders,
    timeout: number
  ) => Effect.Effect<Acknowledged, PortFailure>
  /** The last message of a subject: from any replica (`nearest`) or from the stream's leader. */
  readonly lastMessage: (
    stream: string,
    subject: string,
    from: "nearest" | "leader",
    timeout: number
  ) => Effect.Effect<KeptMessage | undefined, PortFailure>
  /** The last messages of subjects, wildcards allowed. Requires a server from 2.11 and a stream with direct access. */
  readonly lastMessages: <A>(
    stream: string,
    subjects: ReadonlyArray<string>,
    timeout: number,
    read: (message: KeptMessage) => A
  ) => Effect.Effect<Batch<A>, PortFailure>
  readonly streamInfo: (stream: string, timeout: number) => Effect.Effect<StreamInfo, PortFailure>
  readonly createStream: (settings: StreamSettings, timeout: number) => Effect.Effect<void, PortFailure>
  readonly updateStream: (
    stream: string,
    settings: Partial<StreamSettings>,
    timeout: number
  ) => Effect.Effect<void, PortFailure>
  /** Removes all messages of a subject, without leaving a marker. */
  readonly purgeSubject: (stream: string, subject: string, timeout: number) => Effect.Effect<void, PortFailure>
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

const api = "$JS.API"

const status = { endOfBatch: 204, notFound: 404, tooManyResults: 413 } as const

/** The largest batch, so that it does not delay other answers on the connection. The server's own limit is 64 MiB. */
const mostBatchBytes = 8 * 1024 * 1024

/** Names that two successive pages (of 100,000 names) share. Assumption: fewer are removed between the two requests. */
const pageOverlap = 1000

/** The error code for a subject without a message. */
const noMessageFound = 10037

/** The fields of JetStream's answers that are read here. */
interface ApiError {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string }
}

interface StreamState {
  readonly messages: number
  readonly bytes: number
  readonly last_seq: number
  readonly num_deleted?: number
  readonly subjects?: { readonly [subject: string]: number }
}

interface Metadata {
  readonly [name: string]: string
}

interface InfoAnswer {
  readonly config: Partial<StreamSettings> & { readonly metadata?: Metadata }
  readonly created: string
  readonly ts?: string
  readonly state: StreamState
  /** The number of all subjects; the server returns them in pages. */
  readonly total?: number
}

interface KeptAnswer {
  readonly message: {
    readonly subject: string
    readonly seq: number
    readonly time: string
    /** Base64. */
    readonly hdrs?: string
    /** Base64. */
    readonly data?: string
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const noHeaders: MessageHeaders = []

const toJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))

/** The failure for an answer that violates the protocol. A write may have been stored, as after a lost connection. */
const unreadable = (cause: unknown): PortFailure => ({
  _tag: "ConnectionLost",
  problem: "the answer cannot be read",
  ...reported(cause)
})

/** Parses an answer. Fails if it contains an error. */
const readAnswer = <A>(message: NatsMessage): Effect.Effect<A, PortFailure> => {
  const parsed = Result.try(() => JSON.parse(decoder.decode(message.data)) as A & ApiError)
  if (Result.isFailure(parsed)) return Effect.fail(unreadable(parsed.failure))
  const { error } = parsed.success
  return error === undefined ? Effect.succeed(parsed.success) : Effect.fail({
    _tag: "Api",
    code: error.err_code ?? error.code,
    description: error.description ?? "no description"
  })
}

/** Reads a stored message from the answer to a direct get: its subject, sequence and time are in headers. */
const fromDirect = (message: NatsMessage): KeptMessage => ({
  subject: message.header("Nats-Subject"),
  revision: Number(message.header("Nats-Sequence")),
  created: Date.parse(message.header("Nats-Time-Stamp")),
  header: message.header,
  data: message.data
})

const fromKept = ({ message }: KeptAnswer): Effect.Effect<KeptMessage, PortFailure> => {
  const headers = Base64.decode(message.hdrs ?? "")
  const data = Base64.decode(message.data ?? "")
  if (Result.isFailure(headers)) return Effect.fail(unreadable(headers.failure))
  if (Result.isFailure(data)) return Effect.fail(unreadable(data.failure))
  return Effect.succeed({
    subject: message.subject,
    revision: message.seq,
    created: Date.parse(message.time),
    header: headerReader(decoder.decode(headers.success)),
    data: data.success
  })
}

const statusFailure = (message: NatsMessage): PortFailure => ({
  _tag: "Api",
  code: message.status,
  description: message.description
})

/** The result for a subject without a message. */
const noMessage: Effect.Effect<KeptMessage | undefined> = Effect.undefined

/** Detects lost answers of a batch: each answer contains the sequence of the previous one. */
class Chain {
  private last = 0
  private isWhole = true

  follows(message: NatsMessage, revision: number | undefined): boolean {
    const before = message.header("Nats-Last-Sequence")
    if (before !== "" && Number(before) !== this.last) this.isWhole = false
    this.last = revision ?? this.last
    return this.isWhole
  }
}

const torn: PortFailure = { _tag: "ConnectionLost", problem: "a part of the answer was lost" }

/** Whether a batch is complete is in the message that ends it. */
const toBatch = <A>({ answers, end }: Many<A>): Effect.Effect<Batch<A>, PortFailure> => {
  switch (end.status) {
    case status.endOfBatch:
      return Effect.succeed({ messages: answers, isComplete: Number(end.header("Nats-Num-Pending")) === 0 })
    case status.notFound:
      return Effect.succeed({ messages: [], isComplete: true })
    case status.tooManyResults:
      return Effect.succeed({ messages: [], isComplete: false })
    default:
      return Effect.fail(statusFailure(end))
  }
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
const withoutVersion = (config: InfoAnswer["config"]): InfoAnswer["config"] => {
  if (config.metadata === undefined) return config
  const metadata = Object.entries(config.metadata).filter(([name]) => !ownMetadata.has(name))
  return { ...config, metadata: Object.fromEntries(metadata) }
}

/** Sends a request of the JSON API and parses its answer. */
type Call = <A>(subject: string, body: unknown, timeout: number) => Effect.Effect<A, PortFailure>

const callsOver = ({ request }: Requester): Call => <A>(subject: string, body: unknown, timeout: number) =>
  Effect.flatMap(
    request(`${api}.${subject}`, body === undefined ? noBytes : toJson(body), noHeaders, timeout),
    readAnswer<A>
  )

/** Reads one message from the nearest replica or from the leader, or many messages in one batch. */
const messageReads = (
  { request, requestMany }: Requester,
  call: Call
): Pick<JetStream, "lastMessage" | "lastMessages"> => {
  const nearest = (stream: string, subject: string, timeout: number) =>
    Effect.flatMap(
      request(`${api}.DIRECT.GET.${stream}.${subject}`, noBytes, noHeaders, timeout),
      (message): Effect.Effect<KeptMessage | undefined, PortFailure> =>
        isStored(message)
          ? Effect.succeed(fromDirect(message))
          : message.status === status.notFound
          ? noMessage
          : Effect.fail(message.status === 0 ? unreadable("no sequence") : statusFailure(message))
    )

  const atLeader = (stream: string, subject: string, timeout: number) =>
    call<KeptAnswer>(`STREAM.MSG.GET.${stream}`, { last_by_subj: subject }, timeout).pipe(
      Effect.flatMap(fromKept),
      Effect.catchIf(
        (failure) => failure._tag === "Api" && failure.code === noMessageFound,
        () => noMessage
      )
    )

  return {
    lastMessage: (stream, subject, from, timeout) =>
      from === "nearest" ? nearest(stream, subject, timeout) : atLeader(stream, subject, timeout),
    lastMessages: (stream, list, timeout, read) =>
      Effect.suspend(() => {
        const chain = new Chain()
        return Effect.flatMap(
          requestMany(
            `${api}.DIRECT.GET.${stream}`,
            toJson({ multi_last: list, max_bytes: mostBatchBytes }),
            timeout,
            (message) => {
              const kept = fromDirect(message)
              chain.follows(message, kept.revision)
              return read(kept)
            }
          ),
          (many) => chain.follows(many.end, undefined) ? toBatch(many) : Effect.fail(torn)
        )
      })
  }
}

/** Requests for the stream and for the subjects in it. */
const streamCalls = (
  call: Call
): Pick<JetStream, "streamInfo" | "createStream" | "updateStream" | "purgeSubject" | "subjects"> => {
  const info = (stream: string, body: unknown, timeout: number) =>
    call<InfoAnswer>(`STREAM.INFO.${stream}`, body, timeout)

  /** Reads all pages. Pages overlap, because removed names shift the following ones to lower offsets. */
  const subjects = Effect.fnUntraced(function*(stream: string, subject: string, timeout: number) {
    const found = new Set<string>()
    let offset = 0
    let lastRevision: number | undefined
    while (true) {
      const { state, total = 0 } = yield* info(stream, { subjects_filter: subject, offset }, timeout)
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
      Effect.map(info(stream, undefined, timeout), ({ config, created, state, ts }) => ({
        config,
        version: versionOf(config),
        created,
        ts,
        messages: state.messages,
        bytes: state.bytes,
        lastRevision: state.last_seq,
        deleted: state.num_deleted ?? 0
      })),
    createStream: (settings, timeout) => Effect.asVoid(call(`STREAM.CREATE.${settings.name}`, settings, timeout)),
    updateStream: (stream, settings, timeout) =>
      Effect.flatMap(
        info(stream, undefined, timeout),
        // An update replaces the whole configuration, so the other settings are sent unchanged.
        ({ config }) =>
          Effect.asVoid(call(`STREAM.UPDATE.${stream}`, { ...withoutVersion(config), ...settings }, timeout))
      ),
    purgeSubject: (stream, subject, timeout) =>
      Effect.asVoid(call(`STREAM.PURGE.${stream}`, { filter: subject }, timeout)),
    subjects
  }
}

const consumerCalls = (call: Call): Pick<JetStream, "createConsumer" | "consumerInfo" | "deleteConsumer"> => ({
  createConsumer: (stream, settings, timeout) =>
    Effect.map(
      call<{ readonly num_pending: number }>(
        `CONSUMER.CREATE.${stream}.${settings.name}.${settings.filter_subject}`,
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

const pullSubject = (stream: string, consumer: string) => `${api}.CONSUMER.MSG.NEXT.${stream}.${consumer}`

export const make = (requester: Requester): JetStream => {
  const call = callsOver(requester)
  return {
    port: requester.port,
    window: requester.window,
    pullSubject,
    pull: (stream, consumer, settings, replyTo) =>
      requester.port.publish(pullSubject(stream, consumer), toJson(settings), noHeaders, replyTo),
    publish: (subject, data, headers, timeout) =>
      Effect.flatMap(
        requester.request(subject, data, headers, timeout),
        readAnswer<Acknowledged>
      ),
    ...messageReads(requester, call),
    ...streamCalls(call),
    ...consumerCalls(call)
  }
}
