/**
 * The progress of a watch across its consumers: the keys that the reader has, and
 * the removals to look for after a gap (docs/protocols/kv.md, K22 to K24). Pure.
 */
import type { Follow, StoredMessage } from "../../kv/backend.ts"
import type { StreamInfo } from "../jetstream/api.ts"

/** A key that was removed without a message, and the revision under which it was last seen. */
export interface Gone {
  readonly key: string
  readonly revision: number
}

export class WatchProgress {
  /** The last revision processed. Messages at or below it are dropped. */
  cursor = 0
  /** Whether `Ready` has been emitted for the current stream. */
  ready = false
  private readonly from: Follow
  /** When the stream was created. A different time means a different stream. */
  private created: string | undefined
  /** The highest revision that the stream is known to have had. A lower last revision means that it was rolled back. */
  private known = 0
  /** Keys whose value the reader has, with the revision. */
  private given = new Map<string, number>()
  /** The same for the former stream, without the keys that the new stream has delivered. */
  private former = new Map<string, number>()
  /** Whether messages may have been stored and removed unseen, during a gap or while the reader was slow. */
  private doubtful = false

  /** The last revision of the stream at `begin`, if the consumer is on the only copy of the stream; otherwise 0. */
  private begunAt = 0
  /** The last revision that the consumer has reported to have passed, also of messages that do not match. */
  private reported = 0
  /** The last revision of the stream when the snapshot was complete; undefined before. */
  private end: number | undefined

  /** Whether a snapshot includes all markers (of deletes, purges and expiries). */
  private readonly withTombstones: boolean

  constructor(from: Follow, options: { readonly withTombstones: boolean }) {
    this.from = from
    this.withTombstones = options.withTombstones
  }

  /** Call before a consumer is opened, with the current information of the stream. */
  begin(info: StreamInfo): "first" | "resume" | "reset" {
    const isFirst = this.created === undefined
    const isAnother = this.isAnother(info)
    this.created = info.created
    this.known = info.lastRevision
    this.begunAt = info.config.num_replicas === 1 ? info.lastRevision : 0
    this.reported = 0
    this.end = undefined
    if (isFirst) {
      if (this.from === "updates") this.cursor = info.lastRevision
      if (typeof this.from === "object") this.cursor = Math.max(0, this.from.revision - 1)
      return "first"
    }
    this.doubtful = true
    if (!isAnother) return "resume"
    this.cursor = 0
    this.ready = false
    this.former = new Map([...this.former, ...this.given])
    this.given = new Map()
    return "reset"
  }

  /** Whether the stream has been recreated or rolled back since `begin` (K24). */
  isAnother(info: StreamInfo): boolean {
    return this.created !== undefined && (this.created !== info.created || info.lastRevision < this.known)
  }

  /** Whether the next consumer starts with the last message of each key; otherwise it starts after the cursor. */
  get startsWithSnapshot(): boolean {
    return !this.ready && this.from === "snapshot"
  }

  /** Whether to emit a message. Not emitted: messages up to the cursor, and in a snapshot removals of unknown keys. */
  isNews(message: StoredMessage): boolean {
    if (message.revision <= this.cursor) return false
    return message.operation === "put" || this.withTombstones || !this.startsWithSnapshot ||
      this.given.has(message.key) || this.former.has(message.key)
  }

  /** Call after a message was processed: emitted if it was news, otherwise dropped. */
  passed(message: StoredMessage): void {
    if (message.revision <= this.cursor) return
    this.cursor = Math.max(this.cursor, message.revision)
    this.known = Math.max(this.known, message.revision)
    this.former.delete(message.key)
    if (message.operation === "put") this.given.set(message.key, message.revision)
    else this.given.delete(message.key)
  }

  /**
   * Call when the consumer had nothing more to push, with the stream's information from after that. Messages that were
   * stored during the snapshot have revisions up to the end. Among them can be a key that was overwritten before its turn.
   */
  endSnapshot(info: StreamInfo): void {
    this.end ??= info.lastRevision
    this.known = Math.max(this.known, info.lastRevision)
  }

  get hasEnd(): boolean {
    return this.end !== undefined
  }

  /**
   * Whether every message up to the end of the snapshot has been processed. Only at a moment at which the consumer has
   * nothing to push does the reader have every key: a key may have been overwritten beyond the end before its turn.
   */
  get isComplete(): boolean {
    return this.end !== undefined && Math.max(this.cursor, this.reported, this.begunAt) >= this.end
  }

  /** Call with the revision in a heartbeat of an idle consumer: it has pushed all that matches up to this revision. */
  passedBy(revision: number): void {
    this.reported = Math.max(this.reported, revision)
  }

  /** Call if the reader or flow control delayed messages so long that a marker may have been removed unseen. */
  stalled(): void {
    this.doubtful = true
  }

  /** Whether the reader's keys must be compared with the keys of the stream. */
  get owesComparison(): boolean {
    return (this.doubtful && this.given.size > 0) || this.former.size > 0
  }

  /** Keys that the reader has from the former stream and that are missing in the new one. */
  formerNotIn(names: ReadonlySet<string>): ReadonlyArray<Gone> {
    return notIn(this.former, names)
  }

  /** Keys that the reader has and that are missing in the stream: they were removed after they were emitted. */
  givenNotIn(names: ReadonlySet<string>): ReadonlyArray<Gone> {
    return notIn(this.given, names)
  }

  /** Call after the removal of a key was emitted. */
  forget(key: string): void {
    this.given.delete(key)
    this.former.delete(key)
  }

  /** Call after all removals of a comparison were emitted. */
  compared(): void {
    this.doubtful = false
  }

  /**
   * Call after `Ready` was emitted. The cursor does not move here, only with received messages: the consumer's replica
   * may lag behind the leader's stream information, and push those messages later.
   */
  becomeReady(): void {
    this.ready = true
  }
}

const notIn = (given: ReadonlyMap<string, number>, names: ReadonlySet<string>): ReadonlyArray<Gone> =>
  [...given].flatMap(([key, revision]) => names.has(key) ? [] : [{ key, revision }])
    .toSorted((a, b) => a.revision - b.revision)
