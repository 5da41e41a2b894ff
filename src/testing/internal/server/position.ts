/**
 * The position of a consumer in its copy. With `last_per_subject` it starts with
 * the last message of each subject at its creation and continues with all later
 * messages; otherwise it contains all messages from a start sequence on. Messages
 * removed before they are delivered are skipped. The count of pending messages is
 * updated with every change, as the real server does, and can be too low as there.
 */
import { countPassing } from "../../../internal/binarySearch.ts"
import type { ConsumerSettings } from "../../../internal/nats/jetstream/api.ts"
import { everything, matcherOfAny, type Matches } from "../../../internal/subjects.ts"
import type { Copy } from "./copy.ts"
import type { Kept } from "./kept.ts"

export const filtersOf = ({ filter_subject: one, filter_subjects: several }: ConsumerSettings): ReadonlyArray<string> =>
  several ?? [one ?? everything]

export class Position {
  readonly matches: Matches
  /** The number of messages that remain to be delivered. */
  pending: number
  lastTaken = 0
  /** Whether more messages may remain than are counted. */
  private isMiscounted = false
  private readonly copy: Copy
  /** The revisions of the snapshot in ascending order, and the index of the next one. */
  private snapshot: ReadonlyArray<number> | undefined
  private at = 0
  /** The revision from which to continue after the snapshot. */
  private following: number

  constructor(copy: Copy, settings: ConsumerSettings, startsAtNext: boolean) {
    this.copy = copy
    const filters = filtersOf(settings)
    this.matches = matcherOfAny(filters)
    if (settings.deliver_policy === "last_per_subject") {
      const revisions = filters.flatMap((filter) => copy.lastOfEach(filter).map(({ revision }) => revision))
      this.snapshot = filters.length === 1 ? revisions : [...new Set(revisions)].toSorted((a, b) => a - b)
      this.following = copy.lastRevision + 1
      this.pending = this.snapshot.length
    } else {
      const start = settings.opt_start_seq ?? 1
      this.following = startsAtNext ? Math.min(start, copy.lastRevision + 1) : start
      this.pending = copy.countFrom(this.following, this.matches)
    }
  }

  /** The next message, which stays pending. */
  next(): Kept | undefined {
    return this.fromSnapshot() ??
      (this.pending > 0 || this.isMiscounted ? this.copy.firstFrom(this.following, this.matches) : undefined)
  }

  /** Takes the message that `next` has returned. */
  take(message: Kept): void {
    this.pending = Math.max(0, this.pending - 1)
    this.lastTaken = message.revision
    if (this.snapshot === undefined) this.following = message.revision + 1
    else this.at++
  }

  /** Whether the next message is one of the last messages of each subject at the creation. */
  get isInSnapshot(): boolean {
    return this.snapshot !== undefined
  }

  /** Leaves out the message that `next` has returned. */
  skip(): void {
    this.pending = Math.max(0, this.pending - 1)
    this.at++
  }

  /** The revision up to which all matching messages were taken, as a heartbeat reports it. */
  get passed(): number {
    return this.pending === 0 && (!this.isMiscounted || this.next() === undefined)
      ? this.copy.lastRevision
      : this.lastTaken
  }

  /** Passes the next message of the snapshot if it was removed. */
  passRemoved(): boolean {
    const revision = this.snapshot?.[this.at]
    if (revision === undefined || this.copy.at(revision) !== undefined) return false
    this.at++
    return true
  }

  /** Counts one pending message less, although none was removed. */
  miscount(): void {
    this.isMiscounted = true
    this.pending = Math.max(0, this.pending - 1)
  }

  private fromSnapshot(): Kept | undefined {
    if (this.snapshot === undefined) return undefined
    for (; this.at < this.snapshot.length; this.at++) {
      const message = this.copy.at(this.snapshot[this.at]!)
      if (message !== undefined) return message
    }
    this.snapshot = undefined
    return undefined
  }

  /** Counts a stored message that matches; returns whether it is pending. */
  stored({ revision }: Kept): boolean {
    if (revision < this.following) return false
    this.pending++
    return true
  }

  /** Counts a removed message that matches. Returns whether it was pending. */
  removed({ revision }: Kept): boolean {
    const wasPending = revision >= this.following || this.isAhead(revision)
    if (this.pending > 0 && wasPending) this.pending--
    return wasPending
  }

  private isAhead(revision: number): boolean {
    const { snapshot } = this
    if (snapshot === undefined) return false
    const index = countPassing(snapshot, (one) => one < revision)
    return index >= this.at && snapshot[index] === revision
  }
}
