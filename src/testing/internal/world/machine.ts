/**
 * One machine of the fleet: its clocks, its link to the server, and its process.
 * A restart replaces the process.
 */
import type { Stop } from "../../Simulation.ts"
import type { SimulatedServer } from "../server/server.ts"
import { SimulatedConnection } from "./connection.ts"
import type { Timer } from "./environment.ts"
import { NodeClock } from "./nodeClock.ts"
import { type Direction, goodQuality, type Quality } from "./wire.ts"
import { Actor, type World } from "./world.ts"

/**
 * Clock steps wait until a machine has been awake for this long, in milliseconds. A step back by the duration of a
 * suspension, made before the machine wakes, would hide the suspension from all its clocks: no lease can survive that.
 */
const untilTimeIsSet = 2000

export interface MachineOptions {
  readonly world: World
  readonly server: SimulatedServer
  readonly version: string
  readonly isServerPaused: () => boolean
  /** The limit of the server for the bytes that wait to be sent to one client. */
  readonly maxPending: number
  readonly id: string
  /** The number of this machine in the fleet, from 0. */
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

  /** Calls back when the current process has crashed. */
  whenCrashed(listener: () => void): () => void {
    this.onEnd.add(listener)
    return () => this.onEnd.delete(listener)
  }

  /** Calls back when a process runs: at once, or after the next restart. */
  whenRunning(listener: () => void): () => void {
    if (this.hasCrashed) this.onBoot.add(listener)
    else listener()
    return () => this.onBoot.delete(listener)
  }

  /** Crashes the process, as SIGKILL does: it stops at once, and no finalizers run. */
  crash(): void {
    if (this.hasCrashed) return
    this.world.injected("crash")
    this.note("crashes")
    this.switchOff()
  }

  /** Ends the process like a crash, without counting a fault: the simulation no longer needs the machine. */
  switchOff(): void {
    if (this.hasCrashed) return
    this.crashes.push({ node: this.id, at: this.world.now() })
    this.process.end()
    this.endStop()
    for (const connection of this.connections) connection.vanish()
    this.connections.clear()
    tellAll(this.onEnd)
  }

  /** Starts a new process after a crash, without any state of the former process. */
  restart(): void {
    if (!this.hasCrashed) return
    this.world.injected("restart")
    this.note("restarts")
    this.process = this.makeProcess()
    tellAll(this.onBoot)
  }

  /** Pauses the process, as SIGSTOP and SIGCONT do: the clocks keep running. */
  pause(millis: number): void {
    if (this.stop !== undefined) return this.extend(millis)
    this.beginStop("pause", millis)
  }

