/**
 * The port over `@nats-io/*`.
 */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  jetstream,
  JetStreamApiError,
  JetStreamError,
  jetstreamManager,
  ReplayPolicy,
  type StreamConfig
} from "@nats-io/jetstream"
import {
  createInbox,
  errors,
  headers as makeHeaders,
  type Msg,
  type MsgHdrs,
  type NatsConnection
} from "@nats-io/transport-node"
import type { ConsumerSettings, Headers, NatsPort, PortFailure, PortMessage, PushedMessage } from "./port.ts"

const toHeaders = (list: Headers): MsgHdrs => {
  const headers = makeHeaders()
  for (const [name, value] of list) headers.set(name, value)
  return headers
}

const noHeader = () => ""

interface Stored {
  readonly subject: string
  readonly seq: number
  readonly time: Date
  readonly header: MsgHdrs
  readonly data: Uint8Array
}

const toPortMessage = (message: Stored): PortMessage => ({
  subject: message.subject,
  revision: message.seq,
  created: message.time.getTime(),
  header: (name) => message.header.get(name),
  data: message.data
})

const toPushed = (message: Msg): PushedMessage => ({
  subject: message.subject,
  reply: message.reply === undefined || message.reply === "" ? undefined : message.reply,
  status: message.headers?.code ?? 0,
  header: message.headers === undefined ? noHeader : (name) => message.headers!.get(name),
  data: message.data
})

const deliverPolicies = {
  last_per_subject: DeliverPolicy.LastPerSubject,
  by_start_sequence: DeliverPolicy.StartSequence
} as const

const toConsumerConfig = (settings: ConsumerSettings): Partial<ConsumerConfig> => ({
  ...settings,
  deliver_policy: deliverPolicies[settings.deliver_policy],
  ack_policy: AckPolicy.None,
  replay_policy: ReplayPolicy.Instant
})

/** What the client throws before it sends anything. */
const heldBack = [
  errors.ClosedConnectionError,
  errors.DrainingConnectionError,
  errors.InvalidArgumentError,
  errors.InvalidSubjectError
]

/** The classes wrap one another (JetStreamNotEnabled, RequestError, NoRespondersError): the innermost decides. */
const failure = (cause: unknown): PortFailure => {
  if (cause instanceof JetStreamApiError) return { _tag: "Api", code: cause.code, description: cause.message }
  if (cause instanceof errors.TimeoutError) return { _tag: "Timeout" }
  if (cause instanceof errors.NoRespondersError) return { _tag: "NoResponders" }
  if (cause instanceof errors.PermissionViolationError) return { _tag: "Denied", subject: cause.subject }
  if (cause instanceof JetStreamError && "code" in cause) {
    return { _tag: "Api", code: Number(cause.code), description: cause.message }
  }
  if (cause instanceof Error && cause.cause !== undefined) return failure(cause.cause)
  const problem = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  // What is not known to have been held back may have been sent.
  return { _tag: heldBack.some((type) => cause instanceof type) ? "NotSent" : "ConnectionLost", problem }
}

/** Users who may not use every inbox connect with a prefix, which the client keeps among its options. */
const inboxPrefixOf = (connection: NatsConnection): string | undefined => {
  const options: unknown = Reflect.get(connection, "options")
  const prefix: unknown = typeof options === "object" && options !== null
    ? Reflect.get(options, "inboxPrefix")
    : undefined
  return typeof prefix === "string" ? prefix : undefined
}

/** Follows the connection's own word on whether it is there. */
const watchLink = (connection: NatsConnection): () => boolean => {
  let connected = !connection.isClosed()
  const follow = async () => {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") connected = false
      if (status.type === "reconnect") connected = true
    }
  }
  // The iterator ends with the connection, and that is no failure.
  follow().catch(() => {
    connected = false
  })
  return () => connected && !connection.isClosed()
}

export const make = (connection: NatsConnection): NatsPort => {
  const js = jetstream(connection)
  // One manager for each timeout in use: the timeout is the manager's, not the call's.
  const managers = new Map<number, ReturnType<typeof jetstreamManager>>()
  const manager = (timeout: number) => {
    const known = managers.get(timeout)
    if (known !== undefined) return known
    const made = jetstreamManager(connection, { timeout, checkAPI: false })
    managers.set(timeout, made)
    return made
  }
  return {
    isConnected: watchLink(connection),
    server: () => ({
      version: connection.info?.version ?? "unknown",
      maxPayload: connection.info?.max_payload ?? Number.POSITIVE_INFINITY
    }),
    publish: async (subject, data, list, timeout) => {
      const acknowledgement = await js.publish(subject, data, { timeout, headers: toHeaders(list) })
      return acknowledgement.seq
    },
    lastMessage: async (stream, subject, from, timeout) => {
      const jsm = await manager(timeout)
      const message = from === "nearest"
        ? await jsm.direct.getMessage(stream, { last_by_subj: subject })
        : await jsm.streams.getMessage(stream, { last_by_subj: subject })
      return message === null ? undefined : toPortMessage(message)
    },
    streamInfo: async (stream, timeout) => {
      const info = await (await manager(timeout)).streams.info(stream)
      return {
        config: info.config as NonNullable<unknown>,
        created: info.created,
        ts: info.ts,
        messages: info.state.messages,
        bytes: info.state.bytes,
        lastRevision: info.state.last_seq
      }
    },
    createStream: async (settings, timeout) => {
      await (await manager(timeout)).streams.add(settings as StreamConfig)
    },
    purgeSubject: async (stream, subject, timeout) => {
      await (await manager(timeout)).streams.purge(stream, { filter: subject })
    },
    updateStream: async (stream, settings, timeout) => {
      await (await manager(timeout)).streams.update(stream, settings as Partial<StreamConfig>)
    },
    subjects: async (stream, subject, timeout) => {
      const { state } = await (await manager(timeout)).streams.info(stream, { subjects_filter: subject })
      return Object.keys(state.subjects ?? {})
    },
    createConsumer: async (stream, settings, timeout) => {
      const info = await (await manager(timeout)).consumers.add(stream, toConsumerConfig(settings))
      return info.num_pending
    },
    deleteConsumer: async (stream, consumer, timeout) => {
      await (await manager(timeout)).consumers.delete(stream, consumer)
    },
    inbox: () => createInbox(inboxPrefixOf(connection)),
    subscribe: (subject, onMessage, onFailure) => {
      const subscription = connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) onMessage(toPushed(message))
          else onFailure(failure(error))
        }
      })
      return () => subscription.unsubscribe()
    },
    acknowledge: (subject) => connection.publish(subject),
    failure
  }
}

export const isConnection = (value: unknown): value is NatsConnection =>
  typeof value === "object" && value !== null &&
  ["subscribe", "request", "status", "drain", "isClosed"].every((name) =>
    typeof Reflect.get(value, name) === "function"
  )

/** Connecting was refused for who we are, not for where the server is. */
export const isAuthorizationFailure = (cause: unknown): boolean =>
  cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError
