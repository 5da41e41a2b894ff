/**
 * The pulls of one consumer: at most one at a time, of a size that fits what the
 * consumer has, within the window of the connection (docs/protocols/kv.md, K33).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import { monotonicMillis, nanosPerMilli } from "../../time.ts"
import type { PullSettings } from "./api.ts"
import type { Grant, PullWindow } from "./pullWindow.ts"

/** The interval of the heartbeats of a pull that waits for messages. */
export const watchHeartbeat = Duration.seconds(1)

/** The same until the first messages are complete: a heartbeat can complete them. */
const startHeartbeat = Duration.millis(200)

/** A pull that waits ends after this time, and the next one follows. At least two heartbeats, as servers require. */
const watchExpiry = Duration.minutes(1)
const startExpiry = Duration.seconds(2)

/**
 * The bytes of a pull that waits. It is not in the window, because nothing is under way. Small, because all watches of a
 * connection can get messages at the same time.
 */
const waitingPull = 32 * 1024

/** More messages than fit into the largest pull: its bytes end a pull, not the number of messages. */
const manyMessages = 100_000

/** The subject, the reply subject and the headers of a message count as its bytes, too. */
const messageOverhead = 16 * 1024

/** More than any server accepts. The server reports the end only of a pull with a limit of bytes. */
const largestMessage = 128 * 1024 * 1024

/** Ended pulls whose messages the reader has not processed. With two, one arrives while the other is processed. */
const mostUnread = 2

/** How a pull ended: the consumer had no more messages, or the next message does not fit. */
export type PullEnd = "drained" | "full"

/** What the last pull has shown. */
export interface Shown {
  readonly end: PullEnd | undefined
  /** Whether the pull was in the window's part for large pulls. */
  readonly wasLarge: boolean
  readonly bytes: number
  readonly received: number
}

/** A pull that waits for messages, or one in the window. */
export type NextPull =
  | { readonly _tag: "Wait" }
  | { readonly _tag: "Take"; readonly kind: "small" | "large"; readonly batch: number; readonly atLeast: number }

/** Decides the next pull. `maxPayload` is the limit of the server for a published message. */
export const nextPull = ({ bytes, end, received, wasLarge }: Shown, maxPayload: number): NextPull => {
  if (end === "drained") return { _tag: "Wait" }
  if (end === undefined) return { _tag: "Take", kind: "small", batch: manyMessages, atLeast: 0 }
  if (received > 0) return { _tag: "Take", kind: "large", batch: manyMessages, atLeast: 0 }
  // The next message is larger than the pull. The limit of the server may have been higher when it was stored.
  const whole = maxPayload + messageOverhead
  return wasLarge && bytes >= whole
    ? { _tag: "Take", kind: "large", batch: 1, atLeast: largestMessage }
    : { _tag: "Take", kind: "large", batch: manyMessages, atLeast: whole }
}

export interface PullerOptions {
  /** The consumer, for the log. */
  readonly what: string
  readonly clock: Clock.Clock
  readonly window: PullWindow
  readonly maxPayload: () => number
  /** The number of messages at the beginning. */
  readonly pending: number
  /** Sends a pull. Its messages and its end have this token. */
  readonly send: (settings: PullSettings, token: string) => void
}

interface Current {
  readonly token: string
  readonly grant: Grant | undefined
  readonly wasLarge: boolean
  readonly bytes: number
  received: number
}

const nanos = (duration: Duration.Duration): number => Duration.toMillis(duration) * nanosPerMilli

/** A pull that receives nothing: it ends at once, and shows the server that the consumer is in use. */
const touchToken = "touch"
const touch: PullSettings = { batch: 1, max_bytes: 1, no_wait: true }

export class Puller {
  private readonly options: PullerOptions
  private current: Current | undefined
  private shown: Shown
  private count = 0
  private unread = 0
  private withdraw: (() => void) | undefined
  private isClosed = false
  private isStarting = true
  private lastSent = Number.NEGATIVE_INFINITY

  constructor(options: PullerOptions) {
    this.options = options
    this.shown = { end: options.pending === 0 ? "drained" : undefined, wasLarge: false, bytes: 0, received: 0 }
  }

  /** Whether the server has a pull of this consumer, so that messages or heartbeats must arrive. */
  get isExpecting(): boolean {
    return this.current !== undefined
  }

  /** Sends the next pull if it is due. */
  proceed(): void {
    if (this.isClosed || this.current !== undefined || this.withdraw !== undefined || this.unread >= mostUnread) return
    const { maxPayload, what, window } = this.options
    const next = nextPull(this.shown, maxPayload())
    if (next._tag === "Wait") return this.wait()
    let isGranted = false
    const withdraw = window.ask(next.kind, {
      what,
      atLeast: next.atLeast,
      granted: (grant) => {
        isGranted = true
        this.withdraw = undefined
        const settings = { batch: next.batch, max_bytes: grant.bytes, no_wait: true }
        this.begin(settings, grant, grant.bytes, next.kind === "large")
      }
    })
    if (!isGranted) this.withdraw = withdraw
  }

  /** Counts a received message. */
  received(bytes: number): void {
    if (this.current === undefined) return
    this.current.received += bytes
    this.current.grant?.arrived(bytes)
  }

  /** Whether a token is that of the current pull. */
  isCurrent(token: string): boolean {
    return this.current?.token === token
  }

  /** The current pull has ended. */
  ended(end: PullEnd): void {
    const { current } = this
    if (current === undefined) return
    this.current = undefined
    this.shown = { end, wasLarge: current.wasLarge, bytes: current.bytes, received: current.received }
    this.unread++
    current.grant?.end()
    this.proceed()
  }

  /** The reader has processed the messages of `pulls` ended pulls. */
  processed(pulls: number): void {
    this.unread -= pulls
    this.proceed()
  }

  /** The first messages are complete: a heartbeat is less urgent from now on. */
  complete(): void {
    this.isStarting = false
  }

  /** Sends a sign of life if nothing was sent for `millis`. */
  touchAfter(millis: number): void {
    if (this.isClosed || monotonicMillis(this.options.clock) - this.lastSent < millis) return
    this.send(touch, touchToken)
  }

  close(): void {
    this.isClosed = true
    this.withdraw?.()
    this.current?.grant?.end()
    this.current = undefined
  }

  private wait(): void {
    const [expiry, heartbeat] = this.isStarting ? [startExpiry, startHeartbeat] : [watchExpiry, watchHeartbeat]
    this.begin(
      { batch: manyMessages, max_bytes: waitingPull, expires: nanos(expiry), idle_heartbeat: nanos(heartbeat) },
      undefined,
      waitingPull,
      false
    )
  }

  private begin(settings: PullSettings, grant: Grant | undefined, bytes: number, wasLarge: boolean): void {
    const token = String(++this.count)
    this.current = { token, grant, wasLarge, bytes, received: 0 }
    this.send(settings, token)
  }

  private send(settings: PullSettings, token: string): void {
    this.lastSent = monotonicMillis(this.options.clock)
    this.options.send(settings, token)
  }
}
