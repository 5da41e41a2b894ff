/**
 * Runs all work of the server: while the server is paused, work is held, and
 * it runs in order when the server resumes.
 */
import type { Chance } from "../world/chance.ts"
import type { Environment, Timer } from "../world/environment.ts"

export class Work {
  readonly chance: Chance
  private readonly environment: Environment
  private pausedUntil = 0
  private resuming: Timer | undefined
  /** Tasks that arrived or were due while the server was paused. */
  private held: Array<() => void> = []

  constructor(environment: Environment) {
    this.environment = environment
    this.chance = environment.chance.fork("store")
  }

  get now(): number {
    return this.environment.now()
  }

  /**
   * Runs a task after `millis`. Cancelling the timer does not stop a task that is held by a pause: the task must check
   * whether it still applies.
   */
  after(millis: number, task: () => void): Timer {
    return this.environment.after(millis, () => this.run(task))
  }

  /** Runs the task now, or when the server resumes. */
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
    this.note(() => `resumes with ${held.length} held tasks`)
    for (const task of held) task()
  }

  injected(fault: string): void {
    this.environment.injected(fault)
  }

  note(what: () => string): void {
    this.environment.note("store", what)
  }
}
