/**
 * A pull consumer on one copy of a stream: delivers messages in order to its pulls,
 * reports how each pull ends, sends idle heartbeats to pulls that wait, and ends
 * after `inactive_threshold` without a pull.
 */
import { sizeOfHeaders } from "../../../internal/kv/headers.ts"
import type { ConsumerSettings, PullSettings } from "../../../internal/nats/jetstream/api.ts"
import type { MessageHeaders } from "../../../internal/nats/port.ts"
import { nanosPerMilli } from "../../../internal/time.ts"
import { noBytes } from "../../../internal/utf8.ts"
import type { Timer } from "../world/environment.ts"
import type { Copy } from "./copy.ts"
import type { Interest } from "./interest.ts"
import type { Kept } from "./kept.ts"
import { statusOf } from "./messages.ts"
import { Position } from "./position.ts"
import type { Work } from "./work.ts"

/** The maximum number of messages delivered at once; then other work runs first. */
const longestStretch = 32

/**
 * The messages of some consumers count as many times their bytes, as if their values were large, so that pulls end
 * before all messages are delivered. The probability, and the factor.
 */
const isHeavy = 0.25
const heavier = [5, 40] as const

/** Messages of up to this many bytes count as more; with the factor they are at most 40 KiB. */
const lightest = 1024

/**
 * The probability that the removal of a message that is not to be delivered is subtracted from the pending ones, for a
 * consumer that delivers the last one of several messages of each subject. (nats-server 2.10.27 and 2.15.1 do so after
 * a purge of a subject, and while clients write.)
 */
const isMiscounted = 0.3

export interface PullConsumerOptions {
  readonly stream: string
  readonly settings: ConsumerSettings
  readonly copy: Copy
  readonly work: Work
  readonly interest: Interest
  /** Whether the server is of the 2.10 line. */
  readonly isOld: boolean
  /** Whether the stream keeps one message of each subject. */
  readonly keepsOne: () => boolean
  /** Called when the consumer had no pull for `inactive_threshold`. */
  readonly onAbandoned: (consumer: PullConsumer) => void
}

/** A pull that has not ended. */
interface Pull {
  readonly reply: string
  readonly noWait: boolean
  readonly heartbeat: number
  messages: number
  bytes: number
  delivered: number
  lastSaid: number
  expiry: Timer | undefined
  nextHeartbeat: Timer | undefined
}

export class PullConsumer {
  readonly name: string
  readonly settings: ConsumerSettings
  readonly position: Position
  private readonly options: PullConsumerOptions
  private readonly replyStart: string
  private readonly weight: number
  private isClosed = false
  /** The consumer sequence of the last delivered message. */
  private delivered = 0
  /** In the order in which they get messages. */
  private pulls: Array<Pull> = []
  private turn: Timer | undefined
  private leaving: Timer | undefined

  constructor(options: PullConsumerOptions) {
    const { copy, isOld, settings, stream, work: { chance } } = options
    this.options = options
    this.settings = settings
    this.name = settings.name
    this.position = new Position(copy, settings, isOld)
    this.replyStart = `$JS.ACK.${stream}.${this.name}.1.`
    this.weight = chance.is(isHeavy) ? chance.between(...heavier) : 1
    this.stay()
  }

  /** Ends the consumer. With `isAnnounced`, its pulls end with a message. */
  close(isAnnounced: boolean): void {
    this.isClosed = true
    this.turn?.cancel()
    this.leaving?.cancel()
    for (const pull of this.pulls) {
      if (isAnnounced) this.end(pull, 409, "Consumer Deleted", [])
      else this.forget(pull)
    }
  }

