/**
 * What is too old goes, and leaves a marker where it should: never early by the
 * clock of whoever leads the stream, and late, because the server looks only now
 * and then.
 */
import type { Timer } from "../world/environment.ts"
import type { Limits } from "./config.ts"
import type { Kept } from "./kept.ts"
import type { Work } from "./work.ts"

/** From one look to the next at least, in milliseconds. */
const betweenLookups = { old: [990, 998], new: [250, 297] } as const

/** What a look itself takes. */
const look = [0.2, 2] as const

/** Later than this, somebody could have noticed. */
const noticeable = 10

export interface AgesOptions {
  readonly work: Work
  readonly isOld: boolean
  readonly limits: () => Limits
  /** By the leader's clock. */
  readonly wall: () => number
  readonly messages: () => ReadonlyArray<Kept>
  /** Removes one; false: not now. */
  readonly expire: (message: Kept) => boolean
  readonly hasLeader: () => boolean
}

export class Ages {
  private readonly options: AgesOptions
  private timer: Timer | undefined
  /** The due time, by the wall clock, that the next look is for. */
  private armedFor = Number.POSITIVE_INFINITY
  private nextLookup = 0

  constructor(options: AgesOptions) {
    this.options = options
  }

  stored(message: Kept): void {
    const due = this.dueAt(message)
    if (due < this.armedFor) this.arm(due)
  }

  /** Limits, or who leads, have changed. */
  lookAgain(): void {
    this.timer?.cancel()
    this.armedFor = Number.POSITIVE_INFINITY
    this.look()
  }

  close(): void {
    this.timer?.cancel()
    this.armedFor = Number.NEGATIVE_INFINITY
  }

  private dueAt({ created, operation }: Kept, { markerAge, maxAge } = this.options.limits()): number {
    return created + (operation === "expire" ? Math.min(markerAge, maxAge) : maxAge)
  }

  private arm(due: number): void {
    if (!Number.isFinite(due)) return
    const { wall, work } = this.options
    this.timer?.cancel()
    this.armedFor = due
    const wait = Math.max(due - wall(), this.nextLookup - work.now) + work.chance.between(...look)
    this.timer = work.after(wait, () => {
      if (this.armedFor === Number.NEGATIVE_INFINITY) return
      this.armedFor = Number.POSITIVE_INFINITY
      this.look()
    })
  }

  /** Nothing is removed without a leader: the next one looks. */
  private look(): void {
    const { hasLeader, isOld, messages, wall, work } = this.options
    if (!hasLeader()) return
    const now = wall()
    const limits = this.options.limits()
    let next = Number.POSITIVE_INFINITY
    let latest = 0
    for (const message of messages()) {
      const due = this.dueAt(message, limits)
      if (due > now || !this.options.expire(message)) next = Math.min(next, due)
      else latest = Math.max(latest, now - due)
    }
    if (latest > noticeable) work.injected("late expiry")
    const [least, most] = isOld ? betweenLookups.old : betweenLookups.new
    this.nextLookup = work.now + work.chance.between(least, most)
    // A marker that was left here is due some day too.
    this.arm(Math.min(next, this.armedFor))
  }
}
