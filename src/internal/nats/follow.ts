/**
 * A supervised watch: a push consumer of our own, with a heartbeat every second,
 * whose own sequence must have no gap. Whatever ends it (silence, a gap, a lost
 * connection, a stream made anew), the next one goes on where it ended. The
 * clients' own watches are silent for up to 89 s there (measured).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVStoreReason } from "../../KVStoreError.ts"
import { backoff } from "../backoff.ts"
import type { BackendEvent, Follow } from "../kv/backend.ts"
import { monotonicMillis } from "../time.ts"
import { fromPushed, placeOf } from "./messages.ts"
import type { ConsumerSettings, NatsPort, PushedMessage, StreamInfo } from "./port.ts"
import { readReason } from "./reasons.ts"

const nanosPerSecond = 1_000_000_000

/** How often the server says that it is still there when it has nothing to say. */
const watchHeartbeat = Duration.seconds(1)

/** A listing ends with a heartbeat where something that it still waited for has gone: the shortest that a server takes. */
const listingHeartbeat = Duration.millis(100)

/** Two heartbeats missed, and a little for the network: then the consumer is taken for dead. */
const silenceLimit = Duration.millis(2200)

/** A consumer whose client has gone removes itself. */
const inactiveThreshold = Duration.seconds(10)

/** Whoever ends a watch waits no longer than this for the server's word that the consumer is gone. */
const goodbye = Duration.millis(250)

/** Events between the connection and the reader; what is more waits in the server's flow control window. */
const bufferedEvents = 256

/** A consumer that ended is followed by the next after these. */
const shortestPause = Duration.millis(50)
const longestPause = Duration.seconds(1)

export interface FollowOptions {
  readonly port: NatsPort
  readonly stream: string
  readonly prefix: string
  readonly filter: string
  readonly from: Follow
  /** A listing ends when it is ready, and is waited for. */
  readonly purpose: "watch" | "listing"
  /** Milliseconds for one request. */
  readonly timeout: number
  readonly read: <A>(run: () => Promise<A>) => Effect.Effect<A, KVStoreReason>
  /** Told of every revision that is given out. */
  readonly saw: (revision: number) => void
}

/** Ended by something that a new consumer mends. */
class Interrupted extends Data.TaggedError("Interrupted")<{ readonly problem: string }> {}

/** What the next consumer must know of those before it. */
interface Progress {
  /** The last revision given out; nothing at or below it is given again. */
  cursor: number
  /** The last revision that the stream is known to have had; one that ends before it has been rolled back. */
  known: number
  ready: boolean
  /** When the stream was made: another time means another stream. */
  created: string | undefined
}

const settingsFor = (
  options: FollowOptions,
  progress: Progress,
  name: string,
  deliverTo: string
): ConsumerSettings => ({
  name,
  deliver_subject: deliverTo,
  filter_subject: `${options.prefix}${options.filter}`,
  ...(progress.ready || options.from !== "snapshot"
    ? { deliver_policy: "by_start_sequence" as const, opt_start_seq: progress.cursor + 1 }
    : { deliver_policy: "last_per_subject" as const }),
  ack_policy: "none",
  max_deliver: 1,
  replay_policy: "instant",
  flow_control: true,
  idle_heartbeat: Duration.toSeconds(options.purpose === "watch" ? watchHeartbeat : listingHeartbeat) * nanosPerSecond,
  inactive_threshold: Duration.toSeconds(inactiveThreshold) * nanosPerSecond,
  mem_storage: true,
  num_replicas: 1
})

/** Where to go on, given the stream as it is now. */
const begin = (options: FollowOptions, progress: Progress, info: StreamInfo): void => {
  const isFirst = progress.created === undefined
  const isAnother = !isFirst && (progress.created !== info.created || info.lastRevision < progress.known)
  progress.created = info.created
  progress.known = info.lastRevision
  if (isFirst) {
    if (options.from === "updates") progress.cursor = info.lastRevision
    if (typeof options.from === "object") progress.cursor = Math.max(0, options.from.revision - 1)
  }
  if (isAnother) {
    progress.cursor = 0
    progress.ready = false
  }
}

/** A server-side consumer, and what it pushes in the order in which it came. */
const openConsumer = Effect.fnUntraced(function*(
  options: FollowOptions,
  progress: Progress,
  heard: () => void
): Effect.fn.Return<
  { readonly pushed: Queue.Queue<PushedMessage, KVStoreReason>; readonly pending: number },
  KVStoreReason,
  Scope.Scope
> {
  const { port, read, stream, timeout } = options
  const pushed = yield* Queue.unbounded<PushedMessage, KVStoreReason>()
  const inbox = port.inbox()
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      port.subscribe(inbox, (message) => {
        heard()
        Queue.offerUnsafe(pushed, message)
      }, (failure) => Queue.failCauseUnsafe(pushed, Cause.fail(readReason(failure))))
    ),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
  // An inbox ends in a token that no other has. By a name of our own a consumer can be deleted also when its making was
  // interrupted; one that cannot be deleted now removes itself when it has heard nothing of us for a while.
  const name = inbox.slice(inbox.lastIndexOf(".") + 1)
  yield* Effect.addFinalizer(() =>
    port.isConnected()
      ? Effect.interruptible(Effect.tryPromise(() => port.deleteConsumer(stream, name, timeout))).pipe(
        Effect.timeout(goodbye),
        Effect.catch((error) => Effect.logDebug(`consumer ${name} of ${stream} was not deleted`, error))
      )
      : Effect.void
  )
  const pending = yield* read(() => port.createConsumer(stream, settingsFor(options, progress, name, inbox), timeout))
  return { pushed, pending }
})

