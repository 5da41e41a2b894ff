/**
 * A supervised watch. If its consumer is interrupted (by silence, a gap, a lost
 * connection, or a recreated stream), a new consumer resumes after the last revision
 * that the watch emitted, or at the beginning of the recreated stream. The watch also
 * reports the keys that were removed during the gap. The clients' own watches stay
 * silent for up to 89 s in such cases (K21), and skip messages of a recreated stream
 * (K24). The rules are K20 to K26 of docs/protocols/kv.md.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import type { BackendEvent, Follow, SilentRemoval } from "../../kv/backend.ts"
import { backoff } from "../../retry.ts"
import type { JetStream, StreamInfo } from "../jetstream/api.ts"
import {
  Interrupted,
  linkChanges,
  listingHeartbeat,
  open,
  type RestartCause,
  watchHeartbeat
} from "../jetstream/consumer.ts"
import { fromPushed } from "../jetstream/messages.ts"
import type { NatsMessage, PortFailure } from "../port.ts"
import { type Gone, WatchProgress } from "./watchState.ts"

/** The number of events that are buffered for the reader. Further events wait in the server's flow control window. */
const bufferedEvents = 256

/** The pause before a new consumer. It grows up to `longestPause` while the server is unavailable. */
const shortestPause = Duration.millis(50)

/** See `shortestPause`. */
const longestPause = Duration.seconds(1)

/** The longest timeout of the requests for a watch's consumer, in milliseconds. See `requestTimeout`. */
const longestQuestion = 1000

/** If the reader delays one event by more than this, a marker may have expired unseen: the keys are compared again. */
const patience = Duration.millis(500)

export interface FollowOptions {
  readonly js: JetStream
  readonly stream: string
  readonly prefix: string
  readonly filter: string
  readonly from: Follow
  /** A listing is read until `Ready`. Its snapshot includes markers, and it fails if the server is unavailable. */
  readonly purpose: "watch" | "listing"
  readonly headersOnly?: boolean
  /** The timeout of one request, in milliseconds. */
  readonly timeout: number
  /** The current information of the stream. A lost stream is recreated if that is allowed. */
  readonly info: Effect.Effect<StreamInfo, KVStoreReason>
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
  /** The reason to report for keys that were removed without a message. */
  readonly silentRemoval: SilentRemoval
  /** Called with the revision of every received message. */
  readonly saw: (revision: number) => void
  /** Called before an interrupted consumer is replaced, with the reason. */
  readonly onRestart: (cause: RestartCause) => Effect.Effect<void>
}

type Give = (event: BackendEvent, given: () => void) => Effect.Effect<void>

/**
 * Puts an event into the reader's buffer, then calls `given`. If the consumer is interrupted while the event waits for
 * room, `given` is not called, and the next consumer pushes the event again.
 */
const giveTo = (out: Queue.Enqueue<BackendEvent>, progress: WatchProgress): Give => {
  const slowly: Give = (event, given) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.map(Effect.timed(restore(Queue.offer(out, event))), ([waited]) => {
        given()
        if (Duration.isGreaterThan(waited, patience)) progress.stalled()
      })
    )
  return (event, given) =>
    Effect.suspend(() => {
      if (!Queue.offerUnsafe(out, event)) return slowly(event, given)
      given()
      return Effect.void
    })
}

/** Reports keys that were removed without a message: keys given to the reader that the stream no longer contains. */
const comparing = (options: FollowOptions, progress: WatchProgress, give: Give) => {
  const { filter, js, prefix, read, stream } = options
  const names = Effect.map(
    read(js.subjects(stream, `${prefix}${filter}`, options.timeout)),
    ({ names }) => new Set(names.map((subject) => subject.slice(prefix.length)))
  )
  const tell = (gone: ReadonlyArray<Gone>, info: StreamInfo, reason: SilentRemoval | "reset") => {
    const created = Date.parse(info.ts ?? info.created)
    return Effect.forEach(
      gone,
      ({ key, revision }) => give({ _tag: "Gone", key, revision, created, reason }, () => progress.forget(key)),
      { discard: true }
    )
  }
  return {
    /** Reports removed keys of the former stream. Runs before the first message of the new stream. */
    former: (info: StreamInfo) =>
      Effect.flatMap(names, (present) => tell(progress.formerNotIn(present), info, "reset")),
    /** Reports all removed keys. Runs when the consumer has caught up. */
    all: Effect.fnUntraced(function*(info: StreamInfo) {
      if (!progress.owesComparison) return
      const present = yield* names
      yield* tell(progress.formerNotIn(present), info, "reset")
      yield* tell(progress.givenNotIn(present), info, options.silentRemoval)
      progress.compared()
    })
  }
}

