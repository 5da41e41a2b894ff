/**
 * The state machine of a watch, and its progress across its consumers: the keys that
 * the reader has, and the removals to look for after a gap (docs/protocols/kv.md, K20
 * and K22 to K24). Pure.
 */
import type { Follow, StoredMessage } from "../../kv/backend.ts"
import type { StreamInfo } from "../jetstream/api.ts"
import { GivenSubjects, type Gone } from "./givenSubjects.ts"

/**
 * The state of a watch.
 *
 * - `First`: it has had no consumer yet
 * - `Snapshot`: it emits the existing messages
 * - `Live`: `Ready` was emitted, and the consumer has caught up
 * - `Resuming`: `Ready` was emitted, and a new consumer catches up
 * - `Resetting`: the stream is another one, and its existing messages are emitted
 */
export type WatchState = "First" | "Snapshot" | "Live" | "Resuming" | "Resetting"

/** A consumer was created on the same stream or on another one, or the consumer has caught up. */
export type WatchChange = "same stream" | "another stream" | "caught up"

export const nextState = (state: WatchState, change: WatchChange): WatchState => {
  switch (change) {
    case "same stream":
      return state === "First" ? "Snapshot" : state === "Live" ? "Resuming" : state
    case "another stream":
      return state === "First" ? "Snapshot" : "Resetting"
    case "caught up":
      return state === "First" ? "First" : "Live"
  }
}

/** Whether `Ready` has been emitted for the current stream. */
const isReadyIn = (state: WatchState): boolean => state === "Live" || state === "Resuming"

/** The facts that decide when the consumer has no more messages. */
export interface CaughtUp {
  /** Whether messages of the snapshot are pending. */
  readonly hasMore: boolean
  /** Whether the reader's keys must be compared with the keys of the stream. */
  readonly owesComparison: boolean
  /** Whether `Ready` waits for the end of the snapshot. */
  readonly waitsForEnd: boolean
  readonly hasEnd: boolean
  /** Whether the end of the snapshot has been passed. */
  readonly isComplete: boolean
}

/**
 * What to do when the consumer has no more messages. `find end` asks the stream for its last revision, then decides
 * again; `become ready` compares first if a comparison is owed.
 */
export type CaughtUpStep = "nothing" | "compare" | "find end" | "wait" | "become ready"

export const whenCaughtUp = (state: WatchState, known: CaughtUp): CaughtUpStep => {
  if (state === "Resuming") return "compare"
  if (state === "Live") return known.owesComparison ? "compare" : "nothing"
  if (known.hasMore) return "wait"
  if (!known.waitsForEnd) return "become ready"
  if (!known.hasEnd) return "find end"
  return known.isComplete ? "become ready" : "wait"
}

export class WatchProgress {
  /** The last revision processed. Messages at or below it are dropped. */
  cursor = 0
  state: WatchState = "First"
  private readonly from: Follow
  /** When the stream was created. A different time means a different stream. */
  private created: string | undefined
  /** The highest revision that the stream is known to have had. A lower last revision means that it was rolled back. */
  private known = 0
  /** The keys whose value the reader has. A listing needs none: it compares its result with the stream's names. */
  private given = new GivenSubjects(0)
  /** The same for the former stream, without the keys that the new stream has delivered. */
  private former = new GivenSubjects(0)
  /** Whether messages may have been stored and removed unseen, during a gap or while the reader was slow. */
  private doubtful = false

  /** The last revision of the stream at its first `begin`: up to it, a snapshot delivers each key at most once. */
  private snapshotEnd = 0
  /** The last revision of the stream at the last `begin`. */
  private lastAtStart = 0
  /** Whether the stream has one replica, as far as is known, since the beginning of the watch or of the stream. */
  private isOnlyCopy = false
  /** The last revision that the consumer has reported to have passed, also of messages that do not match. */
  private reported = 0
  /** The last revision of the stream when the snapshot was complete; undefined before. */
  private end: number | undefined

  /** Whether the stream keeps one message per key: then a snapshot can continue after the cursor. */
  private keepsOne = false
  private readonly purpose: "watch" | "listing"

  constructor(from: Follow, purpose: "watch" | "listing") {
    this.from = from
    this.purpose = purpose
  }

  /** Call before a consumer is opened, with the current information of the stream. */
  begin(info: StreamInfo): "first" | "resume" | "reset" {
    const isFirst = this.created === undefined
    const isAnother = this.isAnother(info)
    this.created = info.created
    this.known = info.lastRevision
    this.lastAtStart = info.lastRevision
    const hasOneCopy = info.config.num_replicas === 1
    this.isOnlyCopy = hasOneCopy && (isFirst || isAnother || this.isOnlyCopy)
    this.reported = 0
    this.end = undefined
    this.keepsOne = info.config.max_msgs_per_subject === 1
    this.state = nextState(this.state, isAnother ? "another stream" : "same stream")
    if (isFirst) {
      this.given = new GivenSubjects(info.lastRevision)
      this.snapshotEnd = info.lastRevision
      if (this.from === "updates") this.cursor = info.lastRevision
      if (typeof this.from === "object") this.cursor = Math.max(0, this.from.revision - 1)
      return "first"
    }
    this.doubtful = true
    if (!isAnother) return "resume"
    this.cursor = 0
    this.given.addOlder(this.former)
    this.former = this.given
    this.given = new GivenSubjects(info.lastRevision)
    this.snapshotEnd = info.lastRevision
    return "reset"
  }

  /** Whether the stream has been recreated or rolled back since `begin` (K24). */
  isAnother(info: StreamInfo): boolean {
    return this.created !== undefined && (this.created !== info.created || info.lastRevision < this.known)
  }

