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
  /** When the last heartbeat was stored, in milliseconds since 1970 by the clock of this host. */
  lastHeartbeat: number | undefined
}

export class Registrations {
  private readonly all = new Set<Entry>()
  /** By a scope that closes: the registrations that leave. */
  private readonly leaving = new Map<Scope.Scope, ReadonlyArray<Fiber.Fiber<void>>>()
  readonly visibilities: Visibilities

  constructor(bucket: string) {
    this.visibilities = new Visibilities(bucket)
  }

  /** Adds a registration until the scope closes, then calls `leave`. One finalizer for both needs less memory. */
  add(own: OwnRecord, owner: Scope.Scope, leave: () => Effect.Effect<void>): Effect.Effect<Entry, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.map(Effect.context<never>(), (context) => {
        const entry: Entry = {
          own,
          owner,
          leave,
          context,
          visibility: new Current<Visibility>(visible),
          lastHeartbeat: undefined,
          lastFailure: undefined,
          counted: undefined
        }
        this.all.add(entry)
        return entry
      }),
      (entry) => this.end(entry)
    )
  }

  /**
   * Lets a registration leave, and waits for it. If the scope of its owner closes, whose finalizers run one after the other, the
   * last one waits for all: so they leave at once, but each in its turn, after what its owner has added since, such as a drain.
   */
  private end(entry: Entry): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { owner } = entry
      if (!this.all.delete(entry)) return Effect.void
      const left = Effect.andThen(this.visibilities.end(entry), Effect.suspend(entry.leave)).pipe(
        Effect.provideContext(entry.context)
      )
      return Effect.flatMap(Effect.forkDetach(left), (fiber) => {
        const leaving = [...this.leaving.get(owner) ?? [], fiber]
        const isLast = owner.state._tag !== "Closed" || !Array.from(this.all).some((other) => other.owner === owner)
        if (!isLast) {
          this.leaving.set(owner, leaving)
          return Effect.void
        }
        this.leaving.delete(owner)
        return Effect.asVoid(Fiber.joinAll(leaving))
      })
    })
  }

  /** Lets all registrations leave: those of fibers that end only after the layers that they use. */
  readonly endAll: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach([...this.all], (entry) => this.end(entry), { concurrency: "unbounded", discard: true })
  )

  /** The record of a registration that has not ended. */
  find(key: string): OwnRecord | undefined {
    for (const { own } of this.all) if (own.key === key && !own.isOver) return own
    return undefined
  }

  /** The stored records of registrations that have not ended: several if one of this process has replaced another. */
  stored(key: string): ReadonlyArray<OwnRecord> {
    return Array.from(this.all, ({ own }) => own).filter((own) => own.key === key && own.mayBeStored && !own.isOver)
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