const follower = (options: FollowOptions, out: Queue.Enqueue<BackendEvent>) => {
  const { filter, port, prefix, read, stream, timeout } = options
  const progress: Progress = { cursor: 0, known: 0, ready: false, created: undefined }

  /** An event that still waits for room when its consumer ends has not been given, and the next consumer brings it. */
  const give = (event: BackendEvent, given: () => void) =>
    Effect.uninterruptibleMask((restore) => Effect.andThen(restore(Queue.offer(out, event)), Effect.sync(given)))

  const becomeReady = Effect.suspend(() =>
    progress.ready ? Effect.void : give({ _tag: "Ready" }, () => {
      progress.ready = true
    })
  )

  /** One consumer, to its end. */
  const once = Effect.gen(function*() {
    const clock = yield* Clock.Clock
    let lastHeard = monotonicMillis(clock)
    let lastInConsumer = 0
    const info = yield* read(() => port.streamInfo(stream, timeout))
    begin(options, progress, info)
    const { pending, pushed } = yield* openConsumer(options, progress, () => {
      lastHeard = monotonicMillis(clock)
    })
    // The time that opening took is not its silence.
    lastHeard = monotonicMillis(clock)
    // Everything up to here is in the snapshot, whether or not it matched.
    const settled = Effect.suspend(() => {
      if (!progress.ready && options.from === "snapshot") progress.cursor = Math.max(progress.cursor, info.lastRevision)
      return becomeReady
    })

    const onStatus = (message: PushedMessage) => {
      const stalled = message.header("Nats-Consumer-Stalled")
      const answerTo = message.reply ?? (stalled === "" ? undefined : stalled)
      if (answerTo !== undefined) port.acknowledge(answerTo)
      const told = message.header("Nats-Last-Consumer")
      if (told === "") return Effect.void
      if (Number(told) !== lastInConsumer) {
        return Effect.fail(new Interrupted({ problem: `messages ${lastInConsumer + 1} to ${told} were lost` }))
      }
      // Idle, and not for want of our answer: what was still pending has gone before its turn came.
      return answerTo === undefined && !progress.ready ? settled : Effect.void
    }

    const onMessage = (message: PushedMessage) => {
      if (message.status === 100) return onStatus(message)
      const place = placeOf(message.reply)
      if (place === undefined || place.consumerSequence !== lastInConsumer + 1) {
        return Effect.fail(new Interrupted({ problem: `message ${lastInConsumer + 1} was lost` }))
      }
      lastInConsumer = place.consumerSequence
      options.saw(place.streamSequence)
      const given = place.streamSequence <= progress.cursor
        ? Effect.void
        : give({ _tag: "Message", message: fromPushed(message, place, prefix) }, () => {
          progress.cursor = place.streamSequence
          progress.known = Math.max(progress.known, place.streamSequence)
        })
      return place.pending === 0 && !progress.ready ? Effect.andThen(given, settled) : given
    }

    const pump = Effect.forever(
      Effect.flatMap(Queue.takeAll(pushed), (messages) => Effect.forEach(messages, onMessage, { discard: true }))
    )
    const silence = Effect.suspend(() =>
      monotonicMillis(clock) - lastHeard > Duration.toMillis(silenceLimit)
        ? Effect.fail(new Interrupted({ problem: "the consumer is silent" }))
        : Effect.void
    ).pipe(Effect.repeat(Schedule.spaced(Duration.millis(250))))

    if (pending === 0 || options.from === "updates") yield* settled
    return yield* Effect.raceFirst(pump, silence)
  }).pipe(Effect.scoped)

  return once.pipe(
    Effect.tapError((error) => Effect.logDebug(`watch of ${stream} ${filter} starts again: ${error.message}`)),
    Effect.retry({
      while: (error) => error._tag === "Interrupted" || error._tag === "Unavailable",
      schedule: backoff(shortestPause, longestPause)
    })
  )
}

/** What matches, from there on, for ever; fails only where no new consumer could help. */
export const follow = (options: FollowOptions): Stream.Stream<BackendEvent, KVStoreReason> =>
  Stream.callback<BackendEvent, KVStoreReason>(
    (out) =>
      follower(options, out).pipe(
        Effect.catchTag("Interrupted", (error) => Effect.die(error))
      ),
    { bufferSize: bufferedEvents }
  )
