/**
 * How the JetStream of a bucket is reached: that of the connection's own account and
 * domain, or that of another one, by a prefix of the subjects (docs/protocols/kv.md,
 * K39).
 */

/** The prefix of the subjects of all requests to the JetStream of the own account and domain. */
const ownPrefix = "$JS.API"

interface AccessOptions {
  readonly apiPrefix?: string | undefined
  readonly domain?: string | undefined
}

/**
 * Whether several answers to one request pass. The export of another account lets only the first one through, without any
 * sign, if it has no `response_type: stream`.
 */
type Passing = "unknown" | "several" | "one"

export class ApiAccess {
  /** The prefix of the subjects of all requests. */
  readonly prefix: string
  private passing: Passing

  constructor({ apiPrefix, domain }: AccessOptions = {}) {
    this.prefix = apiPrefix ?? (domain === undefined ? ownPrefix : `$JS.${domain}.API`)
    this.passing = this.isForeign ? "unknown" : "several"
  }

  /** Whether it is another account or domain. */
  get isForeign(): boolean {
    return this.prefix !== ownPrefix
  }

  /** Whether several answers to one request are known to pass. */
  get passesSeveral(): boolean {
    return this.passing === "several"
  }

  /** Whether only one answer to a request is known to pass. */
  get passesOne(): boolean {
    return this.passing === "one"
  }

  /** The subject with which a key is written. */
  written(subject: string): string {
    return this.isForeign ? `${this.prefix}.${subject}` : subject
  }

  /** Several answers have passed. */
  sawSeveral(): void {
    if (this.passing === "unknown") this.passing = "several"
  }

  /** One answer has passed, and others were lost. Returns whether that is new. */
  sawOne(): boolean {
    if (this.passing !== "unknown") return false
    this.passing = "one"
    return true
  }
}
