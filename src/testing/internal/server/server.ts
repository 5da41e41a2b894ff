/**
 * A simulated NATS server or cluster with JetStream, as far as buckets use it. It
 * runs in this process on simulated time and has the failures observed on real
 * servers. The seed decides everything that is random.
 */
import type { MessageOperation } from "../../../internal/kv/backend.ts"
import type { MessageHeaders } from "../../../internal/nats/port.ts"
import type { Environment } from "../world/environment.ts"
import { Api, prefix as apiPrefix } from "./api.ts"
import { completed, type StreamConfig } from "./config.ts"
import { Interest } from "./interest.ts"
import { rfc3339 } from "./kept.ts"
import type { Outgoing } from "./messages.ts"
import { noResponders } from "./messages.ts"
import { publication } from "./publication.ts"
import { Rights } from "./rights.ts"
import { ServerSession } from "./session.ts"
import { SimulatedStream, type StoredPublication, type Surroundings } from "./stream.ts"
import { Work } from "./work.ts"

export interface ServerOptions {
  readonly version: "2.10.27" | "2.15.1"
  /** The start of the simulation, in Unix milliseconds. */
  readonly epoch: number
}

/** The link from the server to one client: it can delay, lose or reorder messages. */
export interface Downlink {
  /**
   * `subscription` is the subject that the session subscribed to (or `a.*`). It identifies the receiver: the
   * messages of a consumer have the subject under which they are stored.
   */
  readonly deliver: (message: Outgoing, subscription: string) => void
  /** Reports a permissions violation: the client may not publish this subject. */
  readonly deny: (subject: string) => void
}

/** One client connection on the server. Its methods are called when messages arrive at the server. */
export interface Session {
  readonly publish: (subject: string, headers: MessageHeaders, data: Uint8Array, reply: string | undefined) => void
  /** `subject` is a subject, or a subject with `.*` at its end. */
  readonly subscribe: (subject: string) => void
  readonly unsubscribe: (subject: string) => void
  /** Ends the session: the server has noticed that the client is disconnected. */
  readonly close: () => void
}

/** The state of a stream, with the last message of each subject, including delete, purge and expiry markers. */
export interface StreamView {
  readonly lastRevision: number
  readonly created: string
  readonly isReplicated: boolean
  /** Computed on each read. */
  readonly messages: ReadonlyArray<{
    readonly subject: string
    readonly revision: number
    readonly created: number
    readonly operation: MessageOperation
    readonly value: Uint8Array
  }>
}

export class SimulatedServer {
  private readonly work: Work
  private readonly isOld: boolean
  private readonly epoch: number
  private readonly streams = new Map<string, SimulatedStream>()
  /** The names of all streams created so far, including deleted ones. */
  readonly known = new Set<string>()
  private readonly interest = new Interest()
  private readonly rights: Rights
  private readonly listeners: Array<(event: StoredPublication) => void> = []
  private readonly lossListeners: Array<(stream: string) => void> = []
  private readonly stepDownListeners: Array<(stream: string, until: number) => void> = []
  private readonly api: Api
  private readonly surroundings: Surroundings
  /** The number of streams created so far: it makes their creation times unique. */
  private made = 0

  constructor(environment: Environment, options: ServerOptions) {
    this.work = new Work(environment)
    this.rights = new Rights(this.work)
    this.isOld = options.version === "2.10.27"
    this.epoch = options.epoch
    const { interest, isOld, work } = this
    this.surroundings = {
      work,
      interest,
      isOld,
      epoch: options.epoch,
      stored: (event) => {
        for (const listener of this.listeners) listener(event)
      },
      consumersLost: (stream) => {
        for (const listener of this.lossListeners) listener(stream)
      },
      steppedDown: (stream, until) => {
        for (const listener of this.stepDownListeners) listener(stream, until)
      }
    }
    this.api = new Api({
      work,
      interest,
      isOld,
      stream: (name) => this.streams.get(name),
      names: () => [...this.streams.keys()],
      make: (config) => this.make(config),
      remove: (stream) => this.remove(stream)
    })
  }

  connect(downlink: Downlink, user: string): Session {
    return new ServerSession({
      work: this.work,
      interest: this.interest,
      inOrder: this.isOld,
      deliver: (message, subscription) => downlink.deliver(message, subscription),
      mayPublish: (subject) => this.rights.mayPublish(user, subject),
      deny: (subject) => downlink.deny(subject),
      handle: (subject, headers, data, reply, arrivedAt) => this.handle(subject, headers, data, reply, arrivedAt)
    })
  }

