/**
 * One machine of the fleet: its clocks, its way to the server, and the process
 * that runs on it, one after the other.
 */
import { Connection } from "./connection.ts"
import type { Stretch } from "./models.ts"
import { NodeClock } from "./nodeClock.ts"
import type { Server } from "./server.ts"
import { type Direction, goodQuality, type Quality } from "./wire.ts"
import { Actor, type World } from "./world.ts"

/**
 * Who sets a machine's time does so when it has been awake for a while: milliseconds. Set back in its sleep, by as much as
 * it slept, it could not know of that sleep by any clock of its own; that is no fault that a lease could survive.
 */
const untilTimeIsSet = 2000

export interface MachineOptions {
  readonly world: World
  readonly server: Server
  readonly version: string
  readonly isServerFrozen: () => boolean
  readonly id: string
  readonly epoch: number
  readonly offset: number
  readonly rate: number
}

export class Machine {
  readonly id: string
  readonly clock: NodeClock
  /** When its process did not run although it lived. */
  readonly stops: Array<Stretch> = []
  /** When its way to the store was not as it should be. */
  readonly troubles: Array<Stretch> = []
  readonly crashes: Array<{ readonly node: string; readonly at: number }> = []
  process: Actor
  private readonly options: MachineOptions
  private readonly world: World
  private readonly connections = new Set<Connection>()
  private readonly cuts = new Map<Direction, number>()
  private readonly onEnd = new Set<() => void>()
  private readonly onBoot = new Set<() => void>()
  private quality: Quality = goodQuality
  private poorSince: number | undefined
  private stoppedAt: number | undefined
  private frozenUntil = Number.NEGATIVE_INFINITY
  private boots = 0
  private opened = 0

  constructor(options: MachineOptions) {
    this.options = options
    this.id = options.id
    this.world = options.world
    this.clock = new NodeClock(options.world, options.id, options)
    this.process = this.makeProcess()
  }

  private makeProcess(): Actor {
    return new Actor(this.world, `${this.id}#${++this.boots}`)
  }

  private note(what: string): void {
    this.world.note(this.id, () => what)
  }

  // ------------------------------------------------------------ processes

  get hasCrashed(): boolean {
    return this.process.hasEnded
  }

  /** Calls back when the process that runs now has crashed. */
  whenCrashed(listener: () => void): () => void {
    this.onEnd.add(listener)
    return () => this.onEnd.delete(listener)
  }

  /** Calls back when a process runs: at once, or with the next restart. */
  whenRunning(listener: () => void): () => void {
    if (this.hasCrashed) this.onBoot.add(listener)
    else listener()
    return () => this.onBoot.delete(listener)
  }

  /** As by SIGKILL: nothing more of it happens, and nothing of it is tidied up. */
  crash(): void {
    if (this.hasCrashed) return
    this.world.struck("crash")
    this.note("crashes")
    this.switchOff()
  }

  /** The same, because the simulation has no more use for it. */
  switchOff(): void {
    if (this.hasCrashed) return
    this.endStop()
    this.crashes.push({ node: this.id, at: this.world.now() })
    this.process.end()
    for (const connection of this.connections) connection.vanish()
    this.connections.clear()
    tellAll(this.onEnd)
  }

  /** A new process, which knows nothing of the one before it. */
  restart(): void {
    if (!this.hasCrashed) return
    this.world.struck("restart")
    this.note("starts again")
    this.process = this.makeProcess()
    tellAll(this.onBoot)
  }

  /** As by SIGSTOP, and SIGCONT later: clocks go on. */
  pause(millis: number): void {
    this.stopFor("pause", millis, () => {})
  }

  /** The machine is suspended: the monotonic clock stands still as well. */
  freeze(millis: number): void {
    this.clock.suspend()
    if (this.stopFor("freeze", millis, () => this.clock.wake())) this.frozenUntil = this.world.now() + millis
    else this.clock.wake()
  }

  private stopFor(how: string, millis: number, atEnd: () => void): boolean {
    const { process } = this
    if (!process.isRunning) return false
    this.world.struck(how)
    this.note(`${how} for ${millis / 1000} s`)
    process.stop()
    this.stoppedAt = this.world.now()
    this.world.after(millis, () => {
      atEnd()
      if (process.hasEnded) return
      this.endStop()
      this.note("goes on")
      process.resume()
    })
    return true
  }

