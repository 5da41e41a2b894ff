/**
 * A pull consumer on the server, supervised by its heartbeat and by a sequence
 * without gaps. It is deleted when its scope closes (docs/protocols/kv.md, K21, K26
 * and K33).
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type KVStoreReason, PermissionDenied, Unavailable } from "../../../KVStoreError.ts"
import { monotonicMillis, nanosPerMilli, wholeMillis } from "../../time.ts"
import { type NatsMessage, type PortFailure, reported } from "../port.ts"
import type { ConsumerSettings, JetStream, StreamInfo } from "./api.ts"
import { type Arrival, Interrupted, Reader, silent } from "./arrivals.ts"
import { Puller } from "./puller.ts"
import { codes, connectionClosed } from "./reasons.ts"

/** After one missed heartbeat, with 200 ms for the network, the server is asked whether the consumer exists. */
const doubtAfter = Duration.millis(1200)

/** After two missed heartbeats, with 200 ms for the network, the consumer is replaced even if it exists. */
const silenceLimit = Duration.millis(2200)

/** While large pulls of the connection arrive, an answer may wait behind them: then the limit is this one. */
const busySilenceLimit = Duration.seconds(10)

/** The server removes a consumer without pulls after this time. */
const inactiveThreshold = Duration.seconds(10)

/** A consumer that waits for its reader or for its turn shows the server after this time that it is in use. */
const touchAfter = Duration.seconds(3)

/**
 * The length of a consumer's name. The place of each message contains it, and the client reads its texts byte by byte: with
 * 22 characters a snapshot takes some 8 % longer.
 */
const nameLength = 8

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

interface ConsumerOptions {
  readonly js: JetStream
  readonly stream: string
  /** The subjects of the messages, wildcards allowed. */
  readonly subjects: Arr.NonEmptyReadonlyArray<string>
  /** The reader, for the log. */
  readonly what: string
  readonly headersOnly: boolean
  /** The sequence of the first message. Undefined: the last message of each subject. */
  readonly startAt: number | undefined
  /** The information of the stream. */
  readonly info: StreamInfo
  /** Milliseconds for one request. */
  readonly timeout: number
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
}

export interface Consumer {
  /** The number of messages when it was created. */
  readonly pending: number
  /**
   * Waits for messages and returns all that have arrived, at least one. The first call begins to pull. The messages that
   * the previous call returned count as processed. Fails if the consumer cannot be used any more.
   */
  readonly next: Effect.Effect<ReadonlyArray<Arrival>, KVStoreReason | Interrupted>
  /** Call when the first messages are complete: heartbeats become less frequent. */
  readonly complete: () => void
  /** The monotonic time of the last message from the server, in milliseconds. */
  readonly lastHeard: () => number
  /** Fails if the consumer sends nothing for too long. */
  readonly silence: Effect.Effect<never, Interrupted>
}

const settingsFor = (options: ConsumerOptions, name: string): ConsumerSettings => ({
  name,
  ...(options.subjects.length === 1
    ? { filter_subject: options.subjects[0] }
    : { filter_subjects: options.subjects }),
  ...(options.startAt === undefined
    ? { deliver_policy: "last_per_subject" }
    : { deliver_policy: "by_start_sequence", opt_start_seq: options.startAt }),
  ack_policy: "none",
  replay_policy: "instant",
  inactive_threshold: Duration.toMillis(inactiveThreshold) * nanosPerMilli,
  mem_storage: true,
  num_replicas: 1,
  ...(options.headersOnly ? { headers_only: true } : {})
})

/**
 * Fails when the connection is restored (messages under way are lost, and the server may have removed the consumer) or closed.
 */
