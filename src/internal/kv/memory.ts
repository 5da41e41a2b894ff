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
import { matcher } from "../subjects.ts"
import { optionalMillis } from "../time.ts"
import type { Backend, BackendEvent, Follow, StoredMessage } from "./backend.ts"
import { type Revisions, SeenRevisions } from "./firstRevision.ts"
import { Log } from "./log.ts"

const given = (message: StoredMessage): BackendEvent => ({ _tag: "Message", message })

const beginning = (log: Log, matches: (key: string) => boolean, from: Follow): Array<BackendEvent> => {
  const messages = from === "updates"
    ? []
    : from === "snapshot"
    ? log.lastOfEach(matches).filter((message) => message.operation === "put")
    : log.after(from.revision - 1, matches)
  return [...messages.map(given), { _tag: "Ready" }]
}

/** The log of a bucket, and the latches of the fibers that wait for its next message. */
interface HeldLog {
  readonly log: Log
  readonly now: () => number
  /** Latches of the watches and of `leaveMarkers`, opened when a message is appended. */
  readonly followers: Set<Latch.Latch>
  /** Opens all latches. */
  readonly announce: () => void
  /** Removes expired messages, and returns a time before which no other message expires. */
  readonly expire: () => number | undefined
  /** Removes expired messages, then runs `f`: operations on the log use `look`, so that they see no expired message. */
  readonly look: <A>(f: () => A) => Effect.Effect<A>
}

const hold = (config: KVStoreConfig, clock: Clock.Clock, revisions: Revisions): HeldLog => {
  const now = () => clock.currentTimeMillisUnsafe()
  const log = new Log({
    firstRevision: revisions.first(config.bucket, now()),
    historySize: config.historySize,
    maxAge: optionalMillis(config.streamMaxAge),
    markerAge: optionalMillis(config.expiryMarkers),
    maxBytes: config.maxBytes
  })
  const followers = new Set<Latch.Latch>()
  const announce = () => {
    revisions.saw(config.bucket, log.lastRevision)
    followers.forEach((latch) => latch.openUnsafe())
  }
  // Expired values can leave markers, which the watches must see.
  const expire = () => {
    const before = log.lastRevision
    const due = log.expire(now())
    if (log.lastRevision !== before) announce()
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

/** Leaves expiry markers on time, for watches. Without markers expiry can wait for the next access to the log. */
const leaveMarkers = ({ expire, followers, now }: HeldLog): Effect.Effect<never> =>
  Effect.gen(function*() {
    const appended = Latch.makeUnsafe(false)
    followers.add(appended)
    while (true) {
      appended.closeUnsafe()
      const due = expire()
      const untilDue = due === undefined ? Effect.never : Effect.sleep(Duration.millis(Math.ceil(due - now())))
      yield* Effect.raceFirst(appended.await, untilDue)
    }
  })

const follow = ({ expire, followers, log, look }: HeldLog): Backend["follow"] => (filter, from) =>
  Stream.unwrap(Effect.gen(function*() {
    const matches = matcher(filter)
    const changed = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const latch = Latch.makeUnsafe(false)
        followers.add(latch)
        return latch
      }),
      (latch) => Effect.sync(() => followers.delete(latch))
    )
    const first = yield* look(() => beginning(log, matches, from))
    // A watch can start at a future revision.
    let cursor = typeof from === "object" ? Math.max(log.lastRevision, from.revision - 1) : log.lastRevision
    const next: Effect.Effect<Arr.NonEmptyReadonlyArray<BackendEvent>> = Effect.suspend(() => {
      expire()
      const messages = log.after(cursor, matches).map(given)
      cursor = Math.max(cursor, log.lastRevision)
      if (Arr.isArrayNonEmpty(messages)) return Effect.succeed(messages)
      changed.closeUnsafe()
      return Effect.flatMap(changed.await, () => next)
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
  if (config.expiryMarkers !== undefined) yield* Effect.forkScoped(leaveMarkers(held))
  return {
    config,
    clock,
    follow: follow(held),
    last: (key) => look(() => Option.fromUndefinedOr(log.last(key))),
    history: (key) => look(() => log.history(key)),
    lastOfEach: (filter) => look(() => log.lastOfEach(matcher(filter))),
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
