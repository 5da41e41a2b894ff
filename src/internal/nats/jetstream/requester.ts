/**
 * Requests over a connection. All requests share one inbox and one timer. Every
 * request ends: with its answer, its timeout, a refusal, the loss of the connection,
 * or the interruption of its caller (docs/protocols/kv.md, K11).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { forkReported } from "../../fibers.ts"
import { sizeOfHeaders } from "../../kv/headers.ts"
import { monotonicMillis, wholeMillis } from "../../time.ts"
import {
  type LinkEvent,
  type MessageHeaders,
  type NatsMessage,
  type NatsPort,
  type PortFailure,
  reported
} from "../port.ts"
import { GivenUp } from "./givenUp.ts"
import { held, Inbox } from "./inbox.ts"
import { isStored } from "./messages.ts"
import { type Grant, PullWindow, smallPull } from "./pullWindow.ts"

/**
 * The longest sleep of the timer, in milliseconds, and so the maximum delay of a timeout: a request that begins during
 * the sleep with an earlier deadline is noticed only afterwards.
 */
const longestLook = 100

const noResponders = 503

interface Pending {
  readonly subject: string
  /** Monotonic time in milliseconds. Each answer moves it, so that a long series of answers does not time out. */
  deadline: number
  readonly onMessage: (message: NatsMessage) => void
  readonly onFailure: (failure: PortFailure) => void
}

export interface Many<A> {
  readonly answers: ReadonlyArray<A>
  /** The message that ends the answers: it has a status. */
  readonly end: NatsMessage
}

interface ManyRequest {
  readonly subject: string
  /** The reader, for the log. */
  readonly what: string
  /** The expected bytes of all answers. */
  readonly expected: number
  /** The data of the request, with the limit for the bytes of the answers. */
  readonly data: (limit: number) => Uint8Array
}

export interface Requester {
  readonly port: NatsPort
  /** The window of the connection for the pulls of consumers, and for requests with many answers. */
  readonly window: PullWindow
  /** Sends a request and returns its answer, with any status but "no responders". `timeout` is in milliseconds. */
  readonly request: (
    subject: string,
    data: Uint8Array,
    headers: MessageHeaders,
    timeout: number
  ) => Effect.Effect<NatsMessage, PortFailure>
  /**
   * Returns all answers before the one with a status that is not a stored message. `timeout` limits the time between two
   * answers. Each answer is converted on arrival, which saves memory. The request waits for its part of the window, and
   * keeps it until the last answer, also if the caller was interrupted: the answers arrive nevertheless.
   */
  readonly requestMany: <A>(
    request: ManyRequest,
    timeout: number,
    read: (message: NatsMessage) => A
  ) => Effect.Effect<Many<A>, PortFailure>
}

const everyOne = () => true

/** The pending requests, by the last token of their reply subject. */
class UnderWay {
  readonly inbox: Inbox
  /** Open while there are pending requests. */
  readonly any = Latch.makeUnsafe(false)
  private readonly pending = new Map<string, Pending>()
  private readonly givenUp = new GivenUp()
  private readonly clock: Clock.Clock
  private begun = 0

  constructor(port: NatsPort, clock: Clock.Clock) {
    this.clock = clock
    this.inbox = new Inbox(port, clock, (message) => this.onMessage(message))
  }

  /** A new token for a request. */
  nextToken(): string {
    return (this.begun++).toString(36)
  }

  /** Adds a request. Opening the latch can run the timer before this returns, and the timer may end the request. */
  begin(token: string, one: Pending): void {
    this.pending.set(token, one)
    this.any.openUnsafe()
  }

  has(token: string): boolean {
    return this.pending.has(token)
  }

  end(token: string): void {
    this.pending.delete(token)
  }

  /** Ends a request without an answer, which may still come. */
  giveUp(token: string): void {
    const one = this.pending.get(token)
    if (one === undefined) return
    this.pending.delete(token)
    this.givenUp.add(token, one.subject, monotonicMillis(this.clock))
  }

