/**
 * The one view of a registry, which all its watches share. It exists while there is a watch, and for some time after a
 * list (docs/protocols/registry.md, R24).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RcRef from "effect/RcRef"
import * as Scope from "effect/Scope"
import { forkReported } from "../fibers.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Access } from "./access.ts"
import * as view from "./view.ts"

/** How long a list keeps the view: the next list knows then what was live, also if its records are old or lost. */
const keptFor = Duration.seconds(30)

/** How long lists create no view after one has failed: a process without the right to watch lists without a view. */
const pauseAfterFailure = Duration.seconds(5)

export interface SharedView {
  /** The view until the scope closes. It is created if there is none. */
  readonly get: Effect.Effect<view.RegistryView, never, Scope.Scope>
  /** The view, if there is one. */
  readonly current: () => view.RegistryView | undefined
  /** Creates the view if there is none, and keeps it for some time. Does not wait for its snapshot. */
  readonly keep: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*(
  access: Access,
  heartbeat: Duration.Duration
): Effect.fn.Return<SharedView, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  let current: view.RegistryView | undefined
  const opened = (made: view.RegistryView) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        current = made
        return made
      }),
      () =>
        Effect.sync(() => {
          if (current === made) current = undefined
        })
    )
  // After the view has failed, all its subscribers fail, and the next one creates a new view.
  const onFailed = Effect.suspend(() => {
    current = undefined
    return RcRef.invalidate(shared)
  })
  const shared: RcRef.RcRef<view.RegistryView> = yield* RcRef.make({
    acquire: Effect.flatMap(view.make(access, Duration.toMillis(heartbeat), onFailed), opened)
  })

  let keptUntil = Number.NEGATIVE_INFINITY
  let isKept = false
  let nextAt = Number.NEGATIVE_INFINITY
  const left = () => keptUntil - monotonicMillis(clock)
  const wait: Effect.Effect<void> = Effect.suspend(() =>
    left() > 0 ? Effect.andThen(Effect.sleep(wholeMillis(left())), wait) : Effect.void
  )
  const pause = () => {
    nextAt = monotonicMillis(clock) + Duration.toMillis(pauseAfterFailure)
  }
  const keeping = Effect.scoped(
    Effect.flatMap(RcRef.get(shared), ({ ended }) => Effect.raceFirst(wait, Effect.map(ended, pause)))
  ).pipe(
    Effect.ensuring(Effect.sync(() => {
      isKept = false
    }))
  )
  const keep = Effect.suspend(() => {
    keptUntil = monotonicMillis(clock) + Duration.toMillis(keptFor)
    if (isKept || monotonicMillis(clock) < nextAt) return Effect.void
    isKept = true
    return Effect.asVoid(Scope.provide(forkReported("Registry", "the view of a list", keeping), scope))
  })
  return { get: RcRef.get(shared), current: () => current, keep }
})
