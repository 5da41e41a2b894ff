/**
 * The subjects whose value the reader of a watch has, with the revisions. They take
 * most of the memory of a watch, and most of the time of a snapshot after the client
 * (docs/protocols/kv.md, K23).
 *
 * A snapshot delivers each subject once, so its subjects go into a list, which is five
 * times as fast as a Map and takes half of its memory; a Map has only later changes.
 * Whole subjects are kept, because a key that is cut out of its subject would need an
 * object more, and differences of revisions, because V8 needs an object for each
 * larger number.
 */

/** The subject of a key that was removed without a message, and the revision under which it was last seen. */
export interface Gone {
  readonly subject: string
  readonly revision: number
}

/** Removed subjects are dropped from the list if there are at least this many and they are half of it. */
const compactAfter = 1000

export class GivenSubjects {
  private readonly base: number
  private subjects: Array<string> = []
  private revisions: Array<number> = []
  /** Later revisions of any subject; undefined: the subject was removed. */
  private readonly later = new Map<string, number | undefined>()
  private removed = 0
  /** The subjects of the list. Built when it is needed first: most snapshots have no removals. */
  private listed: Set<string> | undefined

  /** `base` is close to the revisions. */
  constructor(base: number) {
    this.base = base
  }

  /** Whether there may be a subject. */
  get hasAny(): boolean {
    return this.subjects.length > 0 || this.later.size > this.removed
  }

  /** The number of entries in memory. */
  get entries(): number {
    return this.subjects.length + this.later.size
  }

  has(subject: string): boolean {
    if (this.later.has(subject)) return this.later.get(subject) !== undefined
    this.listed ??= new Set(this.subjects)
    return this.listed.has(subject)
  }

  /** Adds a subject that was never added, removed or set. */
  add(subject: string, revision: number): void {
    this.subjects.push(subject)
    this.revisions.push(revision - this.base)
    this.listed = undefined
  }

  set(subject: string, revision: number): void {
    if (this.removed > 0 && this.later.has(subject) && this.later.get(subject) === undefined) this.removed--
    this.later.set(subject, revision - this.base)
  }

  delete(subject: string): void {
    if (this.subjects.length === 0) {
      this.later.delete(subject)
      return
    }
    if (!this.later.has(subject) || this.later.get(subject) !== undefined) this.removed++
    this.later.set(subject, undefined)
    if (this.removed >= compactAfter && this.removed * 2 >= this.subjects.length) this.compact()
  }

  /** Adds the subjects of an older list that this one does not have. */
  addOlder(older: GivenSubjects): void {
    older.forEach((subject, revision) => {
      if (!this.has(subject)) this.set(subject, revision)
    })
  }

  /** Those that are not among the present subjects, by revision. */
  notIn(present: ReadonlySet<string>): ReadonlyArray<Gone> {
    const gone: Array<Gone> = []
    this.forEach((subject, revision) => {
      if (!present.has(subject)) gone.push({ subject, revision })
    })
    return gone.toSorted((a, b) => a.revision - b.revision)
  }

  private forEach(f: (subject: string, revision: number) => void): void {
    const hasLater = this.later.size > 0
    for (const [index, subject] of this.subjects.entries()) {
      if (!hasLater || !this.later.has(subject)) f(subject, this.revisions[index]! + this.base)
    }
    for (const [subject, revision] of this.later) if (revision !== undefined) f(subject, revision + this.base)
  }

  /** Drops the listed subjects that have changed, and with them what marks the removed ones. */
  private compact(): void {
    const kept = this.subjects.map((subject) => !this.later.has(subject))
    this.subjects = this.subjects.filter((_, index) => kept[index])
    this.revisions = this.revisions.filter((_, index) => kept[index])
    for (const [subject, revision] of this.later) if (revision === undefined) this.later.delete(subject)
    this.removed = 0
    this.listed = undefined
  }
}