  pull(settings: Partial<PullSettings>, reply: string): void {
    const { interest, work } = this.options
    this.stay()
    this.dropUnheard()
    const noWait = settings.no_wait === true
    if (noWait && this.pulls.length > 0) return void interest.deliver(statusOf(reply, 408, "Requests Pending"))
    if (noWait && this.position.pending === 0) return void interest.deliver(statusOf(reply, 404, "No Messages"))
    const pull: Pull = {
      reply,
      noWait,
      heartbeat: (settings.idle_heartbeat ?? 0) / nanosPerMilli,
      messages: settings.batch ?? 1,
      bytes: settings.max_bytes ?? Number.POSITIVE_INFINITY,
      delivered: 0,
      lastSaid: work.now,
      expiry: undefined,
      nextHeartbeat: undefined
    }
    this.pulls.push(pull)
    if (settings.expires !== undefined) {
      pull.expiry = work.after(settings.expires / nanosPerMilli, () => {
        // The client has time for its next pull, also if the pull ends at the moment at which the time is over.
        this.stay()
        this.timeOut(pull)
      })
    }
    this.planHeartbeat(pull)
    this.takeTurn()
  }

  stored(message: Kept): void {
    if (!this.position.stored(message)) return
    // The usual case: this is the only pending message, and it is delivered at once. If it ends a pull that it does not
    // fit into, it remains for the next pull.
    if (this.position.pending === 1 && this.turn === undefined) this.deliverOne()
    if (this.position.pending > 0) this.takeTurn()
  }

  removed(message: Kept): void {
    const wasPending = this.position.removed(message)
    if (!wasPending && this.readsLast && this.options.work.chance.is(isMiscounted)) this.miscount()
  }

  private miscount(): void {
    this.options.work.injected("pending messages miscounted")
    this.position.miscount()
  }

  /** Whether the consumer delivers the last one of several messages of each subject. */
  private get readsLast(): boolean {
    return this.position.isInSnapshot && !this.options.keepsOne()
  }

  private takeTurn(): void {
    if (this.turn !== undefined || this.pulls.length === 0) return
    const { work } = this.options
    this.turn = work.after(work.chance.between(0.02, 0.2), () => {
      this.turn = undefined
      this.deliverSome()
    })
  }

  private deliverSome(): void {
    for (let left = 1 + this.options.work.chance.below(longestStretch); left > 0; left--) {
      if (!this.deliverOne()) return
    }
    this.takeTurn()
  }

  /** Delivers the next message to the next pull. Returns false if there is no message or no pull. */
  private deliverOne(): boolean {
    if (this.isClosed) return false
    this.dropUnheard()
    if (this.pulls.length > 0 && this.readsLast && this.position.passRemoved()) {
      this.stop()
      return false
    }
    const message = this.position.next()
    if (message === undefined) {
      for (const pull of this.pulls.filter(({ noWait }) => noWait)) this.drained(pull)
      return false
    }
    const [pull] = this.pulls
    if (pull === undefined) return false
    const reply = `${this.replyStart}${message.revision}.${this.delivered + 1}.${Math.floor(message.created)}000000.${
      this.position.pending - 1
    }`
    const { headers, subject, value } = message
    const actual = subject.length + reply.length + sizeOfHeaders(headers) + value.length
    const size = actual > lightest ? actual : this.weight * actual
    if (size > pull.bytes) {
      this.options.work.injected("pull full")
      this.skip()
      this.endTooSmall(size)
      return true
    }
    this.position.take(message)
    this.deliver(pull, message, reply)
    pull.bytes -= size
    this.pulls.push(this.pulls.shift()!)
    if (--pull.messages === 0) this.end(pull, 409, "Batch Completed", this.left(pull))
    return true
  }

  /**
   * Ends the pulls before the next one that a message fits into. If there are several, nats-server 2.10.27 and 2.15.1
   * report the end of the last one only.
   */
  private endTooSmall(size: number): void {
    const fitting = this.pulls.findIndex(({ bytes }) => size <= bytes)
    const tooSmall = fitting === -1 ? this.pulls : this.pulls.slice(0, fitting)
    for (const pull of tooSmall) {
      if (pull === tooSmall.at(-1)) this.end(pull, 409, "Message Size Exceeds MaxBytes", this.left(pull))
      else this.forget(pull)
    }
  }

