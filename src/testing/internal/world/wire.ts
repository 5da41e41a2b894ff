/**
 * One direction of a TCP connection: messages arrive in order. While the link is
 * cut, messages are held, and they are sent later unless the connection breaks
 * first. `Quality` adds lost and overtaken messages, as in a network of several
 * servers.
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
}

/** The quality of a link to a host on the same network. */
export const goodQuality: Quality = { minDelay: 0.2, maxDelay: 1.5, loss: 0, reordering: 0 }

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

export class Wire {
  private readonly world: World
  private readonly chance: Chance
  private readonly names: WireNames
  /** The receiver of the messages; undefined for the server. */
  private readonly receiver: Actor | undefined
  private readonly quality: () => Quality
  private readonly isCut: () => boolean
  private lastArrival = 0
  private held: Array<() => void> = []
  private readonly underWay = new Set<Timer>()

  constructor(
    world: World,
    chance: Chance,
    options: {
      readonly direction: Direction
      readonly receiver: Actor | undefined
      readonly quality: () => Quality
      readonly isCut: () => boolean
    }
  ) {
    this.world = world
    this.chance = chance
    this.names = namesOf[options.direction]
    this.receiver = options.receiver
    this.quality = options.quality
    this.isCut = options.isCut
  }

  /** Sends a protocol message of the connection (such as a subscription). It can be late, but not lost or overtaken. */
  sendSurely(deliver: () => void): void {
    if (this.isHeld(deliver)) return
    const { maxDelay, minDelay } = this.quality()
    this.deliverInOrder(this.chance.between(minDelay, maxDelay), deliver)
  }

  private isHeld(deliver: () => void): boolean {
    if (!this.isCut()) return false
    this.world.injected(this.names.held)
    this.held.push(deliver)
    return true
  }

  send(deliver: () => void): void {
    if (this.isHeld(deliver)) return
    const { loss, maxDelay, minDelay, reordering } = this.quality()
    if (this.chance.is(loss)) return this.world.injected(this.names.lost)
    const millis = this.chance.between(minDelay, maxDelay)
    if (this.chance.is(reordering)) {
      this.world.injected(this.names.overtaken)
      return this.deliverAt(this.world.now() + millis * this.chance.between(1, detour), deliver)
    }
    this.deliverInOrder(millis, deliver)
  }

  private deliverInOrder(millis: number, deliver: () => void): void {
    this.lastArrival = Math.max(this.lastArrival + gap, this.world.now() + millis)
    this.deliverAt(this.lastArrival, deliver)
  }

  private deliverAt(time: number, deliver: () => void): void {
    const timer = this.world.schedule(this.receiver, time - this.world.now(), () => {
      this.underWay.delete(timer)
      deliver()
    })
    this.underWay.add(timer)
  }

  /** Sends the held messages if the link is no longer cut. */
  heal(): void {
    if (this.isCut()) return
    const { held } = this
    this.held = []
    const retransmission = held.length === 0 ? 0 : this.chance.between(0, longestRetransmission)
    for (const deliver of held) this.deliverInOrder(retransmission, deliver)
  }

  /**
   * Drops all messages when the connection breaks. A message in transit still arrives with the probability
   * `arrivedAlready`: it had reached the receiver's kernel.
   */
  drop(arrivedAlready: number): void {
    this.held = []
    for (const timer of this.underWay) if (!this.chance.is(arrivedAlready)) timer.cancel()
    this.underWay.clear()
  }
}
