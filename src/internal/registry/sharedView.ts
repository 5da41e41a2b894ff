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
  const shared: RcRef.RcRef<view.RegistryView> = yield* RcRef.make({
    // After the view has failed, all its subscribers fail, and the next one creates a new view.
    acquire: Effect.flatMap(
      view.make(access, Duration.toMillis(heartbeat), Effect.suspend(() => RcRef.invalidate(shared))),
      opened
    )
  })

  let keptUntil = Number.NEGATIVE_INFINITY
  let isKept = false
  const left = () => keptUntil - monotonicMillis(clock)
  const wait: Effect.Effect<void> = Effect.suspend(() =>
    left() > 0 ? Effect.andThen(Effect.sleep(wholeMillis(left())), wait) : Effect.void
  )
  const keeping = Effect.scoped(Effect.andThen(RcRef.get(shared), wait)).pipe(
    Effect.ensuring(Effect.sync(() => {
      isKept = false
    }))
  )
  const keep = Effect.suspend(() => {
    keptUntil = monotonicMillis(clock) + Duration.toMillis(keptFor)
    if (isKept) return Effect.void
    isKept = true
    return Effect.asVoid(Scope.provide(forkReported("the view of a list", keeping), scope))
  })
  return { get: RcRef.get(shared), current: () => current, keep }
})
