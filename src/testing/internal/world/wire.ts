/**
 * One direction of a TCP connection: messages arrive in order. While the link is
 * cut, messages are held, and they are sent later unless the connection breaks
 * first. `Quality` adds lost and overtaken messages, as in a network of several
 * servers, and a bandwidth: messages then wait in the buffer of the sender, and
 * later messages wait behind them. A sender whose buffer overflows ends the
 * connection.
 */
import type { Chance } from "./chance.ts"
import type { Timer } from "./environment.ts"
import type { Actor, World } from "./world.ts"

/** The quality of a link, in both directions. */
export interface Quality {
  /** The delay of a message, in milliseconds. */
  readonly minDelay: number
  readonly maxDelay: number
  /** The probability that a message is lost, and that later messages overtake it. */
  readonly loss: number
  readonly reordering: number
  /** Bytes per millisecond. Only replies have a size: requests pass a narrow link without a delay. */
  readonly bandwidth: number
}

/** The quality of a link to a host on the same network. */
export const goodQuality: Quality = {
  minDelay: 0.2,
  maxDelay: 1.5,
  loss: 0,
  reordering: 0,
  bandwidth: Number.POSITIVE_INFINITY
}

/** The maximum delay of held messages after a cut: a retransmission of TCP, in milliseconds. */
const longestRetransmission = 400

/** The minimum time between two messages in order, in milliseconds. */
const gap = 0.001

/** The maximum factor by which an overtaken message is slower. */
const detour = 20

export type Direction = "requests" | "replies"

interface WireNames {
  readonly lost: string
  readonly overtaken: string
  readonly held: string
}

const namesOf: Record<Direction, WireNames> = {
  requests: { lost: "request lost", overtaken: "request overtaken", held: "request held back" },
  replies: { lost: "reply lost", overtaken: "reply overtaken", held: "reply held back" }
}

/** The buffer of the sender. */
export interface Buffer {
  /** The limit for the bytes that wait, in bytes. */
  readonly limit: number
  /** Called when the limit is exceeded. No further message is sent. */
  readonly onOverflow: () => void
  /** Called when the receiver notices the end of the connection after an overflow. */
  readonly onEnd: () => void
}

interface Message {
  readonly deliver: () => void
  readonly bytes: number
}

/** A message that was sent and has not arrived. */
interface UnderWay extends Message {
  /** When its last byte leaves the buffer of the sender. */
  readonly sentAt: number
  /** The arrival of the last message in order up to this one. */
  readonly lastArrival: number
  readonly timer: Timer
}

export class Wire {
  private readonly world: World
  private readonly chance: Chance
  private readonly names: WireNames
  /** The receiver of the messages; undefined for the server. */
  private readonly receiver: Actor | undefined
  private readonly quality: () => Quality
  private readonly isCut: () => boolean
  private readonly buffer: Buffer | undefined
  private lastArrival = 0
  /** When the last byte leaves the buffer of the sender. */
  private emptyAt = 0
  private held: Array<Message> = []
  private heldBytes = 0
  private readonly underWay = new Set<UnderWay>()
  private isClosed = false

  constructor(
    world: World,
    chance: Chance,
    options: {
      readonly direction: Direction
      readonly receiver: Actor | undefined
      readonly quality: () => Quality
      readonly isCut: () => boolean
      readonly buffer?: Buffer | undefined
    }
  ) {
    this.world = world
    this.chance = chance
    this.names = namesOf[options.direction]
    this.receiver = options.receiver
    this.quality = options.quality
    this.isCut = options.isCut
    this.buffer = options.buffer
  }

  /** Sends a protocol message of the connection (such as a subscription). It can be late, but not lost or overtaken. */
  sendSurely(deliver: () => void): void {
    const message = { deliver, bytes: 0 }
    if (this.isHeld(message)) return
    const { maxDelay, minDelay } = this.quality()
    this.deliverInOrder(this.chance.between(minDelay, maxDelay), message)
  }

  private isHeld(message: Message): boolean {
    if (!this.isCut()) return false
    this.world.injected(this.names.held)
    this.held.push(message)
    this.heldBytes += message.bytes
    return true
  }

