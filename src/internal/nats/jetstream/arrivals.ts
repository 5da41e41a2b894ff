/**
 * Reads what a consumer sends: messages, heartbeats, and the ends of pulls. Detects
 * missing messages by the consumer's sequence (docs/protocols/kv.md, K21 and K33).
 */
import type * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { monotonicMillis } from "../../time.ts"
import type { NatsMessage } from "../port.ts"
import type { ApiAccess } from "./apiAccess.ts"
import { type MessagePlace, placeReader } from "./messages.ts"
import type { PullEnd, Puller } from "./puller.ts"

/**
 * Why a consumer is replaced.
 *
 * - `silence`: no heartbeat arrived, or the consumer does not exist
 * - `gap`: messages were lost
 * - `link`: the connection was lost and restored, or a pull could not be sent
 * - `reset`: the stream was recreated or rolled back
 * - `unavailable`: another request of the watch failed with `Unavailable`
 */
export type RestartCause = "silence" | "gap" | "link" | "reset" | "unavailable"

/** The consumer cannot be used any more; a new consumer can continue. */
export class Interrupted extends Data.TaggedError("Interrupted")<{
  readonly cause: RestartCause
  readonly problem: string
}> {
  override get message(): string {
    return this.problem
  }
}

export type Arrival =
  | { readonly _tag: "Message"; readonly message: NatsMessage; readonly place: MessagePlace }
  /** The consumer delivers nothing at the moment, and has passed this revision of the stream, also if it does not match. */
  | { readonly _tag: "Idle"; readonly lastRevision: number }
  /**
   * A pull has ended. `behind` is how long the consumer had more messages than were pulled, in milliseconds. `isQuiet` takes
   * the place of a heartbeat if only one answer to a request passes: several pulls have ended without a message.
   */
  | { readonly _tag: "Ended"; readonly behind: number; readonly isQuiet: boolean }

/**
 * The status of a message that is not a stored one. A pull ends with "no messages" or "timeout" if the consumer has no more
 * messages, and with "conflict" if the next message does not fit; other conflicts have no header with the bytes left.
 */
const status = { heartbeat: 100, noMessages: 404, timeout: 408, conflict: 409, noResponders: 503 } as const

export const silent = (problem: string) => new Interrupted({ cause: "silence", problem })

/**
 * After this number of pulls without a message, the last one was sent when the reader had processed the first one: at most
 * two ended pulls are not processed.
 */
const quietAfter = 3

/** Reads what arrives in order, detects missing messages, and ends pulls. */
export class Reader {
  private readonly puller: Puller
  private readonly access: ApiAccess
  private readonly clock: Clock.Clock
  /** The consumer sequence of the last received message. */
  private last = 0
  private readonly placeOf = placeReader()
  /** The end of the pull with the message that was read last. */
  private pullEnd: PullEnd | undefined
  /** When a heartbeat was last passed on. */
  private lastTold = Number.NEGATIVE_INFINITY
  /** Since when the consumer has more messages than were pulled. */
  private behindSince: number | undefined

  /** The number of pulls without a message since the last one. */
  private empty = 0

  constructor(puller: Puller, access: ApiAccess, clock: Clock.Clock) {
    this.puller = puller
    this.access = access
    this.clock = clock
  }

  /** Returns what a message means; undefined if it needs no reaction. */
  read(message: NatsMessage): Arrival | Interrupted | undefined {
    const place = this.placeOf(message.reply)
    // A stored message can have any status, but only a stored message has a place (K32).
    if (place === undefined) return this.readStatus(message)
    if (place.consumerSequence !== this.last + 1) return this.lost(place.consumerSequence)
    this.last = place.consumerSequence
    this.empty = 0
    const bytes = message.data.length + message.subject.length + message.reply!.length
    this.pullEnd = this.puller.received(bytes, place.pending)
    return { _tag: "Message", message, place }
  }

  /** The end of the pull, if the message that was read last was its last one. */
  endOfPull(): Arrival | undefined {
    const end = this.pullEnd
    this.pullEnd = undefined
    return end === undefined ? undefined : this.ended(end)
  }

  private readStatus(message: NatsMessage): Arrival | Interrupted | undefined {
    const token = message.subject.slice(message.subject.lastIndexOf(".") + 1)
    const isOfPull = this.puller.isUnderWay(token)
    if (isOfPull) this.puller.answered()
    switch (message.status) {
      case status.heartbeat: {
        const last = message.header("Nats-Last-Consumer")
        if (!isOfPull || last === "") return undefined
        if (Number(last) !== this.last) return this.lost(last)
        if (!this.mayTell()) return undefined
        return { _tag: "Idle", lastRevision: Number(message.header("Nats-Last-Stream")) }
      }
      case status.noMessages:
      case status.timeout:
        if (!isOfPull) return undefined
        this.empty++
        return this.ended("drained")
      case status.noResponders:
        return silent("the consumer no longer exists")
      case status.conflict:
        if (message.header("Nats-Pending-Bytes") !== "") return isOfPull ? this.ended("full") : undefined
    }
    return silent(`the consumer has ended: ${message.status} ${message.description}`)
  }

  /** While heartbeats only let a consumer continue, they are rarely passed on: the watch asks the server after each. */
  private mayTell(): boolean {
    const now = monotonicMillis(this.clock)
    if (now - this.lastTold < Duration.toMillis(this.puller.reactionInterval)) return false
    this.lastTold = now
    return true
  }

  private ended(end: PullEnd): Arrival {
    const now = monotonicMillis(this.clock)
    const behind = this.behindSince === undefined ? 0 : now - this.behindSince
    this.behindSince = end === "drained" ? undefined : this.behindSince ?? now
    this.puller.ended(end)
    return { _tag: "Ended", behind, isQuiet: this.access.passesOne && this.empty >= quietAfter }
  }

  private lost(upTo: number | string): Interrupted {
    return new Interrupted({ cause: "gap", problem: `messages ${this.last + 1} to ${upTo} were lost` })
  }
}
