/**
 * The ids of recently published messages, with their revisions, for deduplication.
 */
import type { Work } from "./work.ts"

interface Remembered {
  readonly revision: number
  readonly at: number
}

export class Duplicates {
  /** In order of publication, oldest first. */
  private readonly ids = new Map<string, Remembered>()
  private readonly work: Work
  /** Milliseconds. */
  window: number

  constructor(work: Work, window: number) {
    this.work = work
    this.window = window
  }

  revisionOf(id: string): number | undefined {
    const found = this.ids.get(id)
    return found === undefined || found.at + this.window <= this.work.now ? undefined : found.revision
  }

  remember(id: string, revision: number): void {
    const { now } = this.work
    for (const [old, { at }] of this.ids) {
      if (at + this.window > now) break
      this.ids.delete(old)
    }
    this.ids.delete(id)
    this.ids.set(id, { revision, at: now })
  }

  forgetAfter(revision: number): void {
    for (const [id, remembered] of this.ids) if (remembered.revision > revision) this.ids.delete(id)
  }
}
