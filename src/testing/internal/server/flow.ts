/**
 * Flow control of a push consumer: it asks its reader for a sign of life with
 * every half a window, and pushes no more than a window without one.
 */
import type { Chance } from "../world/chance.ts"

const mostWindow = 32 * 1024 * 1024

/** As a server begins: a fleet's messages hardly fill it. */
const usualWindow = mostWindow / 16

/** Some consumers have one that they do fill, in bytes. */
const smallestWindow = 512
const smallWindow = 8192
const small = 0.25

export class FlowControl {
  /** The subject under which an answer is waited for. */
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

  /** The subject of a question that is to be asked now. */
  pushed(size: number): string | undefined {
    this.unread += size
    if (this.asked !== undefined || this.unread <= this.window / 2) return undefined
    this.covered = this.unread
    return this.asked = `${this.subject}.${++this.count}`
  }

  /** Whether it was what was waited for. */
  answered(subject: string): boolean {
    if (subject !== this.asked) return false
    this.asked = undefined
    this.unread = Math.max(0, this.unread - this.covered)
    this.window = Math.min(mostWindow, this.window * 2)
    return true
  }
}