export const linkChanges = ({ port }: JetStream): Effect.Effect<never, Interrupted | KVStoreReason> =>
  Effect.callback<never, Interrupted | KVStoreReason>((resume) => {
    const closed = (cause: unknown) => Effect.fail(connectionClosed(cause))
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

type Arrivals = Queue.Queue<Arrival, KVStoreReason | Interrupted>

/** Calls `onMessage` for what arrives at the inbox, until the scope closes. Fails the queue if the server refuses. */
const receive = Effect.fnUntraced(function*(
  { js, stream }: ConsumerOptions,
  name: string,
  inbox: string,
  arrived: Arrivals,
  onMessage: (message: NatsMessage) => void
) {
  const { port } = js
  const refusable = new Set([inbox, js.pullSubject(stream, name)])
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      port.onLink((event) => {
        if (event._tag !== "Denied" || !refusable.has(event.subject)) return
        const denied = new PermissionDenied({ subject: event.subject, ...reported(event.cause) })
        Queue.failCauseUnsafe(arrived, Cause.fail(denied))
      })
    ),
    (end) => Effect.sync(end)
  )
  yield* Effect.acquireRelease(
    Effect.try({
      try: () => port.subscribe(inbox, onMessage),
      catch: (cause) => new Unavailable({ problem: `subscribing failed (${String(cause)})`, cause })
    }),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
})

const meanSizeOf = ({ bytes, messages }: StreamInfo): number => messages === 0 ? 0 : bytes / messages

/**
 * The largest size of a message, if the server skips one that does not fit into a pull (K36); otherwise undefined. The
 * limit of the stream may have been higher when the messages were stored.
 */
const largestUnlessSkipped = ({ info, js, startAt }: ConsumerOptions): number | undefined => {
  if (startAt !== undefined || info.config.max_msgs_per_subject === 1) return undefined
  const { max_msg_size = 0 } = info.config
  const isLimited = max_msg_size > 0 && meanSizeOf(info) <= max_msg_size
  return isLimited ? max_msg_size : js.port.server().maxPayload
}

/** Creates the consumer, and deletes it with the scope, even if the creation was interrupted. */
const create = Effect.fnUntraced(function*(options: ConsumerOptions, name: string) {
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
  const pending = yield* options.read(js.createConsumer(stream, settingsFor(options, name), timeout))
  isMade = true
  return pending
})

const onlyOneAnswer = (prefix: string, stream: string) =>
  `only one answer to a request with ${prefix} passes, so the messages of stream ${stream} are read one by one: export ` +
  "$JS.API.CONSUMER.MSG.NEXT and $JS.API.DIRECT.GET with response_type: stream"

/** When the consumer was heard, and whether the server must send something. */
interface Life {
  readonly lastHeard: () => number
  readonly isExpecting: () => boolean
  /** Whether the pull under way has had an answer. */
  readonly isAnswered: () => boolean
  readonly touch: () => void
}

/** Fails if the consumer sends nothing for too long, or earlier if the server does not have it any more. */
const watchSilence = Effect.fnUntraced(function*(
  { js, stream }: ConsumerOptions,
  name: string,
  clock: Clock.Clock,
  { isAnswered, isExpecting, lastHeard, touch }: Life
): Effect.fn.Return<never, Interrupted> {
  const until = (limit: Duration.Duration) => Duration.toMillis(limit) - (monotonicMillis(clock) - lastHeard())
  while (true) {
    yield* Effect.sleep(wholeMillis(isExpecting() ? until(doubtAfter) : Duration.toMillis(doubtAfter)))
    if (!isExpecting()) {
      touch()
      continue
    }
    if (until(doubtAfter) > 0) continue
    if (js.window.isBusy && until(busySilenceLimit) > 0) {
      yield* Effect.sleep(doubtAfter)
      continue
    }
    const heardAt = lastHeard()
    const asked = js.consumerInfo(stream, name, until(silenceLimit))
    const lost = js.port.isConnected() &&
      (yield* Effect.match(asked, { onSuccess: () => false, onFailure: isGone }))
    if (lost) return yield* silent("the consumer no longer exists")
    if (isAnswered() && js.access.sawOne()) {
      yield* Effect.logWarning(onlyOneAnswer(js.access.prefix, stream))
      return yield* silent("only one answer to a request passes")
    }
    if (lastHeard() === heardAt) yield* Effect.sleep(wholeMillis(until(silenceLimit)))
    if (lastHeard() === heardAt && isExpecting()) return yield* silent("the consumer has sent no heartbeat")
  }
})

/** Creates the puller of a consumer. `heard` is called for each pull: the silence counts from then on. */
const pullerOf = (
  options: ConsumerOptions,
  { address, clock, heard, interrupt, name, pending }: {
    readonly name: string
    /** The inbox without the last token, which is that of the pull. */
    readonly address: string
    readonly pending: number
    readonly clock: Clock.Clock
    readonly heard: () => void
    readonly interrupt: (interrupted: Interrupted) => void
  }
): Puller => {
  const { js, stream, what } = options
  return new Puller({
    what,
    clock,
    window: js.window,
    access: js.access,
    maxPayload: () => js.port.server().maxPayload,
    pending,
    meanSize: meanSizeOf(options.info),
    largest: largestUnlessSkipped(options),
    send: (settings, token) => {
      heard()
      try {
        js.pull(stream, name, settings, `${address}.${token}`)
      } catch (cause) {
        interrupt(new Interrupted({ cause: "link", problem: `pulling failed (${String(cause)})` }))
      }
    }
  })
}

export const open = Effect.fnUntraced(function*(
  options: ConsumerOptions
): Effect.fn.Return<Consumer, KVStoreReason, Scope.Scope> {
  const { js } = options
  const clock = yield* Clock.Clock
  const address = js.port.inbox()
  // The end of an inbox is unique. With a name that the client chooses, a consumer can be deleted even if its
  // creation was interrupted. If the deletion fails, the server removes the consumer after `inactiveThreshold`.
  const name = address.slice(address.lastIndexOf(".") + 1).slice(-nameLength)
  const arrived: Arrivals = yield* Queue.unbounded<Arrival, KVStoreReason | Interrupted>()
  const interrupt = (interrupted: Interrupted) => Queue.failCauseUnsafe(arrived, Cause.fail(interrupted))
  /** The time from which the silence counts. */
  let lastHeard = monotonicMillis(clock)
  let lastArrived = lastHeard
  const heard = () => {
    lastHeard = monotonicMillis(clock)
  }
  let onMessage: (message: NatsMessage) => void = () => undefined
  yield* receive(options, name, `${address}.*`, arrived, (message) => onMessage(message))
  const pending = yield* create(options, name)
  lastArrived = monotonicMillis(clock)
  const puller = pullerOf(options, { name, address, pending, clock, heard, interrupt })
  const reader = new Reader(puller, js.access, clock)
  onMessage = (message) => {
    heard()
    lastArrived = lastHeard
    const arrival = reader.read(message)
    if (arrival === undefined) return
    if (arrival._tag === "Interrupted") {
      interrupt(arrival)
      return
    }
    Queue.offerUnsafe(arrived, arrival)
    const end = reader.endOfPull()
    if (end !== undefined) Queue.offerUnsafe(arrived, end)
  }
  yield* Effect.addFinalizer(() => Effect.sync(() => puller.close()))
  let unprocessed = 0
  return {
    pending,
    complete: () => puller.complete(),
    lastHeard: () => lastArrived,
    next: Effect.suspend(() => {
      puller.processed(unprocessed)
      unprocessed = 0
      return Effect.map(Queue.takeAll(arrived), (arrivals) => {
        for (const { _tag } of arrivals) if (_tag === "Ended") unprocessed++
        return arrivals
      })
    }),
    silence: watchSilence(options, name, clock, {
      lastHeard: () => lastHeard,
      isExpecting: () => puller.isExpecting,
      isAnswered: () => puller.isAnswered,
      touch: () => puller.touchAfter(Duration.toMillis(touchAfter))
    })
  }
})
