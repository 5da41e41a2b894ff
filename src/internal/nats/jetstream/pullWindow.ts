/**
 * The window of a connection: limits the bytes that its consumers and its listings have
 * requested and not received. Without a limit the server would cut a connection whose buffer
 * overflows, and answers to other requests would wait behind the messages
 * (docs/protocols/kv.md, K33).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Semaphore from "effect/Semaphore"
import { monotonicMillis, wholeMillis } from "../../time.ts"

const mebibyte = 1024 * 1024

/**
 * The size at first: on a link of 1 MB/s, the answer to the renewal of a lease waits half a second behind it. On a fast
 * link the window has grown after a few pulls.
 */
const initialBytes = mebibyte / 2

/** The largest window. The default `max_pending` of a server, at which it cuts a connection, is 64 MiB. */
const mostBytes = 8 * mebibyte

/** The smallest window. A smaller one would not protect a connection better, and would slow down every read. */
const leastBytes = 128 * 1024

/** The largest pull: the larger a pull, the longer the others wait. */
const largestPull = mebibyte

/** The largest pull of a consumer that has not shown to have more: its messages go before the large ones. */
export const smallPull = 64 * 1024

/** The part of the window for small pulls, so that a small bucket is not read after the large ones. */
const smallPart = 0.25

/** The window shrinks until a pull ends within this time and a round trip: the answer to the renewal of a lease may wait behind it. */
const longestDrain = 250

/** The window grows again while pulls end within this time. */
const shortDrain = 100

/**
 * The bytes of a pull that waits for messages. Such pulls are not in the window, because nothing is under way; but all
 * consumers of a connection can get messages at the same time, so that together they have at most the first, unless
 * that would be less than the last for each.
 */
const mostWaitingTogether = 4 * mebibyte
const mostWaiting = 256 * 1024
const leastWaiting = 16 * 1024

/** Reads of single keys by all listings of the connection at once: each answer can have the largest size. */
const mostSingles = 16

/** A connection that was lost with at least this much under way may have been cut by the server. */
const leastSuspect = 64 * 1024

/** The largest part of the bytes at which the server has cut the connection. */
const partOfCut = 0.25

/** The pause of large pulls after a cut doubles from the first to the second. */
const shortestPause = Duration.seconds(1)
const longestPause = Duration.seconds(30)

/** After this time without a cut, a pause is short again. */
const calm = Duration.minutes(1)

export interface Size {
  readonly bytes: number
  /** The window does not grow beyond it. */
  readonly ceiling: number
}

export const initialSize: Size = { bytes: initialBytes, ceiling: mostBytes }

/** The size after a pull of `pulled` bytes has taken `millis`, without the round trip. */
export const afterPull = ({ bytes, ceiling }: Size, pulled: number, millis: number): Size => {
  if (millis > longestDrain) return { ceiling, bytes: Math.max(leastBytes, Math.floor(bytes / 2)) }
  return millis > shortDrain ? { ceiling, bytes } : { ceiling, bytes: Math.min(ceiling, bytes + pulled) }
}

/** The size after the connection was lost with `underWay` bytes requested and not received. */
export const afterLoss = ({ bytes, ceiling }: Size, underWay: number): Size => {
  const lower = Math.max(leastBytes, Math.min(ceiling, Math.floor(underWay * partOfCut)))
  return { ceiling: lower, bytes: Math.min(bytes, lower) }
}

/** The bytes of a pull that waits, with this number of consumers. */
export const waitingBytes = ({ ceiling }: Size, consumers: number): number => {
  const together = Math.min(mostWaitingTogether, ceiling / 2)
  return Math.max(leastWaiting, Math.min(mostWaiting, Math.floor(together / consumers)))
}

/** The permission for one pull. */
export interface Grant {
  readonly bytes: number
  /** Counts received bytes. */
  readonly arrived: (bytes: number) => void
  /** Call when the pull has ended. */
  readonly end: () => void
}

