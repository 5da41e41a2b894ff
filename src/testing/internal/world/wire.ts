/**
 * One direction of a connection, as TCP has it: in order, and what cannot pass
 * now waits and passes later, unless the connection is given up meanwhile. What
 * a network of several servers adds (messages that are lost, or overtaken) is
 * told to it as chances.
 */
import type { Chance } from "./chance.ts"
import type { Timer } from "./environment.ts"
import type { Actor, World } from "./world.ts"

/** How messages travel, both ways. */
export interface Quality {
  /** Milliseconds that a message takes. */
  readonly minDelay: number
  readonly maxDelay: number
  /** Chances of a message to be lost, and to be overtaken by later ones. */
  readonly loss: number
  readonly reordering: number
}

/** A host on the same network. */
export const goodQuality: Quality = { minDelay: 0.2, maxDelay: 1.5, loss: 0, reordering: 0 }

/** What was held back arrives after a retransmission of TCP: milliseconds at most. */
const longestRetransmission = 400

/** Milliseconds between two that arrive one behind the other. */
const gap = 0.001

/** One that is overtaken takes so many times as long at most. */
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
  /** Who is delivered to; undefined: the server. */
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

  /** What the two ends of the connection tell each other themselves: it is late at worst, never lost. */
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

  /** It passes again: what was held back comes first. */
  heal(): void {
    if (this.isCut()) return
    const { held } = this
    this.held = []
    const retransmission = held.length === 0 ? 0 : this.chance.between(0, longestRetransmission)
    for (const deliver of held) this.deliverInOrder(retransmission, deliver)
  }

  /** The connection is given up: what is under way is lost, unless it had arrived already and was not taken up yet. */
  drop(arrivedAlready: number): void {
    this.held = []
    for (const timer of this.underWay) if (!this.chance.is(arrivedAlready)) timer.cancel()
    this.underWay.clear()
  }
}
