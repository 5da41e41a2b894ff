/**
 * The live instances of a registry, built from one watch of the store
 * (docs/protocols/registry.md, R24 to R26). `viewState.ts` decides; this module applies
 * the events of the store, the reach of the store, and a timer. Each subscriber receives
 * the current instances, then `Ready`, then the changes.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVEntry, KVEvent } from "../../KVStore.ts"
import { KVStoreError, Unavailable } from "../../KVStoreError.ts"
import type { RegistryEvent } from "../../Registry.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { Broadcast } from "../broadcast.ts"
import { forkReported } from "../fibers.ts"
import { annotate } from "../logs.ts"
import { reachabilityOf } from "../reachability.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Access } from "./access.ts"
import { reduce } from "./backlog.ts"
import { HeartbeatText } from "./heartbeatText.ts"
import { isLegacyKey } from "./keys.ts"
import { type Aged, ages } from "./outages.ts"
import type { InstanceRecord, Names } from "./record.ts"
import { InstanceCounts, logExpired } from "./reports.ts"
import { reconnecting } from "./schedule.ts"
import { type Dead, View, type ViewChange } from "./viewState.ts"

interface Known {
  readonly live: Iterable<readonly [key: string, known: { readonly names: Names }]>
  readonly dead: Iterable<readonly [key: string, Dead]>
}

export interface RegistryView {
  readonly watch: (serviceName: string | undefined) => Stream.Stream<RegistryEvent, KVStoreError>
  /** Whether the instance of a key is live in this view, also if its record is old because the process or the store was away. */
  readonly isLive: (key: string) => boolean
  /** The keys of the live instances. */
  readonly keys: () => Iterable<string>
  /** The live instance of a key. */
  readonly find: (key: string) => ServiceInstance | undefined
  /** Whether this view could not hear of the instances until a moment ago: it judges none of them yet. */
  readonly isUncertain: () => boolean
  /** The keys of the live instances, and the other stored records; undefined while the view may not judge. */
  readonly known: () => Known | undefined
  /** This process has removed a record: the message of it comes later. */
  readonly removed: (key: string) => void
  /** Waits until a part of the view has failed. */
  readonly ended: Effect.Effect<void>
}

const removalReasons = { delete: "deregistered", purge: "cleanedUp", expire: "expired", reset: "reset" } as const

/** State shared by the watch, the timer and the subscribers of one view. */
interface Shared {
  readonly access: Access
  readonly clock: Clock.Clock
  readonly view: View
  readonly changes: Broadcast<ViewChange>
  /** Succeeds once the snapshot has been read. */
  readonly ready: Deferred.Deferred<void, KVStoreError>
  /** Fails once a part of the view has ended. */
  readonly failed: Deferred.Deferred<never, KVStoreError>
  readonly alarm: Alarm
  readonly counts: InstanceCounts
}

/**
 * Gives a change to the subscribers, at once: two parts of the view make changes, whose order must not depend on when an effect
 * runs. The effect counts it.
 */
const publish = ({ changes, counts }: Shared, change: ViewChange | undefined): Effect.Effect<void> => {
  if (change === undefined) return Effect.void
  changes.publish(change)
  const { event } = change
  const before = event._tag === "Changed" ? event.previous : event._tag === "Down" ? event.instance : undefined
  const after = event._tag === "Down" ? undefined : event.instance
  return counts.change(before, after)
}

/** Sleep of the timer until the next expiry. A change of the view can wake it. */
class Alarm {
  private dueAt = Number.POSITIVE_INFINITY
  private readonly earlier = Latch.makeUnsafe(false)

  /** Wakes the timer at once if it sleeps beyond `time`. */
  noLaterThan(time: number): void {
    if (time < this.dueAt) this.earlier.openUnsafe()
  }

  /** Wakes the timer at once: its time may have moved. */
  wake(): void {
    this.earlier.openUnsafe()
  }

