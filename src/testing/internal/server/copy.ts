/**
 * One replica of a stream: the last messages of each subject, with increasing
 * revisions. Holds state only; the callers decide when to change it.
 */
import { countPassing } from "../../../internal/binarySearch.ts"
import { hasWildcard, matcher, type Matches } from "../../../internal/subjects.ts"
import type { Kept } from "./kept.ts"

/** Holes are compacted if there are at least this many and they are more than half of all places. */
const compactAfter = 64

/** Notified of every change of a copy. */
export interface Audience {
  readonly stored: (message: Kept) => void
  readonly removed: (message: Kept) => void
}

export class Copy {
  /** The highest revision of all subjects; a removal does not lower it. */
  lastRevision: number
  bytes = 0
  historySize: number
  private readonly audience: Audience
  /** Messages and their revisions, in order of revision. A removed message leaves a hole until the next compaction. */
  private revisions: Array<number> = []
  private places: Array<Kept | undefined> = []
  private holes = 0
  private readonly bySubject = new Map<string, Array<Kept>>()

  constructor(firstRevision: number, historySize: number, audience: Audience) {
    this.lastRevision = firstRevision - 1
    this.historySize = historySize
    this.audience = audience
  }

  get size(): number {
    return this.places.length - this.holes
  }

  get subjectCount(): number {
    return this.bySubject.size
  }

  last(subject: string): Kept | undefined {
    const kept = this.bySubject.get(subject)
    return kept === undefined ? undefined : kept[kept.length - 1]
  }

  countOf(subject: string): number {
    return this.bySubject.get(subject)?.length ?? 0
  }

  oldest(subject: string): Kept | undefined {
    return this.bySubject.get(subject)?.[0]
  }

  at(revision: number): Kept | undefined {
    const index = this.indexFrom(revision)
    return this.revisions[index] === revision ? this.places[index] : undefined
  }

  /** The first matching message with at least this revision. */
  firstFrom(revision: number, matches: Matches): Kept | undefined {
    for (let index = this.indexFrom(revision); index < this.places.length; index++) {
      const message = this.places[index]
      if (message !== undefined && matches(message.subject)) return message
    }
    return undefined
  }

  countFrom(revision: number, matches: Matches): number {
    let count = 0
    for (let index = this.indexFrom(revision); index < this.places.length; index++) {
      const message = this.places[index]
      if (message !== undefined && matches(message.subject)) count++
    }
    return count
  }

  /** The last message of each subject that matches the filter, in order of revision. */
  lastOfEach(filter: string): Array<Kept> {
    if (!hasWildcard(filter)) {
      const message = this.last(filter)
      return message === undefined ? [] : [message]
    }
    const matches = matcher(filter)
    return this.all().filter((message) => matches(message.subject) && this.last(message.subject) === message)
  }

  subjects(matches: Matches): Array<string> {
    const found: Array<string> = []
    for (const subject of this.bySubject.keys()) if (matches(subject)) found.push(subject)
    return found
  }

  all(): Array<Kept> {
    return this.places.filter((message) => message !== undefined)
  }

  store(message: Kept, isRollup: boolean): void {
    this.lastRevision = message.revision
    const kept = this.bySubject.get(message.subject)
    if (kept !== undefined) this.dropAllBut(isRollup ? 0 : this.historySize - 1, kept)
    this.revisions.push(message.revision)
    this.places.push(message)
    this.bytes += message.size
    if (kept === undefined) this.bySubject.set(message.subject, [message])
    else kept.push(message)
    this.audience.stored(message)
  }

  remove(message: Kept): void {
    const kept = this.bySubject.get(message.subject)
    const index = kept?.indexOf(message) ?? -1
    if (kept === undefined || index === -1) return
    kept.splice(index, 1)
    if (kept.length === 0) this.bySubject.delete(message.subject)
    this.vacate(message)
  }

  private dropAllBut(count: number, kept: Array<Kept>): void {
    while (kept.length > count) this.vacate(kept.shift()!)
  }

  private vacate(message: Kept): void {
    this.places[this.indexFrom(message.revision)] = undefined
    this.holes++
    this.bytes -= message.size
    if (this.holes >= compactAfter && this.holes * 2 > this.places.length) this.compact()
    this.audience.removed(message)
  }

  private compact(): void {
    this.places = this.all()
    this.revisions = this.places.map((message) => message!.revision)
    this.holes = 0
  }

  /** The index of the first place with at least this revision. */
  private indexFrom(revision: number): number {
    return countPassing(this.revisions, (one) => one < revision)
  }
}
