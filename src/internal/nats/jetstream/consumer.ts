/**
 * A push consumer of our own on the server: it has a heartbeat, a sequence that
 * must have no gap, and it is deleted when its scope closes (docs/protocols/kv.md, K21
 * and K26).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type KVStoreReason, PermissionDenied, Unavailable } from "../../../KVStoreError.ts"
import { monotonicMillis, wholeMillis } from "../../time.ts"
import { noBytes } from "../../utf8.ts"
import { type NatsMessage, type NatsPort, type PortFailure, reported } from "../port.ts"
import type { ConsumerSettings, JetStream } from "./api.ts"
import { type MessagePlace, placeOf } from "./messages.ts"
import { codes } from "./reasons.ts"

const nanosPerSecond = 1_000_000_000

/** How often the server says that it is still there when it has nothing to say. */
export const watchHeartbeat = Duration.seconds(1)

/** A listing ends with a heartbeat where something that it still waited for has gone: the shortest that a server takes. */
export const listingHeartbeat = Duration.millis(100)

/** One heartbeat missed, and a little for the network: then the server is asked whether the consumer is still there. */
const doubtAfter = Duration.millis(1200)

/** Two heartbeats missed, and a little for the network: then the consumer is replaced, whatever the server says. */
const silenceLimit = Duration.millis(2200)

/** A consumer whose client has gone removes itself. */
const inactiveThreshold = Duration.seconds(10)

/** Whoever ends a watch waits no longer than this for the server's word that the consumer is gone. */
const goodbye = Duration.millis(250)

/** A consumer that is not there yet when it is to be deleted is looked for again after this. */
const lookAgain = Duration.millis(25)

const isNoConsumer = (failure: PortFailure): boolean =>
  failure._tag === "Api" && failure.code === codes.consumerNotFound

/** It, or its stream, is there no more. Any other failure says nothing. */
const isGone = (failure: PortFailure): boolean =>
  isNoConsumer(failure) || failure._tag === "NoResponders" ||
  (failure._tag === "Api" && failure.code === codes.streamNotFound)

/** What a new consumer is needed for. `reset`: it is on another stream; `unavailable`: a request beside it had no answer. */
export type RestartCause = "silence" | "gap" | "link" | "reset" | "unavailable"

/** Ended by something that a new consumer mends. */
export class Interrupted extends Data.TaggedError("Interrupted")<{
  readonly cause: RestartCause
  readonly problem: string
}> {
  override get message(): string {
    return this.problem
  }
}

interface ConsumerOptions {
  readonly js: JetStream
  readonly stream: string
  /** What it asks for, wildcards allowed. */
  readonly subject: string
  readonly heartbeat: Duration.Duration
  readonly headersOnly: boolean
  /** The first of all messages to push; undefined: the last one of each subject. */
  readonly startAt: number | undefined
  /** Milliseconds for one request. */
  readonly timeout: number
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
}

/** What a consumer says: a message and its place, or that it has nothing more to say now. */
type Said =
  | { readonly _tag: "Message"; readonly message: NatsMessage; readonly place: MessagePlace }
  | { readonly _tag: "Idle" }

export interface Consumer {
  /** How many messages it had to push when it was made. */
  readonly pending: number
  /** What came since the last look, at least one. */
  readonly next: Effect.Effect<ReadonlyArray<NatsMessage>, KVStoreReason>
  /** What a message that came says; undefined: nothing but that the server is there. */
  readonly read: (message: NatsMessage) => Said | Interrupted | undefined
  /** Fails once nothing has been heard for too long. */
  readonly silence: Effect.Effect<never, Interrupted>
}

const settingsFor = (options: ConsumerOptions, name: string, deliverTo: string): ConsumerSettings => ({
  name,
  deliver_subject: deliverTo,
  filter_subject: options.subject,
  ...(options.startAt === undefined
    ? { deliver_policy: "last_per_subject" }
    : { deliver_policy: "by_start_sequence", opt_start_seq: options.startAt }),
  ack_policy: "none",
  max_deliver: 1,
  replay_policy: "instant",
  flow_control: true,
  idle_heartbeat: Duration.toSeconds(options.heartbeat) * nanosPerSecond,
  inactive_threshold: Duration.toSeconds(inactiveThreshold) * nanosPerSecond,
  mem_storage: true,
  num_replicas: 1,
  ...(options.headersOnly ? { headers_only: true } : {})
})

/**
 * Fails when the link has come back (what was pushed meanwhile is lost, and the server may have forgotten us), and when
 * it is closed for good.
 */
export const linkChanges = ({ port }: JetStream): Effect.Effect<never, Interrupted | KVStoreReason> =>
  Effect.callback<never, Interrupted | KVStoreReason>((resume) => {
    const closed = (cause: unknown) =>
      Effect.fail(new Unavailable({ problem: "the connection was closed", ...reported(cause) }))
    if (port.isClosed()) return resume(closed(undefined))
    const end = port.onLink((event) => {
      if (event._tag !== "Closed" && event._tag !== "Connected") return
      end()
      resume(
        event._tag === "Closed"
          ? closed(event.cause)
          : Effect.fail(new Interrupted({ cause: "link", problem: "the link was lost, and is back" }))
      )
    })
    return Effect.sync(end)
  })

const heartbeatStatus = 100

/** Reads what is pushed, in order; notices what is missing. */
class Reader {
  private readonly port: NatsPort
  /** The last message that has come, by the consumer's own count. */
  private last = 0

  constructor(port: NatsPort) {
    this.port = port
  }

