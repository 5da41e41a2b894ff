/**
 * The memory backend: a `Log`, the `Clock` of the fiber that created it, and
 * watches that read the log at their own pace.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import type { KVStoreReason } from "../../KVStoreError.ts"
import { monotonicMillis, optionalMillis } from "../time.ts"
import type { Backend, BackendEvent, Follow, StoredMessage } from "./backend.ts"
import { type Revisions, SeenRevisions } from "./firstRevision.ts"
import { headersFor, markerHeaders, sizeOfHeaders, sizeOfStored, subjectPrefix } from "./headers.ts"
import { Log, type Sized } from "./log.ts"

const given = (message: StoredMessage): BackendEvent => ({ _tag: "Message", message })

const beginning = (log: Log, matches: (key: string) => boolean, from: Follow): Array<BackendEvent> => {
  const messages = from === "updates"
    ? []
    : from === "snapshot"
    ? log.lastOfEach(matches).filter((message) => message.operation === "put")
    : log.after(from.revision - 1, matches)
  return [...messages.map(given), { _tag: "Ready" }]
}

/** A fiber that waits for the next change of the log. */
interface Follower {
  /** Opened when a message is appended, or expires without a marker. */
  readonly changed: Latch.Latch
  /** The values that expired without a marker since the follower has looked. */
  expired: Array<StoredMessage>
}

/** The log of a bucket, and its watches. */
interface HeldLog {
  readonly log: Log
  readonly now: () => number
  /** The watches, and the fiber that expires messages. */
  readonly followers: Set<Follower>
  /** Wakes all followers. */
  readonly announce: () => void
  /** Removes expired messages, and returns a time before which no other message expires. */
  readonly expire: () => number | undefined
  /** Removes expired messages, then runs `f`: operations on the log use `look`, so that they see no expired message. */
  readonly look: <A>(f: () => A) => Effect.Effect<A>
}

/** The size of a message in the file storage or the memory storage of a server. */
const sizesOf = ({ bucket, expiryMarkers, storage }: KVStoreConfig) => {
  const subjectOf = (key: string) => `${subjectPrefix(bucket)}${key}`
  const ofMarker = sizeOfHeaders(markerHeaders(optionalMillis(expiryMarkers) ?? 0))
  return ({ condition, key, operation, value }: Sized): number => {
    const headers = operation === "expire"
      ? ofMarker
      : sizeOfHeaders(headersFor({ condition, key, operation }, subjectOf))
    return sizeOfStored(storage, subjectOf(key), headers, value)
  }
}

const hold = (config: KVStoreConfig, clock: Clock.Clock, revisions: Revisions): HeldLog => {
  const now = () => clock.currentTimeMillisUnsafe()
  const followers = new Set<Follower>()
  const log = new Log({
    onSilentExpiry: (message) => followers.forEach(({ expired }) => expired.push(message)),
    firstRevision: revisions.first(config.bucket, now()),
    historySize: config.historySize,
    maxAge: optionalMillis(config.streamMaxAge),
    markerAge: optionalMillis(config.expiryMarkers),
    maxBytes: config.maxBytes,
    sizeOf: sizesOf(config)
  })
  const announce = () => {
    revisions.saw(config.bucket, log.lastRevision)
    followers.forEach(({ changed }) => changed.openUnsafe())
  }
  // The watches must see the markers of expired values, and the values that leave none.
  const expire = () => {
    const [last, size] = [log.lastRevision, log.size]
    const due = log.expire(now())
    if (log.lastRevision !== last || log.size !== size) announce()
    return due
  }
  return {
    log,
    now,
    followers,
    announce,
    expire,
    look: (f) =>
      Effect.sync(() => {
        expire()
        return f()
      })
  }
}

/** Adds a follower until the scope closes. */
const addFollower = ({ followers }: HeldLog): Effect.Effect<Follower, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const follower: Follower = { changed: Latch.makeUnsafe(false), expired: [] }
      followers.add(follower)
      return follower
    }),
    (follower) => Effect.sync(() => followers.delete(follower))
  )

