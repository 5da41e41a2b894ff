/**
 * The port over a connection of either client. The connections of both clients
 * have the same shape; they differ in their errors and in how they report a refusal.
 */
import { readHeaderBlock } from "../headerBlock.ts"
import { type LinkEvent, type MessageHeaders, type NatsMessage, type NatsPort, reported } from "../port.ts"

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
  readonly info?: { readonly version: string; readonly max_payload: number } | undefined
  readonly status: () => AsyncIterable<Status>
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

/** Follows the status events of a connection until it is closed or released. */
const listen = <Status extends { readonly type: string }, List>(
  connection: ClientConnection<Status, List>,
  { errorOf }: Dialect<Status, List>
): Pick<NatsPort, "isConnected" | "isClosed" | "onLink" | "release"> => {
  const listeners = new Set<(event: LinkEvent) => void>()
  const statuses = connection.status()
  let state: "up" | "down" | "closed" = connection.isClosed() ? "closed" : "up"
  // After an error that concerns no single subject the server disconnects. The client reports the error and the
  // disconnect separately.
  let lastError: unknown
  const tell = (event: LinkEvent) => {
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
    if (error !== undefined) lastError = error.cause
    if (event?._tag === "Connected") lastError = undefined
    return event?._tag === "Disconnected" ? { ...event, ...reported(lastError) } : event
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
    tell({ _tag: "Closed", ...reported(cause) })
  }
  // When the connection ends, the status iterator fails or ends; `closed()` settles in either case.
  follow().catch(closed)
  connection.closed().then(closed, closed)
  return {
    isConnected: () => state === "up" && !connection.isClosed(),
    isClosed: () => connection.isClosed(),
    onLink: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    release: () => {
      closed(undefined)
      listeners.clear()
      // In both clients the status iterator is a queue with a method `stop`, which its type does not declare.
      const stop: unknown = Reflect.get(statuses, "stop")
      if (typeof stop === "function") Reflect.apply(stop, statuses, [])
    }
  }
}

/** The info of the connected server; while disconnected, the info of the last one. */
const serverOf = (connection: Pick<ClientConnection<never, never>, "info">): NatsPort["server"] => {
  let last: ReturnType<NatsPort["server"]> = { version: "unknown", maxPayload: Number.POSITIVE_INFINITY }
  const current = () => {
    const { info } = connection
    if (info !== undefined && info !== null) last = { version: info.version, maxPayload: info.max_payload }
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
      connection.flush().then(() => done(), (error: unknown) => done(error ?? new Error("the ping failed")))
    }
  }
}

/** Whether a value is an object with all of these methods. */
export const hasMethods = (value: unknown, names: ReadonlyArray<string>): value is object =>
  typeof value === "object" && value !== null && names.every((name) => typeof Reflect.get(value, name) === "function")

/** The methods that the connections of both clients have. */
export const connectionMethods = ["publish", "subscribe", "status", "closed", "drain", "isClosed", "flush"]