  private endStop(): void {
    if (this.stoppedAt === undefined) return
    this.stops.push({ node: this.id, from: this.stoppedAt, until: this.world.now() })
    this.troubles.push({ node: this.id, from: this.stoppedAt, until: this.world.now() })
    this.stoppedAt = undefined
  }

  /** Sets the wall clock by so much forward, or back; a machine that is suspended is set once it has been awake for a while. */
  step(millis: number): void {
    const readyAt = this.frozenUntil + untilTimeIsSet
    if (this.world.now() < readyAt) {
      this.world.after(readyAt - this.world.now(), () => this.step(millis))
      return
    }
    this.world.struck(millis < 0 ? "wall clock set back" : "wall clock set forward")
    this.note(`the wall clock steps by ${millis / 1000} s`)
    // A leader takes a step forward for time that it has slept.
    this.troubles.push({ node: this.id, from: this.world.now(), until: this.world.now() })
    this.clock.step(millis)
  }

  // ------------------------------------------------------------ the way to the server

  /** A connection of the process that runs now; undefined: the server is not to be reached. */
  connect(): Connection | undefined {
    const { server, version, world } = this.options
    if (!this.isAlive) return undefined
    const connection = new Connection({
      world,
      server,
      version,
      process: this.process,
      name: `${this.id.replaceAll(/[^a-zA-Z0-9]/g, "")}c${++this.opened}`,
      network: {
        quality: () => this.quality,
        isCut: (direction) => this.isCut(direction),
        isAlive: () => this.isAlive
      }
    })
    this.connections.add(connection)
    return connection
  }

  forget(connection: Connection): void {
    connection.close()
    this.connections.delete(connection)
  }

  private isCut(direction: Direction): boolean {
    return this.cuts.has(direction)
  }

  /** Whether any process of it has ever connected. */
  get hasConnected(): boolean {
    return this.opened > 0
  }

  private get isAlive(): boolean {
    return this.cuts.size === 0 && !this.options.isServerFrozen()
  }

  /** Pings go unanswered: each connection notices for itself. */
  doubt(): void {
    for (const connection of this.connections) connection.doubt()
  }

  cut(direction: Direction | "both"): void {
    const directions: ReadonlyArray<Direction> = direction === "both" ? ["requests", "replies"] : [direction]
    for (const one of directions) if (!this.cuts.has(one)) this.cuts.set(one, this.world.now())
    this.world.struck(`cut ${direction}`)
    this.note(`${direction === "both" ? "requests and replies are" : `${direction} are`} cut off`)
    this.doubt()
  }

  /** All that is wrong with the link is well again. */
  heal(): void {
    this.setQuality(goodQuality)
    if (this.cuts.size === 0) return
    this.note("the link is whole again")
    this.troubles.push({ node: this.id, from: Math.min(...this.cuts.values()), until: this.world.now() })
    this.cuts.clear()
    for (const connection of this.connections) connection.heal()
  }

  setQuality(quality: Quality): void {
    if (this.poorSince !== undefined) {
      this.troubles.push({ node: this.id, from: this.poorSince, until: this.world.now() })
    }
    this.poorSince = quality === goodQuality ? undefined : this.world.now()
    if (quality !== goodQuality) {
      this.world.struck("poor link")
      this.note(
        `a poor link: ${quality.least} to ${quality.most} ms, ${100 * quality.loss} % lost, ` +
          `${100 * quality.reordering} % overtaken`
      )
    }
    this.quality = quality
  }

  /** The connection breaks at once, and is made again. */
  disconnect(): void {
    this.note("its connections break")
    this.troubles.push({ node: this.id, from: this.world.now(), until: this.world.now() + 1000 })
    for (const connection of Array.from(this.connections)) connection.disconnect()
  }

  /** What is still wrong when the history ends. */
  unfinished(): ReadonlyArray<Stretch> {
    const now = this.world.now()
    const begun = [this.stoppedAt, this.poorSince, ...this.cuts.values()].filter((since) => since !== undefined)
    return begun.map((from) => ({ node: this.id, from, until: now }))
  }
}

/** Once each: whoever is told may listen again at once. */
const tellAll = (listeners: Set<() => void>): void => {
  const all = Array.from(listeners)
  listeners.clear()
  for (const listener of all) listener()
}
