/**
 * The log of a bucket in memory. It behaves like a JetStream stream: one growing
 * sequence for all keys, the last `historySize` messages of each key, conditions on
 * the last message of a key, and removal of all messages by age. It has no clock:
 * callers pass the time (docs/protocols/kv.md, K1, K4, K17, K18).
 */
import { type KVStoreReason, RevisionMismatch, StorageFull } from "../../KVStoreError.ts"
import { countPassing } from "../binarySearch.ts"
import { noBytes } from "../utf8.ts"
import type { Append, StoredMessage } from "./backend.ts"

/** Empty slots are compacted if there are at least this many and they are more than half of all slots. */
const compactAfter = 64

/** The settings of a log, which can be changed. */
export interface LogSettings {
  readonly historySize: number
  /** Maximum age of a message in milliseconds; undefined: no limit. */
  readonly maxAge: number | undefined
  /** Lifetime of an expiry marker in milliseconds; undefined: no markers. */
  readonly markerAge: number | undefined
  readonly maxBytes: number | undefined
  /** The size of a message in bytes. */
  readonly sizeOf: (message: Sized) => number
}

export interface LogOptions extends LogSettings {
  readonly firstRevision: number
  /** Called with an expired value that was the last message of its key, and left no marker. */
  readonly onSilentExpiry?: (message: StoredMessage) => void
}

/** What determines the size of a message. */
export type Sized = Pick<StoredMessage, "key" | "operation" | "value"> & Pick<Append, "condition">

interface Slot {
  readonly revision: number
  readonly size: number
  message: StoredMessage | undefined
}

export class Log {
  private options: LogOptions
  lastRevision: number
  bytes = 0
  /** In order of revisions. A removed message leaves an empty slot until the next compaction. */
  private slots: Array<Slot> = []
  private removed = 0
  /** No message expires before this time; undefined: no message expires. Lets most calls of `expire` skip the scan. */
  private nextDue: number | undefined
  private readonly byKey = new Map<string, Array<StoredMessage>>()

  constructor(options: LogOptions) {
    this.options = options
    this.lastRevision = options.firstRevision - 1
  }

  get size(): number {
    return this.slots.length - this.removed
  }

  last(key: string): StoredMessage | undefined {
    return this.byKey.get(key)?.at(-1)
  }

  history(key: string): ReadonlyArray<StoredMessage> {
    return [...(this.byKey.get(key) ?? [])]
  }

  /** The last message of each key that matches, in order of revisions. */
  lastOfEach(matches: (key: string) => boolean): Array<StoredMessage> {
    const found: Array<StoredMessage> = []
    for (const [key, messages] of this.byKey) {
      const message = messages.at(-1)
      if (message !== undefined && matches(key)) found.push(message)
    }
    return found.toSorted((a, b) => a.revision - b.revision)
  }

  /** The kept messages after a revision, in order of revisions. */
  after(revision: number, matches: (key: string) => boolean): Array<StoredMessage> {
    const found: Array<StoredMessage> = []
    for (let index = this.firstSlotAfter(revision); index < this.slots.length; index++) {
      const { message } = this.slots[index]!
      if (message !== undefined && matches(message.key)) found.push(message)
    }
    return found
  }

  /** Appends a message and returns its revision, or returns why it was refused. */
  append(message: Append, now: number): number | KVStoreReason {
    const { condition } = message
    if (condition !== undefined) {
      const actual = this.last(condition.key)?.revision ?? 0
      if (actual !== condition.revision) return new RevisionMismatch({ expected: condition.revision, actual })
    }
    if (this.isFullFor(message)) {
      return new StorageFull({
        scope: "bucket",
        code: 10077,
        description: `maximum bytes of ${this.options.maxBytes} exceeded`
      })
    }
    if (message.operation === "purge") this.removeUpTo(message.key, this.lastRevision)
    return this.write({ ...message, value: message.value.slice() }, now)
  }

  /** Removes the messages of a key up to a revision, and leaves no marker. */
  removeUpTo(key: string, revision: number): void {
    for (const message of this.history(key)) if (message.revision <= revision) this.remove(message)
  }

