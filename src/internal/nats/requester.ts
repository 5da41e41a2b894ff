/**
 * Requests over a connection: one inbox and one timer for all of them, however
 * many are under way. A request ends with its answer, its time, a refusal, the
 * loss of the link, or the interruption of whoever asked; none is left behind.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { monotonicMillis } from "../time.ts"
import type { Headers, LinkEvent, NatsMessage, NatsPort, PortFailure } from "./port.ts"

/** How late a request may be found to be out of time: only one that has less time than this, and comes among others. */
const longestLook = 100

const noResponders = 503

interface Pending {
  readonly subject: string
  /** By the monotonic clock, in milliseconds. */
  readonly deadline: number
  readonly onMessage: (message: NatsMessage) => void
  readonly onFailure: (failure: PortFailure) => void
}

export interface Many<A> {
  readonly answers: ReadonlyArray<A>
  /** The one with a status. */
  readonly end: NatsMessage
}

export interface Requester {
  readonly port: NatsPort
  /** The answer, whatever its status, but for that nobody listens. `timeout` is milliseconds. */
  readonly request: (
    subject: string,
    data: Uint8Array,
    headers: Headers,
    timeout: number
  ) => Effect.Effect<NatsMessage, PortFailure>
  /** All answers up to the first that has a status. Each is read as it comes: as they are they would fill the memory. */
  readonly requestMany: <A>(
    subject: string,
    data: Uint8Array,
    timeout: number,
    read: (message: NatsMessage) => A
  ) => Effect.Effect<Many<A>, PortFailure>
}

/** A failure of the client before anything was sent: it is closed, draining, or will not take the message. */
const held = (cause: unknown): PortFailure => ({
  _tag: "NotSent",
  problem: cause instanceof Error ? cause.message : String(cause)
})

export const make = Effect.fnUntraced(function*(
  port: NatsPort
): Effect.fn.Return<Requester, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const pending = new Map<string, Pending>()
  const waiting = Latch.makeUnsafe(false)
  const inbox = port.inbox()
  let sent = 0
  /** Without its inbox no request has an answer, until the next connection. */
  let withoutInbox: PortFailure | undefined

  const fail = (failure: PortFailure, which: (one: Pending) => boolean) => {
    // A copy: whoever is told may ask again at once.
    for (const [token, one] of Array.from(pending)) {
      if (!which(one)) continue
      pending.delete(token)
      one.onFailure(failure)
    }
  }
  const everyOne = () => true
  const lost = (problem: string) => fail({ _tag: "ConnectionLost", problem }, everyOne)

  const onMessage = (message: NatsMessage) => {
    const one = pending.get(message.subject.slice(inbox.length + 1))
    if (one === undefined) return
    if (message.status === noResponders && message.data.length === 0) one.onFailure({ _tag: "NoResponders" })
    else one.onMessage(message)
  }

  const denied = (refused: string, isPublish: boolean) => {
    const failure: PortFailure = { _tag: "Denied", subject: refused }
    if (isPublish) return fail(failure, ({ subject }) => subject === refused)
    if (!refused.startsWith(inbox)) return
    withoutInbox = failure
    fail(failure, everyOne)
  }

  const onLink = (event: LinkEvent) => {
    switch (event._tag) {
      case "Connected":
        withoutInbox = undefined
        return
      case "Disconnected":
        return lost("the link was lost")
      case "Closed":
        return lost("the connection was closed")
      case "Denied":
        return denied(event.subject, event.operation === "publish")
    }
  }

  /** Sleeps while nothing is under way; else until the first deadline. */
  const keepTime = Effect.gen(function*() {
    while (true) {
      yield* waiting.await
      let earliest = Number.POSITIVE_INFINITY
      for (const { deadline } of pending.values()) earliest = Math.min(earliest, deadline)
      const left = Math.ceil(Math.min(longestLook, earliest - monotonicMillis(clock)))
      if (left > 0) yield* Effect.sleep(Duration.millis(left))
      const now = monotonicMillis(clock)
      fail({ _tag: "Timeout" }, ({ deadline }) => deadline <= now)
      if (pending.size === 0) waiting.closeUnsafe()
    }
  })

  /** Sends with a way to answer; `receive` is given each answer, and says whether it was the last. */
  const ask = <A>(
    subject: string,
    data: Uint8Array,
    headers: Headers,
    timeout: number,
    receive: (message: NatsMessage, done: (answer: A) => void) => void
  ): Effect.Effect<A, PortFailure> =>
    Effect.callback<A, PortFailure>((resume) => {
      if (withoutInbox !== undefined) return resume(Effect.fail(withoutInbox))
      const token = (sent++).toString(36)
      pending.set(token, {
        subject,
        deadline: monotonicMillis(clock) + timeout,
        onMessage: (message) =>
          receive(message, (answer) => {
            pending.delete(token)
            resume(Effect.succeed(answer))
          }),
        onFailure: (failure) => {
          pending.delete(token)
          resume(Effect.fail(failure))
        }
      })
      waiting.openUnsafe()
      try {
        port.publish(subject, data, headers, `${inbox}.${token}`)
      } catch (cause) {
        pending.delete(token)
        resume(Effect.fail(held(cause)))
      }
      return Effect.sync(() => {
        pending.delete(token)
      })
    })

  const subscribe = () => {
    try {
      return port.subscribe(`${inbox}.*`, onMessage)
    } catch (cause) {
      // Closed already, or draining: it takes no request either.
      withoutInbox = held(cause)
      return () => undefined
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => [subscribe(), port.onLink(onLink)]),
    (ends) =>
      Effect.sync(() => {
        ends.forEach((end) => end())
        lost("the client was released")
        port.release()
      })
  )
  yield* Effect.forkScoped(keepTime)

  return {
    port,
    request: (subject, data, headers, timeout) =>
      ask<NatsMessage>(subject, data, headers, timeout, (message, done) => done(message)),
    requestMany: <A>(subject: string, data: Uint8Array, timeout: number, read: (message: NatsMessage) => A) =>
      Effect.suspend(() => {
        const answers: Array<A> = []
        return ask<Many<A>>(subject, data, [], timeout, (message, done) => {
          if (message.status === 0) answers.push(read(message))
          else done({ answers, end: message })
        })
      })
  }
})