  send(deliver: () => void, bytes = 0): void {
    if (this.isClosed || this.overflowsBy(bytes)) return
    const message = { deliver, bytes }
    if (this.isHeld(message)) return
    const { loss, maxDelay, minDelay, reordering } = this.quality()
    if (this.chance.is(loss)) return this.world.injected(this.names.lost)
    const millis = this.chance.between(minDelay, maxDelay)
    if (this.chance.is(reordering)) {
      this.world.injected(this.names.overtaken)
      const sentAt = this.sentAt(bytes)
      return this.deliverAt(sentAt + millis * this.chance.between(1, detour), sentAt, message)
    }
    this.deliverInOrder(millis, message)
  }

  /** Takes the message into the buffer and returns when its last byte has left it. */
  private sentAt(bytes: number): number {
    return this.emptyAt = Math.max(this.emptyAt, this.world.now()) + bytes / this.quality().bandwidth
  }

  private deliverInOrder(millis: number, message: Message): void {
    const sentAt = this.sentAt(message.bytes)
    this.lastArrival = Math.max(this.lastArrival + gap, sentAt + millis)
    this.deliverAt(this.lastArrival, sentAt, message)
  }

  private deliverAt(arrivesAt: number, sentAt: number, { bytes, deliver }: Message): void {
    const timer = this.world.schedule(this.receiver, arrivesAt - this.world.now(), () => {
      this.underWay.delete(message)
      deliver()
    })
    const message = { deliver, bytes, sentAt, lastArrival: this.lastArrival, timer }
    this.underWay.add(message)
  }

  // ------------------------------------------------------------ the buffer of the sender

  /** The bytes in the buffer of the sender. */
  private get waiting(): number {
    const millis = this.emptyAt - this.world.now()
    return this.heldBytes + (millis > 0 ? millis * this.quality().bandwidth : 0)
  }

  /** Whether the buffer overflows with these bytes. Then the sender drops its messages and ends the connection. */
  private overflowsBy(bytes: number): boolean {
    const { buffer } = this
    if (buffer === undefined || this.waiting + bytes <= buffer.limit) return false
    this.close(0)
    this.lastArrival = 0
    buffer.onOverflow()
    // The end of the connection reaches the receiver like a message, so not while the link is cut.
    this.sendSurely(() => buffer.onEnd())
    return true
  }

  /** To be called when the bandwidth has changed or a cut has begun: sends the messages in the buffer again. */
  sendAgain(): void {
    const now = this.world.now()
    if (this.emptyAt <= now) return
    const waiting = Array.from(this.underWay).filter(({ sentAt }) => sentAt > now)
    for (const message of waiting) {
      message.timer.cancel()
      this.underWay.delete(message)
    }
    this.emptyAt = now
    this.lastArrival = 0
    for (const { lastArrival } of this.underWay) this.lastArrival = Math.max(this.lastArrival, lastArrival)
    const { minDelay } = this.quality()
    for (const message of waiting) if (!this.isHeld(message)) this.deliverInOrder(minDelay, message)
  }

  // ------------------------------------------------------------ faults

  /** Sends the held messages if the link is no longer cut. */
  heal(): void {
    if (this.isCut()) return
    const { held } = this
    this.held = []
    this.heldBytes = 0
    const retransmission = held.length === 0 ? 0 : this.chance.between(0, longestRetransmission)
    for (const message of held) this.deliverInOrder(retransmission, message)
  }

  /**
   * Drops all messages when the connection breaks. A message in transit still arrives with the probability
   * `arrivedAlready`: it had reached the receiver's kernel.
   */
  drop(arrivedAlready: number): void {
    this.held = []
    this.heldBytes = 0
    this.emptyAt = 0
    for (const { timer } of this.underWay) if (!this.chance.is(arrivedAlready)) timer.cancel()
    this.underWay.clear()
  }

  /** Like `drop`, and drops all later messages. */
  close(arrivedAlready: number): void {
    this.isClosed = true
    this.drop(arrivedAlready)
  }
}