  /** Changes the settings. Removes the messages that a shorter history does not keep; a lower `maxBytes` removes none. */
  change(settings: LogSettings): void {
    this.options = { ...this.options, ...settings }
    // A message can be due earlier than before.
    this.nextDue = settings.maxAge === undefined ? undefined : Number.NEGATIVE_INFINITY
    for (const messages of this.byKey.values()) {
      for (const message of messages.slice(0, -settings.historySize)) this.remove(message)
    }
  }

  /** Removes expired messages, leaves markers, and returns a time before which no other message expires. */
  expire(now: number): number | undefined {
    if (this.nextDue === undefined || this.nextDue > now) return this.nextDue
    // `expireOne` appends markers to `slots`; they are not due yet.
    const due = this.slots.filter(({ message }) => message !== undefined && this.dueAt(message) <= now)
    for (const { message } of due) this.expireOne(message!, now)
    this.nextDue = this.slots.reduce<number | undefined>(
      (next, { message }) =>
        message === undefined ? next : Math.min(next ?? Number.POSITIVE_INFINITY, this.dueAt(message)),
      undefined
    )
    return this.nextDue
  }

  private expireOne(message: StoredMessage, now: number): void {
    const wasLast = this.last(message.key) === message
    this.remove(message)
    if (!wasLast) return
    const marker = { key: message.key, operation: "expire", value: noBytes, condition: undefined } as const
    if (this.leavesMarker(message)) this.write(marker, now)
    else if (message.operation === "put") this.options.onSilentExpiry?.(message)
  }

  private dueAt(message: StoredMessage): number {
    const { markerAge = Number.POSITIVE_INFINITY, maxAge = Number.POSITIVE_INFINITY } = this.options
    return message.created + (message.operation === "expire" ? Math.min(markerAge, maxAge) : maxAge)
  }

  /** Like nats-server: values and delete markers leave an expiry marker; purge markers and expiry markers do not. */
  private leavesMarker(message: StoredMessage): boolean {
    return this.options.markerAge !== undefined && (message.operation === "put" || message.operation === "delete")
  }

  /**
   * Like nats-server 2.15: a message that does not fit into the free space may only replace one that is at least as large.
   * That holds for markers, too; the other messages that a purge removes do not count.
   */
  private isFullFor(message: Append): boolean {
    const { historySize, maxBytes, sizeOf } = this.options
    if (maxBytes === undefined) return false
    const kept = this.byKey.get(message.key) ?? []
    const replaced = kept.length >= historySize ? this.slotOf(kept[0]!).size : 0
    const size = sizeOf(message)
    return this.bytes + size > maxBytes && size > replaced
  }

  private write(message: Sized, now: number): number {
    const stored: StoredMessage = {
      key: message.key,
      operation: message.operation,
      value: message.value,
      revision: ++this.lastRevision,
      created: now
    }
    const kept = this.byKey.get(stored.key)
    const size = this.options.sizeOf(message)
    this.slots.push({ revision: stored.revision, size, message: stored })
    this.bytes += size
    if (this.options.maxAge !== undefined) this.nextDue = Math.min(this.nextDue ?? Infinity, this.dueAt(stored))
    if (kept === undefined) {
      this.byKey.set(stored.key, [stored])
    } else {
      kept.push(stored)
      if (kept.length > this.options.historySize) this.remove(kept[0]!)
    }
    return stored.revision
  }

  private remove(message: StoredMessage): void {
    const kept = this.byKey.get(message.key)!
    kept.splice(kept.indexOf(message), 1)
    if (kept.length === 0) this.byKey.delete(message.key)
    const slot = this.slotOf(message)
    slot.message = undefined
    this.removed++
    this.bytes -= slot.size
    if (this.removed >= compactAfter && this.removed * 2 > this.slots.length) {
      this.slots = this.slots.filter((slot) => slot.message !== undefined)
      this.removed = 0
    }
  }

  private slotOf({ revision }: StoredMessage): Slot {
    return this.slots[this.firstSlotAfter(revision - 1)]!
  }

  /** The index of the first slot with a revision above `revision`. */
  private firstSlotAfter(revision: number): number {
    return countPassing(this.slots, (slot) => slot.revision <= revision)
  }
}
