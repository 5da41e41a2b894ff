/**
 * Time in which this process could observe the store, in milliseconds. It does not advance while the process is cut
 * off or paused, so that silence which the process itself has caused is no age (docs/protocols/registry.md, R25). Pure.
 */
export class ConnectedTime {
  private total = 0
  /** Since when the process is connected, by the monotonic clock; undefined while it is cut off. */
  private since: number | undefined

  constructor(now: number) {
    this.since = now
  }

  get isConnected(): boolean {
    return this.since !== undefined
  }

  /** The connected time at a time of the monotonic clock. */
  at(now: number): number {
    return this.total + (this.since === undefined ? 0 : Math.max(0, now - this.since))
  }

  /** The process has been cut off since `at`, which can be earlier than the time at which it was noticed. */
  cut(at: number): void {
    this.total = this.at(at)
    this.since = undefined
  }

  /** The process is connected again. */
  resume(now: number): void {
    this.since ??= now
  }
}
