/**
 * The two clocks of one machine. Both run at the machine's rate; the wall clock
 * has an offset and can be stepped. While the machine is suspended, the monotonic
 * clock and all sleeps stop. When the machine wakes, the wall clock has advanced
 * by the time of the suspension.
 *
 * Sleeps are rounded up to whole milliseconds, and the wall clock is rounded down:
 * with fractions of a millisecond `Schedule.fixed` would spin.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { nanosPerMilli } from "../../../internal/time.ts"
import type { Timer } from "./environment.ts"
import { Heap } from "./heap.ts"
import type { Actor, World } from "./world.ts"

const nanosPerMilliBig = BigInt(nanosPerMilli)

export interface ClockOptions {
  /** The start of the simulation, in Unix milliseconds. */
  readonly epoch: number
  /** The initial error of the wall clock, in milliseconds. */
  readonly offset: number
  /** The rate of both clocks relative to simulated time. */
  readonly rate: number
}

interface Sleeper {
  readonly at: number
  readonly tie: number
  readonly actor: Actor
  wake: (() => void) | undefined
}

export class NodeClock {
  private readonly world: World
  private readonly rate: number
  /** A reading of the monotonic clock, and the simulated time of that reading. */
  private reading = 0
  private readAt: number
  private wallAhead: number
  private suspendedAt: number | undefined
  private readonly sleepers = new Heap<Sleeper>()
  private alarm: Timer | undefined
  private alarmAt = Number.POSITIVE_INFINITY
  private readonly chance

  constructor(world: World, name: string, { epoch, offset, rate }: ClockOptions) {
    this.world = world
    this.rate = rate
    this.readAt = world.now()
    this.wallAhead = epoch + world.now() + offset
    this.chance = world.chance.fork(`clock ${name}`)
  }

  /** The monotonic clock, in milliseconds. */
  monotonic(): number {
    const until = this.suspendedAt ?? this.world.now()
    return this.reading + (until - this.readAt) * this.rate
  }

  /** The wall clock, in Unix milliseconds. */
  wall(): number {
    return Math.floor(this.wallAhead + this.monotonic())
  }

  step(millis: number): void {
    this.wallAhead += millis
  }

  suspend(): void {
    if (this.suspendedAt !== undefined) return
    this.suspendedAt = this.world.now()
    this.alarm?.cancel()
    this.alarmAt = Number.POSITIVE_INFINITY
  }

  wake(): void {
    if (this.suspendedAt === undefined) return
    const slept = this.world.now() - this.suspendedAt
    this.reading = this.monotonic()
    this.readAt = this.world.now()
    this.suspendedAt = undefined
    this.wallAhead += slept
    this.setAlarm()
  }

  /** Calls back after `millis` of the monotonic clock. Returns a function that cancels the sleep. */
  sleep(actor: Actor, millis: number, wake: () => void): () => void {
    const sleeper: Sleeper = { at: this.monotonic() + Math.ceil(millis), tie: this.chance.next(), actor, wake }
    this.sleepers.push(sleeper)
    if (sleeper.at < this.alarmAt) this.setAlarm()
    return () => {
      sleeper.wake = undefined
    }
  }

  private setAlarm(): void {
    const next = this.sleepers.peek()
    if (next === undefined || this.suspendedAt !== undefined) return
    this.alarm?.cancel()
    this.alarmAt = next.at
    this.alarm = this.world.after((next.at - this.monotonic()) / this.rate, () => this.ring(next.at))
  }

  private ring(at: number): void {
    // Sets the exact value: the multiplication by the rate has a rounding error.
    this.reading = at
    this.readAt = this.world.now()
    this.alarmAt = Number.POSITIVE_INFINITY
    while (this.sleepers.size > 0 && this.sleepers.peek()!.at <= at) {
      const { actor, wake } = this.sleepers.pop()!
      if (wake !== undefined) actor.perform(wake)
    }
    this.setAlarm()
  }
}

/** The Effect `Clock` of a process on the machine. Sleeps belong to the current `actor`. */
export const clockFor = (machine: NodeClock, actor: () => Actor): Clock.Clock => {
  const monotonicNanos = () => BigInt(Math.round(machine.monotonic() * nanosPerMilli))
  const wallNanos = () => BigInt(machine.wall()) * nanosPerMilliBig
  return {
    currentTimeMillisUnsafe: () => machine.wall(),
    currentTimeMillis: Effect.sync(() => machine.wall()),
    currentTimeNanosUnsafe: wallNanos,
    currentTimeNanos: Effect.sync(wallNanos),
    monotonicTimeNanosUnsafe: monotonicNanos,
    monotonicTimeNanos: Effect.sync(monotonicNanos),
    sleep: (duration) => {
      const millis = Duration.toMillis(duration)
      if (!Number.isFinite(millis)) return Effect.never
      return Effect.callback((resume) => {
        const cancel = machine.sleep(actor(), millis, () => resume(Effect.void))
        return Effect.sync(cancel)
      })
    }
  }
}