  /** Whether the messages are those of a snapshot: the last one of each key. */
  private get isInSnapshot(): boolean {
    return !isReadyIn(this.state) && this.from === "snapshot"
  }

  /** The first revision for the next consumer; undefined if it starts with the last message of each key. */
  get startAt(): number | undefined {
    const startsAgain = this.isInSnapshot && (this.cursor === 0 || !this.keepsOne)
    return startsAgain ? undefined : this.cursor + 1
  }

  /** Whether to emit a message. Not emitted: messages up to the cursor, and in a snapshot removals of unknown keys. */
  isNews(message: StoredMessage, subject: string): boolean {
    if (message.revision <= this.cursor) return false
    return message.operation === "put" || this.purpose === "listing" || !this.isInSnapshot ||
      (!this.isOnce(message.revision) && this.given.has(subject)) ||
      (this.former.hasAny && this.former.has(subject))
  }

  /** Whether a message is the only one of its key up to now. A replica that lags behind can deliver a later one. */
  private isOnce(revision: number): boolean {
    return this.isInSnapshot && revision <= this.snapshotEnd && this.isOnlyCopy
  }

  /**
   * Whether a listing has all messages that the stream had at its beginning. It does not wait until nothing is left,
   * which may never happen while clients write.
   */
  endsListing(message: StoredMessage): boolean {
    return this.purpose === "listing" && message.revision > this.lastAtStart
  }

  /** Call when a message was emitted because it was news, or dropped. */
  passed({ operation, revision }: StoredMessage, subject: string): void {
    if (revision <= this.cursor) return
    this.cursor = revision
    this.known = Math.max(this.known, revision)
    if (this.purpose === "listing") return
    if (this.former.hasAny) this.former.delete(subject)
    if (this.isOnce(revision)) {
      if (operation === "put") this.given.add(subject, revision)
    } else if (operation === "put") this.given.set(subject, revision)
    else this.given.delete(subject)
  }

  /** Call for a message that the reader does not want. */
  skipped(revision: number): void {
    this.cursor = Math.max(this.cursor, revision)
    this.known = Math.max(this.known, revision)
  }

  /**
   * Call when the consumer had nothing left, with the stream's information from after that. Messages that were
   * stored during the snapshot have revisions up to the end. Among them can be a key that was overwritten before its turn.
   */
  endSnapshot(info: StreamInfo): void {
    this.end ??= info.lastRevision
    this.known = Math.max(this.known, info.lastRevision)
  }

  /** Whether `Ready` waits for a roll-back or for messages up to the end of the snapshot. */
  get waitsForEnd(): boolean {
    return !isReadyIn(this.state) && this.end !== undefined && !this.isComplete
  }

  /**
   * Whether every message up to the end of the snapshot has been processed. Only at a moment at which the consumer has
   * nothing left does the reader have every key: a key may have been overwritten beyond the end before its turn.
   */
  private get isComplete(): boolean {
    return this.end !== undefined &&
      Math.max(this.cursor, this.reported, this.isOnlyCopy ? this.lastAtStart : 0) >= this.end
  }

  /**
   * Whether messages of the snapshot are pending. With several messages a key the server miscounts the pending ones, and
   * a consumer that stops at a removed message sends heartbeats, too: only the revisions show it (K36).
   */
  get hasMore(): boolean {
    return this.isInSnapshot && !this.keepsOne && Math.max(this.cursor, this.reported) < this.lastAtStart
  }

  /** Call with the revision in a heartbeat: the consumer has delivered all that matches up to this revision. */
  passedBy(revision: number): void {
    this.reported = Math.max(this.reported, revision)
  }

  /** The last revision that the reader waits for. */
  get lastKnown(): number {
    return this.end ?? this.lastAtStart
  }

  /** What to do when the consumer has no more messages. */
  get whenCaughtUp(): CaughtUpStep {
    // A listing compares its keys with the stream's names instead (K15), and updates have no snapshot.
    const waitsForEnd = this.purpose === "watch" && this.from !== "updates"
    const { hasMore, isComplete, owesComparison } = this
    return whenCaughtUp(this.state, {
      hasMore,
      owesComparison,
      waitsForEnd,
      hasEnd: this.end !== undefined,
      isComplete
    })
  }

  /** Whether `Ready` has been emitted for the current stream. */
  get isReady(): boolean {
    return isReadyIn(this.state)
  }

  /** Whether the reader has a value. */
  get hasGiven(): boolean {
    return this.given.hasAny
  }

  /** Call if messages were delayed so long that a marker may have been removed unseen. */
  delayed(): void {
    this.doubtful = true
  }

  /** Whether the reader's keys must be compared with the keys of the stream. */
  get owesComparison(): boolean {
    return (this.doubtful && this.hasGiven) || this.former.hasAny
  }

  /** Keys that the reader has from the former stream and that are missing in the new one. */
  formerNotIn(present: ReadonlySet<string>): ReadonlyArray<Gone> {
    return this.former.notIn(present)
  }

  /** Keys that the reader has and that are missing in the stream: they were removed after they were emitted. */
  givenNotIn(present: ReadonlySet<string>): ReadonlyArray<Gone> {
    return this.given.notIn(present)
  }

  /** Call when the removal of a key was emitted. */
  forget(subject: string): void {
    this.given.delete(subject)
    this.former.delete(subject)
  }

  /** Call when all removals of a comparison were emitted. */
  compared(): void {
    this.doubtful = false
  }

  /**
   * Call when the reader has everything: after `Ready`, or after the messages since the last consumer. The cursor does
   * not move here, only with received messages: the consumer's replica may lag behind the leader's stream information,
   * and deliver those messages later.
   */
  caughtUp(): void {
    this.state = nextState(this.state, "caught up")
  }
}
