/**
 * The registrations of this process, for `Registry.status`, `Registry.heartbeat` and their visibility.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { RegistrationStatus, Visibility } from "../../Registry.ts"
import { Current } from "../broadcast.ts"
import type { OwnRecord } from "./ownRecord.ts"
import { type Followed, Visibilities, visible } from "./visibility.ts"

interface Entry extends Followed {
  /** The scope of the caller of `register`. */
  readonly owner: Scope.Scope
  readonly leave: () => Effect.Effect<void>
  /** Leaves, once that has begun. */
  leaving: Fiber.Fiber<void> | undefined
  /** When the last heartbeat was stored, in milliseconds since 1970 by the clock of this host. */
  lastHeartbeat: number | undefined
}

export class Registrations {
  private readonly all = new Set<Entry>()
  readonly visibilities = new Visibilities()

  /** Adds a registration until the scope closes, then calls `leave`. One finalizer for both needs less memory. */
  add(own: OwnRecord, owner: Scope.Scope, leave: () => Effect.Effect<void>): Effect.Effect<Entry, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.map(Effect.context<never>(), (context) => {
        const entry: Entry = {
          own,
          owner,
          leave,
          leaving: undefined,
          context,
          visibility: new Current<Visibility>(visible),
          lastHeartbeat: undefined,
          lastFailure: undefined
        }
        this.all.add(entry)
        return entry
      }),
      (entry) => this.end(entry)
    )
  }

  /**
   * Waits until a registration has left. If the scope of its owner closes, all of that scope leave at once: its finalizers
   * run one after the other, and hundreds would take longer than a process has.
   */
  private end(entry: Entry): Effect.Effect<void> {
    return Effect.suspend(() => {
      const isLast = entry.owner.state._tag === "Closed"
      const ending = isLast ? Array.from(this.all).filter(({ owner }) => owner === entry.owner) : [entry]
      return Effect.andThen(
        Effect.forEach(ending, (one) => this.begin(one), { discard: true }),
        Effect.suspend(() => entry.leaving === undefined ? Effect.void : Fiber.join(entry.leaving))
      )
    })
  }

  private begin(entry: Entry): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.all.delete(entry)) return Effect.void
      const left = Effect.andThen(this.visibilities.end(entry), Effect.suspend(entry.leave))
      return Effect.map(Effect.forkDetach(Effect.provideContext(left, entry.context)), (fiber) => {
        entry.leaving = fiber
      })
    })
  }

  /** The record of a registration that has not ended. */
  find(key: string): OwnRecord | undefined {
    for (const { own } of this.all) if (own.key === key && !own.isOver) return own
    return undefined
  }

  readonly status: Effect.Effect<ReadonlyArray<RegistrationStatus>> = Effect.sync(() =>
    // A registration that was lost is left out once its instance is registered again.
    Array.from(this.all).filter(({ own }) => !own.isOver || this.find(own.key) === undefined).map((
      { lastHeartbeat, own: { instance, isOver } }
    ) => ({
      serviceName: instance.serviceName,
      instanceId: instance.instanceId,
      isRegistered: lastHeartbeat !== undefined && !isOver,
      status: instance.status,
      lastHeartbeat: Option.map(Option.fromUndefinedOr(lastHeartbeat), (millis) => DateTime.makeUnsafe(millis))
    }))
  )
}
