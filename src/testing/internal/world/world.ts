/**
 * The time and the scheduler of a whole fleet in one process. Events run in the
 * order of their times. Before each event all ready tasks run, in an order that
 * the seed decides. Nothing waits for real time: if no task is ready, the clock
 * jumps to the next event.
 */
import type { Chance } from "./chance.ts"
import type { Environment, Timer } from "./environment.ts"
import { Heap } from "./heap.ts"

/** The maximum number of tasks and events at one time. A fleet that exceeds it is in an endless loop. */
const mostAtOneTime = 2_000_000

/** An owner of tasks and events, such as a process. They wait while the actor is stopped and are dropped at its end. */
export class Actor {
  readonly name: string
  private state: "running" | "stopped" | "ended" = "running"
  private waiting: Array<() => void> = []
  private readonly world: World

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
  }

  get hasEnded(): boolean {
    return this.state === "ended"
  }

  stop(): void {
    if (this.state === "running") this.state = "stopped"
  }

  /** Schedules the waiting work at the current time, in the order of its arrival. */
  resume(): void {
    if (this.state !== "stopped") return
    this.state = "running"
    const { waiting } = this
    this.waiting = []
    for (const run of waiting) this.world.inTurn(this, run)
  }

  end(): void {
    this.state = "ended"
    this.waiting = []
  }

  perform(run: () => void): void {
    if (this.state === "running") run()
    else if (this.state === "stopped") this.waiting.push(run)
  }
}

interface TimerEvent {
  readonly at: number
  readonly tie: number
  readonly actor: Actor | undefined
  run: (() => void) | undefined
}

interface ScheduledTask {
  readonly actor: Actor
  readonly priority: number
  readonly run: () => void
}

export interface Line {
  /** Milliseconds. */
  readonly at: number
  readonly who: string
  readonly what: string
}

/** Why a run stopped before the end of its program. */
export type Halt = "nothing left" | "time is up" | "spinning" | "the real world"

export class World implements Environment {
  readonly chance: Chance
  /** The timeline, if it is recorded. */
  readonly lines: Array<Line> | undefined
  /** How often each fault took effect. */
  readonly faults = new Map<string, number>()
  private time = 0
  /** Whether the code that runs now was called by the simulation. */
  private isInside = false
  private wasOutside = false
  private readonly order: Chance
  private readonly events = new Heap<TimerEvent>()
  private readonly ready: Array<ScheduledTask> = []
  /** Whether all ready tasks have the same priority. */
  private isLevel = true
  /** The tie of work that a stopped actor missed: it runs in order, before other events of the same time. */
  private missed = -1

  constructor(chance: Chance, options: { readonly isRecorded: boolean }) {
    this.chance = chance.fork("world")
    this.order = chance.fork("order")
    this.lines = options.isRecorded ? [] : undefined
  }

  readonly now = (): number => this.time

  readonly injected = (fault: string): void => {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1)
  }

  readonly note = (who: string, what: () => string): void => {
    this.lines?.push({ at: this.time, who, what: what() })
  }

  readonly after = (millis: number, run: () => void): Timer => this.schedule(undefined, millis, run)

  /** Schedules an event of an actor: it waits while the actor is stopped. */
  schedule(actor: Actor | undefined, millis: number, run: () => void): Timer {
    this.touch()
    const event: TimerEvent = { at: this.time + Math.max(0, millis), tie: this.order.next(), actor, run }
    this.events.push(event)
    return {
      cancel: () => {
        event.run = undefined
      }
    }
  }

  inTurn(actor: Actor, run: () => void): void {
    this.missed += Number.EPSILON
    this.events.push({ at: this.time, tie: this.missed, actor, run })
  }

  /** Adds a ready task; the seed decides its order among the ready tasks of its priority. */
  submit(actor: Actor, run: () => void, priority: number): void {
    this.touch()
    if (actor.hasEnded) return
    if (this.ready.length > 0 && this.ready[0]!.priority !== priority) this.isLevel = false
    this.ready.push({ actor, priority, run })
  }

  private nextTask(): ScheduledTask {
    const { ready } = this
    let candidates = ready.length
    if (!this.isLevel) {
      // Moves the tasks with the lowest priority value to the front: they run first.
      const best = Math.min(...ready.map(({ priority }) => priority))
      ready.sort((a, b) => Number(a.priority !== best) - Number(b.priority !== best))
      candidates = ready.filter(({ priority }) => priority === best).length
    }
    const index = candidates === 1 ? 0 : this.order.below(candidates)
    const task = ready[index]!
    const last = ready.pop()!
    if (last !== task) ready[index] = last
    if (ready.length === 0) this.isLevel = true
    return task
  }

  /** Records activity. Outside of `inside` it was caused by real I/O or real timers. */
  touch(): void {
    if (!this.isInside) this.wasOutside = true
  }

  /** Whether there was activity that the simulation did not cause. */
  get wasTouched(): boolean {
    return this.wasOutside
  }

  /** Runs a function as part of the simulation. */
  inside<A>(run: () => A): A {
    this.isInside = true
    try {
      return run()
    } finally {
      this.isInside = false
    }
  }

  /** Runs at most `most` events, until `isDone` or the time `until`, or until no event is left. */
  advance(isDone: () => boolean, until: number, most: number): Halt | "done" | "going on" {
    if (this.wasOutside) return "the real world"
    return this.inside(() => this.proceed(isDone, until, most))
  }

  /** Like `advance`, without a limit of time, also after activity that the simulation did not cause. */
  finish(isDone: () => boolean, most: number): void {
    this.inside(() => this.proceed(isDone, Number.POSITIVE_INFINITY, most))
  }

  private proceed(isDone: () => boolean, until: number, most: number): Halt | "done" | "going on" {
    let left = most
    let atOneTime = 0
    while (true) {
      while (this.ready.length > 0) {
        if (++atOneTime > mostAtOneTime) return "spinning"
        const { actor, run } = this.nextTask()
        actor.perform(run)
      }
      if (isDone()) return "done"
      if (--left < 0) return "going on"
      const event = this.events.peek()
      if (event === undefined) return "nothing left"
      if (event.run !== undefined && event.at > until) {
        this.time = until
        return "time is up"
      }
      this.events.pop()
      if (event.run === undefined) continue
      if (event.at > this.time) {
        this.time = event.at
        atOneTime = 0
        this.missed = -1
      } else if (++atOneTime > mostAtOneTime) return "spinning"
      const { actor, run } = event
      event.run = undefined
      if (actor === undefined) run()
      else actor.perform(run)
    }
  }
}

const millisPerSecond = 1000
const widthOfTime = 11

const timeOf = (at: number): string => `${(at / millisPerSecond).toFixed(4)} s`.padStart(widthOfTime)

/** Formats a timeline for people: one line per event with the time in seconds, the node, and the event. */
export const showTimeline = (lines: ReadonlyArray<Line>, who: ReadonlyArray<string>): string => {
  const wanted = who.length === 0 ? lines : lines.filter((line) => who.includes(line.who))
  const width = Math.max(0, ...new Set(wanted.map((line) => line.who.length)))
  return wanted.map((line) => `${timeOf(line.at)}  ${line.who.padEnd(width)}  ${line.what}\n`).join("")
}
