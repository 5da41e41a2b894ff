/**
 * The pulls of one consumer: their sizes follow its messages, within the window of
 * the connection (docs/protocols/kv.md, K33 and K36).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import { monotonicMillis, nanosPerMilli } from "../../time.ts"
import type { PullSettings } from "./api.ts"
import type { ApiAccess } from "./apiAccess.ts"
import type { Grant, PullWindow } from "./pullWindow.ts"

/** The interval of the heartbeats of a pull that waits for messages. */
const watchHeartbeat = Duration.seconds(1)

/** The same until the first messages are complete: a heartbeat can complete them. */
const startHeartbeat = Duration.millis(200)

/** A pull that waits ends after this time, and the next one follows. At least two heartbeats, as servers require. */
const watchExpiry = Duration.minutes(1)
const startExpiry = Duration.seconds(2)

/**
 * The interval of heartbeats for consumers that stop at removed messages: they continue after a heartbeat. That of pulls
 * outside of the window grows with the number of consumers, so that together they get at most 10,000 a second.
 */
const shortestHeartbeat = Duration.millis(1)
const mostHeartbeats = 10_000

/** A pull in the window that waits ends after this time: others may wait for its part. */
const shortExpiry = Duration.millis(200)

/**
 * While its consumer stops at removed messages, a watch reacts to a heartbeat at most this often, and all watches of the
 * connection together 200 times a second.
 */
const shortestReaction = Duration.millis(50)
const mostReactions = 200

/** A pull for one message ends after this time. Its end is the sign of life of the consumer, in the place of a heartbeat. */
const oneExpiry = Duration.seconds(1)

/** The messages of a pull that does not wait. Processing them takes up to some 10 ms, in which the event loop does nothing else. */
const mostMessages = 1000

/**
 * The room for each message of a pull: this many times the largest one of the pull before, and at least the second. So a
 * pull ends by the number of its messages, which the client counts. If it ends by its bytes, nats-server 2.10.27 and
 * 2.15.1 now and then drop it without a message (1 of about 80 beside 36,000 writes per second).
 */
const room = 1.1
const leastRoom = 256

/** The room for each message before the first one has arrived. */
const usualRoom = 1024

/** The subject, the reply subject and the headers of a message count as its bytes, too. */
const messageOverhead = 16 * 1024

/** More than any server accepts. The server reports the end only of a pull with a limit of bytes. */
const largestMessage = 128 * 1024 * 1024

/**
 * A pull that every message must fit into has no limit of bytes. It has so few messages that, if all have the largest
 * size, they are at most this many times larger than the window: then all pulls together are smaller than the default
 * `max_pending` of a server.
 */
const mostTooLarge = 8

/** The smallest size that a message is expected to have. */
const leastExpected = 2 * 1024

/** After a large message the expected size decreases by this factor with each message. */
const forgetting = 0.9

/** The pull under way, and ended ones whose messages the reader has not processed: one arrives while one is processed. */
const mostUnread = 2

/**
 * How a pull ended.
 *
 * - `drained`: the consumer had no more messages
 * - `full`: the next message does not fit
 * - `stopped`: messages are pending, but the consumer has stopped at a removed one
 */
export type PullEnd = "drained" | "full" | "stopped"

/** The outcome of the last pull. */
export interface Shown {
  readonly end: PullEnd | undefined
  /** Whether the pull was in the window's part for large pulls. */
  readonly wasLarge: boolean
  readonly bytes: number
  /** The bytes received since the pull was sent. */
  readonly received: number
  /** The bytes of the largest message received since then. */
  readonly largest: number
}

/** A pull that waits for messages, or one in the window. */
export type NextPull =
  | { readonly _tag: "Wait" }
  | {
    readonly _tag: "Take"
    readonly kind: "small" | "large"
    readonly batch: number
    readonly atLeast: number
    /** Whether a message is known to be pending. */
    readonly isCertain: boolean
  }

/** Decides the next pull. `maxPayload` is the limit of the server for a published message. */
export const nextPull = ({ bytes, end, largest, received, wasLarge }: Shown, maxPayload: number): NextPull => {
  if (end === "drained") return { _tag: "Wait" }
  if (end === undefined) return { _tag: "Take", kind: "small", batch: mostMessages, atLeast: 0, isCertain: false }
  // The next message may be as large as the ones before.
  if (received > 0 || end === "stopped") {
    return { _tag: "Take", kind: "large", batch: mostMessages, atLeast: largest + messageOverhead, isCertain: false }
  }
  // The next message is larger than the pull. The limit of the server may have been higher when it was stored. Only one
  // message is pulled, because the pull may be larger than the window.
  const whole = maxPayload + messageOverhead
  const atLeast = wasLarge && bytes >= whole ? largestMessage : whole
  return { _tag: "Take", kind: "large", batch: 1, atLeast, isCertain: true }
}