  /** Suspends the machine: its monotonic clock stops as well. */
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
    this.note(`stopped (${how}) for ${millis / 1000} s`)
    this.process.stop()
    const since = this.world.now()
    this.stop = { how, since, until: since + millis, alarm: this.world.after(millis, () => this.endStop()) }
  }

  /** Extends a pause or suspension in progress. */
  private extend(millis: number): void {
    const { stop } = this
    const until = this.world.now() + millis
    if (stop === undefined || until <= stop.until) return
    stop.until = until
    stop.alarm.cancel()
    stop.alarm = this.world.after(millis, () => this.endStop())
    if (stop.how === "suspend") this.suspendedUntil = until
    this.note(`the stop is extended and ends in ${millis / 1000} s`)
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
    this.note("resumes")
    this.process.resume()
  }

  /** Steps the wall clock forward, or back if `millis` is negative. Waits for `untilTimeIsSet` after a suspension. */
  stepClock(millis: number): void {
    const readyAt = this.suspendedUntil + untilTimeIsSet
    if (this.world.now() < readyAt) {
      this.world.after(readyAt - this.world.now(), () => this.stepClock(millis))
      return
    }
    if (millis === 0) return
    this.world.injected(millis < 0 ? "wall clock set back" : "wall clock set forward")
    this.note(`the wall clock steps by ${millis / 1000} s`)
    // Counted as a disruption: a leader treats a step forward as time in which its machine was suspended.
    this.pastDisruptions.push({ node: this.id, from: this.world.now(), until: this.world.now() })
    this.clock.step(millis)
  }

  // ------------------------------------------------------------ the link to the server

  /** Opens a connection of the current process; undefined if the server is unreachable. */
  connect(): SimulatedConnection | undefined {
    const { maxPending, server, version, world } = this.options
    if (!this.isAlive) return undefined
    const connection = new SimulatedConnection({
      world,
      server,
      version,
      maxPending,
      process: this.process,
      user: this.id,
      // The number distinguishes ids that differ only in punctuation.
      name: `${this.id.replaceAll(/[^a-zA-Z0-9]/g, "")}n${this.options.number}c${++this.opened}`,
      network: {
        quality: () => this.degradations.at(-1)?.quality ?? goodQuality,
        isCut: (direction) => this.isCut(direction),
        isAlive: () => this.isAlive,
        onServerCut: () => {
          this.note("the server cuts a connection as a slow consumer")
          this.connectionLost()
        }
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

  /** Whether a process of this machine has ever connected. */
  get hasConnected(): boolean {
    return this.opened > 0
  }

  private get isAlive(): boolean {
    return this.cuts.length === 0 && !this.options.isServerPaused()
  }

  /** To be called when pings can be unanswered: each connection starts its ping timeout. */
  doubt(): void {
    for (const connection of this.connections) connection.doubt()
  }

  /** Cuts one or both directions of the link for `millis`, or until `heal` if undefined. */
  cut(direction: Direction | "both", millis: number | undefined): void {
    const cut: Cut = {
      directions: direction === "both" ? ["requests", "replies"] : [direction],
      since: this.world.now()
    }
    if (cut.directions.some((one) => !this.isCut(one))) this.world.injected(`cut ${direction}`)
    this.cuts.push(cut)
    this.sendAgain()
    this.note(`${direction === "both" ? "requests and replies are" : `${direction} are`} blocked`)
    this.doubt()
    if (millis !== undefined) this.world.after(millis, () => this.mend(cut))
  }

  private mend(cut: Cut): void {
    const index = this.cuts.indexOf(cut)
    if (index === -1) return
    this.cuts.splice(index, 1)
    this.pastDisruptions.push({ node: this.id, from: cut.since, until: this.world.now() })
    if (this.cuts.length === 0) this.note("requests and replies pass again")
    for (const connection of this.connections) connection.heal(this.cuts.length === 0)
  }

  /** Degrades the link for `millis`, or until `heal` if undefined. The latest degradation in progress applies. */
  setQuality(quality: Quality, millis: number | undefined): void {
    const degradation: Degradation = { quality, since: this.world.now() }
    this.degradations.push(degradation)
    this.sendAgain()
    this.world.injected(Number.isFinite(quality.bandwidth) ? "narrow link" : "degraded link")
    this.note(
      `the link is degraded: ${quality.minDelay} to ${quality.maxDelay} ms, ${
        Math.round(100 * quality.loss)
      } % lost, ` +
        `${Math.round(100 * quality.reordering)} % overtaken` +
        (Number.isFinite(quality.bandwidth) ? `, ${quality.bandwidth} kB/s` : "")
    )
    if (millis !== undefined) this.world.after(millis, () => this.improve(degradation))
  }

  private improve(degradation: Degradation): void {
    const index = this.degradations.indexOf(degradation)
    if (index === -1) return
    this.degradations.splice(index, 1)
    this.sendAgain()
    this.pastDisruptions.push({ node: this.id, from: degradation.since, until: this.world.now() })
    if (this.degradations.length === 0) this.note("the link is no longer degraded")
  }

  /** Ends all cuts and degradations of the link. */
  heal(): void {
    for (const one of Array.from(this.degradations)) this.improve(one)
    for (const cut of Array.from(this.cuts)) this.mend(cut)
  }

  private sendAgain(): void {
    for (const connection of this.connections) connection.sendAgain()
  }

  /** Records that a connection is lost until the client has reconnected. */
  private connectionLost(): void {
    this.pastDisruptions.push({ node: this.id, from: this.world.now(), until: this.world.now() + 1000 })
  }

  /** Breaks all connections; the clients reconnect. */
  disconnect(): void {
    this.note("all connections break")
    this.connectionLost()
    for (const connection of Array.from(this.connections)) connection.disconnect()
  }

  /** The pauses and suspensions so far; one in progress counts until now. */
  get stops(): ReadonlyArray<Stop> {
    return this.stop === undefined ? this.pastStops : [...this.pastStops, this.untilNow(this.stop)]
  }

  /** The disruptions so far; those in progress count until now. */
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

/** A pause or suspension in progress. */
interface CurrentStop {
  readonly how: "pause" | "suspend"
  readonly since: number
  until: number
  alarm: Timer
}

/** Removes all listeners, then calls each: a listener can register itself again. */
const tellAll = (listeners: Set<() => void>): void => {
  const all = Array.from(listeners)
  listeners.clear()
  for (const listener of all) listener()
}