/** Runs one consumer until it fails or is interrupted. */
const session = Effect.fnUntraced(function*(
  options: FollowOptions,
  progress: WatchProgress,
  give: Give,
  opened: () => void
): Effect.fn.Return<never, KVStoreReason | Interrupted, Scope.Scope> {
  const { prefix } = options
  const compare = comparing(options, progress, give)
  const info = yield* options.info
  const beginning = progress.begin(info)
  if (beginning === "reset") yield* compare.former(info)
  const consumer = yield* open({
    js: options.js,
    stream: options.stream,
    read: options.read,
    timeout: requestTimeout(options),
    subject: `${prefix}${options.filter}`,
    heartbeat: options.purpose === "watch" ? watchHeartbeat : listingHeartbeat,
    headersOnly: options.headersOnly === true,
    startAt: progress.startsWithSnapshot ? undefined : progress.cursor + 1
  })
  opened()
  /** Requests the stream's information again, and ends the session if the stream is another one. */
  const sameStream = Effect.filterOrFail(
    options.info,
    (now) => !progress.isAnother(now),
    () => new Interrupted({ cause: "reset", problem: "the stream was recreated or rolled back" })
  )
  // If the stream was recreated after `info`, the consumer starts at a revision of the former stream.
  if (options.purpose === "watch") yield* sameStream

  const becomeReady = Effect.andThen(compare.all(info), give({ _tag: "Ready" }, () => progress.becomeReady()))

  /** A listing compares its keys with the stream's names instead (K15), and updates have no snapshot. */
  const waitsForEnd = options.purpose === "watch" && options.from !== "updates"

  /** Runs when the consumer has nothing to push at present. */
  const caughtUp = Effect.gen(function*() {
    if (progress.ready) return yield* compare.all(info)
    if (!waitsForEnd) return yield* becomeReady
    if (!progress.hasEnd) progress.endSnapshot(yield* sameStream)
    if (progress.isComplete) yield* becomeReady
  })
  const whenCaughtUp = Effect.suspend(() => progress.ready && !progress.owesComparison ? Effect.void : caughtUp)

  const onMessage = (pushed: NatsMessage): Effect.Effect<void, KVStoreReason | Interrupted> => {
    const said = consumer.read(pushed)
    if (said === undefined) return Effect.void
    if (said._tag === "Interrupted") return Effect.fail(said)
    // Pending messages may have expired, and their markers too: the consumer then continues without a gap.
    if (said._tag === "Stalled") return Effect.sync(() => progress.stalled())
    if (said._tag === "Idle") {
      progress.passedBy(said.lastRevision)
      // Without this an end that a roll-back has removed would never be reached.
      const ask = waitsForEnd && progress.hasEnd && !progress.isComplete ? sameStream : Effect.void
      return Effect.andThen(ask, whenCaughtUp)
    }
    const message = fromPushed(said.message, said.place, prefix)
    options.saw(message.revision)
    const passed = () => progress.passed(message)
    const given = progress.isNews(message) ? give({ _tag: "Message", message }, passed) : Effect.sync(passed)
    return said.place.pending === 0 ? Effect.andThen(given, whenCaughtUp) : given
  }
  const pump = Effect.forever(
    Effect.flatMap(consumer.next, (messages) => Effect.forEach(messages, onMessage, { discard: true }))
  )
  // A watch of updates only has nothing to catch up with on its first consumer.
  if (consumer.pending === 0 || (options.from === "updates" && beginning === "first")) yield* caughtUp
  return yield* Effect.raceFirst(pump, consumer.silence)
})

/** A watch uses a short timeout, so that it soon asks again when a frozen server has been replaced or has resumed. */
const requestTimeout = ({ purpose, timeout }: FollowOptions): number =>
  purpose === "watch" ? Math.min(timeout, longestQuestion) : timeout

const follower = (options: FollowOptions, out: Queue.Enqueue<BackendEvent>) => {
  const progress = new WatchProgress(options.from, { withTombstones: options.purpose === "listing" })
  const give = giveTo(out, progress)

  /** Creates a consumer, retrying while the server is unavailable, and runs it. */
  const oneConsumer = Effect.suspend(() => {
    let isOpen = false
    const opened = () => {
      isOpen = true
    }
    return Effect.scoped(session(options, progress, give, opened)).pipe(
      Effect.mapError((error) =>
        isOpen && error._tag === "Unavailable"
          ? new Interrupted({ cause: "unavailable", problem: error.message })
          : error
      ),
      Effect.retry({
        // A listing fails instead: its caller waits for it.
        while: (error) => error._tag === "Unavailable" && options.purpose === "watch",
        schedule: backoff(shortestPause, longestPause)
      })
    )
  })

  return Effect.raceFirst(oneConsumer, linkChanges(options.js)).pipe(
    Effect.catchTag("Interrupted", (ended) =>
      Effect.andThen(
        options.onRestart(ended.cause),
        Effect.logDebug(`the watch of ${options.filter} in stream ${options.stream} restarts: ${ended.message}`)
      )),
    Effect.repeat(Schedule.spaced(shortestPause))
  )
}

/** Emits the matching messages from the given start, without end. A watch fails only if a new consumer cannot help. */
export const follow = (options: FollowOptions): Stream.Stream<BackendEvent, KVStoreReason> =>
  Stream.callback<BackendEvent, KVStoreReason>(
    (out) => follower(options, out),
    { bufferSize: bufferedEvents }
  )