export interface PullerOptions {
  /** The consumer, for the log. */
  readonly what: string
  readonly clock: Clock.Clock
  readonly window: PullWindow
  readonly access: ApiAccess
  readonly maxPayload: () => number
  /** The number of messages at the beginning. */
  readonly pending: number
  /** The mean size of a message of the stream. */
  readonly meanSize: number
  /**
   * The largest size of a message, if every message must fit into its pull until the first messages are complete, because
   * the server would skip it; otherwise undefined.
   */
  readonly largest: number | undefined
  /** Sends a pull. Its messages and its end have this token. */
  readonly send: (settings: PullSettings, token: string) => void
}

interface UnderWay {
  readonly token: string
  readonly grant: Grant | undefined
  readonly kind: "small" | "large" | "wait"
  readonly bytes: number
  /** The number of messages that are still to come. */
  left: number
  received: number
  largest: number
  /** Messages, heartbeats and the end. */
  answers: number
}

const nanos = (duration: Duration.Duration): number => Duration.toMillis(duration) * nanosPerMilli

const timesOf = (expiry: Duration.Duration, heartbeat: Duration.Duration) => ({
  expires: nanos(expiry),
  idle_heartbeat: nanos(heartbeat)
})

const noWait = { no_wait: true } as const

/**
 * A pull for a message that is known to be pending waits, because a server that miscounts the pending messages would end it
 * at once (K36). The message may be removed before its turn, so it does not wait for long: it has its part of the window.
 */
const timesOfCertain = timesOf(shortExpiry, Duration.times(shortExpiry, 0.5))

/** The times of a pull in the window of a consumer that stops at removed messages. */
const timesOfStopping = timesOf(shortExpiry, shortestHeartbeat)

/** A pull that receives nothing: it ends at once, and shows the server that the consumer is in use. */
const touchToken = "touch"
const touch: PullSettings = { batch: 1, max_bytes: 1, no_wait: true }

/**
 * At most one pull is under way: of two pulls that a message does not fit into, nats-server 2.10.27 and 2.15.1 drop one
 * without a message.
 */
export class Puller {
  private readonly options: PullerOptions
  private underWay: UnderWay | undefined
  private shown: Shown
  private count = 0
  private unread = 0
  private withdraw: (() => void) | undefined
  private isClosed = false
  private isStarting = true
  private lastSent = Number.NEGATIVE_INFINITY
  private readonly leave: () => void
  /** The number of messages that the consumer has to deliver, as far as is known. */
  private pending: number
  /** The expected size of a message. */
  private expected: number

  constructor(options: PullerOptions) {
    this.options = options
    this.leave = options.window.join()
    this.pending = options.pending
    this.expected = Math.max(leastExpected, options.meanSize)
    this.shown = {
      end: options.pending === 0 ? "drained" : undefined,
      wasLarge: false,
      bytes: 0,
      received: 0,
      largest: 0
    }
  }

  /** Whether the server has a pull of this consumer, so that messages or heartbeats must arrive. */
  get isExpecting(): boolean {
    return this.underWay !== undefined
  }

  /** Sends the next pull if it is due. */
  proceed(): void {
    if (!this.mayPull) return
    if (this.options.access.passesOne) {
      this.waitForOne()
      return
    }
    const next = nextPull(this.shown, this.options.maxPayload())
    if (next._tag === "Wait") this.wait()
    else this.take(next)
  }

  /**
   * Counts a received message, after which the consumer has `pending` more. Returns the end of the pull if it was the last
   * one of it, which the server need not report: `drained` if a pull that waits has room for the rest.
   */
  received(bytes: number, pending: number): PullEnd | undefined {
    this.expected = Math.max(bytes, this.expected * forgetting, leastExpected)
    this.pending = pending
    const { underWay } = this
    if (underWay === undefined) return undefined
    this.answered()
    underWay.received += bytes
    underWay.largest = Math.max(underWay.largest, bytes)
    underWay.grant?.arrived(bytes)
    if (--underWay.left > 0) return undefined
    if (this.readsLast && pending > 0) return "full"
    return pending * underWay.largest * 2 <= this.options.window.waiting ? "drained" : "full"
  }

  /** The pull under way has got an answer. */
  answered(): void {
    if (this.underWay !== undefined && ++this.underWay.answers > 1) this.options.access.sawSeveral()
  }

  /** Whether the pull under way has got an answer. */
  get isAnswered(): boolean {
    return this.underWay !== undefined && this.underWay.answers > 0
  }