/** Expires messages on time, for watches. Without watches that can wait for the next access to the log. */
const expireOnTime = (held: HeldLog): Effect.Effect<never, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { expire, now } = held
    const follower = yield* addFollower(held)
    while (true) {
      follower.changed.closeUnsafe()
      follower.expired = []
      const due = expire()
      const untilDue = due === undefined ? Effect.never : Effect.sleep(Duration.millis(Math.ceil(due - now())))
      yield* Effect.raceFirst(follower.changed.await, untilDue)
    }
  })

const follow = (held: HeldLog): Backend["follow"] => ({ matches }, from) =>
  Stream.unwrap(Effect.gen(function*() {
    const { expire, log, look, now } = held
    const follower = yield* addFollower(held)
    const first = yield* look(() => {
      const events = beginning(log, matches, from)
      follower.expired = []
      return events
    })
    // A watch can start at a future revision.
    let cursor = typeof from === "object" ? Math.max(log.lastRevision, from.revision - 1) : log.lastRevision
    /** The first revision that the reader can have. */
    const start = from === "snapshot" ? 0 : from === "updates" ? log.lastRevision + 1 : from.revision
    /** The values that the reader has and that expired without a marker. */
    const gone = (): Array<BackendEvent> => {
      const { expired } = follower
      follower.expired = []
      return expired
        .filter(({ key, revision }) => matches(key) && revision >= start && revision <= cursor)
        .map(({ key, revision }) => ({ _tag: "Gone", key, revision, created: now(), reason: "expire" }))
    }
    const next: Effect.Effect<Arr.NonEmptyReadonlyArray<BackendEvent>> = Effect.suspend(() => {
      expire()
      const events = [...gone(), ...log.after(cursor, matches).map(given)]
      cursor = Math.max(cursor, log.lastRevision)
      if (Arr.isArrayNonEmpty(events)) return Effect.succeed(events)
      follower.changed.closeUnsafe()
      return Effect.flatMap(follower.changed.await, () => next)
    })
    return Stream.concat(Stream.fromIterable(first), Stream.fromPull(Effect.succeed(next)))
  }))

export const make = Effect.fnUntraced(function*(
  config: KVStoreConfig
): Effect.fn.Return<Backend, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const created = clock.currentTimeMillisUnsafe()
  const held = hold(config, clock, yield* SeenRevisions)
  const { announce, log, look, now } = held
  if (config.expiryMarkers !== undefined || config.streamMaxAge !== undefined) {
    yield* Effect.forkScoped(expireOnTime(held))
  }
  return {
    config,
    clock,
    follow: follow(held),
    last: (key) => look(() => Option.fromUndefinedOr(log.last(key))),
    at: (key, revision) =>
      look(() => Option.fromUndefinedOr(log.history(key).find((message) => message.revision === revision))),
    history: (key) => look(() => log.history(key)),
    lastOfEach: ({ matches }) => look(() => log.lastOfEach(matches)),
    streamOfEach: ({ matches }) => Stream.unwrap(look(() => Stream.fromIterable(log.lastOfEach(matches)))),
    lastOf: (keys) =>
      look(() =>
        keys.map((key) => log.last(key)).filter((message) => message !== undefined)
          .toSorted((a, b) => a.revision - b.revision)
      ),
    append: (message) =>
      Effect.flatMap(look(() => log.append(message, now())), (outcome) => {
        if (typeof outcome !== "number") return Effect.fail<KVStoreReason>(outcome)
        announce()
        return Effect.succeed(outcome)
      }),
    removeUpTo: (key, revision) => look(() => log.removeUpTo(key, revision)),
    // The memory of this process is always in reach.
    reachability: Stream.concat(Stream.succeed({ _tag: "Reachable", at: monotonicMillis(clock) }), Stream.never),
    status: look(() => ({
      bucket: config.bucket,
      backend: "memory" as const,
      messages: log.size,
      bytes: log.bytes,
      lastRevision: log.lastRevision,
      created: DateTime.makeUnsafe(created),
      supportsExpiryMarkers: true
    }))
  }
})
