/**
 * The live instances of a registry, built from one watch of the store
 * (docs/protocols/registry.md, R24 to R26). Events of the store update the view; a
 * timer removes expired instances. Each subscriber receives the current instances,
 * then `Ready`, then the changes.
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
import type { RegistryEvent } from "../../Registry.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { annotate } from "../logs.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Access } from "./access.ts"
import { changed, type InstanceRecord, keyPrefix } from "./record.ts"
import { InstanceCounts, logExpired } from "./reports.ts"

interface LiveInstance {
  readonly instance: ServiceInstance
  /** The instance is expired after this time: milliseconds of this process's monotonic clock. */
  readonly until: number
}

/** A change with its number. A subscriber skips the changes that its snapshot already contains. */
interface ViewChange {
  readonly number: number
  readonly event: Exclude<RegistryEvent, { readonly _tag: "Ready" }>
}

/** Equality without `lastHeartbeat`: a heartbeat that changes nothing else emits no event. */
const sameButTime = (a: ServiceInstance, b: ServiceInstance): boolean =>
  Equal.equals(changed(a, { lastHeartbeat: epoch }), changed(b, { lastHeartbeat: epoch }))
const epoch = DateTime.makeUnsafe(0)

export interface RegistryView {
  readonly watch: (serviceName: string | undefined) => Stream.Stream<RegistryEvent, KVStoreError>
}

/**
 * The live instances as plain state. Each method applies one event and returns the
 * resulting change. Exported for its test.
 */
export class View {
  readonly live = new Map<string, LiveInstance>()
  number = 0

  private change(event: ViewChange["event"]): ViewChange {
    return { number: ++this.number, event }
  }

  seen(key: string, instance: ServiceInstance, until: number): ViewChange | undefined {
    const previous = this.live.get(key)?.instance
    this.live.set(key, { instance, until })
    if (previous === undefined) return this.change({ _tag: "Up", instance })
    return sameButTime(previous, instance) ? undefined : this.change({ _tag: "Changed", instance, previous })
  }

  gone(key: string, reason: "deregistered" | "expired" | "cleanedUp"): ViewChange | undefined {
    const known = this.live.get(key)
    if (known === undefined) return undefined
    this.live.delete(key)
    return this.change({ _tag: "Down", instance: known.instance, reason })
  }

  /** Removes the instances whose `until` is before `now`. At exactly `until` an instance is still live. */
  expire(now: number): ReadonlyArray<ViewChange> {
    const due = [...this.live].filter(([, { until }]) => now > until)
    return due.flatMap(([key]) => this.gone(key, "expired") ?? [])
  }

  nextExpiry(): number | undefined {
    let next: number | undefined
    for (const { until } of this.live.values()) next = Math.min(next ?? until, until)
    return next
  }
}

const removalReasons = { delete: "deregistered", purge: "cleanedUp", expire: "expired" } as const

/** State shared by the watch, the timer and the subscribers of one view. */
interface Shared {
  readonly access: Access
  readonly clock: Clock.Clock
  readonly view: View
  readonly changes: PubSub.PubSub<ViewChange>
  /** Succeeds once the snapshot has been read. */
  readonly ready: Deferred.Deferred<void, KVStoreError>
  /** Fails once the watch of the store has failed. */
  readonly failed: Deferred.Deferred<never, KVStoreError>
  readonly alarm: Alarm
  readonly counts: InstanceCounts
}

const publish = ({ changes, counts }: Shared, change: ViewChange | undefined) => {
  if (change === undefined) return Effect.void
  const { event } = change
  const before = event._tag === "Changed" ? event.previous : event._tag === "Down" ? event.instance : undefined
  const after = event._tag === "Down" ? undefined : event.instance
  return Effect.andThen(counts.change(before, after), PubSub.publish(changes, change))
}

/** Sleep of the timer until the next expiry. An earlier expiry wakes it. */
class Alarm {
  private dueAt = Number.POSITIVE_INFINITY
  private readonly earlier = Latch.makeUnsafe(false)

  /** Wakes the timer at once if it sleeps beyond `time`. */
  noLaterThan(time: number): void {
    if (time < this.dueAt) this.earlier.openUnsafe()
  }

