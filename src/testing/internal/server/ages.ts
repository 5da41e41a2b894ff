/**
 * Expires messages by age. A message is never removed early by the clock of the
 * stream's leader, but it can be removed late, because the server checks ages at
 * intervals.
 */
import type { Timer } from "../world/environment.ts"
import type { Limits } from "./config.ts"
import type { Kept } from "./kept.ts"
import type { Work } from "./work.ts"

/** The minimum time between two checks, in milliseconds, on 2.10 (`old`) and 2.15 (`new`). */
const betweenLookups = { old: [990, 998], new: [250, 297] } as const

/** The duration of a check, in milliseconds. */
const look = [0.2, 2] as const

/** An expiry is counted as late from this delay on, in milliseconds: a client could notice it. */
const noticeable = 10

export interface AgesOptions {
  readonly work: Work
  readonly isOld: boolean
  readonly limits: () => Limits
  /** Unix milliseconds by the leader's clock. */
  readonly wall: () => number
  readonly messages: () => ReadonlyArray<Kept>
  /** Expires a message; returns false if it must not be removed now. */
  readonly expire: (message: Kept) => boolean
  readonly hasLeader: () => boolean
}

export class Ages {
  private readonly options: AgesOptions
  private timer: Timer | undefined
  /** The expiry time, by the wall clock, for which the timer is set. */
  private armedFor = Number.POSITIVE_INFINITY
  private nextLookup = 0

  constructor(options: AgesOptions) {
    this.options = options
  }

  stored(message: Kept): void {
    const due = this.dueAt(message)
    if (due < this.armedFor) this.arm(due)
  }

  /** To be called when the limits or the leader have changed. */
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

  /** Expires all messages that are due. Does nothing without a leader: the next leader checks. */
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
    // `expire` may have stored a marker, which set `armedFor`: markers expire as well.
    this.arm(Math.min(next, this.armedFor))
  }
}
