/**
 * Sleeps for time in which this process could reach the store (docs/protocols/registry.md, R8).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { reachabilityOf } from "../reachability.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import { ConnectedTime } from "./connectedTime.ts"

/**
 * Sleeps for `millis` of time in which the store was in reach, and for at least `grace` since it was back last. A store of which
 * nothing is known counts as in reach.
 */
export const connectedSleep = (
  store: object,
  { grace, millis }: { readonly millis: number; readonly grace: number }
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const now = () => monotonicMillis(clock)
    const connected = new ConnectedTime(now())
    const changed = Latch.makeUnsafe(false)
    let until = millis
    const follow = Stream.runForEach(reachabilityOf(store), ({ _tag, at }) =>
      Effect.sync(() => {
        if (_tag === "Unreachable" && connected.isConnected) connected.cut(Math.min(now(), at))
        if (_tag === "Reachable" && !connected.isConnected) {
          connected.resume(now())
          until = Math.max(until, connected.at(now()) + grace)
        }
        changed.openUnsafe()
      }))
    const wait: Effect.Effect<void> = Effect.suspend(() => {
      const left = until - connected.at(now())
      if (connected.isConnected && left <= 0) return Effect.void
      changed.closeUnsafe()
      const due = connected.isConnected ? Effect.sleep(wholeMillis(left)) : Effect.never
      return Effect.andThen(Effect.raceFirst(due, changed.await), wait)
    })
    yield* Effect.raceFirst(wait, Effect.andThen(follow, Effect.never))
  })
