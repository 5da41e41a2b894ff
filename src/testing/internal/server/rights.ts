/**
 * The rights to publish that users have lost for a while, as after a reload of the
 * server's configuration. A message without the right is dropped, and its sender
 * gets a permissions violation; the connection stays (observed on 2.10.27 and 2.15.1).
 */
import { matcherOfAny, type Matches } from "../../../internal/subjects.ts"
import type { Work } from "./work.ts"

interface Revocation {
  readonly user: string
  readonly matches: Matches
  readonly until: number
}

export class Rights {
  private readonly work: Work
  private revocations: ReadonlyArray<Revocation> = []

  constructor(work: Work) {
    this.work = work
  }

  /** Takes the right to publish these subjects from a user for `millis`. */
  revoke(user: string, subjects: ReadonlyArray<string>, millis: number): void {
    const { now } = this.work
    const current = this.revocations.filter(({ until }) => until > now)
    this.revocations = [...current, { user, matches: matcherOfAny(subjects), until: now + millis }]
    this.work.note(() => `${user} loses the right to publish ${subjects.join(", ")} for ${millis} ms`)
  }

  /** Whether a user may publish a message with this subject now. */
  mayPublish(user: string, subject: string): boolean {
    const isDenied = this.revocations.some((one) =>
      one.user === user && one.until > this.work.now && one.matches(subject)
    )
    if (!isDenied) return true
    this.work.injected("publish denied")
    this.work.note(() => `${user} may not publish ${subject}`)
    return false
  }
}
