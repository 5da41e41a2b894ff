/**
 * What a store needs of a NATS client, and no client's types: a few JetStream
 * primitives as promises, and a way to tell their failures apart. One file per
 * client writes it; the driver (`bucket.ts`) knows only this.
 */

/** Why a request failed, told by error code and class, never by text. */
export type PortFailure =
  /** JetStream's own answer. */
  | { readonly _tag: "Api"; readonly code: number; readonly description: string }
  /** Nobody listens there: no stream, no leader, or no JetStream. */
  | { readonly _tag: "NoResponders" }
  | { readonly _tag: "Timeout" }
  /** Refused by the client before anything was sent. */
  | { readonly _tag: "NotSent"; readonly problem: string }
  /** The connection went away with the request under way. */
  | { readonly _tag: "ConnectionLost"; readonly problem: string }
  | { readonly _tag: "Denied"; readonly subject: string }

export type Headers = ReadonlyArray<readonly [name: string, value: string]>

/** A message as the server keeps it. */
export interface PortMessage {
  readonly subject: string
  readonly revision: number
  /** Unix milliseconds, by the server. */
  readonly created: number
  readonly header: (name: string) => string
  readonly data: Uint8Array
}

/** A message as a consumer pushes it; `reply` tells its place, or wants an answer. */
export interface PushedMessage {
  readonly subject: string
  readonly reply: string | undefined
  /** 0 for a value; 100 for a heartbeat or a flow control request. */
  readonly status: number
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
}

export interface NatsPort {
  readonly isConnected: () => boolean
  readonly server: () => { readonly version: string; readonly maxPayload: number }
  /** Stores a message; its sequence. `timeout` is milliseconds, here and below. */
  readonly publish: (subject: string, data: Uint8Array, headers: Headers, timeout: number) => Promise<number>
  readonly lastMessage: (
    stream: string,
    subject: string,
    from: "nearest" | "leader",
    timeout: number
  ) => Promise<PortMessage | undefined>
  readonly streamInfo: (stream: string, timeout: number) => Promise<StreamInfo>
  readonly createStream: (settings: StreamSettings, timeout: number) => Promise<void>
  /** Removes every message of a subject, and leaves no trace of it. */
  readonly purgeSubject: (stream: string, subject: string, timeout: number) => Promise<void>
  readonly updateStream: (stream: string, settings: Partial<StreamSettings>, timeout: number) => Promise<void>
  /** The subjects that have a message now, of those that a subject with wildcards asks for. */
  readonly subjects: (stream: string, subject: string, timeout: number) => Promise<ReadonlyArray<string>>
  /** How many messages it has still to push. */
  readonly createConsumer: (stream: string, settings: ConsumerSettings, timeout: number) => Promise<number>
  readonly deleteConsumer: (stream: string, consumer: string, timeout: number) => Promise<void>
  readonly inbox: () => string
  readonly subscribe: (
    subject: string,
    onMessage: (message: PushedMessage) => void,
    onFailure: (failure: PortFailure) => void
  ) => () => void
  /** Answers a flow control request. */
  readonly acknowledge: (subject: string) => void
  readonly failure: (cause: unknown) => PortFailure
}
