/**
 * A push consumer on one copy of a stream: pushes messages in order, with idle
 * heartbeats and flow control, and ends after `inactive_threshold` without a
 * subscriber.
 */
import type { ConsumerSettings } from "../../../internal/nats/jetstream/api.ts"
import type { MessageHeaders } from "../../../internal/nats/port.ts"
import { nanosPerMilli } from "../../../internal/time.ts"
import { noBytes } from "../../../internal/utf8.ts"
import type { Timer } from "../world/environment.ts"
import type { Copy } from "./copy.ts"
import { FlowControl } from "./flow.ts"
import type { Interest } from "./interest.ts"
import type { Kept } from "./kept.ts"
import { statusOf } from "./messages.ts"
import { Position } from "./position.ts"
import type { Work } from "./work.ts"

/** The maximum number of messages pushed at once; then other work runs first. */
const longestStretch = 32

export interface PushConsumerOptions {
  readonly stream: string
  readonly settings: ConsumerSettings
  readonly copy: Copy
  readonly work: Work
  readonly interest: Interest
  /** Whether a start sequence beyond the last message means the next message (2.10) or that exact sequence (2.15). */
  readonly startsAtNext: boolean
  /** Called when the consumer had no subscriber for `inactive_threshold`. */
  readonly onAbandoned: (consumer: PushConsumer) => void
}

export class PushConsumer {
  readonly name: string
  readonly settings: ConsumerSettings
  readonly position: Position
  private readonly options: PushConsumerOptions
  private readonly flow: FlowControl | undefined
  private readonly replyStart: string
  private readonly heartbeat: number
  private isClosed = false
  private isHeard: boolean
  /** The consumer sequence of the last pushed message. */
  private pushed = 0
  private lastSaid: number
  private turn: Timer | undefined
  private nextHeartbeat: Timer | undefined
  private leaving: Timer | undefined

  constructor(options: PushConsumerOptions) {
    const { copy, interest, settings, stream, work } = options
    this.options = options
    this.settings = settings
    this.name = settings.name
    this.position = new Position(copy, settings, options.startsAtNext)
    this.replyStart = `$JS.ACK.${stream}.${this.name}.1.`
    this.heartbeat = (settings.idle_heartbeat ?? 0) / nanosPerMilli
    this.flow = settings.flow_control ? new FlowControl(`$JS.FC.${stream}.${this.name}`, work.chance) : undefined
    this.isHeard = interest.has(settings.deliver_subject)
    this.lastSaid = work.now
    if (this.isHeard) this.sendHeartbeat()
    else this.wait()
  }

  /** Starts to push the existing messages. */
  begin(): void {
    this.takeTurn()
  }

  close(): void {
    this.isClosed = true
    this.turn?.cancel()
    this.nextHeartbeat?.cancel()
    this.leaving?.cancel()
  }

  /** To be called when the subscriptions may have changed. */
  listen(): void {
    const isHeard = this.options.interest.has(this.settings.deliver_subject)
    if (isHeard === this.isHeard) return
    this.isHeard = isHeard
    if (!isHeard) return this.wait()
    this.leaving?.cancel()
    this.sendHeartbeat()
    this.takeTurn()
  }

  stored(message: Kept): void {
    if (!this.position.stored(message) || !this.mayPush) return
    // The usual case: this is the only pending message, and it is pushed at once.
    if (this.position.pending === 1 && this.turn === undefined) this.push(this.position.take()!)
    else this.takeTurn()
  }

  removed(message: Kept): void {
    this.position.removed(message)
  }

  /** Handles a client's answer to a flow control request. */
  answered(subject: string): void {
    if (this.flow?.answered(subject) === true) this.takeTurn()
  }

  private get mayPush(): boolean {
    return this.isHeard && !this.isClosed && this.flow?.isStalled !== true
  }

  private takeTurn(): void {
    if (this.turn !== undefined || this.position.pending === 0) return
    const { work } = this.options
    this.turn = work.after(work.chance.between(0.02, 0.2), () => {
      this.turn = undefined
      this.pushSome()
    })
  }

  private pushSome(): void {
    for (let left = 1 + this.options.work.chance.below(longestStretch); left > 0 && this.mayPush; left--) {
      const message = this.position.take()
      if (message === undefined) return
      this.push(message)
    }
    if (this.mayPush) this.takeTurn()
  }

  private push(message: Kept): void {
    const { interest, work } = this.options
    const { deliver_subject, headers_only } = this.settings
    this.pushed++
    this.lastSaid = work.now
    interest.deliverTo(deliver_subject, {
      subject: message.subject,
      reply: `${this.replyStart}${message.revision}.${this.pushed}.${
        Math.floor(message.created)
      }000000.${this.position.pending}`,
      status: 0,
      description: "",
      headers: headers_only === true
        ? [...message.headers, ["Nats-Msg-Size", String(message.value.length)]]
        : message.headers,
      data: headers_only === true ? noBytes : message.value
    })
    const asks = this.flow?.pushed(message.size)
    if (asks !== undefined) {
      interest.deliver(statusOf(deliver_subject, 100, "FlowControl Request", undefined, asks))
    }
    if (this.flow?.isStalled === true) work.injected("consumer stalled")
  }

  /** Sends an idle heartbeat whenever nothing was sent for the heartbeat interval. */
  private sendHeartbeat(): void {
    if (this.heartbeat <= 0) return
    const { work } = this.options
    this.nextHeartbeat?.cancel()
    this.nextHeartbeat = work.after(Math.max(0.01, this.lastSaid + this.heartbeat - work.now), () => {
      if (this.isClosed || !this.isHeard) return
      // With a push scheduled no heartbeat is needed.
      if (work.now - this.lastSaid >= this.heartbeat - 0.001 && (this.turn === undefined)) this.sayIdle()
      this.sendHeartbeat()
    })
  }

  private sayIdle(): void {
    const { interest, work } = this.options
    this.lastSaid = work.now
    const headers: Array<readonly [string, string]> = [
      ["Nats-Last-Consumer", String(this.pushed)],
      ["Nats-Last-Stream", String(this.position.passed)]
    ]
    const asked = this.flow?.asked
    if (asked !== undefined) headers.push(["Nats-Consumer-Stalled", asked])
    interest.deliver(statusOf(this.settings.deliver_subject, 100, "Idle Heartbeat", headers satisfies MessageHeaders))
  }

  private wait(): void {
    const { onAbandoned, work } = this.options
    const threshold = (this.settings.inactive_threshold ?? 0) / nanosPerMilli
    if (threshold <= 0) return
    this.leaving?.cancel()
    this.leaving = work.after(threshold, () => {
      if (!this.isClosed && !this.isHeard) onAbandoned(this)
    })
  }
}
