/**
 * The time that the services of a program have to leave the store when it ends: to
 * hand leadership over, and to deregister. The store may be away, and a process that
 * ends must not wait for it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { duration, withDefault } from "./options.ts"
import { monotonicMillis, wholeMillis } from "./time.ts"

/** Most outages that a program can outlast at its end are restarts of a server. */
const defaultTimeout = Duration.seconds(2)

/** The setting of both services. */
export const leaveTimeout = withDefault(duration(Duration.zero, Duration.minutes(1)), defaultTimeout)

/** A store that is there answers within this time: the services that leave last get it together, if no time is left. */
const reserve = 100

/** How a service leaves. */
interface Leaving<A, E, R> {
  readonly timeout: Duration.Duration
  readonly leave: Effect.Effect<A, E, R>
  /** Whether the store has answered. A service may also have left because there was nothing to do. */
  readonly hasAnswered: () => boolean
}

/**
 * The times in which services wait for the store count together, until the store has answered one of them or a write of the
 * services. What a program does between, such as draining, does not count.
 */
export class LeaveBudget {
  /** The services that wait now, and since when one does without a pause. */
  private waiting = 0
  private since = 0
  /** The time before, in milliseconds. */
  private spent = 0

  private used(now: number): number {
    return this.spent + (this.waiting > 0 ? now - this.since : 0)
  }

  private begin(now: number): void {
    if (this.waiting === 0) this.since = now
    this.waiting++
  }

  private end(now: number, hasAnswered: boolean): void {
    this.spent = hasAnswered ? 0 : this.used(now)
    this.since = now
    this.waiting--
  }

  /** The store has stored a write: services have their whole time again. */
  readonly answered: Effect.Effect<void> = Effect.clockWith((clock: Clock.Clock) =>
    Effect.sync(() => {
      this.spent = 0
      this.since = monotonicMillis(clock)
    })
  )

  /** Runs `leave` for at most the time that is left. None if that was too short. */
  readonly run = <A, E, R>({ hasAnswered, leave, timeout }: Leaving<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
    Effect.clockWith((clock: Clock.Clock) => {
      const limit = Duration.toMillis(timeout)
      const now = monotonicMillis(clock)
      this.begin(now)
      const used = this.used(now)
      const left = Math.max(0, limit - used > reserve ? limit - used : limit + Math.min(reserve, limit) - used)
      // Finalizers are not interruptible by themselves.
      const bounded = Effect.timeoutOption(Effect.interruptible(leave), wholeMillis(left))
      return Effect.ensuring(bounded, Effect.sync(() => this.end(monotonicMillis(clock), hasAnswered())))
    })
}

/** The budget that the services of one preset share. Undefined: each service has its own. */
export const SharedLeaveBudget = Context.Reference<LeaveBudget | undefined>("effect-aegis/SharedLeaveBudget", {
  defaultValue: () => undefined
})

/** The budget of a service. */
export const makeLeaveBudget: Effect.Effect<LeaveBudget> = Effect.map(
  SharedLeaveBudget,
  (shared) => shared ?? new LeaveBudget()
)
