/**
 * A supervised watch. Whatever ends its consumer (silence, a gap, a lost link, a
 * recreated stream), the next one goes on where it ended, and the reader is told
 * of what went meanwhile. The clients' own watches are silent for up to 89 s
 * there, and skip what a recreated stream holds (measured). The rules are K20 to
 * K26 of docs/protocols/kv.md.
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

/** Events between the connection and the reader; what is more waits in the server's flow control window. */
const bufferedEvents = 256

/** A consumer that ended is followed by the next after these. */
const shortestPause = Duration.millis(50)
const longestPause = Duration.seconds(1)

/** A question that a frozen server keeps is asked again, of whoever answers then. */
const longestQuestion = 1000

/** A reader that takes longer for one event may outlast a marker: what has gone meanwhile is looked for. */
const patience = Duration.millis(500)

export interface FollowOptions {
  readonly js: JetStream
  readonly stream: string
  readonly prefix: string
  readonly filter: string
  readonly from: Follow
  /** A listing ends when it is ready, and is waited for. */
  readonly purpose: "watch" | "listing"
  readonly headersOnly?: boolean
  /** Milliseconds for one request. */
  readonly timeout: number
  /** The stream as it is now; one that is lost is made again where that is allowed. */
  readonly info: Effect.Effect<StreamInfo, KVStoreReason>
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
  /** What a key that is gone without a message has died of. */
  readonly silentRemoval: SilentRemoval
  /** Told of every revision that is given out. */
  readonly saw: (revision: number) => void
  /** Told of what a new consumer is needed for. */
  readonly onRestart: (cause: RestartCause) => Effect.Effect<void>
}

type Give = (event: BackendEvent, given: () => void) => Effect.Effect<void>

/** An event that still waits for room when its consumer ends has not been given, and the next consumer brings it. */
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

/** Tells of what is gone without a message, by the names that the stream has. */
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
    /** Keys of the stream before this one, told before anything of this one. */
    former: (info: StreamInfo) =>
      Effect.flatMap(names, (present) => tell(progress.formerNotIn(present), info, "reset")),
    /** All that is owed, once there is nothing more to give. */
    all: Effect.fnUntraced(function*(info: StreamInfo) {
      if (!progress.owesComparison) return
      const present = yield* names
      yield* tell(progress.formerNotIn(present), info, "reset")
      yield* tell(progress.givenNotIn(present), info, options.silentRemoval)
      progress.compared()
    })
  }
}

/** One consumer, to its end. */
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
  // A stream recreated between the two questions has a consumer that begins where the former one ended.
  if (options.purpose === "watch" && progress.isAnother(yield* options.info)) {
    return yield* new Interrupted({ cause: "reset", problem: "the stream was recreated meanwhile" })
  }

  /** Everything that the stream had when the consumer was opened has been given, whether or not it matched. */
  const caughtUp = Effect.suspend(() =>
    progress.ready
      ? compare.all(info)
      : Effect.andThen(
        compare.all(info),
        give({ _tag: "Ready" }, () => progress.becomeReady())
      )
  )
  const whenCaughtUp = Effect.suspend(() => progress.ready && !progress.owesComparison ? Effect.void : caughtUp)

  const onMessage = (pushed: NatsMessage): Effect.Effect<void, KVStoreReason | Interrupted> => {
    const said = consumer.read(pushed)
    if (said === undefined) return Effect.void
    if (said._tag === "Interrupted") return Effect.fail(said)
    if (said._tag === "Idle") return whenCaughtUp
    const message = fromPushed(said.message, said.place, prefix)
    options.saw(message.revision)
    const passed = () => progress.passed(message)
    const given = progress.isNews(message) ? give({ _tag: "Message", message }, passed) : Effect.sync(passed)
    return said.place.pending === 0 ? Effect.andThen(given, whenCaughtUp) : given
  }
  const pump = Effect.forever(
    Effect.flatMap(consumer.next, (messages) => Effect.forEach(messages, onMessage, { discard: true }))
  )
  // Who wants no more than updates has, at first, all there is.
  if (consumer.pending === 0 || (options.from === "updates" && beginning === "first")) yield* caughtUp
  return yield* Effect.raceFirst(pump, consumer.silence)
})

/** A watch gives up a question that a frozen server keeps, and asks whoever answers then. */
const requestTimeout = ({ purpose, timeout }: FollowOptions): number =>
  purpose === "watch" ? Math.min(timeout, longestQuestion) : timeout

const follower = (options: FollowOptions, out: Queue.Enqueue<BackendEvent>) => {
  const progress = new WatchProgress(options.from, { withTombstones: options.purpose === "listing" })
  const give = giveTo(out, progress)

  /** A consumer, asked for until the server has one, to its end. */
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
        // Whoever waits for a listing is told.
        while: (error) => error._tag === "Unavailable" && options.purpose === "watch",
        schedule: backoff(shortestPause, longestPause)
      })
    )
  })

  return Effect.raceFirst(oneConsumer, linkChanges(options.js)).pipe(
    Effect.catchTag("Interrupted", (ended) =>
      Effect.andThen(
        options.onRestart(ended.cause),
        Effect.logDebug(`watch of ${options.stream} ${options.filter} starts again: ${ended.message}`)
      )),
    Effect.repeat(Schedule.spaced(shortestPause))
  )
}

/** What matches, from there on, for ever; fails only where no new consumer could help. */
export const follow = (options: FollowOptions): Stream.Stream<BackendEvent, KVStoreReason> =>
  Stream.callback<BackendEvent, KVStoreReason>(
    (out) => follower(options, out),
    { bufferSize: bufferedEvents }
  )
