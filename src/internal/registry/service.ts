/**
 * The implementation of the `Registry` service: checks options and names, reads
 * records, and combines the other modules (docs/protocols/registry.md, R19, R23, R24).
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RcRef from "effect/RcRef"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVEntry, KVStore } from "../../KVStore.ts"
import type { Options, RegisterOptions, Registration, Registry } from "../../Registry.ts"
import { RegistryError, type RegistryReason, UndecodableValue } from "../../RegistryError.ts"
import { InstanceId, type ServiceInstance } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { makeIdSuffix, makeNonce } from "../identity.ts"
import { makeLeaveBudget } from "../leaving.ts"
import { reachabilityOf } from "../reachability.ts"
import { recordLimit } from "../storedJson.ts"
import { monotonicMillis } from "../time.ts"
import * as accessTo from "./access.ts"
import * as cleanup from "./cleanup.ts"
import { repeated } from "./cleanups.ts"
import { type ByHand, makeHeartbeat } from "./heartbeat.ts"
import type { Leaving } from "./leave.ts"
import * as options from "./options.ts"
import { ages } from "./outages.ts"
import * as record from "./record.ts"
import * as registration from "./registration.ts"
import { Registrations } from "./registrations.ts"
import { remove } from "./removal.ts"
import { attemptTimeout, intervalOf } from "./schedule.ts"
import * as view from "./view.ts"

type Service = Registry["Service"]

const failure = (operation: string) => (reason: RegistryReason) => new RegistryError({ operation, reason })

/** Turns the result of reading options into an effect that fails as the operation does. */
const accepted = <A>(operation: string, result: Result.Result<A, RegistryReason>) =>
  Effect.mapError(Effect.fromResult(result), failure(operation))

/** Order by id. The order of the store may depend on the times of the last heartbeats. */
const byId = (a: ServiceInstance, b: ServiceInstance): number =>
  a.instanceId < b.instanceId ? -1 : a.instanceId > b.instanceId ? 1 : 0

/** The keys of a service. */
const ofService = (name: string): string => `${record.keyPrefix}.${name}.*`

/** Values that the parts of one registry share. */
interface Parts {
  readonly access: accessTo.Access
  readonly clock: Clock.Clock
  readonly times: options.RegistryTimings
  readonly leaving: Leaving
  readonly registrations: Registrations
  readonly byHand: ByHand
  /** Identifies the records that `heartbeat` of this registry writes. */
  readonly nonce: string
}

/** `isKept`: whether a view of this process keeps an instance whose record is old, because it could not be heard of. */
const reading = ({ access }: Parts, isKept: (key: string) => boolean) => {
  const { store } = access

  /**
   * The records of live instances among all that are known of their services. A read with its own maxAge judges by age
   * alone.
   */
  const live = (
    records: ReadonlyArray<record.InstanceRecord>,
    maxAge: Duration.Duration | undefined
  ): ReadonlyArray<record.InstanceRecord> => {
    if (maxAge !== undefined) return records.filter((one) => !access.expired(one, maxAge))
    const all = records.map(access.aged)
    const ageOf = ages(all, access.now())
    return all
      .filter((one) => ageOf(one) <= one.maxAge || isKept(record.keyOf(one.record.instance)))
      .map((one) => one.record)
  }

  /** Logs a record that does not decode and skips it, so that the other records are returned. */
  const decodeOrLog = (entry: KVEntry) =>
    Result.match(access.decode(entry), {
      onFailure: (cause) => Effect.as(access.reportUndecodable(entry, cause), []),
      onSuccess: (decoded) => Effect.succeed([decoded])
    })

  const recordsOf = (filter: string) =>
    Effect.map(
      Effect.flatMap(store.entries(filter), (entries) => Effect.forEach(entries, decodeOrLog)),
      (records) => records.flat()
    )

  const read = Effect.fnUntraced(function*(operation: string, filter: string, readOptions: unknown) {
    const { includeExpired, maxAge } = yield* accepted(operation, options.toReadOptions(readOptions))
    const records = yield* Effect.mapError(recordsOf(filter), failure(operation))
    return (includeExpired ? records : live(records, maxAge)).map(({ instance }) => instance).toSorted(byId)
  })

  const get: Service["get"] = Effect.fnUntraced(function*(serviceName, instanceId, readOptions) {
    const names = yield* accepted("get", options.toNames(serviceName, instanceId))
    const { includeExpired, maxAge } = yield* accepted("get", options.toReadOptions(readOptions))
    const entry = yield* Effect.mapError(store.get(record.keyOf(names), { fromLeader: true }), failure("get"))
    if (Option.isNone(entry)) return Option.none()
    const found = yield* accepted(
      "get",
      Result.mapError(
        access.decode(entry.value),
        (cause) => new UndecodableValue({ revision: entry.value.revision, cause })
      )
    )
    const { instance } = found
    if (includeExpired || live([found], maxAge).length > 0) return Option.some(instance)
    if (maxAge !== undefined) return Option.none()
    // The records of the other instances show whether there was an outage.
    const records = yield* Effect.mapError(recordsOf(ofService(names.serviceName)), failure("get"))
    const others = records.filter((one) => one.instance.instanceId !== names.instanceId)
    return live([found, ...others], undefined).includes(found) ? Option.some(instance) : Option.none()
  })

  const list: Service["list"] = (serviceName, readOptions) =>
    Effect.flatMap(
      accepted("list", options.toServiceName(serviceName)),
      (name) => read("list", ofService(name), readOptions)
    )

  const listAll: Service["listAll"] = (readOptions) =>
    Effect.map(
      read("listAll", `${record.keyPrefix}.*.*`, readOptions),
      (instances) => Map.groupBy(instances, (instance): string => instance.serviceName)
    )

  return { get, list, listAll }
}