  /**
   * What nats-server 2.10.27 and 2.15.1 do with a message that does not fit into a pull, if it is one of the last messages
   * of each subject: they skip it, unless the stream keeps one message of each subject.
   */
  private skip(): void {
    if (!this.readsLast) return
    this.options.work.injected("message skipped")
    this.position.skip()
  }

  /**
   * What both lines do at a removed message, if they deliver the last one of several messages of each subject: they continue
   * after the next heartbeat, pull or message. Pulls that do not wait end, but not those of 2.10 that received nothing.
   */
  private stop(): void {
    this.options.work.injected("removed message in a snapshot")
    for (const pull of this.pulls.filter(({ noWait }) => noWait)) {
      if (!this.options.isOld || pull.delivered > 0) this.drained(pull)
    }
  }

  private deliver(pull: Pull, message: Kept, reply: string): void {
    const isHeadersOnly = this.settings.headers_only === true
    this.delivered++
    pull.delivered++
    pull.lastSaid = this.options.work.now
    this.options.interest.deliverTo(pull.reply, {
      subject: message.subject,
      reply,
      status: 0,
      description: "",
      headers: isHeadersOnly ? [...message.headers, ["Nats-Msg-Size", String(message.value.length)]] : message.headers,
      data: isHeadersOnly ? noBytes : message.value
    })
  }

  /** Ends a pull that does not wait, when no message is left. The lines of the server report this differently. */
  private drained(pull: Pull): void {
    if (this.options.isOld && pull.delivered > 0) this.timeOut(pull)
    else this.end(pull, 404, "No Messages", [])
  }

  private timeOut(pull: Pull): void {
    if (this.pulls.includes(pull)) this.end(pull, 408, "Request Timeout", this.left(pull))
  }

  private left({ bytes, messages }: Pull): MessageHeaders {
    return [
      ["Nats-Pending-Messages", String(messages)],
      ["Nats-Pending-Bytes", String(bytes === Number.POSITIVE_INFINITY ? 0 : bytes)]
    ]
  }

  private end(pull: Pull, status: number, description: string, headers: MessageHeaders): void {
    this.forget(pull)
    this.options.interest.deliver(statusOf(pull.reply, status, description, headers))
  }

  private forget(pull: Pull): void {
    pull.expiry?.cancel()
    pull.nextHeartbeat?.cancel()
    this.pulls = this.pulls.filter((one) => one !== pull)
  }

  /** A pull whose client has gone, or no longer listens, gets nothing. */
  private dropUnheard(): void {
    for (const pull of this.pulls) if (!this.options.interest.has(pull.reply)) this.forget(pull)
  }

  /** Sends an idle heartbeat whenever the pull got nothing for the heartbeat interval. */
  private planHeartbeat(pull: Pull): void {
    if (pull.heartbeat <= 0) return
    const { work } = this.options
    pull.nextHeartbeat = work.after(Math.max(0.01, pull.lastSaid + pull.heartbeat - work.now), () => {
      if (!this.pulls.includes(pull)) return
      // With a delivery scheduled no heartbeat is needed.
      if (work.now - pull.lastSaid >= pull.heartbeat - 0.001 && this.turn === undefined) {
        this.sayIdle(pull)
        this.takeTurn()
      }
      this.planHeartbeat(pull)
    })
  }

  private sayIdle(pull: Pull): void {
    pull.lastSaid = this.options.work.now
    this.options.interest.deliver(statusOf(pull.reply, 100, "Idle Heartbeat", [
      ["Nats-Last-Consumer", String(this.delivered)],
      ["Nats-Last-Stream", String(this.position.passed)]
    ]))
  }

  /** Begins the time after which the consumer is removed if it has no pull. */
  private stay(): void {
    const { onAbandoned, work } = this.options
    const threshold = (this.settings.inactive_threshold ?? 0) / nanosPerMilli
    if (threshold <= 0) return
    this.leaving?.cancel()
    this.leaving = work.after(threshold, () => {
      if (this.isClosed) return
      this.dropUnheard()
      if (this.pulls.length === 0) onAbandoned(this)
      else this.stay()
    })
  }
}
