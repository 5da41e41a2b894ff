/**
 * What the driver needs of a NATS client, and no client's types: to publish, to
 * subscribe, and to hear of the connection's own state. One file per client
 * writes it; requests, deadlines and JetStream are built on it once.
 */

/** The `cause` is what the client or the system reported, where it did. */
interface Reported {
  readonly cause?: unknown
}

/** A `cause` for a failure or an event; none where nothing was reported. */
export const reported = (cause: unknown): Reported => cause === undefined ? {} : { cause }

export type MessageHeaders = ReadonlyArray<readonly [name: string, value: string]>

/** A message as it comes in. */
export interface NatsMessage {
  readonly subject: string
  readonly reply: string | undefined
  /** 0 for a message of its own; else what the server says of it: 100, 204, 404, 408, 413, 503. */
  readonly status: number
  /** The text that belongs to the status. */
  readonly description: string
  /** Empty where there is none of that name. */
  readonly header: (name: string) => string
  readonly data: Uint8Array
}

/** What happens to the connection itself. */
export type LinkEvent =
  | { readonly _tag: "Disconnected" } & Reported
  | { readonly _tag: "Reconnecting" }
  | { readonly _tag: "Connected" }
  | { readonly _tag: "Closed" } & Reported
  /** The server refused a message that was published, or a subscription. */
  | { readonly _tag: "Denied"; readonly operation: "publish" | "subscription"; readonly subject: string } & Reported

/** Why a request failed, told by error code and class, never by text. */
export type PortFailure =
  /** JetStream's own answer. */
  | { readonly _tag: "Api"; readonly code: number; readonly description: string }
  /** Nobody listens there: no stream, no leader, or no JetStream. */
  | { readonly _tag: "NoResponders" }
  | { readonly _tag: "Timeout" }
  /** Held back by the client: nothing was sent. */
  | { readonly _tag: "NotSent"; readonly problem: string } & Reported
  /** The connection went away with the request under way. */
  | { readonly _tag: "ConnectionLost"; readonly problem: string } & Reported
  | { readonly _tag: "Denied"; readonly subject: string } & Reported

export interface NatsPort {
  readonly isConnected: () => boolean
  /** For good. */
  readonly isClosed: () => boolean
  /** Of the server that is there, or was last. */
  readonly server: () => { readonly version: string; readonly maxPayload: number }
  /** A subject under which only this client listens. */
  readonly inbox: () => string
  /** Hands a message to the connection; throws where it does not take it. */
  readonly publish: (subject: string, data: Uint8Array, headers: MessageHeaders, reply: string | undefined) => void
  /** Returns how to end it; throws where the connection is closed or draining. What the server refuses comes as a `Denied` event of the link. */
  readonly subscribe: (subject: string, onMessage: (message: NatsMessage) => void) => () => void
  /** Returns how to end it. */
  readonly onLink: (listener: (event: LinkEvent) => void) => () => void
  /** Lets go of the connection, which stays as it is: whoever listens here is told that it is closed. */
  readonly release: () => void
}
