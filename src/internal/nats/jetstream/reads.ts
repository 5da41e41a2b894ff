/**
 * Reads stored messages: one from the nearest replica or from the stream's leader, or
 * many in one batch.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { noBytes } from "../../utf8.ts"
import { readHeaderBlock } from "../headerBlock.ts"
import type { NatsMessage, PortFailure } from "../port.ts"
import type { ApiAccess } from "./apiAccess.ts"
import { type Call, noHeaders, toJson, unreadable } from "./calls.ts"
import { isStored, type KeptMessage } from "./messages.ts"
import type { Many, Requester } from "./requester.ts"

/** The last messages of several subjects. `isComplete` is false if they exceed 1,024 messages or the granted bytes. */
export interface Batch<A> {
  readonly messages: ReadonlyArray<A>
  readonly isComplete: boolean
}

/** `timeout` is in milliseconds. */
export interface MessageReads {
  /**
   * The last message of a subject: from any replica (`nearest`) or from the stream's leader. `nearest` fails with
   * `OtherStream` if a mirror has answered; none may also be the answer of a mirror.
   */
  readonly lastMessage: (
    stream: string,
    subject: string,
    from: "nearest" | "leader",
    timeout: number
  ) => Effect.Effect<KeptMessage | undefined, PortFailure>
  /** The message with a sequence, from the stream's leader. */
  readonly messageAt: (
    stream: string,
    sequence: number,
    timeout: number
  ) => Effect.Effect<KeptMessage | undefined, PortFailure>
  /**
   * The last messages of subjects, wildcards allowed. Requires a server from 2.11 and a stream with direct access.
   * `expected` is the number of bytes of all messages; the window of the connection limits it. Fails with `OtherStream` if
   * a mirror has answered; no messages may also be the answer of a mirror.
   */
  readonly lastMessages: <A>(
    request: { readonly stream: string; readonly subjects: ReadonlyArray<string>; readonly expected: number },
    timeout: number,
    read: (message: KeptMessage) => A
  ) => Effect.Effect<Batch<A>, PortFailure>
}

const status = { endOfBatch: 204, notFound: 404, tooManyResults: 413 } as const

/** The error code for a subject without a message. */
const noMessageFound = 10037

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

/** The failure if another stream than the requested one has answered. */
const ifOther = (stream: string, message: NatsMessage): PortFailure | undefined => {
  const answering = message.header("Nats-Stream")
  return answering === stream ? undefined : { _tag: "OtherStream", stream: answering }
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
    header: readHeaderBlock(headers.success).header,
    data: data.success
  })
}

const statusFailure = (message: NatsMessage): PortFailure => ({
  _tag: "Api",
  code: message.status,
  description: message.description
})

/** To a server the subject of the key `*` is a pattern: it answers with the last message of another key. */
const ifOf = (subject: string, message: KeptMessage): KeptMessage | undefined =>
  message.subject === subject ? message : undefined

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

const batches =
  (requestMany: Requester["requestMany"], { prefix }: ApiAccess): MessageReads["lastMessages"] =>
  ({ expected, stream, subjects }, timeout, read) =>
    Effect.suspend(() => {
      const chain = new Chain()
      let other: PortFailure | undefined
      return Effect.flatMap(
        requestMany(
          {
            subject: `${prefix}.DIRECT.GET.${stream}`,
            what: `a listing of stream ${stream}`,
            expected,
            data: (limit) => toJson({ multi_last: subjects, max_bytes: limit })
          },
          timeout,
          (message) => {
            other ??= ifOther(stream, message)
            const kept = fromDirect(message)
            chain.follows(message, kept.revision)
            return read(kept)
          }
        ),
        (many): Effect.Effect<Batch<ReturnType<typeof read>>, PortFailure> => {
          if (other !== undefined) return Effect.fail(other)
          return chain.follows(many.end, undefined) ? toBatch(many) : Effect.fail(torn)
        }
      )
    })

export const messageReads = (
  { request, requestMany }: Requester,
  access: ApiAccess,
  call: Call
): MessageReads => {
  const nearest = (stream: string, subject: string, timeout: number) =>
    Effect.flatMap(
      request(`${access.prefix}.DIRECT.GET.${stream}.${subject}`, noBytes, noHeaders, timeout),
      (message): Effect.Effect<KeptMessage | undefined, PortFailure> => {
        if (!isStored(message)) {
          return message.status === status.notFound
            ? noMessage
            : Effect.fail(message.status === 0 ? unreadable("no sequence") : statusFailure(message))
        }
        const other = ifOther(stream, message)
        return other === undefined ? Effect.succeed(ifOf(subject, fromDirect(message))) : Effect.fail(other)
      }
    )

  const atLeader = (
    stream: string,
    which: { readonly last_by_subj: string } | { readonly seq: number },
    timeout: number
  ) =>
    call<KeptAnswer>(`STREAM.MSG.GET.${stream}`, which, timeout).pipe(
      Effect.flatMap(fromKept),
      Effect.catchIf(
        (failure) => failure._tag === "Api" && failure.code === noMessageFound,
        () => noMessage
      )
    )

  return {
    lastMessage: (stream, subject, from, timeout) =>
      from === "nearest"
        ? nearest(stream, subject, timeout)
        : Effect.map(
          atLeader(stream, { last_by_subj: subject }, timeout),
          (message) => message === undefined ? undefined : ifOf(subject, message)
        ),
    messageAt: (stream, seq, timeout) => atLeader(stream, { seq }, timeout),
    lastMessages: batches(requestMany, access)
  }
}
