/**
 * The registrations of this process, for `Registry.status` and `Registry.heartbeat`.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { RegistrationStatus } from "../../Registry.ts"
import type { OwnRecord } from "./ownRecord.ts"

interface Entry {
  readonly own: OwnRecord
  /** When the last heartbeat was stored, in milliseconds since 1970 by the clock of this host. */
  lastHeartbeat: number | undefined
}

export class Registrations {
  private readonly all = new Set<Entry>()

  /** Adds a registration until the scope closes. */
  add(own: OwnRecord): Effect.Effect<Entry, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const entry: Entry = { own, lastHeartbeat: undefined }
        this.all.add(entry)
        return entry
      }),
      (entry) => Effect.sync(() => this.all.delete(entry))
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
