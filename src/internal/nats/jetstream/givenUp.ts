/**
 * Requests that ended before their answer: they were interrupted, or timed out. A
 * denial names a subject only, so it may be that of one of them
 * (docs/protocols/kv.md, K37).
 */

/** How long a request that was given up may still be answered, in milliseconds. A dead connection is noticed sooner. */
const longestDelay = 30_000

/** The maximum number of such requests that are remembered. */
const mostGivenUp = 1000

export class GivenUp {
  /** By token, the oldest first. */
  private readonly requests = new Map<string, { readonly subject: string; readonly until: number }>()

  add(token: string, subject: string, now: number): void {
    for (const [old, { until }] of this.requests) {
      if (until > now && this.requests.size < mostGivenUp) break
      this.requests.delete(old)
    }
    this.requests.set(token, { subject, until: now + longestDelay })
  }

  answered(token: string): void {
    this.requests.delete(token)
  }

  /** Forgets the oldest request with this subject. Returns whether there was one. */
  takeOldest(subject: string, now: number): boolean {
    for (const [token, one] of this.requests) {
      if (one.subject !== subject || one.until <= now) continue
      this.requests.delete(token)
      return true
    }
    return false
  }

  clear(): void {
    this.requests.clear()
  }
}
