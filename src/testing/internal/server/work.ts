/**
 * The server's hand: whatever it does, it does through here, so that a server
 * that is stopped does nothing, and does all of it in order when it goes on.
 */
import type { Chance } from "../world/chance.ts"
import type { Environment, Timer } from "../world/environment.ts"

export class Work {
  readonly chance: Chance
  private readonly environment: Environment
  private pausedUntil = 0
  private resuming: Timer | undefined
  /** What came, or fell due, while it was stopped. */
  private held: Array<() => void> = []

  constructor(environment: Environment) {
    this.environment = environment
    this.chance = environment.chance.fork("store")
  }

  get now(): number {
    return this.environment.now()
  }

  /** Whoever calls a task off must also let it find out by itself: it may be held already. */
  after(millis: number, task: () => void): Timer {
    return this.environment.after(millis, () => this.run(task))
  }

  /** Now, or once the server goes on. */
  run(task: () => void): void {
    if (this.resuming === undefined) return task()
    if (this.held.length === 0) this.injected("server paused")
    this.held.push(task)
  }

  pause(millis: number): void {
    const until = this.now + millis
    if (until <= this.pausedUntil) return
    this.pausedUntil = until
    this.resuming?.cancel()
    this.resuming = this.environment.after(millis, () => this.resume())
    this.note(() => `paused for ${millis} ms`)
  }

  private resume(): void {
    this.resuming = undefined
    const { held } = this
    this.held = []
    this.note(() => `goes on; ${held.length} things have waited`)
    for (const task of held) task()
  }

  injected(fault: string): void {
    this.environment.injected(fault)
  }

  note(what: () => string): void {
    this.environment.note("store", what)
  }
}
