/**
 * A supervised watch. If its consumer is interrupted (by silence, a gap, a lost
 * connection, or a recreated stream), a new consumer resumes after the last revision
 * that the watch emitted, or at the beginning of the recreated stream. The watch also
 * reports the keys that were removed during the gap. The clients' own watches stay
 * silent for up to 89 s in such cases (K21), and skip messages of a recreated stream
 * (K24). The rules are K20 to K26 of docs/protocols/kv.md.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import { type Filters, shown } from "../../filters.ts"
import type { BackendEvent, Follow, SilentRemoval } from "../../kv/backend.ts"
import { backoff } from "../../retry.ts"
import type { Matches } from "../../subjects.ts"
import { monotonicMillis } from "../../time.ts"
import type { JetStream, StreamInfo } from "../jetstream/api.ts"
import { type Arrival, Interrupted, type RestartCause } from "../jetstream/arrivals.ts"
import { type Consumer, linkChanges, open } from "../jetstream/consumer.ts"
import { fromDelivered } from "../jetstream/messages.ts"
import type { PortFailure } from "../port.ts"
import type { Reach } from "./reach.ts"
import { make as makeRemovals, type Removals } from "./removals.ts"
import { canFilter } from "./seen.ts"
import { keptPerKey } from "./streamConfig.ts"
import { WatchProgress } from "./watchState.ts"

/**
 * The number of groups of events that are buffered for the reader: what arrived at once, at most a pull. Further messages
 * are not pulled.
 */
const bufferedGroups = 4

/** The pause before a new consumer. It grows up to `longestPause` while the server is unavailable. */
const shortestPause = Duration.millis(50)

/** See `shortestPause`. */
const longestPause = Duration.seconds(1)

/** The longest timeout of the requests for a watch's consumer, in milliseconds. See `requestTimeout`. */
const longestQuestion = 1000

/** A search for removed keys waits at most this long for the information of the stream: messages wait meanwhile. */
const longestSearch = Duration.seconds(1)

/** If messages are delayed by more than this, a marker may have expired unseen: the keys are compared again. */
const patience = Duration.millis(500)

export interface FollowOptions {
  readonly js: JetStream
  readonly stream: string
  readonly prefix: string
  readonly filters: Filters
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
  readonly silentRemoval: () => SilentRemoval
  /** Told what a watch knows of its consumer. */
  readonly reach: Pick<Reach, "watch">
  /** Called with the revision of every received message. */
  readonly saw: (revision: number) => void
  /** Called before an interrupted consumer is replaced, with the reason. */
  readonly onRestart: (cause: RestartCause) => Effect.Effect<void>
}

type Group = Arr.NonEmptyReadonlyArray<BackendEvent>

/** Events on the way to the reader. What an interrupted consumer has left goes first with the next one. */
class Outbox {
  private readonly out: Queue.Enqueue<Group>
  private readonly onDelay: () => void
  private held: Array<BackendEvent> = []

  constructor(out: Queue.Enqueue<Group>, onDelay: () => void) {
    this.out = out
    this.onDelay = onDelay
  }

  add(event: BackendEvent): void {
    this.held.push(event)
  }

  /** Gives the events to the reader; waits while the reader's buffer is full. */
  readonly flush: Effect.Effect<void> = Effect.suspend(() => {
    const { held } = this
    if (!Arr.isReadonlyArrayNonEmpty(held)) return Effect.void
    if (!Queue.offerUnsafe(this.out, held)) return this.flushSlowly(held)
    this.held = []
    return Effect.void
  })

  private flushSlowly(held: Group): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.map(Effect.timed(restore(Queue.offer(this.out, held))), ([waited]) => {
        this.held = []
        if (Duration.isGreaterThan(waited, patience)) this.onDelay()
      })
    )
  }
}

type Work = Effect.Effect<void, KVStoreReason | Interrupted>

/** What one consumer works on: the state of the watch, and the stream's information from before its creation. */
interface Session {
  readonly options: FollowOptions
  readonly progress: WatchProgress
  readonly outbox: Outbox
  readonly removals: Removals
  readonly consumer: Consumer
  readonly info: StreamInfo
  /** Whether a key matches: a consumer can have one filter in the place of several. */
  readonly isWanted: Matches
}

/** Requests the stream's information again, and ends the session if the stream is another one. */
const sameStream = ({ info }: FollowOptions, progress: WatchProgress) =>
  Effect.filterOrFail(
    info,
    (now) => !progress.isAnother(now),
    () => new Interrupted({ cause: "reset", problem: "the stream was recreated or rolled back" })
  )