  /**
   * Sleeps until after `dueAt` (`undefined`: without end), or until it is woken. Returns by how many milliseconds it is
   * late.
   */
  sleep(dueAt: number | undefined, clock: Clock.Clock): Effect.Effect<number> {
    return Effect.suspend(() => {
      this.dueAt = dueAt ?? Number.POSITIVE_INFINITY
      this.earlier.closeUnsafe()
      if (dueAt === undefined) return Effect.as(this.earlier.await, 0)
      const now = monotonicMillis(clock)
      const wakeAt = Math.max(dueAt, now) + 1
      const due = Effect.map(Effect.sleep(wholeMillis(wakeAt - now)), () => monotonicMillis(clock) - wakeAt)
      return Effect.raceFirst(due, Effect.as(this.earlier.await, 0))
    })
  }
}

/** A record, and what recognises the next heartbeats of its owner. */
interface Received extends Aged {
  readonly revision: number
  readonly text: HeartbeatText | undefined
}

/** Applies the records of the store to the view. */
const receiving = (shared: Shared) => {
  const { access, alarm, clock, view } = shared
  /** The records of the snapshot. They are judged together, because they can show an outage. */
  const snapshot = new Map<string, Received>()

  const seen = (key: string, received: Received, age: number): Effect.Effect<void> => {
    const { maxAge, record: { instance, nonce }, revision, text } = received
    const now = monotonicMillis(clock)
    const overwritten = isLegacyKey(key) ? view.overwritten(key, instance) : undefined
    if (overwritten !== undefined) {
      const counted = publish(shared, overwritten)
      return Effect.andThen(counted, Effect.suspend(() => seen(key, received, age)))
    }
    const isKnown = view.live.has(key)
    const change = view.seen(key, { instance, nonce, maxAge, age, revision, text }, now)
    const counted = publish(shared, change)
    // The fiber of the timer runs at once, and can find the new instance expired.
    if (!isKnown) alarm.noLaterThan(view.expiryOf(key, now))
    return counted
  }

  const onRecord = ({ key, revision, value }: KVEntry, record: InstanceRecord) => {
    // AegisSDK writes times in another form: each of its heartbeats is decoded.
    const text = record.isLegacy === true ? undefined : HeartbeatText.of(value)
    const received = { ...access.aged(record), revision, text }
    if (view.phase._tag !== "Loading") return seen(key, received, access.ageOf(record))
    snapshot.set(key, received)
    return Effect.void
  }

  /** Returns what is left to do; undefined for nothing, as after most heartbeats, and for a key of no instance. */
  const onPut = (entry: KVEntry, now: number): Effect.Effect<unknown> | undefined => {
    if (!access.keys.mayBeOf(entry.key, undefined)) return undefined
    const sent = view.heartbeatIn(entry.key, entry.value)
    if (sent === undefined) {
      return Result.match(access.decode(entry), {
        onFailure: (cause) => {
          snapshot.delete(entry.key)
          view.unreadable(entry.key, entry.revision, entry.created)
          return access.reportUndecodable(entry, cause)
        },
        onSuccess: (record) => onRecord(entry, record)
      })
    }
    const lastHeartbeat = access.heartbeatAt(entry, sent)
    const { key, revision } = entry
    view.beat(key, { lastHeartbeat, revision, age: access.ageAt(lastHeartbeat) }, now)
    return undefined
  }

  const judgeSnapshot = Effect.suspend(() => {
    const records = [...snapshot]
    snapshot.clear()
    const ageOf = ages(records.map(([, one]) => one), access.now())
    return Effect.forEach(records, ([key, one]) => seen(key, one, ageOf(one)), { discard: true })
  })

  return { snapshot, onPut, judgeSnapshot }
}

/** Applies events one after the other, with what each leaves to do. Most heartbeats leave nothing, and take no step of a fiber. */
const inOrder = <A>(onEvent: (event: A) => Effect.Effect<unknown> | undefined) => (events: ReadonlyArray<A>) => {
  let at = 0
  const rest = (): Effect.Effect<unknown> => {
    while (at < events.length) {
      const left = onEvent(events[at++]!)
      if (left !== undefined) return Effect.flatMap(left, rest)
    }
    return Effect.void
  }
  return Effect.suspend(rest)
}