  /** Sleeps until `dueAt` (`undefined`: without end), or until `noLaterThan` wakes it. */
  sleep(dueAt: number | undefined, clock: Clock.Clock): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.dueAt = dueAt ?? Number.POSITIVE_INFINITY
      this.earlier.closeUnsafe()
      const due = dueAt === undefined
        ? Effect.never
        : Effect.sleep(wholeMillis(Math.max(dueAt - monotonicMillis(clock), 0) + 1))
      return Effect.raceFirst(due, this.earlier.await)
    })
  }
}

/** Applies the events of the store to the view. `onFailed` runs before the subscribers fail. */
const follow = (shared: Shared, onFailed: Effect.Effect<void>): Effect.Effect<void> => {
  const { access, alarm, clock, failed, ready, view } = shared
  const maxAge = Duration.toMillis(access.maxAge)
  let isReady = false

  /** A heartbeat received after the snapshot has age 0; a record of the snapshot keeps its age (R25). */
  const onRecord = (key: string, record: InstanceRecord) =>
    Effect.suspend(() => {
      const age = isReady ? 0 : Math.max(0, access.ageOf(record))
      if (age > maxAge) return Effect.void
      const until = monotonicMillis(clock) + maxAge - age
      const change = view.seen(key, record.instance, until)
      // Wake the timer after the update: its fiber runs immediately and must see the new instance.
      alarm.noLaterThan(until)
      return publish(shared, change)
    })

  const onEvent = (event: KVEvent): Effect.Effect<unknown> => {
    switch (event._tag) {
      case "Put":
        return Result.match(access.decode(event.entry), {
          onFailure: (cause) => access.reportUndecodable(event.entry, cause),
          onSuccess: (record) => onRecord(event.entry.key, record)
        })
      case "Removed":
        // After a reset of the bucket live instances register again within a heartbeat; the timer removes the others
        // (R26).
        return event.reason === "reset"
          ? Effect.void
          : publish(shared, view.gone(event.key, removalReasons[event.reason]))
      case "Ready":
        isReady = true
        return Deferred.succeed(ready, undefined)
      case "Undecodable":
        return Effect.void
    }
  }

  return access.store.watch(`${keyPrefix}.*.*`).pipe(
    Stream.runForEach(onEvent),
    Effect.catch((error) =>
      Effect.andThen(onFailed, Effect.andThen(Deferred.fail(ready, error), Deferred.fail(failed, error)))
    )
  )
}

/** Removes the instances from the view that have sent no heartbeat for maxAge. */
const expire = (shared: Shared): Effect.Effect<never> =>
  Effect.gen(function*() {
    const { access, alarm, clock, view } = shared
    while (true) {
      const expired = view.expire(monotonicMillis(clock))
      yield* logExpired(expired.map(({ event }) => event.instance), Duration.format(access.maxAge))
      for (const change of expired) yield* publish(shared, change)
      yield* alarm.sleep(view.nextExpiry(), clock)
    }
  })

/** Emits `Up` for the current instances, then `Ready`, then the changes. */
const subscribe = (
  { changes, failed, ready, view }: Shared,
  serviceName: string | undefined
): Stream.Stream<RegistryEvent, KVStoreError> => {
  const concerns = (instance: ServiceInstance) => serviceName === undefined || instance.serviceName === serviceName
  return Stream.unwrap(Effect.gen(function*() {
    const subscription = yield* PubSub.subscribe(changes)
    yield* Deferred.await(ready)
    const snapshot = [...view.live.values()].map(({ instance }) => instance).filter(concerns)
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

export const make = Effect.fnUntraced(function*(
  access: Access,
  onFailed: Effect.Effect<void>
): Effect.fn.Return<RegistryView, never, Scope.Scope> {
  const { bucket } = access.store.config
  const shared: Shared = {
    access,
    clock: yield* Clock.Clock,
    view: new View(),
    changes: yield* PubSub.unbounded<ViewChange>(),
    ready: yield* Deferred.make<void, KVStoreError>(),
    failed: yield* Deferred.make<never, KVStoreError>(),
    alarm: new Alarm(),
    counts: yield* InstanceCounts.make(bucket)
  }
  const annotated = annotate("Registry", { bucket })
  yield* annotated(forkReported("the registry's watch", follow(shared, onFailed)))
  yield* annotated(forkReported("the registry's timer", expire(shared)))
  return { watch: (serviceName) => subscribe(shared, serviceName) }
})
