/**
 * Who is alive, from ONE watch: a view that is kept up to date by events, and
 * by a timer of its own that takes away what has been silent for too long. Each
 * subscriber gets the view as it is, then `Ready`, then what changes.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Latch from "effect/Latch"
import * as PubSub from "effect/PubSub"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVEvent } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Access } from "./access.ts"
import type { RegistryEvent } from "./models.ts"
import { changed, type InstanceRecord, keyPrefix } from "./record.ts"

interface Alive {
  readonly instance: ServiceInstance
  /** Monotonic milliseconds, by this observer, after which it is taken for dead. */
  readonly until: number
}

/** A change with its number, so that a subscriber can leave out what its snapshot already has. */
interface RosterChange {
  readonly number: number
  readonly event: Exclude<RegistryEvent, { readonly _tag: "Ready" }>
}

/** Time does not count: a beat that changes nothing else is not news. */
const sameButTime = (a: ServiceInstance, b: ServiceInstance): boolean =>
  Equal.equals(changed(a, { lastHeartbeat: epoch }), changed(b, { lastHeartbeat: epoch }))
const epoch = DateTime.makeUnsafe(0)

export interface RegistryView {
  readonly watch: (serviceName: string | undefined) => Stream.Stream<RegistryEvent, KVStoreError>
}

/** The view and its changes: plain state, one event in, at most one change out. */
export class View {
  readonly alive = new Map<string, Alive>()
  number = 0

  private change(event: RosterChange["event"]): RosterChange {
    return { number: ++this.number, event }
  }

  seen(key: string, instance: ServiceInstance, until: number): RosterChange | undefined {
    const previous = this.alive.get(key)?.instance
    this.alive.set(key, { instance, until })
    if (previous === undefined) return this.change({ _tag: "Up", instance })
    return sameButTime(previous, instance) ? undefined : this.change({ _tag: "Changed", instance, previous })
  }

  gone(key: string, reason: "deregistered" | "expired" | "cleanedUp"): RosterChange | undefined {
    const known = this.alive.get(key)
    if (known === undefined) return undefined
    this.alive.delete(key)
    return this.change({ _tag: "Down", instance: known.instance, reason })
  }

  /** Exactly at its time an instance is still alive. */
  expire(now: number): ReadonlyArray<RosterChange> {
    const due = [...this.alive].filter(([, { until }]) => now > until)
    return due.flatMap(([key]) => this.gone(key, "expired") ?? [])
  }

  nextExpiry(): number | undefined {
    let next: number | undefined
    for (const { until } of this.alive.values()) next = Math.min(next ?? until, until)
    return next
  }
}

const removalReasons = { delete: "deregistered", purge: "cleanedUp", expire: "expired" } as const

export const make = Effect.fnUntraced(function*(access: Access): Effect.fn.Return<RegistryView, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const maxAge = Duration.toMillis(access.maxAge)
  const view = new View()
  const changes = yield* PubSub.unbounded<RosterChange>()
  const ready = yield* Deferred.make<void, KVStoreError>()
  const failed = yield* Deferred.make<never, KVStoreError>()
  const wake = yield* Latch.make(false)
  let wakesAt = Number.POSITIVE_INFINITY
  let isReady = false

  const publish = (change: RosterChange | undefined) =>
    change === undefined ? Effect.void : PubSub.publish(changes, change)

  /** A beat that comes while we watch is young, whatever its age says; one in the snapshot is as old as it is. */
  const onRecord = (key: string, record: InstanceRecord) =>
    Effect.suspend(() => {
      const age = isReady ? 0 : Math.max(0, access.ageOf(record))
      if (age > maxAge) return Effect.void
      const until = monotonicMillis(clock) + maxAge - age
      const change = view.seen(key, record.instance, until)
      // Only now: whom this wakes runs at once, and must find the newcomer.
      if (until < wakesAt) wake.openUnsafe()
      return publish(change)
    })

  const onEvent = (event: KVEvent): Effect.Effect<unknown> => {
    switch (event._tag) {
      case "Put":
        return Result.match(access.decode(event.entry), {
          onFailure: (cause) => Effect.logWarning(`the record ${event.entry.key} does not decode`, cause),
          onSuccess: (record) => onRecord(event.entry.key, record)
        })
      case "Removed":
        // After a reset all that lives registers again within a beat; the timer takes the rest.
        return event.reason === "reset" ? Effect.void : publish(view.gone(event.key, removalReasons[event.reason]))
      case "Ready":
        isReady = true
        return Deferred.succeed(ready, undefined)
      case "Undecodable":
        return Effect.void
    }
  }

  const follow = access.store.watch(`${keyPrefix}.*.*`).pipe(
    Stream.runForEach(onEvent),
    Effect.catch((error) => Effect.andThen(Deferred.fail(ready, error), Deferred.fail(failed, error)))
  )

  const expire = Effect.gen(function*() {
    while (true) {
      for (const change of view.expire(monotonicMillis(clock))) yield* publish(change)
      wakesAt = view.nextExpiry() ?? Number.POSITIVE_INFINITY
      wake.closeUnsafe()
      const due = Number.isFinite(wakesAt)
        ? Effect.sleep(wholeMillis(Math.max(wakesAt - monotonicMillis(clock), 0) + 1))
        : Effect.never
      yield* Effect.raceFirst(due, wake.await)
    }
  })

  yield* forkReported("the registry's watch", follow)
  yield* forkReported("the registry's timer", expire)

  return {
    watch: (serviceName) => {
      const concerns = (instance: ServiceInstance) => serviceName === undefined || instance.serviceName === serviceName
      return Stream.unwrap(Effect.gen(function*() {
        const subscription = yield* PubSub.subscribe(changes)
        yield* Deferred.await(ready)
        const snapshot = [...view.alive.values()].map((alive) => alive.instance).filter(concerns)
        const { number } = view
        const known: ReadonlyArray<RegistryEvent> = [
          ...snapshot.map((instance) => ({ _tag: "Up" as const, instance })),
          { _tag: "Ready" }
        ]
        const later: Stream.Stream<RegistryEvent> = Stream.fromSubscription(subscription).pipe(
          Stream.filter((change) => change.number > number && concerns(change.event.instance)),
          Stream.map((change) => change.event)
        )
        return Stream.concat(Stream.fromIterable(known), Stream.interruptWhen(later, Deferred.await(failed)))
      }))
    }
  }
})