/** Reads an instance from options, with the current time, and checks that its record fits into the bucket. */
const toInstance = Effect.fnUntraced(function*({ access, nonce }: Parts, given: unknown, id: "required" | "optional") {
  const fields = yield* Effect.fromResult(options.toInstanceFields(given, id))
  const instance = record.toInstance({
    ...fields,
    instanceId: fields.instanceId ?? InstanceId.make(`${fields.serviceName}-${yield* makeIdSuffix}`),
    lastHeartbeat: yield* DateTime.now,
    startedAt: DateTime.makeUnsafe(access.now())
  })
  // The record has all times after a missed heartbeat, and must fit then, too.
  const times = { maxAge: Duration.toMillis(access.maxAge), streakSince: 0, streakAfter: 0 }
  const composed = { instance, nonce, rest: {}, times }
  yield* Effect.fromResult(record.toBytes(composed, recordLimit(access.store.config)))
  return instance
})

/** The operations `register` and `heartbeat`. */
const registering = (parts: Parts) => {
  const { access, byHand, times } = parts

  const register: Service["register"] = Effect.fnUntraced(function*(given, registerOptions) {
    const instance = yield* Effect.mapError(toInstance(parts, given, "optional"), failure("register"))
    const { heartbeat, onDuplicate } = yield* accepted("register", options.toRegisterOptions(registerOptions, times))
    const ownNonce = yield* makeNonce
    return yield* registration.make({
      access,
      instance,
      nonce: ownNonce,
      heartbeat,
      onDuplicate,
      leaving: parts.leaving,
      registrations: parts.registrations
    })
  })

  const heartbeat: Service["heartbeat"] = (given) =>
    Effect.mapError(Effect.flatMap(toInstance(parts, given, "required"), byHand.heartbeat), failure("heartbeat"))

  return { register, heartbeat }
}

const deregistering = ({ access, byHand }: Parts, isUncertain: () => boolean) => {
  const deregister: Service["deregister"] = Effect.fnUntraced(function*(instance, deregisterOptions) {
    const { lastHeartbeat, ...names } = yield* accepted("deregister", options.toInstanceRef(instance))
    const given = yield* accepted("deregister", options.toDeregisterOptions(deregisterOptions))
    const key = record.keyOf(names)
    const removal = yield* Effect.mapError(
      remove(access, key, isUncertain, { ...given, lastHeartbeat }),
      failure("deregister")
    )
    if (removal === "deregistered") yield* byHand.deregistered(key)
    return removal !== "kept"
  })
  return { deregister }
}

