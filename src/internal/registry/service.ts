/**
 * The implementation of the `Registry` service: checks options and names, reads
 * records, and combines the other modules (docs/protocols/registry.md, R19, R23, R24).
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVStore } from "../../KVStore.ts"
import type { Options, RegisterOptions, Registration, Registry } from "../../Registry.ts"
import { RegistryError } from "../../RegistryError.ts"
import { InstanceId } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { makeIdSuffix, makeNonce } from "../identity.ts"
import { makeLeaveBudget } from "../leaving.ts"
import { annotate } from "../logs.ts"
import { reachabilityOf } from "../reachability.ts"
import { traced } from "../spans.ts"
import { recordLimit } from "../storedJson.ts"
import { monotonicMillis } from "../time.ts"
import * as accessTo from "./access.ts"
import * as cleanup from "./cleanup.ts"
import { repeated } from "./cleanups.ts"
import { accepted, failure } from "./failures.ts"
import { type ByHand, makeHeartbeat } from "./heartbeat.ts"
import type { Leaving } from "./leave.ts"
import * as options from "./options.ts"
import { reading } from "./reads.ts"
import * as record from "./record.ts"
import * as registration from "./registration.ts"
import { Registrations } from "./registrations.ts"
import { removeAll } from "./removal.ts"
import { attemptTimeout, intervalOf } from "./schedule.ts"
import { make as makeShared, type SharedView } from "./sharedView.ts"

export { typed } from "./typed.ts"

type Service = Registry["Service"]

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
    const { healthFailures, healthCheck, heartbeat, onDuplicate } = yield* accepted(
      "register",
      options.toRegisterOptions(registerOptions, times)
    )
    const ownNonce = yield* makeNonce
    return yield* registration.make({
      access,
      instance,
      nonce: ownNonce,
      heartbeat,
      onDuplicate,
      healthCheck,
      healthFailures,
      leaving: parts.leaving,
      registrations: parts.registrations
    })
  })

  const heartbeat: Service["heartbeat"] = (given) =>
    Effect.mapError(Effect.flatMap(toInstance(parts, given, "required"), byHand.heartbeat), failure("heartbeat"))

  return { register, heartbeat }
}

const deregistering = ({ access, byHand }: Parts, { current }: SharedView) => {
  const deregister: Service["deregister"] = Effect.fnUntraced(function*(instance, deregisterOptions) {
    const { lastHeartbeat, ...names } = yield* accepted("deregister", options.toInstanceRef(instance))
    const given = yield* accepted("deregister", options.toDeregisterOptions(deregisterOptions))
    const removed = yield* Effect.mapError(
      removeAll(access, names, () => current()?.isUncertain() === true, { ...given, lastHeartbeat }),
      failure("deregister")
    )
    const key = record.keyOf(names)
    if (removed.get(key) === "deregistered") yield* byHand.deregistered(key)
    return removed.size > 0
  })
  return { deregister }
}

/** The operation `watch`. */
const watching = (shared: SharedView) => {
  const watch: Service["watch"] = (serviceName) =>
    Stream.unwrap(Effect.gen(function*() {
      const name = serviceName === undefined ? undefined : yield* accepted("watch", options.toServiceName(serviceName))
      const current = yield* shared.get
      return Stream.mapError(current.watch(name), failure("watch"))
    }))
  return { watch }
}

const cleaning = Effect.fnUntraced(function*(
  { access, clock, times }: Parts,
  shared: SharedView
) {
  const { heartbeat, maxAge } = times
  const memory = new cleanup.Memory()
  yield* forkReported(
    "Registry",
    "the reach of the cleanup",
    Stream.runForEach(
      reachabilityOf(access.store),
      ({ _tag }) =>
        Effect.sync(() => {
          if (_tag === "Unreachable") memory.forget()
        })
    )
  )
  const confirmAfter = Duration.toMillis(intervalOf(heartbeat, maxAge))
  const cleanUp: Service["cleanup"] = Effect.fnUntraced(function*(cleanupOptions) {
    const run = yield* accepted("cleanup", options.toCleanupOptions(cleanupOptions, times))
    const report = cleanup.run(access, {
      ...run,
      view: shared.current,
      memory,
      confirmAfter,
      now: () => monotonicMillis(clock)
    })
    return yield* Effect.mapError(report, failure("cleanup")).pipe(
      traced("registry.cleanup", () => ({ "registry.bucket": access.store.config.bucket }), cleanup.attributesOf),
      annotate("Registry", { bucket: access.store.config.bucket })
    )
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
  const { clock, leaveTimeout, readLegacyKeys, ...times } = yield* accepted(
    operation,
    options.toLayerOptions(given, store.config)
  )
  const access = yield* accessTo.make(store, { maxAge: times.maxAge, clock, readLegacyKeys })
  const nonce = yield* makeNonce
  const leaving = { budget: yield* makeLeaveBudget, timeout: leaveTimeout }
  const registrations = new Registrations(store.config.bucket)
  const byHand = makeHeartbeat({
    access,
    nonce,
    attemptTimeout: attemptTimeout(times.heartbeat, times.maxAge),
    interval: intervalOf(times.heartbeat, times.maxAge),
    registrations
  })
  const parts: Parts = { access, clock: yield* Clock.Clock, times, leaving, registrations, byHand, nonce }
  const shared = yield* makeShared(access, intervalOf(times.heartbeat, times.maxAge))
  const registry: Service = {
    ...registering(parts),
    ...deregistering(parts, shared),
    ...reading(access, shared),
    ...watching(shared),
    ...(yield* cleaning(parts, shared)),
    status: registrations.status,
    clock: access.clock
  }
  timesOf.set(registry, times)
  // Runs before the other finalizers, while the store can still be reached.
  yield* Effect.addFinalizer(() => registrations.endAll)
  return registry
})
