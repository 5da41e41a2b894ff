/**
 * A NATS server with JetStream (or a cluster of them), as far as a bucket talks
 * to it: in this process, on simulated time, and with the failures that real ones
 * have been measured to have. Everything by chance is decided by the seed.
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
import type { PushConsumer } from "./push.ts"
import { ServerSession } from "./session.ts"
import { SimulatedStream, type StoredPublication, type Surroundings } from "./stream.ts"
import { Work } from "./work.ts"

export interface ServerOptions {
  readonly version: "2.10.27" | "2.15.1"
  /** Unix milliseconds at the beginning of the simulation. */
  readonly epoch: number
}

/** The way from the server to one client: it may delay, lose or reorder. */
export interface Downlink {
  /**
   * `subscription` is the subject as the session subscribed to it (`a.*` too): a consumer's messages have the
   * subject that they are stored under, and only the subscription says whose they are.
   */
  readonly deliver: (message: Outgoing, subscription: string) => void
}

/** One connection as the server sees it; calls are made when things arrive at the server. */
export interface Session {
  readonly publish: (subject: string, headers: MessageHeaders, data: Uint8Array, reply: string | undefined) => void
  /** A subject, or `.*` at its end. */
  readonly subscribe: (subject: string) => void
  readonly unsubscribe: (subject: string) => void
  /** The server has noticed that the client is gone: its interest ends. */
  readonly close: () => void
}

/** A stream as it is, with the last message of each subject, tombstones too. */
export interface StreamView {
  readonly lastRevision: number
  readonly created: string
  /** Computed when it is read. */
  readonly messages: ReadonlyArray<{
    readonly subject: string
    readonly revision: number
    readonly created: number
    readonly operation: MessageOperation
    readonly value: Uint8Array
  }>
}

const flowControlPrefix = "$JS.FC."

export class SimulatedServer {
  private readonly work: Work
  private readonly isOld: boolean
  private readonly epoch: number
  private readonly streams = new Map<string, SimulatedStream>()
  /** The names of all streams that there have been. */
  readonly known = new Set<string>()
  /** By the subject that they push to. */
  private readonly consumersBySubject = new Map<string, PushConsumer>()
  private readonly interest = new Interest((subject) => this.interestChanged(subject))
  private readonly listeners: Array<(event: StoredPublication) => void> = []
  private readonly api: Api
  private readonly surroundings: Surroundings
  /** So that no two streams are made at the same time. */
  private made = 0

  constructor(environment: Environment, options: ServerOptions) {
    this.work = new Work(environment)
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
      madeConsumer: (consumer) => void this.consumersBySubject.set(consumer.settings.deliver_subject, consumer),
      lostConsumer: (consumer) => void this.consumersBySubject.delete(consumer.settings.deliver_subject)
    }
    this.api = new Api({
      work,
      interest,
      isOld,
      stream: (name) => this.streams.get(name),
      make: (config) => this.make(config),
      remove: (stream) => this.remove(stream)
    })
  }

  connect(downlink: Downlink): Session {
    return new ServerSession({
      work: this.work,
      interest: this.interest,
      inOrder: this.isOld,
      deliver: (message, subscription) => downlink.deliver(message, subscription),
      handle: (subject, headers, data, reply, arrivedAt) => this.handle(subject, headers, data, reply, arrivedAt)
    })
  }

  /** Nothing is taken up or said for so long; what arrives waits, and is done afterwards in order (SIGSTOP). */
  pause(millis: number): void {
    this.work.pause(millis)
  }

  /** The stream has no leader for so long: a node has died, or has come back; with one replica, the server starts again. */
  loseLeader(stream: string, gapMillis: number): void {
    const found = this.streams.get(stream)
    if (found === undefined) return
    if (!found.isReplicated && found.config.storage === "memory") this.loseStream(stream)
    else found.elect(gapMillis)
  }

  /** Deletes it with its consumers; or recreates it at once, as others do who do not know its last revision. */
  loseStream(stream: string, options: { readonly recreate?: boolean } = {}): void {
    const found = this.streams.get(stream)
    if (found === undefined) return
    this.remove(found)
    this.work.injected("stream lost")
    if (options.recreate !== true) return
    this.make(completed({ ...found.config, first_seq: 0 }, this.isOld))
    this.work.injected("stream recreated from 1")
  }

  /** As if a store of some messages ago had been copied back. */
  rollBack(stream: string, messages: number): void {
    this.streams.get(stream)?.rollBack(messages)
  }

  dropConsumers(stream: string): void {
    this.streams.get(stream)?.dropConsumers()
  }

  /** From now on its followers apply changes so many milliseconds later. */
  lag(stream: string, millis: number): void {
    const follower = this.streams.get(stream)?.follower
    if (follower !== undefined) follower.lag = millis
  }

  stream(name: string): StreamView | undefined {
    const stream = this.streams.get(name)
    return stream === undefined ? undefined : {
      lastRevision: stream.leader.lastRevision,
      created: stream.created,
      get messages() {
        return stream.leader.lastOfEach(">")
      }
    }
  }

  consumers(stream: string): number {
    return this.streams.get(stream)?.consumers.size ?? 0
  }

  /** Told of every message that a stream accepts, and of markers. */
  onStored(listener: (event: StoredPublication) => void): void {
    this.listeners.push(listener)
  }

  private handle(
    subject: string,
    headers: MessageHeaders,
    data: Uint8Array,
    reply: string | undefined,
    arrivedAt: number
  ): void {
    if (subject.startsWith(apiPrefix)) {
      // Nobody is told what comes of it.
      if (reply !== undefined) this.api.handle(subject, data, reply)
      return
    }
    if (subject.startsWith(flowControlPrefix)) return this.flowControl(subject)
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

  /** `$JS.FC.<stream>.<consumer>.<number>`. */
  private flowControl(subject: string): void {
    const [, , stream = "", consumer = ""] = subject.split(".")
    this.streams.get(stream)?.consumers.get(consumer)?.answered(subject)
  }

  private interestChanged(subject: string): void {
    if (!subject.endsWith(".*")) return this.consumersBySubject.get(subject)?.listen()
    for (const consumer of this.consumersBySubject.values()) consumer.listen()
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
