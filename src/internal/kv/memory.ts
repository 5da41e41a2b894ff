/**
 * The memory backend: buckets of the memory of this process by name, operations on
 * their logs, and watches that read a log at their own pace.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { KVStoreConfig } from "../../KVStoreConfig.ts"
import { BucketNotFound, ConfigMismatch, type KVStoreReason, ValueTooLarge } from "../../KVStoreError.ts"
import { annotate } from "../logs.ts"
import { monotonicMillis } from "../time.ts"
import type { Backend, BackendEvent, Follow, StoredMessage } from "./backend.ts"
import { differences, isFixed, shownChange } from "./differences.ts"
import { isValue } from "./entries.ts"
import { SeenRevisions } from "./firstRevision.ts"
import type { Log } from "./log.ts"
import { type BucketLog, MemoryBucket } from "./memoryBucket.ts"

const given = (message: StoredMessage): BackendEvent => ({ _tag: "Message", message })

const beginning = (log: Log, matches: (key: string) => boolean, from: Follow): Array<BackendEvent> => {
  const messages = from === "updates"
    ? []
    : from === "snapshot"
    ? log.lastOfEach(matches).filter(isValue)
    : log.after(from.revision - 1, matches)
  return [...messages.map(given), { _tag: "Ready" }]
}

/** Expires messages on time, for watches. Without watches that can wait for the next access to the log. */
const expireOnTime = (bucket: MemoryBucket): Effect.Effect<never, never, Scope.Scope> =>
  Effect.gen(function*() {
    const follower = yield* bucket.follow
    while (true) {
      follower.changed.closeUnsafe()
      follower.expired = []
      const due = bucket.expire()
      const untilDue = due === undefined ? Effect.never : Effect.sleep(Duration.millis(Math.ceil(due - bucket.now)))
      yield* Effect.raceFirst(follower.changed.await, untilDue)
    }
  })

/** Follows a bucket. If the bucket is recreated, reports all keys that the reader has as removed, and begins again. */
const follow = (bucket: MemoryBucket, config: KVStoreConfig): Backend["follow"] => ({ matches }, from) =>
  Stream.unwrap(Effect.gen(function*() {
    const follower = yield* bucket.follow
    let followed = yield* bucket.reach(config)
    const first = beginning(followed.log, matches, from)
    follower.expired = []
    // A watch can start at a future revision.
    const last = followed.log.lastRevision
    let cursor = typeof from === "object" ? Math.max(last, from.revision - 1) : last
    /** The first revision that the reader can have. */
    let start = from === "snapshot" ? 0 : from === "updates" ? last + 1 : from.revision

    const gone = (messages: ReadonlyArray<StoredMessage>, reason: "expire" | "reset"): Array<BackendEvent> =>
      messages
        .filter(({ key, revision }) => matches(key) && revision >= start && revision <= cursor)
        .map(({ key, revision }) => ({ _tag: "Gone", key, revision, created: bucket.now, reason }))
    /** The events of the followed log that the reader does not have. */
    const rest = (): Array<BackendEvent> => {
      const { expired } = follower
      follower.expired = []
      const before = gone(expired, "expire")
      const after = followed.log.after(cursor, matches).map(given)
      cursor = Math.max(cursor, followed.log.lastRevision)
      return [...before, ...after]
    }
    /** The events until the end of the former log, and the beginning of the new one. */
    const begin = (created: BucketLog): Array<BackendEvent> => {
      const removed = [...rest(), ...gone(followed.log.lastOfEach(matches).filter(isValue), "reset")]
      followed = created
      cursor = created.log.lastRevision
      start = 0
      return [...removed, ...beginning(created.log, matches, "snapshot")]
    }
    const next: Effect.Effect<Arr.NonEmptyReadonlyArray<BackendEvent>, KVStoreReason> = Effect.flatMap(
      bucket.reach(config),
      (current) => {
        const events = current === followed ? rest() : begin(current)
        if (Arr.isArrayNonEmpty(events)) return Effect.succeed(events)
        follower.changed.closeUnsafe()
        return Effect.flatMap(follower.changed.await, () => next)
      }
    )
    return Stream.concat(Stream.fromIterable(first), Stream.fromPull(Effect.succeed(next)))
  }))

