/**
 * The port over a connection of either client. The connections of both clients
 * have the same shape; they differ in their errors and in how they report a refusal.
 */
import { readHeaderBlock } from "../headerBlock.ts"
import { causeOf, Failures, type LinkCause } from "../outage.ts"
import {
  type LinkEvent,
  type MessageHeaders,
  type NatsMessage,
  type NatsPort,
  reported,
  type ServerInfo
} from "../port.ts"
import { onFailedAttempt } from "./attempts.ts"

interface HeaderList extends Iterable<readonly [name: string, values: ReadonlyArray<string>]> {
  readonly code: number
  readonly description: string
  readonly set: (name: string, value: string) => void
}

interface Incoming {
  readonly subject: string
  readonly reply?: string
  readonly headers?: Omit<HeaderList, "set">
  readonly data: Uint8Array
  /** The bytes of the headers and the value. A field of the messages of both clients that their types do not declare. */
  readonly _rdata?: Uint8Array
}

interface ClientConnection<Status, List> {
  readonly info?: {
    readonly version: string
    readonly max_payload: number
    readonly jetstream?: boolean
    readonly cluster?: string
  } | undefined
  readonly status: () => AsyncIterable<Status>
  /** `host:port` of the connected server; empty while disconnected. */
  readonly getServer?: () => string
  readonly closed: () => Promise<unknown>
  readonly isClosed: () => boolean
  readonly flush: () => Promise<void>
  readonly publish: (subject: string, data: Uint8Array, options: { headers?: List; reply?: string }) => void
  readonly subscribe: (
    subject: string,
    options: { readonly callback: (error: Error | null, message: Incoming) => void }
  ) => { readonly unsubscribe: () => void }
}

/** An error that the server sent. */
interface ServerError {
  /** The refused operation, if the error is a permission violation. */
  readonly refused: { readonly operation: string; readonly subject: string } | undefined
  /** The error as the client reported it. */
  readonly cause: unknown
}

/** The parts that differ between the clients. */
interface Dialect<Status, List> {
  readonly makeHeaders: () => List
  readonly createInbox: (prefix?: string) => string
  /** The error in a status event; undefined for other events. */
  readonly errorOf: (status: Status) => ServerError | undefined
  /** The cause, if the error is one of the client's own; undefined for errors of the system. */
  readonly linkCauseOf: (error: unknown) => LinkCause | undefined
}

/** The inbox prefix in the options of a connection. Users without permission for `_INBOX.>` connect with one. */
const inboxPrefixOf = (connection: object): string | undefined => {
  const options: unknown = Reflect.get(connection, "options")
  const prefix: unknown = typeof options === "object" && options !== null
    ? Reflect.get(options, "inboxPrefix")
    : undefined
  return typeof prefix === "string" ? prefix : undefined
}

const linkEvents: { readonly [type: string]: LinkEvent } = {
  disconnect: { _tag: "Disconnected" },
  reconnecting: { _tag: "Reconnecting" },
  reconnect: { _tag: "Connected" }
}

/** Collects the errors of a connection and of the attempts to reconnect. */
const makeFailures = (connection: object, linkCauseOf: (error: unknown) => LinkCause | undefined) => {
  const failures = new Failures()
  const failureOf = (error: unknown) => ({ cause: causeOf(error, linkCauseOf), error })
  const end = onFailedAttempt(connection, (server, error) => failures.fail(server, failureOf(error)))
  return {
    lose: (error: unknown) => failures.lose(error === undefined ? undefined : failureOf(error)),
    // An error of the new connection can arrive before its event.
    connect: (error: unknown) => {
      failures.clear()
      if (error !== undefined) failures.lose(failureOf(error))
    },
    outage: () => failures.outage,
    end
  }
}