/** The operation `watch`. All watches share one view, which exists while there is a watch. */
const watching = Effect.fnUntraced(function*({ access, times: { heartbeat, maxAge } }: Parts) {
  let open: view.RegistryView | undefined
  const keep = (made: view.RegistryView) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        open = made
        return made
      }),
      () =>
        Effect.sync(() => {
          if (open === made) open = undefined
        })
    )
  const shared: RcRef.RcRef<view.RegistryView> = yield* RcRef.make({
    // After the view has failed, all its subscribers fail, and the next `watch` creates a new view.
    acquire: Effect.flatMap(
      view.make(
        access,
        Duration.toMillis(intervalOf(heartbeat, maxAge)),
        Effect.suspend(() => RcRef.invalidate(shared))
      ),
      keep
    )
  })
  const watch: Service["watch"] = (serviceName) =>
    Stream.unwrap(Effect.gen(function*() {
      const name = serviceName === undefined ? undefined : yield* accepted("watch", options.toServiceName(serviceName))
      const current = yield* RcRef.get(shared)
      return Stream.mapError(current.watch(name), failure("watch"))
    }))
  return {
    watch,
    isKept: (key: string) => open?.isLive(key) === true,
    isUncertain: () => open?.isUncertain() === true,
    known: () => open?.known(),
    removed: (key: string) => open?.removed(key)
  }
})

const cleaning = Effect.fnUntraced(function*(
  { access, clock, times }: Parts,
  views: Pick<cleanup.CleanupRun, "isKept" | "known" | "removed">
) {
  const { heartbeat, maxAge } = times
  const memory = new cleanup.Memory()
  yield* forkReported(
    "the reach of the cleanup",
    Stream.runForEach(
      reachabilityOf(access.store),
      ({ _tag }) => Effect.sync(() => _tag === "Unreachable" && memory.forget())
    )
  )
  const confirmAfter = Duration.toMillis(intervalOf(heartbeat, maxAge))
  const cleanUp: Service["cleanup"] = Effect.fnUntraced(function*(cleanupOptions) {
    const run = yield* accepted("cleanup", options.toCleanupOptions(cleanupOptions, times))
    const report = cleanup.run(access, { ...run, ...views, memory, confirmAfter, now: () => monotonicMillis(clock) })
    return yield* Effect.mapError(report, failure("cleanup"))
  })
  return { cleanup: cleanUp }
})

/** The times of each registry created here, so that `layerCleanup` can check its options when the layer is built. */
const timesOf = new WeakMap<Service, options.RegistryTimings>()

/** Reads the options of `layerCleanup`, and returns its runs. They end with the Schedule, or when the connection is closed. */
export const cleanups = (operation: string, registry: Service, given: unknown) =>
  Effect.map(
    accepted(operation, options.toCleanupLayerOptions(given, timesOf.get(registry))),
    (read) => repeated(registry, read)
  )

/** Reads the options of `layerInstance`. */
export const instanceLayerOptions = (given: unknown) =>
  Effect.map(
    accepted("Registry.layerInstance", options.toInstanceLayerOptions(given)),
    ({ drain, ...register }) => ({ drain, register: register as RegisterOptions })
  )

/** Drains a registration at its end. Its scope reports that it cannot be deregistered, so a failure is not repeated here. */
export const drainAtEnd = (
  { drain }: Registration,
  { done = Effect.never, timeout }: {
    readonly done?: Effect.Effect<void> | undefined
    readonly timeout: Duration.Duration
  }
): Effect.Effect<void> =>
  Effect.catch(drain(done, { timeout }), (error) => Effect.logDebug("draining has failed", error.message))

export const make = Effect.fnUntraced(function*(
  operation: string,
  store: KVStore["Service"],
  given: Options | undefined
): Effect.fn.Return<Service, RegistryError, Scope.Scope> {
  const { clock, leaveTimeout, ...times } = yield* accepted(operation, options.toLayerOptions(given, store.config))
  const access = yield* accessTo.make(store, { maxAge: times.maxAge, clock })
  const nonce = yield* makeNonce
  const leaving = { budget: yield* makeLeaveBudget, timeout: leaveTimeout }
  const registrations = new Registrations()
  const byHand = makeHeartbeat({
    access,
    nonce,
    attemptTimeout: attemptTimeout(times.heartbeat, times.maxAge),
    interval: intervalOf(times.heartbeat, times.maxAge),
    registrations
  })
  const parts: Parts = { access, clock: yield* Clock.Clock, times, leaving, registrations, byHand, nonce }
  const { isUncertain, watch, ...views } = yield* watching(parts)
  const registry: Service = {
    ...registering(parts),
    ...deregistering(parts, isUncertain),
    ...reading(parts, views.isKept),
    watch,
    ...(yield* cleaning(parts, views)),
    status: registrations.status
  }
  timesOf.set(registry, times)
  return registry
})