/** Applies the events of the store to the view. Fails when the watch ends. */
const follow = (shared: Shared): Effect.Effect<void, KVStoreError> => {
  const { access, alarm, clock, ready, view } = shared
  const { judgeSnapshot, onPut, snapshot } = receiving(shared)

  const onRemoved = ({ key, reason, revision }: Extract<KVEvent, { readonly _tag: "Removed" }>) => {
    snapshot.delete(key)
    // After a reset of the bucket live instances register again within a heartbeat; the timer removes the others (R26).
    return publish(shared, view.removed(key, removalReasons[reason], revision))
  }

  const onEvent = (event: KVEvent): Effect.Effect<unknown> | undefined => {
    const now = monotonicMillis(clock)
    switch (event._tag) {
      case "Put":
        view.heard(event.entry.revision, now)
        return onPut(event.entry, now)
      case "Removed":
        view.heard(event.revision, now)
        return onRemoved(event)
      case "Ready":
        return Effect.andThen(
          judgeSnapshot,
          Effect.suspend(() => {
            view.loaded()
            alarm.wake()
            return Deferred.succeed(ready, undefined)
          })
        )
      case "Undecodable":
        return undefined
    }
  }

  return Effect.andThen(
    Stream.runForEachArray(access.store.watch(access.keys.filter(undefined)), inOrder(onEvent)),
    Effect.suspend(() => Effect.fail(ended(access)))
  )
}

/**
 * A part of the view that runs in the background. If it ends, for whatever cause, the view is given to no new subscriber, and its
 * subscribers fail. A defect is logged, too.
 */
const guarded = (
  { failed, ready }: Shared,
  onFailed: Effect.Effect<void>,
  part: Effect.Effect<unknown, KVStoreError>
): Effect.Effect<void> =>
  Effect.asVoid(part).pipe(
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : onFailed.pipe(
          Effect.andThen(Deferred.failCause(ready, cause)),
          Effect.andThen(Deferred.failCause(failed, cause)),
          Effect.andThen(Cause.hasDies(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.void)
        )
    )
  )

/** The error of a watch that ended without one, as that of a test's store can. */
const ended = (access: Access): KVStoreError =>
  new KVStoreError({
    bucket: access.store.config.bucket,
    operation: "watch",
    key: [access.keys.filter(undefined)].flat().join(", "),
    reason: new Unavailable({ problem: "the watch has ended" })
  })

/** A timer that is late by this much did not run while messages arrived: they are read first. */
const noticeablyLate = 50

/** The time that they have for it. */
const readFirst = Duration.millis(250)

/** How often a store that does not answer is asked again. */
const askAgain = Duration.seconds(1)

/**
 * No instance has been heard of for half of maxAge: asks the store. If its leader answers and has received nothing either,
 * the instances are silent. Otherwise it may be the store, so ages do not advance until something is heard, or for maxAge after
 * the leader has answered.
 */
const explain = ({ access, clock, view }: Shared): Effect.Effect<void> =>
  Effect.gen(function*() {
    // Without a leader any node answers, and the store accepts no heartbeats.
    const ask = Effect.map(
      Effect.option(Effect.timeout(access.store.status, askAgain)),
      Option.filter(({ hasLeader }) => hasLeader)
    )
    let answer = yield* ask
    if (Option.isSome(answer) && answer.value.lastRevision <= view.lastRevision) return view.explained()
    view.suspected()
    yield* Effect.logWarning(suspectedLine)
    let left = access.maxAge
    // A message ends the suspicion, and so does a connection that was lost and is back.
    while (view.phase._tag === "CutOff" && Duration.isPositive(left)) {
      yield* Effect.sleep(askAgain)
      if (Option.isNone(answer)) answer = yield* ask
      else left = Duration.subtract(left, askAgain)
    }
    view.unsuspected(monotonicMillis(clock))
  })

const suspectedLine =
  "no heartbeat of any instance for half of maxAge, and the store does not explain it: no instance expires"

/** Removes the instances from the view that have sent no heartbeat for maxAge of connected time. */
const expire = (shared: Shared, longestPause: number): Effect.Effect<never> =>
  Effect.gen(function*() {
    const { alarm, clock, view } = shared
    while (true) {
      const late = yield* alarm.sleep(view.nextWake(monotonicMillis(clock)), clock)
      const now = monotonicMillis(clock)
      if (late > longestPause) {
        view.paused(now - late, now)
        continue
      }
      if (late > noticeablyLate) yield* Effect.sleep(readFirst)
      if (view.isSilent(monotonicMillis(clock))) yield* explain(shared)
      const expired = view.expire(monotonicMillis(clock))
      const counted = expired.map((change) => publish(shared, change))
      // One that is live by its other record is not expired.
      yield* logExpired(expired.flatMap(({ event }) => event._tag === "Down" ? [event.instance] : []))
      for (const count of counted) yield* count
    }
  })