  /** Pauses the server, as SIGSTOP does. Messages that arrive are handled afterwards in order. */
  pause(millis: number): void {
    this.work.pause(millis)
  }

  /**
   * The stream has no leader for `gapMillis`: a node of the cluster died or came back or, with one replica, the server
   * restarts.
   */
  loseLeader(stream: string, gapMillis: number): void {
    const found = this.streams.get(stream)
    if (found === undefined) return
    if (!found.isReplicated && found.config.storage === "memory") this.loseStream(stream)
    else found.elect(gapMillis)
  }

  /** The servers have no free storage for `millis`: the stream accepts no message, but answers reads. */
  fill(stream: string, millis: number): void {
    this.streams.get(stream)?.fill(millis)
  }

  /** Takes the right to publish these subjects from a user for `millis`. */
  revoke(user: string, subjects: ReadonlyArray<string>, millis: number): void {
    this.rights.revoke(user, subjects, millis)
  }

  /**
   * Deletes the stream with its consumers. With `recreate`, recreates it at once with revisions from 1, as a client
   * does that does not know the last revision.
   */
  loseStream(stream: string, options: { readonly recreate?: boolean } = {}): void {
    const found = this.streams.get(stream)
    if (found === undefined) return
    this.remove(found)
    this.work.injected("stream lost")
    if (options.recreate !== true) return
    this.make(completed({ ...found.config, first_seq: 0 }, this.isOld))
    this.work.injected("stream recreated from 1")
  }

  /** Removes the last messages, as if the stream were restored from a backup. */
  rollBack(stream: string, messages: number): void {
    this.streams.get(stream)?.rollBack(messages)
  }

  dropConsumers(stream: string): void {
    this.streams.get(stream)?.dropConsumers()
  }

  /** Delays the followers by additional milliseconds from now on. */
  lag(stream: string, millis: number): void {
    const follower = this.streams.get(stream)?.follower
    if (follower !== undefined) follower.lag = millis
  }

  stream(name: string): StreamView | undefined {
    const stream = this.streams.get(name)
    return stream === undefined ? undefined : {
      lastRevision: stream.leader.lastRevision,
      created: stream.created,
      isReplicated: stream.isReplicated,
      get messages() {
        return stream.leader.lastOfEach(">")
      }
    }
  }

  consumers(stream: string): number {
    return this.streams.get(stream)?.consumers.size ?? 0
  }

  /** Registers a listener for every stored message, including expiry markers. */
  onStored(listener: (event: StoredPublication) => void): void {
    this.listeners.push(listener)
  }

  /** Registers a listener for every loss of consumers of a stream that no client has deleted. */
  onConsumersLost(listener: (stream: string) => void): void {
    this.lossListeners.push(listener)
  }

  /** Registers a listener for every leader that steps down because its storage is full. */
  onSteppedDown(listener: (stream: string, until: number) => void): void {
    this.stepDownListeners.push(listener)
  }

  private handle(
    subject: string,
    headers: MessageHeaders,
    data: Uint8Array,
    reply: string | undefined,
    arrivedAt: number
  ): void {
    if (subject.startsWith(apiPrefix)) {
      // A request without a reply subject has no effect.
      if (reply !== undefined) this.api.handle(subject, data, reply)
      return
    }
    const stream = this.ownerOf(subject)
    if (stream !== undefined) {
      return stream.writes.take(publication(subject, headers, data, reply, this.isOld), arrivedAt)
    }
    const isHeard = this.interest.deliver({ subject, reply, status: 0, description: "", headers, data })
    if (!isHeard && reply !== undefined) this.interest.deliver(noResponders(reply))
  }

  private ownerOf(subject: string): SimulatedStream | undefined {
    for (const stream of this.streams.values()) if (stream.owns(subject)) return stream
    return undefined
  }

  private make(config: StreamConfig): SimulatedStream {
    const serial = String(++this.made).padStart(6, "0")
    const created = rfc3339(this.epoch + this.work.now).replace("Z", `${serial}Z`)
    const stream = new SimulatedStream(this.surroundings, config, created)
    this.streams.set(stream.name, stream)
    this.known.add(stream.name)
    this.work.note(() => `${stream.name} is created`)
    return stream
  }

  private remove(stream: SimulatedStream): void {
    stream.close()
    this.streams.delete(stream.name)
    this.work.note(() => `${stream.name} is deleted`)
  }
}