interface Asked {
  /** The consumer, for the log. */
  readonly what: string
  /** The bytes that the pull needs at least: for one large message more than the window may have. */
  readonly atLeast: number
  readonly granted: (grant: Grant) => void
}

/** Reads of one part of the window. Pulls and listings that wait are granted in turn, each in the order of their requests. */
class Lane {
  used = 0
  private readonly pulls: Array<Asked> = []
  private readonly listings: Array<Asked> = []
  private wasListing = false

  private get queue(): Array<Asked> {
    const isListing = this.listings.length > 0 && (this.pulls.length === 0 || !this.wasListing)
    return isListing ? this.listings : this.pulls
  }

  /** Adds a read. Returns the function that removes it. */
  add(asked: Asked, isListing: boolean): () => void {
    const queue = isListing ? this.listings : this.pulls
    queue.push(asked)
    return () => {
      const index = queue.indexOf(asked)
      if (index >= 0) queue.splice(index, 1)
    }
  }

  get next(): Asked | undefined {
    return this.queue[0]
  }

  removeNext(): void {
    const { queue } = this
    this.wasListing = queue === this.listings
    queue.shift()
  }

  /** The bytes under way, by the consumer. */
  readonly underWay = new Map<Grant, { readonly what: string; left: number }>()
}

export class PullWindow {
  /** Has a permit for each read of a single key by a listing. */
  readonly singles = Semaphore.makeUnsafe(mostSingles)
  private readonly clock: Clock.Clock
  private size = initialSize
  private readonly small = new Lane()
  private readonly large = new Lane()
  /** The time of the last change of the size; pulls that began before do not change it again. */
  private changedAt = Number.NEGATIVE_INFINITY
  /** The shortest time between a request and its answer since the connection began, in milliseconds. */
  private roundTrip = Number.POSITIVE_INFINITY
  private lastArrival = Number.NEGATIVE_INFINITY
  private lastLoss = Number.NEGATIVE_INFINITY
  private pause = shortestPause
  private readonly hasLost = Latch.makeUnsafe(false)
  private isPausing = false
  private joined = 0
  private report = ""
  /** Whether the last loss followed another one soon. */
  private isRepeated = false

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  /** Counts a consumer. Returns the function that ends this. */
  join(): () => void {
    this.joined++
    return () => {
      this.joined--
    }
  }

  /** The number of consumers of the connection. */
  get consumers(): number {
    return this.joined
  }

  /** The bytes of a pull that waits for messages. */
  get waiting(): number {
    return waitingBytes(this.size, Math.max(1, this.consumers))
  }

  /** The bytes that a read should request at most, so that it does not exceed the limit of the server. */
  get largestRead(): number {
    return Math.min(largestPull, this.size.ceiling)
  }

  /**
   * Requests a read that is granted in its turn; a listing is as large as a large pull. Returns the function that withdraws
   * the request.
   */
  ask(kind: "small" | "large" | "listing", asked: Asked): () => void {
    const lane = kind === "small" ? this.small : this.large
    const withdraw = lane.add(asked, kind === "listing")
    this.grantNext(lane)
    return withdraw
  }

  /** Whether messages of large pulls are arriving: answers to other requests wait behind them. */
  get isBusy(): boolean {
    return this.small.used + this.large.used > 0 && monotonicMillis(this.clock) - this.lastArrival < longestDrain * 4
  }

  /** Call when a request was answered after `millis`. A pull takes at least as long as the shortest of these times. */
  answered(millis: number): void {
    this.roundTrip = Math.min(this.roundTrip, millis)
  }

