/**
 * The registrations of this process, for `Registry.status`, `Registry.heartbeat` and their visibility.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { RegistrationStatus, Visibility } from "../../Registry.ts"
import { Current } from "../broadcast.ts"
import type { OwnRecord } from "./ownRecord.ts"
import { type Followed, Visibilities, visible } from "./visibility.ts"

interface Entry extends Followed {
  /** When the last heartbeat was stored, in milliseconds since 1970 by the clock of this host. */
  lastHeartbeat: number | undefined
}

export class Registrations {
  private readonly all = new Set<Entry>()
  readonly visibilities = new Visibilities()

  /** Adds a registration until the scope closes, then calls `leave`. One finalizer for both needs less memory. */
  add(own: OwnRecord, leave: () => Effect.Effect<void>): Effect.Effect<Entry, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.map(Effect.context<never>(), (context) => {
        const entry: Entry = {
          own,
          context,
          visibility: new Current<Visibility>(visible),
          lastHeartbeat: undefined,
          lastFailure: undefined
        }
        this.all.add(entry)
        return entry
      }),
      (entry) =>
        Effect.suspend(() => {
          this.all.delete(entry)
          return Effect.andThen(this.visibilities.end(entry), Effect.suspend(leave))
        })
    )
  }

  /** The record of a registration that has not ended. */
  find(key: string): OwnRecord | undefined {
    for (const { own } of this.all) if (own.key === key && !own.isOver) return own
    return undefined
  }

  readonly status: Effect.Effect<ReadonlyArray<RegistrationStatus>> = Effect.sync(() =>
    Array.from(this.all, ({ lastHeartbeat, own: { instance, isOver } }) => ({
      serviceName: instance.serviceName,
      instanceId: instance.instanceId,
      isRegistered: lastHeartbeat !== undefined && !isOver,
      status: instance.status,
      lastHeartbeat: Option.map(Option.fromUndefinedOr(lastHeartbeat), (millis) => DateTime.makeUnsafe(millis))
    }))
  )
}
