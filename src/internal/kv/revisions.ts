/**
 * Where the revisions of a new bucket begin: above every one that an earlier
 * bucket of that name gave, as far as the clock and this process can tell. A
 * write that is conditioned on a revision of a lost bucket must not succeed in
 * the new one.
 */

/** Microseconds since 1970: no bucket takes a million writes a second for long, and a number holds them exactly. */
const revisionsPerMilli = 1000

/** The highest revision that this process has seen of a bucket, by the bucket's name. */
const highest = new Map<string, number>()

export const saw = (bucket: string, revision: number): void => {
  if (revision > (highest.get(bucket) ?? 0)) highest.set(bucket, revision)
}

export const firstRevision = (bucket: string, millis: number): number =>
  Math.max(Math.floor(millis) * revisionsPerMilli, (highest.get(bucket) ?? 0) + 1)