  /** Whether a token is that of the pull under way. */
  isUnderWay(token: string): boolean {
    return this.underWay?.token === token
  }

  /** The pull under way has ended. */
  ended(end: PullEnd): void {
    if (this.underWay === undefined) return
    const { bytes, grant, kind, largest, received } = this.underWay
    this.underWay = undefined
    const how = end === "drained" && this.readsLast && this.pending > 0 ? "stopped" : end
    // A pull that received nothing shows no size.
    this.shown = { end: how, wasLarge: kind === "large", bytes, received, largest: largest || this.shown.largest }
    this.unread++
    grant?.end()
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

  /** Sends a sign of life if nothing was sent for `millis`, unless the server would skip a message then. */
  touchAfter(millis: number): void {
    if (this.isClosed || this.readsLast || monotonicMillis(this.options.clock) - this.lastSent < millis) return
    this.send(touch, touchToken)
  }

  close(): void {
    if (!this.isClosed) this.leave()
    this.isClosed = true
    this.withdraw?.()
    this.underWay?.grant?.end()
    this.underWay = undefined
  }

  private get mayPull(): boolean {
    return !this.isClosed && this.withdraw === undefined && this.underWay === undefined && this.unread < mostUnread
  }

  private take({ atLeast, batch, isCertain, kind }: Extract<NextPull, { readonly _tag: "Take" }>): void {
    let isGranted = false
    const withdraw = this.options.window.ask(kind, {
      what: this.options.what,
      atLeast,
      granted: (grant) => {
        isGranted = true
        this.withdraw = undefined
        const times = this.readsLast ? timesOfStopping : isCertain ? timesOfCertain : noWait
        this.begin({ ...this.limitsOf(batch, grant.bytes), ...times }, kind, grant)
      }
    })
    if (!isGranted) this.withdraw = withdraw
  }

  private wait(): void {
    const { waiting } = this.options.window
    // Its messages arrive one by one, so there may be more of them.
    this.begin({ ...this.limitsOf(waiting, waiting), ...this.times }, "wait", undefined)
  }

  /** Waits for one message. A heartbeat would be the only answer to pass. */
  private waitForOne(): void {
    const expires = nanos(this.isStarting ? shortExpiry : oneExpiry)
    this.begin({ batch: 1, max_bytes: largestMessage, expires }, "wait", undefined)
  }

  /**
   * Whether the consumer delivers the last one of several messages of each key. Then it skips messages that do not fit into
   * a pull, and stops at removed ones until a heartbeat (K36).
   */
  get readsLast(): boolean {
    return this.options.largest !== undefined && this.isStarting
  }

  /** The shortest time between two heartbeats to which the watch reacts. */
  get reactionInterval(): Duration.Duration {
    return this.readsLast ? Duration.max(shortestReaction, this.shared(mostReactions)) : Duration.zero
  }

  /** The interval at which all consumers of the connection together do something so often a second. */
  private shared(perSecond: number): Duration.Duration {
    return Duration.millis(Math.ceil(this.options.window.consumers * 1000 / perSecond))
  }

  /** The expiry and the heartbeat of a pull outside of the window. */
  private get times() {
    if (!this.isStarting) return timesOf(watchExpiry, watchHeartbeat)
    if (!this.readsLast) return timesOf(startExpiry, startHeartbeat)
    const heartbeat = Duration.max(shortestHeartbeat, this.shared(mostHeartbeats))
    return timesOf(startExpiry, Duration.min(startHeartbeat, heartbeat))
  }

  /** The limits of a pull. If every message must fit, only the number of messages limits it. */
  private limitsOf(batch: number, bytes: number): Pick<PullSettings, "batch" | "max_bytes"> {
    const { largest } = this.options
    if (largest === undefined || !this.readsLast) {
      const each = this.shown.largest === 0 ? usualRoom : Math.max(leastRoom, this.shown.largest * room)
      return { batch: Math.max(1, Math.min(batch, Math.floor(bytes / each))), max_bytes: bytes }
    }
    const fitting = Math.floor(Math.min(bytes / this.expected, mostTooLarge * bytes / largest))
    const messages = Math.max(1, Math.min(batch, fitting))
    return { batch: messages, max_bytes: messages * largestMessage }
  }

  private begin(settings: PullSettings, kind: UnderWay["kind"], grant: Grant | undefined): void {
    const token = String(++this.count)
    this.underWay = {
      token,
      grant,
      kind,
      bytes: settings.max_bytes,
      left: settings.batch,
      received: 0,
      largest: 0,
      answers: 0
    }
    this.send(settings, token)
  }

  private send(settings: PullSettings, token: string): void {
    this.lastSent = monotonicMillis(this.options.clock)
    this.options.send(settings, token)
  }
}
