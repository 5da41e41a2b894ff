/**
 * One machine of the fleet: its clocks, its way to the server, and the process
 * that runs on it, one after the other.
 */
import type { Stop } from "../../Simulation.ts"
import type { SimulatedServer } from "../server/server.ts"
import { SimulatedConnection } from "./connection.ts"
import type { Timer } from "./environment.ts"
import { NodeClock } from "./nodeClock.ts"
import { type Direction, goodQuality, type Quality } from "./wire.ts"
import { Actor, type World } from "./world.ts"

/**
 * Who sets a machine's time does so when it has been awake for a while: milliseconds. Set back in its sleep, by as much as
 * it slept, it could not know of that sleep by any clock of its own; that is no fault that a lease could survive.
 */
const untilTimeIsSet = 2000

export interface MachineOptions {
  readonly world: World
  readonly server: SimulatedServer
  readonly version: string
  readonly isServerPaused: () => boolean
  readonly id: string
  /** Among all machines. */
  readonly number: number
  readonly epoch: number
  readonly offset: number
  readonly rate: number
}

export class Machine {
  readonly id: string
  readonly clock: NodeClock
  private readonly pastStops: Array<Stop> = []
  private readonly pastDisruptions: Array<Stop> = []
  readonly crashes: Array<{ readonly node: string; readonly at: number }> = []
  process: Actor
  private readonly options: MachineOptions
  private readonly world: World
  private readonly connections = new Set<SimulatedConnection>()
  private readonly cuts: Array<Cut> = []
  private readonly degradations: Array<Degradation> = []
  private readonly onEnd = new Set<() => void>()
  private readonly onBoot = new Set<() => void>()
  private stop: CurrentStop | undefined
  private suspendedUntil = Number.NEGATIVE_INFINITY
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
    this.world.injected("crash")
    this.note("crashes")
    this.switchOff()
  }

  /** The same, because the simulation has no more use for it. */
  switchOff(): void {
    if (this.hasCrashed) return
    this.crashes.push({ node: this.id, at: this.world.now() })
    this.process.end()
    this.endStop()
    for (const connection of this.connections) connection.vanish()
    this.connections.clear()
    tellAll(this.onEnd)
  }

  /** A new process, which knows nothing of the one before it. */
  restart(): void {
    if (!this.hasCrashed) return
    this.world.injected("restart")
    this.note("starts again")
    this.process = this.makeProcess()
    tellAll(this.onBoot)
  }

  /** As by SIGSTOP, and SIGCONT later: clocks go on. */
  pause(millis: number): void {
    if (this.stop !== undefined) return this.extend(millis)
    this.beginStop("pause", millis)
  }

  /** The machine is suspended: the monotonic clock stands still as well. */
  suspend(millis: number): void {
    if (this.stop !== undefined) return this.extend(millis)
    if (this.hasCrashed) return
    this.clock.suspend()
    this.suspendedUntil = this.world.now() + millis
    this.beginStop("suspend", millis)
  }

  private beginStop(how: CurrentStop["how"], millis: number): void {
    if (this.hasCrashed) return
    this.world.injected(how)
    this.note(`${how} for ${millis / 1000} s`)
    this.process.stop()
    const since = this.world.now()
    this.stop = { how, since, until: since + millis, alarm: this.world.after(millis, () => this.endStop()) }
  }

  /** What is stopped already is so for longer. */
  private extend(millis: number): void {
    const { stop } = this
    const until = this.world.now() + millis
    if (stop === undefined || until <= stop.until) return
    stop.until = until
    stop.alarm.cancel()
    stop.alarm = this.world.after(millis, () => this.endStop())
    if (stop.how === "suspend") this.suspendedUntil = until
    this.note(`is stopped for ${millis / 1000} s from now`)
  }

  private endStop(): void {
    const { stop } = this
    if (stop === undefined) return
    this.stop = undefined
    stop.alarm.cancel()
    if (stop.how === "suspend") {
      this.suspendedUntil = this.world.now()
      this.clock.wake()
    }
    const stretch = { node: this.id, from: stop.since, until: this.world.now() }
    this.pastStops.push(stretch)
    this.pastDisruptions.push(stretch)
    if (this.hasCrashed) return
    this.note("goes on")
    this.process.resume()
  }

  /** Sets the wall clock by so much forward, or back; a machine that is suspended is set once it has been awake for a while. */
  stepClock(millis: number): void {
    const readyAt = this.suspendedUntil + untilTimeIsSet
    if (this.world.now() < readyAt) {
      this.world.after(readyAt - this.world.now(), () => this.stepClock(millis))
      return
    }
    if (millis === 0) return
    this.world.injected(millis < 0 ? "wall clock set back" : "wall clock set forward")
    this.note(`the wall clock steps by ${millis / 1000} s`)
    // A leader takes a step forward for time that it has slept.
    this.pastDisruptions.push({ node: this.id, from: this.world.now(), until: this.world.now() })
    this.clock.step(millis)
  }

  // ------------------------------------------------------------ the way to the server

  /** A connection of the process that runs now; undefined: the server is not to be reached. */
  connect(): SimulatedConnection | undefined {
    const { server, version, world } = this.options
    if (!this.isAlive) return undefined
    const connection = new SimulatedConnection({
      world,
      server,
      version,
      process: this.process,
      // The number keeps apart what differs in punctuation only.
      name: `${this.id.replaceAll(/[^a-zA-Z0-9]/g, "")}n${this.options.number}c${++this.opened}`,
      network: {
        quality: () => this.degradations.at(-1)?.quality ?? goodQuality,
        isCut: (direction) => this.isCut(direction),
        isAlive: () => this.isAlive
      }
    })
    this.connections.add(connection)
    return connection
  }

  forget(connection: SimulatedConnection): void {
    connection.close()
    this.connections.delete(connection)
  }

  private isCut(direction: Direction): boolean {
    return this.cuts.some((cut) => cut.directions.includes(direction))
  }

  /** Whether any process of it has ever connected. */
  get hasConnected(): boolean {
    return this.opened > 0
  }

  private get isAlive(): boolean {
    return this.cuts.length === 0 && !this.options.isServerPaused()
  }

  /** Pings go unanswered: each connection notices for itself. */
  doubt(): void {
    for (const connection of this.connections) connection.doubt()
  }

  /** Until it is healed, or for so long. */
  cut(direction: Direction | "both", millis: number | undefined): void {
    const cut: Cut = {
      directions: direction === "both" ? ["requests", "replies"] : [direction],
      since: this.world.now()
    }
    if (cut.directions.some((one) => !this.isCut(one))) this.world.injected(`cut ${direction}`)
    this.cuts.push(cut)
    this.note(`${direction === "both" ? "requests and replies are" : `${direction} are`} cut off`)
    this.doubt()
    if (millis !== undefined) this.world.after(millis, () => this.mend(cut))
  }

  private mend(cut: Cut): void {
    const index = this.cuts.indexOf(cut)
    if (index === -1) return
    this.cuts.splice(index, 1)
    this.pastDisruptions.push({ node: this.id, from: cut.since, until: this.world.now() })
    if (this.cuts.length === 0) this.note("nothing is cut off any more")
    for (const connection of this.connections) connection.heal(this.cuts.length === 0)
  }

  /** Messages travel so until it is healed, or for so long. Of several the last one counts. */
  setQuality(quality: Quality, millis: number | undefined): void {
    const degradation: Degradation = { quality, since: this.world.now() }
    this.degradations.push(degradation)
    this.world.injected("degraded link")
    this.note(
      `a degraded link: ${quality.minDelay} to ${quality.maxDelay} ms, ${Math.round(100 * quality.loss)} % lost, ` +
        `${Math.round(100 * quality.reordering)} % overtaken`
    )
    if (millis !== undefined) this.world.after(millis, () => this.improve(degradation))
  }

  private improve(degradation: Degradation): void {
    const index = this.degradations.indexOf(degradation)
    if (index === -1) return
    this.degradations.splice(index, 1)
    this.pastDisruptions.push({ node: this.id, from: degradation.since, until: this.world.now() })
    if (this.degradations.length === 0) this.note("the link is good again")
  }

  /** All that is wrong with the link is well again. */
  heal(): void {
    for (const one of Array.from(this.degradations)) this.improve(one)
    for (const cut of Array.from(this.cuts)) this.mend(cut)
  }

  /** Breaks the connection; the client reconnects. */
  disconnect(): void {
    this.note("its connections break")
    this.pastDisruptions.push({ node: this.id, from: this.world.now(), until: this.world.now() + 1000 })
    for (const connection of Array.from(this.connections)) connection.disconnect()
  }

  /** When its process did not run although it lived; also until now. */
  get stops(): ReadonlyArray<Stop> {
    return this.stop === undefined ? this.pastStops : [...this.pastStops, this.untilNow(this.stop)]
  }

  /** When its way to the store was not as it should be; also until now. */
  get disruptions(): ReadonlyArray<Stop> {
    const { cuts, degradations, stop } = this
    const now = [...degradations, ...cuts, ...(stop === undefined ? [] : [stop])].map((one) => this.untilNow(one))
    return [...this.pastDisruptions, ...now]
  }

  private untilNow({ since }: { readonly since: number }): Stop {
    return { node: this.id, from: since, until: this.world.now() }
  }
}

interface Cut {
  readonly directions: ReadonlyArray<Direction>
  readonly since: number
}

interface Degradation {
  readonly quality: Quality
  readonly since: number
}

/** A pause or a suspension that is under way. */
interface CurrentStop {
  readonly how: "pause" | "suspend"
  readonly since: number
  until: number
  alarm: Timer
}

/** Once each: whoever is told may listen again at once. */
const tellAll = (listeners: Set<() => void>): void => {
  const all = Array.from(listeners)
  listeners.clear()
  for (const listener of all) listener()
}