/** Returns what to do when the consumer has nothing left; undefined for nothing. */
const caughtUp = ({ consumer, info, options, outbox, progress, removals }: Session): () => Work | undefined => {
  const end = (last: BackendEvent | undefined) => {
    if (last !== undefined) outbox.add(last)
    progress.caughtUp()
    consumer.complete()
  }
  const becomeReady = Effect.map(removals.ofAll(info), () => end({ _tag: "Ready" }))
  const compareAll = Effect.map(removals.ofAll(info), () => end(undefined))
  const findEnd: Work = Effect.flatMap(sameStream(options, progress), (now) => {
    progress.endSnapshot(now)
    return next() ?? Effect.void
  })
  const next = (): Work | undefined => {
    switch (progress.whenCaughtUp) {
      case "compare":
        return compareAll
      case "find end":
        return findEnd
      case "become ready":
        return becomeReady
      case "nothing":
      case "wait":
        return undefined
    }
  }
  return next
}

/** Processes arrivals, then gives the events to the reader. */
const processing = (session: Session, whenCaughtUp: () => Work | undefined) => {
  const { isWanted, options, outbox, progress, removals } = session
  const sought = Effect.timeoutOption(sameStream(options, progress), longestSearch).pipe(
    // Without a leader the stream has nothing new, and its consumer shows that it is in reach.
    Effect.catchIf(isTransient, () => Effect.succeedNone),
    Effect.flatMap(Option.match({ onNone: () => Effect.sync(removals.postpone), onSome: removals.search }))
  )
  const search = Effect.andThen(sought, outbox.flush)
  const onMessage = ({ message: received, place }: Extract<Arrival, { readonly _tag: "Message" }>) => {
    const message = fromDelivered(received, place, options.prefix)
    options.saw(message.revision)
    if (isWanted(message.key)) {
      if (progress.isNews(message, received.subject)) outbox.add({ _tag: "Message", message })
      progress.passed(message, received.subject)
    } else progress.skipped(message.revision)
    return place.pending === 0 || progress.endsListing(message) ? whenCaughtUp() : undefined
  }

  const onIdle = (lastRevision: number): Work | undefined => {
    progress.passedBy(lastRevision)
    if (!progress.waitsForEnd && !progress.hasMore) return whenCaughtUp()
    // Without this an end that a roll-back has removed would never be reached.
    return Effect.andThen(sameStream(options, progress), Effect.suspend(() => whenCaughtUp() ?? Effect.void))
  }

  const onArrival = (arrival: Arrival): Work | undefined => {
    switch (arrival._tag) {
      case "Message":
        return onMessage(arrival)
      case "Idle":
        return onIdle(arrival.lastRevision)
      case "Ended":
        if (progress.isReady && arrival.behind > Duration.toMillis(patience)) progress.delayed()
        return arrival.isQuiet ? onIdle(progress.lastKnown) : undefined
    }
  }

  return (arrivals: ReadonlyArray<Arrival>): Work => {
    let at = 0
    const rest = (): Work => {
      while (at < arrivals.length) {
        const work = onArrival(arrivals[at++]!)
        if (work !== undefined) return Effect.flatMap(work, rest)
      }
      return removals.isDue() ? Effect.andThen(outbox.flush, search) : outbox.flush
    }
    return rest()
  }
}

