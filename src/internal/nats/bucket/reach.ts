/**
 * Whether the store is in reach: the connection is up, and a watch of the bucket hears
 * its consumer (docs/protocols/kv.md, K35). A connection alone shows little: a frozen
 * server is noticed after 6 to 9 s, and a stream can have lost its leader.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { Current } from "../../broadcast.ts"
import type { Reachability } from "../../reachability.ts"
import { monotonicMillis } from "../../time.ts"
import type { NatsPort } from "../port.ts"

/** What a watch knows of its consumer. Without a consumer it has none to hear. */
export interface WatchedReach {
  /** The consumer was created: the server has answered. `lastHeard` returns the monotonic time of its last message. */
  readonly hears: (lastHeard: () => number) => void
  /** The consumer is not heard any more, or cannot be created. */
  readonly lost: () => void
  /** The watch has ended. */
  readonly end: () => void
}

interface Watch {
  isHeard: boolean
  lastHeard: () => number
}

/** Whether the store is in reach. Without watches the connection decides. Pure. */
export const isInReach = (isLinkUp: boolean, watches: Iterable<{ readonly isHeard: boolean }>): boolean => {
  if (!isLinkUp) return false
  let isWatched = false
  for (const { isHeard } of watches) {
    if (isHeard) return true
    isWatched = true
  }
  return !isWatched
}

export class Reach {
  private readonly clock: Clock.Clock
  private readonly watches = new Set<Watch>()
  private isLinkUp: boolean
  private readonly state: Current<Reachability>

  constructor(clock: Clock.Clock, isLinkUp: boolean) {
    this.clock = clock
    this.isLinkUp = isLinkUp
    this.state = new Current({ _tag: isLinkUp ? "Reachable" : "Unreachable", at: monotonicMillis(clock) })
  }

  /** The current state, then each change. */
  get changes(): Stream.Stream<Reachability> {
    return this.state.changes
  }

  link(isUp: boolean): void {
    // A consumer that was heard over the lost connection may not exist any more.
    if (!isUp) { for (const watch of this.watches) watch.isHeard = false }
    this.isLinkUp = isUp
    this.decide()
  }

  watch(): WatchedReach {
    const watch: Watch = { isHeard: false, lastHeard: () => Number.NEGATIVE_INFINITY }
    // A new watch has not been lost: until its first consumer it changes nothing.
    return {
      hears: (lastHeard) => {
        this.watches.add(watch)
        watch.isHeard = true
        watch.lastHeard = lastHeard
        this.decide()
      },
      lost: () => {
        this.watches.add(watch)
        watch.isHeard = false
        this.decide()
      },
      end: () => {
        this.watches.delete(watch)
        this.decide()
      }
    }
  }

  private decide(): void {
    const isReachable = isInReach(this.isLinkUp, this.watches)
    const { value } = this.state
    if (isReachable === (value._tag === "Reachable")) return
    const now = monotonicMillis(this.clock)
    // Since the last message, not since the loss was noticed.
    const lastHeard = Math.max(...Array.from(this.watches, (watch) => watch.lastHeard()), value.at)
    this.state.set(
      isReachable
        ? { _tag: "Reachable", at: now }
        : { _tag: "Unreachable", at: this.watches.size === 0 ? now : Math.min(now, lastHeard) }
    )
  }
}

export const make = (port: NatsPort, clock: Clock.Clock): Effect.Effect<Reach, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const reach = new Reach(clock, port.isConnected())
        const end = port.onLink(({ _tag }) => {
          if (_tag === "Connected") reach.link(true)
          if (_tag === "Disconnected" || _tag === "Closed") reach.link(false)
        })
        return { reach, end }
      }),
      ({ end }) => Effect.sync(end)
    ),
    ({ reach }) => reach
  )
