/**
 * A bucket in memory: its name, its current log, and the watches that follow it. The
 * log is lost when the bucket is destroyed, and a store that may create the bucket
 * recreates it with higher revisions (docs/protocols/kv.md, K2 and K29).
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import { BucketNotFound, type KVStoreReason } from "../../KVStoreError.ts"
import { optionalMillis } from "../time.ts"
import type { StoredMessage } from "./backend.ts"
import type { Revisions } from "./firstRevision.ts"
import { headersFor, markerHeaders, sizeOfHeaders, sizeOfStored, subjectPrefix } from "./headers.ts"
import { Log, type LogSettings, type Sized } from "./log.ts"

/** A fiber that waits for the next change of the bucket. */
export interface Follower {
  /** Opened when a message is appended or expires without a marker, and when the bucket is destroyed. */
  readonly changed: Latch.Latch
  /** The values that expired without a marker since the follower has looked. */
  expired: Array<StoredMessage>
}

/** The log of a bucket that exists. */
export interface BucketLog {
  readonly log: Log
  /** Unix milliseconds by the clock of the bucket. */
  readonly created: number
  /** The configuration of the bucket: that of the store that created it, or changed it last. */
  config: KVStoreConfig
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

const logSettings = (config: KVStoreConfig): LogSettings => ({
  historySize: config.historySize,
  maxAge: optionalMillis(config.streamMaxAge),
  markerAge: optionalMillis(config.expiryMarkers),
  maxBytes: config.maxBytes,
  sizeOf: sizesOf(config)
})

export class MemoryBucket {
  readonly name: string
  /** The clock of the fiber that opened the bucket first. */
  readonly clock: Clock.Clock
  private readonly revisions: Revisions
  private existing: BucketLog | undefined
  /** The watches, and the fiber that expires messages. */
  private readonly followers = new Set<Follower>()

  constructor(name: string, clock: Clock.Clock, revisions: Revisions) {
    this.name = name
    this.clock = clock
    this.revisions = revisions
  }

  get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** The current log; undefined if the bucket does not exist. */
  get current(): BucketLog | undefined {
    return this.existing
  }

  /** Creates the bucket, which must not exist, with an empty log. */
  create(config: KVStoreConfig): BucketLog {
    const { now } = this
    this.existing = {
      created: now,
      config,
      log: new Log({
        ...logSettings(config),
        onSilentExpiry: (message) => this.followers.forEach(({ expired }) => expired.push(message)),
        firstRevision: this.revisions.first(this.name, now)
      })
    }
    this.announce()
    return this.existing
  }

  /** Changes the settings of the bucket, which removes the messages that the new ones do not keep. */
  update(bucketLog: BucketLog, config: KVStoreConfig): void {
    bucketLog.config = config
    bucketLog.log.change(logSettings(config))
    this.announce()
  }

  destroy(): void {
    this.existing = undefined
    this.announce()
  }

  /** Wakes all followers. */
  announce(): void {
    if (this.existing !== undefined) this.revisions.saw(this.name, this.existing.log.lastRevision)
    this.followers.forEach(({ changed }) => changed.openUnsafe())
  }

  /** Removes expired messages, and returns a time before which no other message expires. */
  expire(): number | undefined {
    if (this.existing === undefined) return undefined
    const { log } = this.existing
    const [last, size] = [log.lastRevision, log.size]
    const due = log.expire(this.now)
    // The watches must see the markers of expired values, and the values that leave none.
    if (log.lastRevision !== last || log.size !== size) this.announce()
    return due
  }

  /** Adds a follower until the scope closes. */
  readonly follow: Effect.Effect<Follower, never, Scope.Scope> = Effect.acquireRelease(
    Effect.sync(() => {
      const follower: Follower = { changed: Latch.makeUnsafe(false), expired: [] }
      this.followers.add(follower)
      return follower
    }),
    (follower) => Effect.sync(() => this.followers.delete(follower))
  )

  /** The log for an operation, without expired messages. A lost bucket is recreated if the configuration allows it. */
  reach(config: KVStoreConfig): Effect.Effect<BucketLog, KVStoreReason> {
    return Effect.suspend(() => {
      this.expire()
      if (this.existing !== undefined) return Effect.succeed(this.existing)
      return config.create ? Effect.succeed(this.create(config)) : Effect.fail(new BucketNotFound())
    })
  }
}