/** Runs one consumer until it fails or is interrupted. */
const session = Effect.fnUntraced(function*(
  options: FollowOptions,
  progress: WatchProgress,
  outbox: Outbox,
  opened: (consumer: Consumer) => void
): Effect.fn.Return<never, KVStoreReason | Interrupted, Scope.Scope> {
  const removals = yield* makeRemovals({ ...options, give: (event) => outbox.add(event) }, progress)
  const info = yield* options.info
  const beginning = progress.begin(info)
  if (beginning === "reset") yield* removals.ofFormer(info)
  const { filters, prefix } = options
  const isExact = filters.list.length === 1 ||
    canFilter(filters, info, { prefix, maxPayload: options.js.port.server().maxPayload })
  const isWanted = isExact ? () => true : filters.matches
  const consumer = yield* open({
    js: options.js,
    stream: options.stream,
    read: options.read,
    timeout: requestTimeout(options),
    subjects: Arr.map(isExact ? filters.list : Arr.of(filters.cover), (filter) => `${prefix}${filter}`),
    what: `the ${options.purpose} of ${shown(options.filters.list)} in stream ${options.stream}`,
    headersOnly: options.headersOnly === true,
    startAt: progress.startAt,
    info
  })
  opened(consumer)
  const clock = yield* Clock.Clock
  const openedAt = monotonicMillis(clock)
  // If the stream was recreated after `info`, the consumer starts at a revision of the former stream; if it keeps more
  // messages for each key now, the pulls are wrong for the consumer.
  if (options.purpose === "watch") {
    yield* Effect.filterOrFail(
      sameStream(options, progress),
      (now) => keptPerKey(now.config) === keptPerKey(info.config),
      () => new Interrupted({ cause: "reset", problem: "the history size of the stream has changed" })
    )
  }

  const current = { options, progress, outbox, removals, consumer, info, isWanted }
  const whenCaughtUp = caughtUp(current)
  const pump = Effect.forever(Effect.flatMap(consumer.next, processing(current, whenCaughtUp)))
  // A watch of updates only has nothing to catch up with on its first consumer.
  if (consumer.pending === 0 || (options.from === "updates" && beginning === "first")) {
    yield* whenCaughtUp() ?? Effect.void
  }
  // A marker that was stored since then listed its key in the comparison, and may be removed before the first pull.
  if (monotonicMillis(clock) - openedAt > Duration.toMillis(patience)) progress.delayed()
  yield* outbox.flush
  return yield* Effect.raceFirst(pump, consumer.silence)
})

/** A watch uses a short timeout, so that it soon asks again when a frozen server has been replaced or has resumed. */
const requestTimeout = ({ purpose, timeout }: FollowOptions): number =>
  purpose === "watch" ? Math.min(timeout, longestQuestion) : timeout

/** Whether the store may be available again: its connection is not closed. */
const isTransient = (error: KVStoreReason | Interrupted): boolean => error._tag === "Unavailable" && error.isRetryable

/** Whether the server did not answer. After a gap or on another stream it did. */
const isOutage = ({ cause }: Interrupted): boolean => cause !== "gap" && cause !== "reset"

const follower = (options: FollowOptions, out: Queue.Enqueue<Group>) => {
  const progress = new WatchProgress(options.from, options.purpose)
  const outbox = new Outbox(out, () => progress.delayed())
  const reach = options.purpose === "watch" ? options.reach.watch() : undefined

  /** Creates a consumer, retrying while the server is unavailable, and runs it. */
  const oneConsumer = Effect.suspend(() => {
    let isOpen = false
    const opened = ({ lastHeard }: Consumer) => {
      isOpen = true
      reach?.hears(lastHeard)
    }
    return Effect.scoped(session(options, progress, outbox, opened)).pipe(
      Effect.tapErrorTag("Unavailable", () => Effect.sync(() => reach?.lost())),
      Effect.mapError((error) =>
        isOpen && isTransient(error)
          ? new Interrupted({ cause: "unavailable", problem: error.message })
          : error
      ),
      Effect.retry({
        // A listing fails instead: its caller waits for it.
        while: (error) => isTransient(error) && options.purpose === "watch",
        schedule: backoff(shortestPause, longestPause)
      })
    )
  })

  const restarts = (ended: Interrupted) =>
    Effect.suspend(() => {
      if (isOutage(ended)) reach?.lost()
      return Effect.andThen(
        options.onRestart(ended.cause),
        Effect.logDebug(
          `the watch of ${shown(options.filters.list)} in stream ${options.stream} restarts: ${ended.message}`
        )
      )
    })

  return Effect.raceFirst(oneConsumer, linkChanges(options.js)).pipe(
    Effect.catchTag("Interrupted", restarts),
    Effect.repeat(Schedule.spaced(shortestPause)),
    Effect.ensuring(Effect.sync(() => reach?.end()))
  )
}

/** Emits the matching messages from the given start, without end. A watch fails only if a new consumer cannot help. */
export const follow = (options: FollowOptions): Stream.Stream<BackendEvent, KVStoreReason> =>
  Stream.unwrap(Effect.gen(function*() {
    const out = yield* Queue.bounded<Group, KVStoreReason>(bufferedGroups)
    yield* Effect.forkScoped(Effect.onError(follower(options, out), (cause) => Queue.failCause(out, cause)))
    return Stream.fromPull(Effect.succeed(Queue.take(out)))
  }))
