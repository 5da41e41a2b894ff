/**
 * JetStream's requests, as far as a bucket needs them: the subjects and the JSON
 * of its API, the same for every client.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { noBytes } from "../../utf8.ts"
import { type MessageHeaders, type NatsMessage, type PortFailure, reported } from "../port.ts"
import { headerReader } from "./messages.ts"
import type { Many, Requester } from "./requester.ts"

/** A message as the server keeps it. */
export interface KeptMessage {
  readonly subject: string
  readonly revision: number
  /** Unix milliseconds, by the server. */
  readonly created: number
  readonly header: (name: string) => string
  readonly data: Uint8Array
}

/** The part of a stream's configuration that a bucket decides. Durations are nanoseconds, sizes bytes. */
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
  /** RFC 3339, by the server. */
  readonly created: string
  /** The server's time of this answer, RFC 3339. */
  readonly ts: string | undefined
  readonly messages: number
  readonly bytes: number
  readonly lastRevision: number
}

export interface ConsumerSettings {
  readonly name: string
  readonly deliver_subject: string
  readonly filter_subject: string
  readonly deliver_policy: "last_per_subject" | "by_start_sequence"
  readonly opt_start_seq?: number
  readonly ack_policy: "none"
  readonly max_deliver: number
  readonly replay_policy: "instant"
  readonly flow_control: boolean
  readonly idle_heartbeat: number
  readonly inactive_threshold: number
  readonly mem_storage: boolean
  readonly num_replicas: number
  /** Without the values. */
  readonly headers_only?: boolean
}

/** The last messages of several subjects: all of them, or what the server gives at once (1,024 and 8 MiB at most). */
export interface Batch<A> {
  readonly messages: ReadonlyArray<A>
  readonly isComplete: boolean
}

interface Subjects {
  readonly names: ReadonlyArray<string>
  /** Bytes of a message, over the whole stream. */
  readonly meanSize: number
}

export interface JetStream {
  readonly port: Requester["port"]
  /** Stores a message; its sequence. `timeout` is milliseconds, here and below. */
  readonly publish: (
    subject: string,
    data: Uint8Array,
    headers: MessageHeaders,
    timeout: number
  ) => Effect.Effect<number, PortFailure>
  readonly lastMessage: (
    stream: string,
    subject: string,
    from: "nearest" | "leader",
    timeout: number
  ) => Effect.Effect<KeptMessage | undefined, PortFailure>
  /** The last messages of subjects, wildcards allowed. Servers from 2.11 on, and streams with direct access. */
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
  /** Removes every message of a subject, and leaves no trace of it. */
  readonly purgeSubject: (stream: string, subject: string, timeout: number) => Effect.Effect<void, PortFailure>
  /** The subjects that have a message now, of those that a subject with wildcards asks for. */
  readonly subjects: (stream: string, subject: string, timeout: number) => Effect.Effect<Subjects, PortFailure>
  /** How many messages it has still to push. */
  readonly createConsumer: (
    stream: string,
    settings: ConsumerSettings,
    timeout: number
  ) => Effect.Effect<number, PortFailure>
  /** Fails where there is no such consumer. */
  readonly consumerInfo: (stream: string, consumer: string, timeout: number) => Effect.Effect<void, PortFailure>
  readonly deleteConsumer: (stream: string, consumer: string, timeout: number) => Effect.Effect<void, PortFailure>
}

const api = "$JS.API"

const status = { endOfBatch: 204, notFound: 404, tooManyResults: 413 } as const

/** So that other answers on the connection wait for no more; the server's own limit is 64 MiB (measured). */
const mostBatchBytes = 8 * 1024 * 1024

/** More names than anybody removes between two pages (of 100,000 each). */
const pageOverlap = 1000

/** JetStream's own code where a stream has no message of that subject. */
const noMessageFound = 10037

/** JetStream's answers, as far as they are read here. */
interface ApiError {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string }
}

interface StreamState {
  readonly messages: number
  readonly bytes: number
  readonly last_seq: number
  readonly subjects?: { readonly [subject: string]: number }
}

interface InfoAnswer {
  readonly config: Partial<StreamSettings>
  readonly created: string
  readonly ts?: string
  readonly state: StreamState
  /** Subjects in all; the server gives them in pages. */
  readonly total?: number
}

