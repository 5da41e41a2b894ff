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
 * The time of services that leave one after the other counts together, until the store has answered one of them, or until
 * twice the time has passed: then the program has continued.
 */
export class LeaveBudget {
  /** When the first of the services without an answer began to leave, in monotonic milliseconds. */
  private began: number | undefined

  /** Runs `leave` for at most the time that is left. None if that was too short. */
  readonly run = <A, E, R>({ hasAnswered, leave, timeout }: Leaving<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
    Effect.clockWith((clock: Clock.Clock) => {
      const now = monotonicMillis(clock)
      const limit = Duration.toMillis(timeout)
      if (this.began === undefined || now - this.began > 2 * limit + reserve) this.began = now
      const end = this.began + limit
      const left = Math.max(0, end - now > reserve ? end - now : end + Math.min(reserve, limit) - now)
      // Finalizers are not interruptible by themselves.
      const bounded = Effect.timeoutOption(Effect.interruptible(leave), wholeMillis(left))
      return Effect.ensuring(
        bounded,
        Effect.sync(() => {
          if (hasAnswered()) this.began = undefined
        })
      )
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