/** Stops and continues the ages of the view with the reach of the store. */
const followReach = ({ access, alarm, clock, view }: Shared): Effect.Effect<void> =>
  Stream.runForEach(reachabilityOf(access.store), ({ _tag, at }) =>
    Effect.suspend(() => {
      const { phase } = view
      if (_tag === "Unreachable") view.cutOff(at)
      else view.back(monotonicMillis(clock))
      alarm.wake()
      if (_tag === "Unreachable") return phase._tag === "CutOff" ? Effect.void : Effect.logWarning(cutOffLine)
      return phase._tag === "CutOff" ? Effect.logInfo(backLine) : Effect.void
    }))

const cutOffLine = "cut off from the registry: no instance expires until it is followed again"
const backLine = "the registry is followed again: instances have time to send a heartbeat before they expire"

/** The changes that are kept for a slow subscriber as they are. More are reduced (`backlog.ts`). */
const mostPending = 1024

/** Emits `Up` for the current instances, then `Ready`, then the changes. */
const subscribe = (
  { changes, failed, ready, view }: Shared,
  serviceName: string | undefined
): Stream.Stream<RegistryEvent, KVStoreError> => {
  const concerns = (instance: ServiceInstance) => serviceName === undefined || instance.serviceName === serviceName
  return Stream.unwrap(Effect.gen(function*() {
    yield* Deferred.await(ready)
    const subscription = yield* changes.subscribe
    const snapshot = view.instances.filter(concerns)
    const { number } = view
    const known: ReadonlyArray<RegistryEvent> = [
      ...snapshot.map((instance) => ({ _tag: "Up" as const, instance })),
      { _tag: "Ready" }
    ]
    const later: Stream.Stream<RegistryEvent> = subscription.pipe(
      Stream.filter((change) => change.number > number && concerns(change.event.instance)),
      Stream.map((change) => change.event)
    )
    return Stream.concat(Stream.fromIterable(known), Stream.interruptWhen(later, Deferred.await(failed)))
  }))
}

/** A timer of this process that is later than a fraction of a heartbeat shows that the process was paused. */
const longestPauseOf = (heartbeat: number): number => Math.max(500, heartbeat / 4)

export const make = Effect.fnUntraced(function*(
  access: Access,
  heartbeat: number,
  onFailed: Effect.Effect<void>
): Effect.fn.Return<RegistryView, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const maxAge = Duration.toMillis(access.maxAge)
  const { bucket } = access.store.config
  const shared: Shared = {
    access,
    clock,
    view: new View({ maxAge, settling: heartbeat + reconnecting }, monotonicMillis(clock), access.keys),
    changes: new Broadcast<ViewChange>({ from: mostPending, reduce }),
    ready: yield* Deferred.make<void, KVStoreError>(),
    failed: yield* Deferred.make<never, KVStoreError>(),
    alarm: new Alarm(),
    counts: yield* InstanceCounts.make(bucket)
  }
  const annotated = annotate("Registry", { bucket })
  const ended = Effect.asVoid(Effect.exit(Deferred.await(shared.failed)))
  // The other parts end, too: a view without its watch expires no instance.
  const run = (what: string, part: Effect.Effect<unknown, KVStoreError>) =>
    annotated(forkReported("Registry", what, guarded(shared, onFailed, Effect.raceFirst(part, ended))))
  yield* run("the registry's watch", follow(shared))
  yield* run("the registry's timer", expire(shared, longestPauseOf(heartbeat)))
  yield* run("the reach of the registry", followReach(shared))
  return {
    ended,
    watch: (serviceName) => subscribe(shared, serviceName),
    isLive: (key) => shared.view.live.has(key),
    keys: () => shared.view.live.keys(),
    find: (key) => shared.view.live.get(key)?.instance,
    removed: (key) => {
      shared.view.dead.delete(key)
    },
    known: () => shared.view.phase._tag === "Live" ? { live: shared.view.live, dead: shared.view.dead } : undefined,
    isUncertain: () => shared.view.phase._tag === "CutOff" || shared.view.phase._tag === "Settling"
  }
})
