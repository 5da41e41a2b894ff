/**
 * The driver's interface to a NATS client: publish, subscribe, and events of the
 * connection. It uses no types of a client. `client/` implements it for each
 * client; requests, deadlines and JetStream are built on it.
 */

/** The error that the client or the system reported, if any. */
interface Reported {
  readonly cause?: unknown
}

/** Why a connection is down: a text for all that is known, and the last error. */
export interface Outage extends Reported {
  readonly problem: string
}

/** Wraps a cause for a failure or an event. An undefined cause adds no field. */
export const reported = (cause: unknown): Reported => cause === undefined ? {} : { cause }

export type MessageHeaders = ReadonlyArray<readonly [name: string, value: string]>

/** A received message. */
export interface NatsMessage {
  readonly subject: string
  readonly reply: string | undefined
  /**
   * 0 for an ordinary message; otherwise the status code of the server: 100, 204, 404, 408, 413 or 503. A message that
   * nats-server 2.10 has stored has the status with which it was published.
   */
  readonly status: number
  /** The text of the status. */
  readonly description: string
  /**
   * The last value of a header; empty if the message has no such header. A server appends its headers to those of a
   * stored message, which may have the same names: the last value is the server's (K32).
   */
  readonly header: (name: string) => string
  readonly data: Uint8Array
}

/** An event of the connection. */
export type LinkEvent =
  | { readonly _tag: "Disconnected" } & Reported
  | { readonly _tag: "Reconnecting" }
  | { readonly _tag: "Connected" }
  | { readonly _tag: "Closed" } & Reported
  /** The server refused a published message or a subscription. */
  | { readonly _tag: "Denied"; readonly operation: "publish" | "subscription"; readonly subject: string } & Reported

/** Why a request failed. Decided by error codes and classes, never by the text of an error. */
export type PortFailure =
  /** JetStream answered with an error. */
  | { readonly _tag: "Api"; readonly code: number; readonly description: string }
  /** The subject has no subscriber: the stream is missing, it has no leader, or JetStream is off. */
  | { readonly _tag: "NoResponders" }
  | { readonly _tag: "Timeout" }
  /** The headers and the data of the request exceed the `max_payload` of the server: nothing was sent. */
  | { readonly _tag: "TooLarge"; readonly size: number; readonly limit: number }
  /** Another stream has answered a direct read: a mirror with `mirror_direct` answers for its origin. */
  | { readonly _tag: "OtherStream"; readonly stream: string }
  /** The client refused to send the request: nothing was sent. */
  | { readonly _tag: "NotSent"; readonly problem: string } & Reported
  /** The connection was lost before the answer arrived, or the answer could not be read. */
  | { readonly _tag: "ConnectionLost"; readonly problem: string } & Reported
  /** `wasSent`: the denial concerns the answer, or one of several requests: the request may have been executed. */
  | { readonly _tag: "Denied"; readonly subject: string; readonly wasSent?: true } & Reported

/** The connected server. */
export interface ServerInfo {
  readonly version: string
  /** Bytes. */
  readonly maxPayload: number
  /** Whether this server has JetStream. Without it, another server of its cluster can still answer. */
  readonly jetstream: boolean
  /** `host:port`; undefined if it is unknown. */
  readonly address?: string | undefined
  /** The name of the server's cluster; undefined for a server without a cluster and without leaf nodes. */
  readonly cluster: string | undefined
}

export interface NatsPort {
  readonly isConnected: () => boolean
  /** Whether the connection is closed. A closed connection does not reconnect. */
  readonly isClosed: () => boolean
  /** Why the connection is down; undefined while it is up, and if no cause is known. */
  readonly outage: () => Outage | undefined
  /** The connected server, or the last connected one. */
  readonly server: () => ServerInfo
  /** Returns a new, unique subject for replies to this client. */
  readonly inbox: () => string
  /** Passes a message to the connection. Throws if the connection does not accept it. */
  readonly publish: (subject: string, data: Uint8Array, headers: MessageHeaders, reply: string | undefined) => void
  /**
   * Subscribes and returns the function that unsubscribes. Throws if the connection is closed or draining. A refusal by
   * the server arrives as a `Denied` event.
   */
  readonly subscribe: (subject: string, onMessage: (message: NatsMessage) => void) => () => void
  /**
   * Pings the server, which answers after it has processed everything sent before. Calls `done` once with the answer, or
   * with the error of the client.
   */
  readonly ping: (done: (error?: unknown) => void) => void
  /** Adds a listener and returns the function that removes it. */
  readonly onLink: (listener: (event: LinkEvent) => void) => () => void
  /** Detaches the port from the connection, which stays open. The listeners get a `Closed` event. */
  readonly release: () => void
}