interface KeptAnswer {
  readonly message: {
    readonly subject: string
    readonly seq: number
    readonly time: string
    /** Base64, both. */
    readonly hdrs?: string
    readonly data?: string
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const noHeaders: MessageHeaders = []

const toJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))

/** An answer that is not what the protocol says: what happened is not known. */
const unreadable = (cause: unknown): PortFailure => ({
  _tag: "ConnectionLost",
  problem: "the answer cannot be read",
  ...reported(cause)
})

/** The answer's JSON, or the refusal that it tells of. */
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

/** A message that the server hands over directly tells its place in headers. */
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

/** The subject has no message. */
const noMessage: Effect.Effect<KeptMessage | undefined> = Effect.undefined

/** Answers of a batch get lost like any message; each tells the sequence of the one before it, so that this is noticed. */
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

/** What ends a batch says whether it is all. */
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

/** A request of the API by its subject, answered in JSON. */
type Call = <A>(subject: string, body: unknown, timeout: number) => Effect.Effect<A, PortFailure>

const callsOver = ({ request }: Requester): Call => <A>(subject: string, body: unknown, timeout: number) =>
  Effect.flatMap(
    request(`${api}.${subject}`, body === undefined ? noBytes : toJson(body), noHeaders, timeout),
    readAnswer<A>
  )

/** Reads of messages: one from the nearest copy or from the leader, and many at once. */
const messageReads = (
  { request, requestMany }: Requester,
  call: Call
): Pick<JetStream, "lastMessage" | "lastMessages"> => {
  const nearest = (stream: string, subject: string, timeout: number) =>
    Effect.flatMap(
      request(`${api}.DIRECT.GET.${stream}.${subject}`, noBytes, noHeaders, timeout),
      (message): Effect.Effect<KeptMessage | undefined, PortFailure> =>
        message.status === 0
          ? Effect.succeed(fromDirect(message))
          : message.status === status.notFound
          ? noMessage
          : Effect.fail(statusFailure(message))
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

/** The stream itself, and the names in it. */
const streamCalls = (
  call: Call
): Pick<JetStream, "streamInfo" | "createStream" | "updateStream" | "purgeSubject" | "subjects"> => {
  const info = (stream: string, body: unknown, timeout: number) =>
    call<InfoAnswer>(`STREAM.INFO.${stream}`, body, timeout)

  /** One page after the other: each begins a little before the last one ended, in case something in it went. */
  const subjects = Effect.fnUntraced(function*(stream: string, subject: string, timeout: number) {
    const found = new Set<string>()
    let offset = 0
    while (true) {
      const { state, total = 0 } = yield* info(stream, { subjects_filter: subject, offset }, timeout)
      const page = Object.keys(state.subjects ?? {})
      page.forEach((one) => found.add(one))
      if (page.length <= pageOverlap || offset + page.length >= total) {
        return { names: [...found], meanSize: state.messages === 0 ? 0 : state.bytes / state.messages }
      }
      offset += page.length - pageOverlap
    }
  })

  return {
    streamInfo: (stream, timeout) =>
      Effect.map(info(stream, undefined, timeout), ({ config, created, state, ts }) => ({
        config,
        created,
        ts,
        messages: state.messages,
        bytes: state.bytes,
        lastRevision: state.last_seq
      })),
    createStream: (settings, timeout) => Effect.asVoid(call(`STREAM.CREATE.${settings.name}`, settings, timeout)),
    updateStream: (stream, settings, timeout) =>
      Effect.flatMap(
        info(stream, undefined, timeout),
        // The server takes a whole configuration: what we do not speak of stays as it is.
        ({ config }) => Effect.asVoid(call(`STREAM.UPDATE.${stream}`, { ...config, ...settings }, timeout))
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

export const make = (requester: Requester): JetStream => {
  const call = callsOver(requester)
  return {
    port: requester.port,
    publish: (subject, data, headers, timeout) =>
      Effect.flatMap(
        requester.request(subject, data, headers, timeout),
        (message) => Effect.map(readAnswer<{ readonly seq: number }>(message), ({ seq }) => seq)
      ),
    ...messageReads(requester, call),
    ...streamCalls(call),
    ...consumerCalls(call)
  }
}
