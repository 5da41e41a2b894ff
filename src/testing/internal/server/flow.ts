/**
 * Flow control of a push consumer: after each half window it asks the reader for
 * an answer, and it stops when a full window is not answered.
 */
import type { Chance } from "../world/chance.ts"

/** Windows are in bytes. */
const mostWindow = 32 * 1024 * 1024

/** The initial window of a server. The messages of a simulated fleet rarely fill it. */
const usualWindow = mostWindow / 16

/** Some consumers get a smaller window, which is filled, so that flow control is exercised. */
const smallestWindow = 512
const smallWindow = 8192
const small = 0.25

export class FlowControl {
  /** The subject of the pending flow control request. */
  asked: string | undefined
  private readonly subject: string
  private window: number
  private unread = 0
  private covered = 0
  private count = 0

  constructor(subject: string, chance: Chance) {
    this.subject = subject
    this.window = chance.is(small) ? chance.between(smallestWindow, smallWindow) : usualWindow
  }

  get isStalled(): boolean {
    return this.unread > this.window
  }

  /** Counts a pushed message. Returns the subject of a flow control request that must be sent now. */
  pushed(size: number): string | undefined {
    this.unread += size
    if (this.asked !== undefined || this.unread <= this.window / 2) return undefined
    this.covered = this.unread
    return this.asked = `${this.subject}.${++this.count}`
  }

  /** Handles an answer; returns whether it was the pending one. */
  answered(subject: string): boolean {
    if (subject !== this.asked) return false
    this.asked = undefined
    this.unread = Math.max(0, this.unread - this.covered)
    this.window = Math.min(mostWindow, this.window * 2)
    return true
  }
}
