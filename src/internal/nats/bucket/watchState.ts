/**
 * What a watch has told its reader, and what it owes after a gap: pure
 * decisions, apart from the consumers that come and go (docs/protocols/kv.md, K22 to K24).
 */
import type { Follow, StoredMessage } from "../../kv/backend.ts"
import type { StreamInfo } from "../jetstream/api.ts"

/** A key that is gone without a message, and the revision under which it was last seen. */
export interface Gone {
  readonly key: string
  readonly revision: number
}

export class WatchProgress {
  /** The last revision given out; nothing at or below it is given again. */
  cursor = 0
  /** Whether the reader has been told that its snapshot is complete. */
  ready = false
  private readonly from: Follow
  /** When the stream was made: another time means another stream. */
  private created: string | undefined
  /** The last revision that the stream is known to have had; one that ends before it has been rolled back. */
  private known = 0
  /** Keys whose value has been given, and its revision. */
  private given = new Map<string, number>()
  /** The same, of the stream before this one: what has not come again is gone. */
  private former = new Map<string, number>()
  /** Messages may have come and gone while nobody listened, or while the reader kept others waiting. */
  private doubtful = false

  /** Whether a snapshot has tombstones too. */
  private readonly withTombstones: boolean

  constructor(from: Follow, options: { readonly withTombstones: boolean }) {
    this.from = from
    this.withTombstones = options.withTombstones
  }

  /** A consumer is about to begin, on the stream as it is now. */
  begin(info: StreamInfo): "first" | "resume" | "reset" {
    const isFirst = this.created === undefined
    const isAnother = this.isAnother(info)
    this.created = info.created
    this.known = info.lastRevision
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

  /** The stream is not the one that was begun on: recreated, or rolled back (K24). */
  isAnother(info: StreamInfo): boolean {
    return this.created !== undefined && (this.created !== info.created || info.lastRevision < this.known)
  }

  /** What comes first: the last message of each key, or every one after the cursor. */
  get startsWithSnapshot(): boolean {
    return !this.ready && this.from === "snapshot"
  }

  /** Whether the reader has not had a message: it is older than the cursor, or tells of the end of what it never saw. */
  isNews(message: StoredMessage): boolean {
    if (message.revision <= this.cursor) return false
    return message.operation === "put" || this.withTombstones || !this.startsWithSnapshot ||
      this.given.has(message.key) || this.former.has(message.key)
  }

  /** A message has come, and has been given where it was news. */
  passed(message: StoredMessage): void {
    if (message.revision <= this.cursor) return
    this.cursor = Math.max(this.cursor, message.revision)
    this.known = Math.max(this.known, message.revision)
    this.former.delete(message.key)
    if (message.operation === "put") this.given.set(message.key, message.revision)
    else this.given.delete(message.key)
  }

  /** The reader kept messages waiting, for so long that some may have gone unread. */
  stalled(): void {
    this.doubtful = true
  }

  /** Whether the keys given out must be compared with those that the stream has. */
  get owesComparison(): boolean {
    return (this.doubtful && this.given.size > 0) || this.former.size > 0
  }

  /** Keys of the stream before this one, given out, that are not in it. */
  formerNotIn(names: ReadonlySet<string>): ReadonlyArray<Gone> {
    return notIn(this.former, names)
  }

  /** Keys given out that are not in the stream. Everything given out was in it before its names were asked for. */
  givenNotIn(names: ReadonlySet<string>): ReadonlyArray<Gone> {
    return notIn(this.given, names)
  }

  /** The reader has been told that a key is gone. */
  forget(key: string): void {
    this.given.delete(key)
    this.former.delete(key)
  }

  compared(): void {
    this.doubtful = false
  }

  /**
   * The snapshot is complete. Only what has come moves the cursor: a consumer may be on a copy that lags behind what the
   * leader said of the stream, and push what it has not heard of yet later.
   */
  becomeReady(): void {
    this.ready = true
  }
}

const notIn = (given: ReadonlyMap<string, number>, names: ReadonlySet<string>): ReadonlyArray<Gone> =>
  [...given].flatMap(([key, revision]) => names.has(key) ? [] : [{ key, revision }])
    .toSorted((a, b) => a.revision - b.revision)
