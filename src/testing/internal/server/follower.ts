/**
 * All followers of a replicated stream, modelled as one. It receives every change
 * in order and applies it after a delay. Changes that are due are applied when
 * the follower is read; a timer applies them only while it has consumers.
 */
import type { Timer } from "../world/environment.ts"
import { Copy } from "./copy.ts"
import { Crowd } from "./crowd.ts"
import type { Kept } from "./kept.ts"
import type { Work } from "./work.ts"

/** The usual delay between a change on the leader and on the follower, in milliseconds. */
const usualLag = [0.3, 4] as const

/** Changes that are due are applied without a read when more than this many wait. */
const mostWaiting = 256

interface StreamChange {
  readonly message: Kept
  readonly kind: "store" | "rollup" | "remove"
  readonly due: number
}

export class Follower {
  readonly copy: Copy
  readonly crowd = new Crowd()
  /** Additional delay, in milliseconds. */
  lag = 0
  private readonly work: Work
  private readonly hasLeader: () => boolean
  private waiting: Array<StreamChange> = []
  private applied = 0
  private lastDue = 0
  private timer: Timer | undefined

  constructor(work: Work, firstRevision: number, historySize: number, hasLeader: () => boolean) {
    this.work = work
    this.hasLeader = hasLeader
    this.copy = new Copy(firstRevision, historySize, this.crowd)
  }

  hears(kind: StreamChange["kind"], message: Kept): void {
    const { now } = this.work
    this.lastDue = Math.max(this.lastDue, now + this.lag + this.work.chance.between(...usualLag))
    this.waiting.push({ kind, message, due: this.lastDue })
    if (this.waiting.length > mostWaiting) this.catchUp()
    this.watch()
  }

  /** Applies the changes that are due. Does nothing without a leader: a follower then learns of no commits. */
  catchUp(): void {
    if (this.applied === this.waiting.length || !this.hasLeader()) return
    const { now } = this.work
    while (this.applied < this.waiting.length && this.waiting[this.applied]!.due <= now) {
      this.apply(this.waiting[this.applied++]!)
    }
    if (this.applied * 2 <= this.waiting.length) return
    this.waiting = this.waiting.slice(this.applied)
    this.applied = 0
  }

  /** Applies each change when it is due, as long as the follower has consumers. */
  watch(): void {
    if (this.timer !== undefined || this.crowd.size === 0 || this.applied === this.waiting.length) return
    if (!this.hasLeader()) return
    const { due } = this.waiting[this.applied]!
    this.timer = this.work.after(Math.max(0.001, due - this.work.now), () => {
      this.timer = undefined
      this.catchUp()
      this.watch()
    })
  }

  close(): void {
    this.timer?.cancel()
  }

  private apply({ kind, message }: StreamChange): void {
    if (kind === "remove") this.copy.remove(message)
    else this.copy.store(message, kind === "rollup")
  }
}