  read(message: NatsMessage): Said | Interrupted | undefined {
    if (message.status === heartbeatStatus) return this.readStatus(message)
    const place = placeOf(message.reply)
    if (place === undefined || place.consumerSequence !== this.last + 1) {
      return this.lost(place?.consumerSequence ?? "an unknown one")
    }
    this.last = place.consumerSequence
    return { _tag: "Message", message, place }
  }

  private readStatus(message: NatsMessage): Said | Interrupted | undefined {
    const stalled = message.header("Nats-Consumer-Stalled")
    const answerTo = message.reply ?? (stalled === "" ? undefined : stalled)
    const refused = answerTo === undefined ? undefined : this.answer(answerTo)
    if (refused !== undefined) return refused
    const told = message.header("Nats-Last-Consumer")
    if (told === "") return undefined
    if (Number(told) !== this.last) return this.lost(told)
    // Idle, and not for want of our answer: what was still pending has gone before its turn came.
    return answerTo === undefined ? { _tag: "Idle" } : undefined
  }

  /** Lets the server go on, which waits for the reader. */
  private answer(subject: string): Interrupted | undefined {
    try {
      this.port.publish(subject, noBytes, [], undefined)
      return undefined
    } catch (cause) {
      return new Interrupted({ cause: "link", problem: `nothing can be sent (${String(cause)})` })
    }
  }

  private lost(upTo: number | string): Interrupted {
    return new Interrupted({ cause: "gap", problem: `messages ${this.last + 1} to ${upTo} were lost` })
  }
}

/** What is pushed to an inbox, for as long as the scope is open. */
const receive = Effect.fnUntraced(function*(port: NatsPort, inbox: string, heard: () => void) {
  const pushed = yield* Queue.unbounded<NatsMessage, KVStoreReason>()
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      port.onLink((event) => {
        if (event._tag !== "Denied" || event.subject !== inbox) return
        const denied = new PermissionDenied({ subject: inbox, ...reported(event.cause) })
        Queue.failCauseUnsafe(pushed, Cause.fail(denied))
      })
    ),
    (end) => Effect.sync(end)
  )
  yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        port.subscribe(inbox, (message) => {
          heard()
          Queue.offerUnsafe(pushed, message)
        }),
      catch: (cause) => new Unavailable({ problem: `no subscription can be made (${String(cause)})`, cause })
    }),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
  return pushed
})

/** Makes the consumer, and deletes it with the scope, also where its making was given up. */
const create = Effect.fnUntraced(function*(options: ConsumerOptions, name: string, inbox: string) {
  const { js, stream, timeout } = options
  let isMade = false
  yield* Effect.addFinalizer(() =>
    js.port.isConnected()
      ? Effect.interruptible(js.deleteConsumer(stream, name, timeout)).pipe(
        // A server may take it up before the making that was sent first (measured on 2.15).
        Effect.retry({ while: (failure) => !isMade && isNoConsumer(failure), schedule: Schedule.spaced(lookAgain) }),
        Effect.timeout(goodbye),
        Effect.catch((error) => Effect.logDebug(`consumer ${name} of ${stream} was not deleted`, error))
      )
      : Effect.void
  )
  const pending = yield* options.read(js.createConsumer(stream, settingsFor(options, name, inbox), timeout))
  isMade = true
  return pending
})

/** Fails once nothing has been heard for too long, or sooner where the server says that the consumer is gone. */
const watchSilence = Effect.fnUntraced(function*(
  { js, stream }: ConsumerOptions,
  name: string,
  clock: Clock.Clock,
  lastHeard: () => number
): Effect.fn.Return<never, Interrupted> {
  const silent = (problem: string) => new Interrupted({ cause: "silence", problem })
  const until = (limit: Duration.Duration) => Duration.toMillis(limit) - (monotonicMillis(clock) - lastHeard())
  while (true) {
    yield* Effect.sleep(wholeMillis(until(doubtAfter)))
    if (until(doubtAfter) > 0) continue
    const heardAt = lastHeard()
    const asked = js.consumerInfo(stream, name, until(silenceLimit))
    const lost = js.port.isConnected() &&
      (yield* Effect.match(asked, { onSuccess: () => false, onFailure: isGone }))
    if (lost) return yield* silent("the consumer is gone")
    if (lastHeard() === heardAt) yield* Effect.sleep(wholeMillis(until(silenceLimit)))
    if (lastHeard() === heardAt) return yield* silent("the consumer is silent")
  }
})

export const open = Effect.fnUntraced(function*(
  options: ConsumerOptions
): Effect.fn.Return<Consumer, KVStoreReason, Scope.Scope> {
  const { port } = options.js
  const clock = yield* Clock.Clock
  const inbox = port.inbox()
  // An inbox ends in a token that no other has. By a name of our own a consumer can be deleted also when its making was
  // interrupted; one that cannot be deleted now removes itself when it has heard nothing of us for a while.
  const name = inbox.slice(inbox.lastIndexOf(".") + 1)
  let lastHeard = monotonicMillis(clock)
  const heard = () => {
    lastHeard = monotonicMillis(clock)
  }
  const pushed = yield* receive(port, inbox, heard)
  const pending = yield* create(options, name, inbox)
  // The time that opening took is not its silence.
  heard()
  const reader = new Reader(port)
  return {
    pending,
    next: Queue.takeAll(pushed),
    read: (message) => reader.read(message),
    silence: watchSilence(options, name, clock, () => lastHeard)
  }
})
