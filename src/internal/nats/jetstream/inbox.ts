/**
 * The inbox for the answers to all requests of a connection. A server denies it if the
 * user has no right for it, also later, when the rights are reloaded. Then it is tried
 * again for later requests, because the right may have been given back
 * (docs/protocols/kv.md, K37).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { monotonicMillis } from "../../time.ts"
import { type LinkEvent, type NatsMessage, type NatsPort, type PortFailure, reported } from "../port.ts"

/** The first new subscription after a denial, if a request needs it. Rights that are reloaded twice are back by then. */
const firstTry = Duration.seconds(2)

/** The time between two further ones. The server logs each denial. */
const tryInterval = Duration.seconds(10)

type Outcome = Effect.Effect<void, PortFailure>

type InboxState =
  /** Subscribed, and not denied since. */
  | { readonly _tag: "Open" }
  | { readonly _tag: "Denied"; readonly failure: PortFailure; readonly nextTry: number }
  /** Subscribed again. The server answers a ping after it has accepted or denied the subscription. */
  | { readonly _tag: "Trying"; readonly waiting: Set<(outcome: Outcome) => void> }
  /** The connection accepts no subscription. */
  | { readonly _tag: "Closed"; readonly failure: PortFailure }

/** The failure if the client refused to send: it is closed, it is draining, or it rejected the message. */
export const held = (cause: unknown): PortFailure => ({
  _tag: "NotSent",
  problem: cause instanceof Error ? cause.message : String(cause),
  ...reported(cause)
})

const noPong: PortFailure = { _tag: "NotSent", problem: "the server does not answer a ping" }

const lost = (cause: unknown): PortFailure => ({
  _tag: "NotSent",
  problem: "the connection was lost",
  ...reported(cause)
})

export class Inbox {
  /** The subject of an answer without its last token. */
  readonly address: string
  private readonly port: NatsPort
  private readonly clock: Clock.Clock
  private readonly onMessage: (message: NatsMessage) => void
  private state: InboxState = { _tag: "Open" }
  private unsubscribe: () => void = () => undefined

  constructor(port: NatsPort, clock: Clock.Clock, onMessage: (message: NatsMessage) => void) {
    this.port = port
    this.clock = clock
    this.onMessage = onMessage
    this.address = port.inbox()
    this.subscribe()
  }

  /** Whether requests can be sent. */
  get isOpen(): boolean {
    return this.state._tag === "Open"
  }

  /** Succeeds if requests can be sent. Subscribes again if the inbox was denied some time ago. */
  regain(timeout: number): Outcome {
    const opened = Effect.callback<void, PortFailure>((resume) => {
      if (this.state._tag === "Denied" && monotonicMillis(this.clock) >= this.state.nextTry) this.tryAgain()
      const { state } = this
      switch (state._tag) {
        case "Open":
          return resume(Effect.void)
        case "Denied":
        case "Closed":
          return resume(Effect.fail(state.failure))
      }
      state.waiting.add(resume)
      return Effect.sync(() => state.waiting.delete(resume))
    })
    return Effect.timeoutOrElse(opened, { duration: timeout, orElse: () => Effect.fail(noPong) })
  }

  /** Returns whether the event is a denial of this inbox. */
  isDenied(event: LinkEvent): event is Extract<LinkEvent, { readonly _tag: "Denied" }> {
    return event._tag === "Denied" && event.operation === "subscription" && event.subject === this.subject
  }

  /** The server has denied the inbox. */
  deny(failure: PortFailure): void {
    const pause = this.state._tag === "Trying" ? tryInterval : firstTry
    const nextTry = monotonicMillis(this.clock) + Duration.toMillis(pause)
    this.become({ _tag: "Denied", failure, nextTry }, Effect.fail(failure))
  }

  /** The connection was lost. A denied inbox is tried again on the next one. */
  disconnected(cause: unknown): void {
    if (this.state._tag !== "Trying") return
    const failure = lost(cause)
    this.become({ _tag: "Denied", failure, nextTry: monotonicMillis(this.clock) }, Effect.fail(failure))
  }

  /** A new connection has the subscriptions of the last one, but a client drops a denied one. */
  connected(): void {
    if (this.state._tag === "Denied") this.subscribe()
  }

  close(): void {
    this.unsubscribe()
  }

  private get subject(): string {
    return `${this.address}.*`
  }

  private become(state: InboxState, outcome: Outcome): void {
    const before = this.state
    this.state = state
    if (before._tag === "Trying") { for (const resume of Array.from(before.waiting)) resume(outcome) }
  }

  private subscribe(): void {
    this.unsubscribe()
    try {
      this.unsubscribe = this.port.subscribe(this.subject, this.onMessage)
      this.become({ _tag: "Open" }, Effect.void)
    } catch (cause) {
      const failure = held(cause)
      this.become({ _tag: "Closed", failure }, Effect.fail(failure))
    }
  }

  private tryAgain(): void {
    this.subscribe()
    if (this.state._tag !== "Open") return
    const trying: InboxState = { _tag: "Trying", waiting: new Set() }
    this.state = trying
    this.port.ping((error) => {
      if (this.state !== trying) return
      if (error === undefined) this.become({ _tag: "Open" }, Effect.void)
      else this.disconnected(error)
    })
  }
}
