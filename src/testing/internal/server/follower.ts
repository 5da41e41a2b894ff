/**
 * The followers of a replicated stream, as one: it hears of every change in order,
 * and applies it some time later. It is brought up to date when somebody asks it,
 * and by itself only while it has something to push.
 */
import type { Timer } from "../world/environment.ts"
import { Copy } from "./copy.ts"
import { Crowd } from "./crowd.ts"
import type { Kept } from "./kept.ts"
import type { Work } from "./work.ts"

/** A change is applied this many milliseconds after the leader's, where nothing holds it up. */
const usualLag = [0.3, 4] as const

/** Without anybody who asks, it is brought up to date when this many changes wait. */
const mostWaiting = 256

interface StreamChange {
  readonly message: Kept
  readonly kind: "store" | "rollup" | "remove"
  readonly due: number
}

export class Follower {
  readonly copy: Copy
  readonly crowd = new Crowd()
  /** Milliseconds on top of the usual. */
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

  /** Applies what is due. Without a leader nobody tells it what has been decided. */
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

  /** Applies each change in its time, for as long as somebody waits for it. */
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