const backendOf = (bucket: MemoryBucket, config: KVStoreConfig): Backend => {
  const look = <A>(f: (bucketLog: BucketLog) => A): Effect.Effect<A, KVStoreReason> =>
    Effect.map(bucket.reach(config), f)
  return {
    config,
    clock: bucket.clock,
    follow: follow(bucket, config),
    last: (key) => look(({ log }) => Option.fromUndefinedOr(log.last(key))),
    at: (key, revision) =>
      look(({ log }) => Option.fromUndefinedOr(log.history(key).find((message) => message.revision === revision))),
    history: (key) => look(({ log }) => log.history(key)),
    lastOfEach: ({ matches }) => look(({ log }) => log.lastOfEach(matches)),
    streamOfEach: ({ matches }) => Stream.unwrap(look(({ log }) => Stream.fromIterable(log.lastOfEach(matches)))),
    lastOf: (keys) =>
      look(({ log }) =>
        keys.map((key) => log.last(key)).filter((message) => message !== undefined)
          .toSorted((a, b) => a.revision - b.revision)
      ),
    append: (message) =>
      Effect.flatMap(bucket.reach(config), ({ config: { maxValueSize }, log }) => {
        const { length } = message.value
        // Another store may have lowered the limit since this one was opened.
        if (maxValueSize !== undefined && length > maxValueSize) {
          return Effect.fail(new ValueTooLarge({ size: length, limit: maxValueSize }))
        }
        const outcome = log.append(message, bucket.now)
        if (typeof outcome !== "number") return Effect.fail(outcome)
        bucket.announce()
        return Effect.succeed(outcome)
      }),
    removeUpTo: (key, revision) => look(({ log }) => log.removeUpTo(key, revision)),
    valueLimit: () => Number.POSITIVE_INFINITY,
    // The memory of this process is always in reach.
    reachability: Stream.concat(
      Stream.succeed({ _tag: "Reachable", at: monotonicMillis(bucket.clock) }),
      Stream.never
    ),
    status: look(({ created, log }) => ({
      bucket: bucket.name,
      backend: "memory" as const,
      messages: log.size,
      bytes: log.bytes,
      lastRevision: log.lastRevision,
      created: DateTime.makeUnsafe(created),
      hasLeader: true,
      supportsExpiryMarkers: true
    }))
  }
}

/** The configuration of a store on a bucket that exists: its own options, with the limits of the bucket. */
const openedAs = (asked: KVStoreConfig, found: KVStoreConfig): KVStoreConfig => {
  const { expiryMarkers, historySize, maxBytes, maxValueSize, replicas, storage, streamMaxAge } = found
  return new KVStoreConfig({
    ...asked,
    expiryMarkers,
    historySize,
    maxBytes,
    maxValueSize,
    replicas,
    storage,
    streamMaxAge
  })
}

/** Opens a bucket that exists. If it differs from the options: fails, updates it or accepts it, by `onMismatch`. */
const reopen = (
  bucket: MemoryBucket,
  found: BucketLog,
  asked: KVStoreConfig
): Effect.Effect<KVStoreConfig, KVStoreReason> =>
  Effect.suspend((): Effect.Effect<KVStoreConfig, KVStoreReason> => {
    const list = differences(asked, found.config)
    if (list.length === 0 || asked.onMismatch === "accept") return Effect.succeed(openedAs(asked, found.config))
    if (asked.onMismatch === "fail") return Effect.fail(new ConfigMismatch({ differences: list }))
    const fixed = list.filter(isFixed)
    if (fixed.length > 0) return Effect.fail(new ConfigMismatch({ differences: fixed }))
    bucket.update(found, asked)
    const { name } = bucket
    return Effect.as(annotate("KVStore", { bucket: name })(Effect.logInfo(shownChange(name, list))), asked)
  })

/** The buckets in memory of one program, by name. */
export interface MemoryBuckets {
  /** Opens a bucket, and creates it if it does not exist and `create` is true. */
  readonly open: (config: KVStoreConfig) => Effect.Effect<Backend, KVStoreReason>
  /** The names of all buckets, sorted. */
  readonly list: Effect.Effect<ReadonlyArray<string>>
  readonly destroy: (name: string) => Effect.Effect<void, KVStoreReason>
}

const expires = ({ expiryMarkers, streamMaxAge }: KVStoreConfig): boolean =>
  expiryMarkers !== undefined || streamMaxAge !== undefined

/** Creates an empty set of buckets. Their messages expire until the scope closes. */
export const make: Effect.Effect<MemoryBuckets, never, Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const buckets = new Map<string, MemoryBucket>()
  /** The buckets with a fiber that expires their messages. */
  const expiring = new Set<MemoryBucket>()

  const bucketOf = Effect.fnUntraced(function*(name: string) {
    const known = buckets.get(name)
    if (known !== undefined) return known
    const made = new MemoryBucket(name, yield* Clock.Clock, yield* SeenRevisions)
    buckets.set(name, made)
    return made
  })

  const open = Effect.fnUntraced(function*(asked: KVStoreConfig) {
    const bucket = yield* bucketOf(asked.bucket)
    const found = bucket.current
    const config = found === undefined
      ? yield* Effect.as(bucket.reach(asked), asked)
      : yield* reopen(bucket, found, asked)
    if (expires(config) && !expiring.has(bucket)) {
      expiring.add(bucket)
      yield* Effect.forkIn(Scope.provide(expireOnTime(bucket), scope), scope)
    }
    return backendOf(bucket, config)
  })

  return {
    open,
    list: Effect.sync(() =>
      [...buckets.values()].filter(({ current }) => current !== undefined).map(({ name }) => name).toSorted()
    ),
    destroy: (name) =>
      Effect.suspend(() => {
        const bucket = buckets.get(name)
        if (bucket?.current === undefined) return Effect.fail(new BucketNotFound())
        bucket.destroy()
        return Effect.void
      })
  }
})