  /** The earliest deadline of the pending requests. */
  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { deadline } of this.pending.values()) earliest = Math.min(earliest, deadline)
    return earliest
  }

  expire(now: number): void {
    this.fail({ _tag: "Timeout" }, ({ deadline }) => deadline <= now, true)
    if (this.pending.size === 0) this.any.closeUnsafe()
  }

  onMessage(message: NatsMessage): void {
    const token = message.subject.slice(this.inbox.address.length + 1)
    const one = this.pending.get(token)
    if (one === undefined) return this.givenUp.answered(token)
    if (message.status === noResponders && message.data.length === 0 && !isStored(message)) {
      one.onFailure({ _tag: "NoResponders" })
    } else one.onMessage(message)
  }

  onLink(event: LinkEvent): void {
    switch (event._tag) {
      case "Connected":
        return this.inbox.connected()
      case "Disconnected":
        this.inbox.disconnected(event.cause)
        this.givenUp.clear()
        return this.lose("the connection was lost", event.cause)
      case "Closed":
        return this.lose("the connection was closed", event.cause)
      case "Denied":
        return this.deny(event)
    }
  }

  lose(problem: string, cause?: unknown): void {
    this.fail({ _tag: "ConnectionLost", problem, ...reported(cause) }, everyOne)
  }

  private deny(event: Extract<LinkEvent, { readonly _tag: "Denied" }>): void {
    const { cause, operation, subject } = event
    const failure: PortFailure = { _tag: "Denied", subject, ...reported(cause) }
    if (this.inbox.isDenied(event)) {
      this.inbox.deny(failure)
      return this.fail({ ...failure, wasSent: true }, everyOne)
    }
    if (operation !== "publish") return
    const isRefused = (one: Pending) => one.subject === subject
    const isEarlier = this.givenUp.takeOldest(subject, monotonicMillis(this.clock))
    const refused = Array.from(this.pending.values()).filter(isRefused).length
    // The right may have been taken away between two requests, and nothing shows which of them was refused.
    if (refused === 1 && !isEarlier) return this.fail(failure, isRefused)
    this.fail({ ...failure, wasSent: true }, isRefused, true)
    // It was one of these.
    if (!isEarlier) this.givenUp.takeOldest(subject, monotonicMillis(this.clock))
  }

  /** Ends requests with a failure. `isOpen`: their answers may still come. */
  private fail(failure: PortFailure, which: (one: Pending) => boolean, isOpen = false): void {
    // Iterates over a copy, because `onFailure` may begin a new request.
    for (const [token, one] of Array.from(this.pending)) {
      if (!which(one)) continue
      if (isOpen) this.giveUp(token)
      else this.pending.delete(token)
      one.onFailure(failure)
    }
  }
}

/** Ends requests at their deadlines. Sleeps while no request is pending. */
const keepTime = Effect.fnUntraced(function*(underWay: UnderWay, clock: Clock.Clock) {
  while (true) {
    yield* underWay.any.await
    const left = Math.min(longestLook, underWay.deadline - monotonicMillis(clock))
    if (left > 0) yield* Effect.sleep(wholeMillis(left))
    underWay.expire(monotonicMillis(clock))
  }
})

/** A request. `timeout` is in milliseconds. */
interface Question {
  readonly subject: string
  readonly headers: MessageHeaders
  readonly timeout: number
}

/** What all requests of a connection share. */
interface Asking {
  readonly port: NatsPort
  readonly underWay: UnderWay
  readonly clock: Clock.Clock
  readonly window: PullWindow
}

/** A request that has begun, and ends even if it is never sent. */
interface Exchange {
  /** Sends the request, and begins its timeout again. Does nothing if it has ended. */
  readonly send: (data: Uint8Array) => void
  /** Ends a request that was not sent, without an outcome. */
  readonly cancel: () => void
  /** Ends a request that was sent, without an outcome. */
  readonly giveUp: () => void
}