/** Follows the status events of a connection until it is closed or released. */
const listen = <Status extends { readonly type: string }, List>(
  connection: ClientConnection<Status, List>,
  { errorOf, linkCauseOf }: Dialect<Status, List>
): Pick<NatsPort, "isConnected" | "isClosed" | "outage" | "onLink" | "release"> => {
  const listeners = new Set<(event: LinkEvent) => void>()
  const statuses = connection.status()
  let state: "up" | "down" | "closed" = connection.isClosed() ? "closed" : "up"
  // After an error that concerns no single subject the server disconnects. The client reports the error and the
  // disconnect separately, and may report in between that it has reconnected. So an error counts until the next
  // disconnect or attempt.
  let lastError: unknown
  const failures = makeFailures(connection, linkCauseOf)
  const tell = (event: LinkEvent) => {
    // The client also reports a disconnect for each refused login.
    if (event._tag === "Disconnected" && state === "up") failures.lose(event.cause)
    if (event._tag === "Connected") failures.connect(lastError)
    if (event._tag === "Disconnected") state = "down"
    if (event._tag === "Connected") state = "up"
    // Iterates over a copy, because a listener may add or remove listeners.
    for (const listener of Array.from(listeners)) listener(event)
  }
  const toLinkEvent = (status: Status): LinkEvent | undefined => {
    const error = errorOf(status)
    if (error?.refused !== undefined) {
      const operation = error.refused.operation === "subscription" ? "subscription" : "publish"
      return { _tag: "Denied", operation, subject: error.refused.subject, ...reported(error.cause) }
    }
    const event = linkEvents[status.type]
    const before = lastError
    if (error !== undefined) lastError = error.cause
    if (event?._tag === "Reconnecting" || (event?._tag === "Disconnected" && state === "up")) lastError = undefined
    return event?._tag === "Disconnected" ? { ...event, ...reported(before) } : event
  }
  const follow = async () => {
    for await (const status of statuses) {
      const event = toLinkEvent(status)
      if (event !== undefined) tell(event)
    }
  }
  const closed = (cause: unknown) => {
    if (state === "closed") return
    state = "closed"
    if (cause !== undefined) failures.lose(cause)
    tell({ _tag: "Closed", ...reported(cause) })
  }
  // When the connection ends, the status iterator fails or ends; `closed()` settles in either case.
  follow().catch(closed)
  connection.closed().then(closed, closed)
  return {
    isConnected: () => state === "up" && !connection.isClosed(),
    isClosed: () => state === "closed" || connection.isClosed(),
    outage: failures.outage,
    onLink: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    release: () => {
      closed(undefined)
      failures.end()
      listeners.clear()
      // In both clients the status iterator is a queue with a method `stop`, which its type does not declare.
      const stop: unknown = Reflect.get(statuses, "stop")
      if (typeof stop === "function") Reflect.apply(stop, statuses, [])
    }
  }
}

/** The info of the connected server; while disconnected, the info of the last one. */
const serverOf = (connection: Pick<ClientConnection<never, never>, "info" | "getServer">): NatsPort["server"] => {
  let last: ServerInfo = {
    version: "unknown",
    maxPayload: Number.POSITIVE_INFINITY,
    jetstream: true,
    cluster: undefined
  }
  const current = () => {
    const { info } = connection
    if (info !== undefined && info !== null) {
      const { cluster, jetstream, max_payload, version } = info
      last = {
        version,
        maxPayload: max_payload,
        jetstream: jetstream === true,
        cluster,
        address: connection.getServer?.() || undefined
      }
    }
    return last
  }
  current()
  return current
}

const noHeader = () => ""

/** Looks headers up in a map. The clients' own lookup scans all headers on every call, and returns the first value. */
const readerOf = (headers: Omit<HeaderList, "set">): NatsMessage["header"] => {
  let byName: ReadonlyMap<string, ReadonlyArray<string>> | undefined
  return (name) => {
    byName ??= new Map(headers)
    return byName.get(name)?.at(-1) ?? ""
  }
}

const noHeaders = { status: 0, description: "", header: noHeader }

/** The clients' own decoder throws at a header that it does not accept, but servers store any, and it changes values. */
const headersOf = (message: Incoming): Pick<NatsMessage, "status" | "description" | "header"> => {
  const { _rdata: received } = message
  if (received === undefined) {
    const { headers } = message
    return headers === undefined
      ? noHeaders
      : { status: headers.code, description: headers.description, header: readerOf(headers) }
  }
  const length = received.length - message.data.length
  return length === 0 ? noHeaders : readHeaderBlock(received.subarray(0, length))
}

const toMessage = (message: Incoming): NatsMessage => {
  const { data, reply, subject } = message
  const { description, header, status } = headersOf(message)
  return { subject, reply: reply === "" ? undefined : reply, status, description, header, data }
}

export const portOver = <Status extends { readonly type: string }, List extends HeaderList>(
  connection: ClientConnection<Status, List>,
  dialect: Dialect<Status, List>
): NatsPort => {
  const toHeaders = (list: MessageHeaders): List => {
    const headers = dialect.makeHeaders()
    for (const [name, value] of list) headers.set(name, value)
    return headers
  }
  return {
    ...listen(connection, dialect),
    server: serverOf(connection),
    inbox: () => dialect.createInbox(inboxPrefixOf(connection)),
    publish: (subject, data, headers, reply) =>
      connection.publish(subject, data, {
        ...(headers.length === 0 ? {} : { headers: toHeaders(headers) }),
        ...(reply === undefined ? {} : { reply })
      }),
    subscribe: (subject, onMessage) => {
      const subscription = connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) onMessage(toMessage(message))
        }
      })
      return () => subscription.unsubscribe()
    },
    ping: (done) => {
      // The client reports a denied subscription some microtasks after it has read it, so the first answer is not enough.
      connection.flush().then(() => connection.flush()).then(
        () => done(),
        (error: unknown) => done(error ?? new Error("the ping failed"))
      )
    }
  }
}

/** Whether a value is an object with all of these methods. */
export const hasMethods = (value: unknown, names: ReadonlyArray<string>): value is object =>
  typeof value === "object" && value !== null && names.every((name) => typeof Reflect.get(value, name) === "function")

/** The methods that the connections of both clients have. */
export const connectionMethods = ["publish", "subscribe", "status", "closed", "drain", "isClosed", "flush"]