  /** Call when the connection was lost: nothing that was requested arrives any more. */
  lost(): void {
    this.roundTrip = Number.POSITIVE_INFINITY
    const lanes = [this.small, this.large]
    const underWay = lanes.reduce((sum, { used }) => sum + used, 0)
    const [largest] = Array.from(this.large.underWay.values()).toSorted((a, b) => b.left - a.left)
    for (const lane of lanes) {
      lane.used = 0
      lane.underWay.clear()
    }
    if (underWay < leastSuspect) return
    const now = monotonicMillis(this.clock)
    this.isRepeated = now - this.lastLoss <= Duration.toMillis(calm)
    this.pause = this.isRepeated ? Duration.min(longestPause, Duration.times(this.pause, 2)) : shortestPause
    this.lastLoss = now
    this.size = afterLoss(this.size, underWay)
    this.report = `the connection was lost while ${underWay} requested bytes were under way` +
      `${largest === undefined ? "" : `, most of them for ${largest.what}`}. The server may have cut it as a slow ` +
      `consumer. Further large reads wait ${Duration.format(this.pause)}, with at most ${this.size.bytes} bytes at once`
    this.isPausing = true
    this.hasLost.openUnsafe()
  }

  /** Reports losses, and ends the pauses. Runs as long as the connection. */
  keepPauses(): Effect.Effect<never> {
    const over = Effect.whileLoop({
      while: () => this.pauseLeft > 0,
      body: () => Effect.suspend(() => Effect.sleep(wholeMillis(this.pauseLeft))),
      step: () => undefined
    })
    const resume = Effect.andThen(
      over,
      Effect.sync(() => {
        this.isPausing = false
        this.grantNext(this.large)
      })
    )
    const untilNextLoss = Effect.raceFirst(resume, this.hasLost.await)
    const report = Effect.suspend(() => {
      this.hasLost.closeUnsafe()
      // Any loss of the connection is a first one: the server may have been stopped.
      return this.isRepeated ? Effect.logWarning(this.report) : Effect.logDebug(this.report)
    })
    return Effect.forever(Effect.andThen(this.hasLost.await, Effect.andThen(report, untilNextLoss)))
  }

  private get pauseLeft(): number {
    return this.lastLoss + Duration.toMillis(this.pause) - monotonicMillis(this.clock)
  }

  private limitOf(lane: Lane): number {
    return Math.floor(this.size.bytes * (lane === this.small ? smallPart : 1 - smallPart))
  }

  private grantNext(lane: Lane): void {
    for (let asked = lane.next; asked !== undefined; asked = lane.next) {
      if (lane === this.large && this.isPausing) return
      const limit = this.limitOf(lane)
      const usual = lane === this.small ? smallPull : Math.min(largestPull, Math.floor(limit / 2))
      const bytes = Math.max(usual, asked.atLeast)
      // A pull that is larger than the window is granted when no other one is under way.
      if (lane.used > 0 && lane.used + bytes > limit) return
      lane.removeNext()
      asked.granted(this.grant(lane, asked.what, bytes))
    }
  }

  private grant(lane: Lane, what: string, bytes: number): Grant {
    const begun = monotonicMillis(this.clock)
    const held = { what, left: bytes }
    let last = begun
    lane.used += bytes
    const grant: Grant = {
      bytes,
      arrived: (received) => {
        this.lastArrival = last = monotonicMillis(this.clock)
        if (!lane.underWay.has(grant)) return
        const less = Math.min(held.left, received)
        held.left -= less
        lane.used -= less
      },
      end: () => {
        if (!lane.underWay.delete(grant)) return
        lane.used -= held.left
        if (held.left < bytes) this.ended(bytes - held.left, begun, last)
        this.grantNext(lane)
      }
    }
    lane.underWay.set(grant, held)
    return grant
  }

  /** Changes the size after a pull whose last message arrived at `last`: a pull may also wait for messages. */
  private ended(pulled: number, begun: number, last: number): void {
    if (begun < this.changedAt) return
    const roundTrip = Number.isFinite(this.roundTrip) ? this.roundTrip : 0
    const size = afterPull(this.size, pulled, last - begun - roundTrip)
    if (size.bytes < this.size.bytes) this.changedAt = monotonicMillis(this.clock)
    this.size = size
  }
}