/** Begins a request. `receive` gets each answer and calls `done` for the last one. `finish` is called once. */
const begin = <A>(
  { clock, port, underWay, window }: Asking,
  { headers, subject, timeout }: Question,
  receive: (message: NatsMessage, done: (answer: A) => void) => void,
  finish: (outcome: Effect.Effect<A, PortFailure>) => void
): Exchange => {
  const token = underWay.nextToken()
  const cancel = () => underWay.end(token)
  const end = (outcome: Effect.Effect<A, PortFailure>) => {
    cancel()
    finish(outcome)
  }
  let begun = monotonicMillis(clock)
  const pending: Pending = {
    subject,
    deadline: begun + timeout,
    onMessage: (message) => {
      const now = monotonicMillis(clock)
      window.answered(now - begun)
      pending.deadline = now + timeout
      receive(message, (answer) => end(Effect.succeed(answer)))
    },
    onFailure: (failure) => end(Effect.fail(failure))
  }
  const send = (data: Uint8Array) => {
    // A request whose deadline has passed already is not sent.
    if (!underWay.has(token)) return
    begun = monotonicMillis(clock)
    pending.deadline = begun + timeout
    const size = data.length + sizeOfHeaders(headers)
    const limit = port.server().maxPayload
    if (size > limit) return end(Effect.fail({ _tag: "TooLarge", size, limit }))
    try {
      port.publish(subject, data, headers, `${underWay.inbox.address}.${token}`)
    } catch (cause) {
      end(Effect.fail(held(cause)))
    }
  }
  underWay.begin(token, pending)
  return { send, cancel, giveUp: () => underWay.giveUp(token) }
}

const ask = (asking: Asking, question: Question, data: Uint8Array): Effect.Effect<NatsMessage, PortFailure> =>
  Effect.callback((resume) => {
    const { giveUp, send } = begin<NatsMessage>(asking, question, (message, done) => done(message), resume)
    send(data)
    return Effect.sync(giveUp)
  })

/** The largest size of a request that does not wait behind large reads. */
const mostSmall = smallPull * 0.75

const askMany = <A>(
  asking: Asking,
  { data, expected, subject, what }: ManyRequest,
  timeout: number,
  read: (message: NatsMessage) => A
): Effect.Effect<Many<A>, PortFailure> =>
  Effect.callback((resume) => {
    const { window } = asking
    const answers: Array<A> = []
    let isWanted = true
    let hasEnded = false
    let grant: Grant | undefined
    let withdraw = () => {}
    const receive = (message: NatsMessage, done: (answer: Many<A>) => void) => {
      if (message.status !== 0 && !isStored(message)) return done({ answers, end: message })
      grant?.arrived(message.data.length)
      if (isWanted) answers.push(read(message))
    }
    const { cancel, send } = begin<Many<A>>(asking, { subject, headers: [], timeout }, receive, (outcome) => {
      hasEnded = true
      withdraw()
      grant?.end()
      resume(outcome)
    })
    if (hasEnded) return
    const isSmall = expected <= mostSmall
    withdraw = window.ask(isSmall ? "small" : "listing", {
      what,
      atLeast: isSmall ? 0 : Math.min(expected, window.largestRead),
      granted: (granted) => {
        grant = granted
        send(data(granted.bytes))
      }
    })
    return Effect.sync(() => {
      isWanted = false
      if (grant !== undefined) return
      withdraw()
      cancel()
    })
  })

/** Listens for answers and for events of the connection. Returns what ends it. */
const listen = (port: NatsPort, underWay: UnderWay, window: PullWindow): () => void => {
  const endLink = port.onLink((event) => {
    if (event._tag === "Disconnected") window.lost()
    underWay.onLink(event)
  })
  return () => {
    underWay.inbox.close()
    endLink()
  }
}

export const make = Effect.fnUntraced(function*(
  port: NatsPort
): Effect.fn.Return<Requester, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const window = new PullWindow(clock)
  const { underWay } = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const underWay = new UnderWay(port, clock)
      return { underWay, end: listen(port, underWay, window) }
    }),
    ({ end, underWay }) =>
      Effect.sync(() => {
        end()
        underWay.lose("the NATS client was released")
        port.release()
      })
  )
  const asking = { port, underWay, clock, window }
  /** Sends a request if the inbox is subscribed. */
  const whenOpen = <A>(timeout: number, request: Effect.Effect<A, PortFailure>): Effect.Effect<A, PortFailure> =>
    Effect.suspend(() => underWay.inbox.isOpen ? request : Effect.andThen(underWay.inbox.regain(timeout), request))
  yield* forkReported("NatsClient", "the timer of NATS requests", keepTime(underWay, clock))
  yield* forkReported("NatsClient", "the pauses of large reads", window.keepPauses())
  return {
    port,
    window,
    request: (subject, data, headers, timeout) => whenOpen(timeout, ask(asking, { subject, headers, timeout }, data)),
    requestMany: (request, timeout, read) => whenOpen(timeout, askMany(asking, request, timeout, read))
  }
})
