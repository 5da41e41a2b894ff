/**
 * The first revision of a new bucket. It is above all revisions of earlier buckets
 * of the same name, as far as the clock and this process know. A write conditioned
 * on a revision of a lost bucket must not succeed in the new bucket
 * (docs/protocols/kv.md, K2).
 */
import * as Context from "effect/Context"

/** Microseconds since 1970 grow faster than the revisions of any bucket, and stay within the safe integers. */
const revisionsPerMilli = 1000

/** The highest revision that this process has seen in each bucket. */
export class Revisions {
  private readonly highest = new Map<string, number>()

  saw(bucket: string, revision: number): void {
    if (revision > (this.highest.get(bucket) ?? 0)) this.highest.set(bucket, revision)
  }

  first(bucket: string, millis: number): number {
    return Math.max(Math.floor(millis) * revisionsPerMilli, (this.highest.get(bucket) ?? 0) + 1)
  }
}

/** The revisions that this process has seen. A simulated process has its own. */
export const SeenRevisions = Context.Reference<Revisions>("effect-aegis/SeenRevisions", {
  defaultValue: () => new Revisions()
})
