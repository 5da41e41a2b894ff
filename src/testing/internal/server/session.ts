/**
 * One client connection on the server. Incoming messages are handled in order
 * after a short time; outgoing messages go to the client's link.
 */
import type { MessageHeaders } from "../../../internal/nats/port.ts"
import { directPrefix, prefix } from "./api.ts"
import type { Interest, Listener } from "./interest.ts"
import type { Outgoing } from "./messages.ts"
import type { Work } from "./work.ts"

/** The time to handle a request, in milliseconds. */
const handling = [0.05, 0.5] as const

/** The minimum time between two requests of a session, in milliseconds: it keeps them in order. */
const behind = 0.001

/**
 * A 2.15 server handles API requests in parallel: a slow one is overtaken. The probability of a slow request, and its
 * additional time in milliseconds.
 */
const takesLonger = 0.03
const longer = [0.5, 3] as const

export interface SessionOptions {
  readonly work: Work
  readonly interest: Interest
  readonly inOrder: boolean
  readonly deliver: (message: Outgoing, subscription: string) => void
  /** Whether the client may publish a message with this subject now. */
  readonly mayPublish: (subject: string) => boolean
  /** Tells the client that it may not publish this subject. */
  readonly deny: (subject: string) => void
  readonly handle: (
    subject: string,
    headers: MessageHeaders,
    data: Uint8Array,
    reply: string | undefined,
    arrivedAt: number
  ) => void
}

export class ServerSession implements Listener {
  private readonly options: SessionOptions
  private readonly subscriptions = new Set<string>()
  private isClosed = false
  private lastDue = 0
  /** The time at which the last slow request is handled. */
  private overtakenUntil = 0

  constructor(options: SessionOptions) {
    this.options = options
  }

  publish(subject: string, headers: MessageHeaders, data: Uint8Array, reply: string | undefined): void {
    const { deny, handle, mayPublish, work } = this.options
    work.run(() => {
      if (!mayPublish(subject)) return deny(subject)
      const arrivedAt = work.now
      work.after(this.dueFor(subject) - arrivedAt, () => handle(subject, headers, data, reply, arrivedAt))
    })
  }

  subscribe(subject: string): void {
    this.options.work.run(() => {
      if (this.isClosed || this.subscriptions.has(subject)) return
      this.subscriptions.add(subject)
      this.options.interest.add(subject, this)
    })
  }

  unsubscribe(subject: string): void {
    this.options.work.run(() => {
      if (this.subscriptions.delete(subject)) this.options.interest.remove(subject, this)
    })
  }

  close(): void {
    this.options.work.run(() => {
      this.isClosed = true
      for (const subject of this.subscriptions) this.options.interest.remove(subject, this)
      this.subscriptions.clear()
    })
  }

  hear(message: Outgoing, subscription: string): void {
    this.options.deliver(message, subscription)
  }

  private dueFor(subject: string): number {
    const { inOrder, work } = this.options
    const due = Math.max(this.lastDue + behind, work.now + work.chance.between(...handling))
    const isParallel = !inOrder && subject.startsWith(prefix) && !subject.startsWith(directPrefix)
    if (isParallel && due < this.overtakenUntil) work.injected("request overtaken")
    if (isParallel && work.chance.is(takesLonger)) {
      return this.overtakenUntil = due + work.chance.between(...longer)
    }
    return this.lastDue = due
  }
}
