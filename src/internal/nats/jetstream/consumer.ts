/**
 * A push consumer on the server, supervised by its heartbeat and by a sequence
 * without gaps. It is deleted when its scope closes (docs/protocols/kv.md, K21 and
 * K26).
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

/** The interval of the heartbeats that an idle consumer sends. */
export const watchHeartbeat = Duration.seconds(1)

/**
 * The heartbeat of a listing; 100 ms is the minimum that servers accept. If a pending message is removed before it is
 * pushed, the listing ends with the next heartbeat.
 */
export const listingHeartbeat = Duration.millis(100)

/** After one missed heartbeat, with 200 ms for the network, the server is asked whether the consumer exists. */
const doubtAfter = Duration.millis(1200)

/** After two missed heartbeats, with 200 ms for the network, the consumer is replaced even if it exists. */
const silenceLimit = Duration.millis(2200)

/** The server removes a consumer without subscribers after this time. */
const inactiveThreshold = Duration.seconds(10)

/** The end of a watch waits at most this long for the deletion of its consumer. */
const goodbye = Duration.millis(250)

/** The wait before the deletion is retried, if the server does not know the consumer yet. */
const lookAgain = Duration.millis(25)

const isNoConsumer = (failure: PortFailure): boolean =>
  failure._tag === "Api" && failure.code === codes.consumerNotFound

/** Whether the failure means that the consumer or its stream does not exist. Other failures do not show it. */
const isGone = (failure: PortFailure): boolean =>
  isNoConsumer(failure) || failure._tag === "NoResponders" ||
  (failure._tag === "Api" && failure.code === codes.streamNotFound)

/**
 * Why a consumer is replaced.
 *
 * - `silence`: no heartbeat arrived, or the consumer does not exist
 * - `gap`: messages were lost
 * - `link`: the connection was lost and restored, or a flow control message could not be sent
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

interface ConsumerOptions {
  readonly js: JetStream
  readonly stream: string
  /** The subjects of the messages to push, wildcards allowed. */
  readonly subject: string
  readonly heartbeat: Duration.Duration
  readonly headersOnly: boolean
  /** The sequence of the first message to push. Undefined: push the last message of each subject. */
  readonly startAt: number | undefined
  /** Milliseconds for one request. */
  readonly timeout: number
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
}

/**
 * A pushed message with its place, or the information that the consumer has nothing to push at present (it has passed this
 * revision of the stream, also if it does not match), or that it had to wait for our answer to flow control.
 */
type Said =
  | { readonly _tag: "Message"; readonly message: NatsMessage; readonly place: MessagePlace }
  | { readonly _tag: "Idle"; readonly lastRevision: number }
  | { readonly _tag: "Stalled" }

export interface Consumer {
  /** The number of messages to push when it was created. */
  readonly pending: number
  /** Waits for messages and returns all that have arrived, at least one. */
  readonly next: Effect.Effect<ReadonlyArray<NatsMessage>, KVStoreReason>
  /** Reads a received message; undefined for a heartbeat or flow control message without further meaning. */
  readonly read: (message: NatsMessage) => Said | Interrupted | undefined
  /** Fails if the consumer sends nothing for too long. */
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
 * Fails when the connection is restored (messages pushed during the outage are lost, and the server may have removed
 * the consumer) or closed.
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
          : Effect.fail(new Interrupted({ cause: "link", problem: "the connection was lost and restored" }))
      )
    })
    return Effect.sync(end)
  })

const heartbeatStatus = 100

/** Reads pushed messages in order, detects missing ones, and answers flow control. */
class Reader {
  private readonly port: NatsPort
  /** The consumer sequence of the last received message. */
  private last = 0

  constructor(port: NatsPort) {
    this.port = port
  }

  read(message: NatsMessage): Said | Interrupted | undefined {
    const place = placeOf(message.reply)
    // A stored message can have any status, but only a stored message has a place (K32).
    if (place === undefined && message.status === heartbeatStatus) return this.readStatus(message)
    if (place === undefined || place.consumerSequence !== this.last + 1) {
      return this.lost(place?.consumerSequence ?? "an unknown number")
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
    // A consumer that does not wait for a flow control answer is idle: pending messages that it has not pushed were
    // removed.
    if (stalled !== "") return { _tag: "Stalled" }
    if (answerTo !== undefined) return undefined
    return { _tag: "Idle", lastRevision: Number(message.header("Nats-Last-Stream")) }
  }

  /** Answers a flow control message; the server then continues to push. */
  private answer(subject: string): Interrupted | undefined {
    try {
      this.port.publish(subject, noBytes, [], undefined)
      return undefined
    } catch (cause) {
      return new Interrupted({ cause: "link", problem: `answering flow control failed (${String(cause)})` })
    }
  }

  private lost(upTo: number | string): Interrupted {
    return new Interrupted({ cause: "gap", problem: `messages ${this.last + 1} to ${upTo} were lost` })
  }
}

/** Subscribes to an inbox until the scope closes, and queues the messages. */
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
      catch: (cause) => new Unavailable({ problem: `subscribing failed (${String(cause)})`, cause })
    }),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
  return pushed
})

/** Creates the consumer, and deletes it with the scope, even if the creation was interrupted. */
const create = Effect.fnUntraced(function*(options: ConsumerOptions, name: string, inbox: string) {
  const { js, stream, timeout } = options
  let isMade = false
  yield* Effect.addFinalizer(() =>
    js.port.isConnected()
      ? Effect.interruptible(js.deleteConsumer(stream, name, timeout)).pipe(
        // After an interrupted creation the server may process the deletion first (observed on nats-server 2.15.1).
        Effect.retry({ while: (failure) => !isMade && isNoConsumer(failure), schedule: Schedule.spaced(lookAgain) }),
        Effect.timeout(goodbye),
        Effect.catch((error) => Effect.logDebug(`deleting consumer ${name} of stream ${stream} failed`, error))
      )
      : Effect.void
  )
  const pending = yield* options.read(js.createConsumer(stream, settingsFor(options, name, inbox), timeout))
  isMade = true
  return pending
})

/** Fails if the consumer sends nothing for too long, or earlier if the server does not have it any more. */
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
    if (lost) return yield* silent("the consumer no longer exists")
    if (lastHeard() === heardAt) yield* Effect.sleep(wholeMillis(until(silenceLimit)))
    if (lastHeard() === heardAt) return yield* silent("the consumer has sent no heartbeat")
  }
})

export const open = Effect.fnUntraced(function*(
  options: ConsumerOptions
): Effect.fn.Return<Consumer, KVStoreReason, Scope.Scope> {
  const { port } = options.js
  const clock = yield* Clock.Clock
  const inbox = port.inbox()
  // The last token of an inbox is unique. With a name that the client chooses, a consumer can be deleted even if its
  // creation was interrupted. If the deletion fails, the server removes the consumer after `inactiveThreshold`.
  const name = inbox.slice(inbox.lastIndexOf(".") + 1)
  let lastHeard = monotonicMillis(clock)
  const heard = () => {
    lastHeard = monotonicMillis(clock)
  }
  const pushed = yield* receive(port, inbox, heard)
  const pending = yield* create(options, name, inbox)
  // The time of the creation does not count as silence.
  heard()
  const reader = new Reader(port)
  return {
    pending,
    next: Queue.takeAll(pushed),
    read: (message) => reader.read(message),
    silence: watchSilence(options, name, clock, () => lastHeard)
  }
})
