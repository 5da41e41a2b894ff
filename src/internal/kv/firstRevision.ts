/**
 * Where the revisions of a new bucket begin: above every one that an earlier
 * bucket of that name gave, as far as the clock and this process can tell. A
 * write that is conditioned on a revision of a lost bucket must not succeed in
 * the new one (docs/protocols/kv.md, K2).
 */
import * as Context from "effect/Context"

/** Microseconds since 1970: no bucket takes a million writes a second for long, and a number holds them exactly. */
const revisionsPerMilli = 1000

/** The highest revision that a process has seen of a bucket, by the bucket's name. */
export class Revisions {
  private readonly highest = new Map<string, number>()

  saw(bucket: string, revision: number): void {
    if (revision > (this.highest.get(bucket) ?? 0)) this.highest.set(bucket, revision)
  }

  first(bucket: string, millis: number): number {
    return Math.max(Math.floor(millis) * revisionsPerMilli, (this.highest.get(bucket) ?? 0) + 1)
  }
}

/** What this process has seen; a simulated process has seen nothing of what others have. */
export const SeenRevisions = Context.Reference<Revisions>("effect-aegis/SeenRevisions", {
  defaultValue: () => new Revisions()
})
