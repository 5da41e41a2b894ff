/**
 * Service registry: registration with heartbeats, discovery by service name,
 * expiry and cleanup.
 *
 * An instance registers and sends heartbeats. It expires once its last heartbeat is
 * older than `maxAge`. By default the registry measures ages with the store's own
 * timestamps, so wrong clocks on the hosts have no effect, and it needs no per-key
 * TTL. Every write is a compare-and-set on the last revision that this process has
 * read or written: only `onDuplicate: "replace"` overwrites a live record of another
 * process, and a late heartbeat cannot restore a deregistered instance.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { Election, layerSingleton } from "./Election.ts"
import type { ElectionError } from "./ElectionError.ts"
import { forkReported } from "./internal/fibers.ts"
import * as service from "./internal/registry/service.ts"
import { KVStore } from "./KVStore.ts"
import type { RegistryError, RegistryReason } from "./RegistryError.ts"
import type { InstanceOptions, ServiceInstance } from "./ServiceInstance.ts"

export * from "./RegistryError.ts"
export * from "./ServiceInstance.ts"

/**
 * Service that registers instances and finds the live instances of a service.
 *
 * **Details**
 *
 * `make` and `layer` create it on a `KVStore`; `Aegis` provides it together with
 * its bucket. Every operation fails with a `RegistryError`, whose `reason` names
 * the cause.
 *
 * **Example** (Finding the instances of a service)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Aegis, Registry } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   yield* registry.register({ serviceName: "orders", version: "1.2.3", port: 8080 })
 *   const instances = yield* registry.list("orders")
 *   return instances.map(({ port }) => port)
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => [ 8080 ]
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class Registry extends Context.Service<Registry, {
  /**
   * Registers an instance, sends its heartbeats in the background, and deregisters
   * it when the scope closes.
   *
   * **When to use**
   *
   * Use for a process that should be registered while it runs. `layerInstance` does
   * the same as a layer.
   *
   * **Details**
   *
   * If the id belongs to a live record of another registration (in another process
   * or in this one), `register` waits until that record expires; `onDuplicate`
   * changes this. Heartbeats continue through an
   * outage of the store of any length. Deregistration, when the scope closes, takes
   * at most `leaveTimeout`.
   *
   * Fails before it writes anything with `InvalidName`, `InvalidConfig`,
   * `InvalidValue` (metadata) or `ValueTooLarge`; with `DuplicateInstance` if
   * another registration uses the id; and with `KVStoreError` if a request to the store
   * fails before the instance is registered, for example during an outage.
   *
   * **Gotchas**
   *
   * The process is not interrupted if it loses its registration. Wait for `lost` of
   * the returned `Registration` to react to that.
   *
   * **Example** (Registering an instance and changing its status)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { Aegis, Registry } from "effect-aegis"
   *
   * const program = Effect.gen(function*() {
   *   const registry = yield* Registry.Registry
   *   const registration = yield* registry.register(
   *     { serviceName: "orders", instanceId: "orders-1", version: "1.2.3", port: 8080 },
   *     { heartbeat: "5 seconds", onDuplicate: "fail" }
   *   )
   *   yield* registration.update((current) => ({ ...current, status: "STANDBY" }))
   *   const { instanceId, status } = yield* registration.instance
   *   return `${instanceId} is ${status}`
   * }).pipe(Effect.scoped)
   *
   * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
   * // => orders-1 is STANDBY
   * ```
   */
  readonly register: (
    instance: InstanceOptions,
    options?: RegisterOptions
  ) => Effect.Effect<Registration, RegistryError, Scope.Scope>
  /**
   * Sends one heartbeat, for callers that run their own heartbeat loop.
   *
   * **When to use**
   *
   * Use where the caller decides when to send heartbeats, for example after a health
   * check. Otherwise use `register`.
   *
   * **Details**
   *
   * The first heartbeat registers the instance. So does a heartbeat whose record was
   * removed by age or by a cleanup. Each heartbeat also writes the version, status,
   * group and metadata. A heartbeat of an instance that `register` of this registry has
   * registered is one of that registration.
   *
   * Fails as `register` does, but never waits: if a live record of another
   * registration has the id, it fails with `DuplicateInstance` at once. If another process
   * deregistered the instance, this heartbeat and all later ones fail with
   * `Deregistered`.
   */
  readonly heartbeat: (instance: InstanceOptions & { readonly instanceId: string }) => Effect.Effect<
    void,
    RegistryError
  >
  /**
   * Removes an instance, whichever process registered it, and returns whether a
   * record was removed.
   *
   * **Details**
   *
   * - A live instance is deregistered on purpose: its owner stops its heartbeats, for as long as
   *   the delete marker exists (the `streamMaxAge` of the bucket). After the registry of the
   *   owner itself has deregistered it, its next `heartbeat` registers it again.
   * - An instance whose last heartbeat is older than `maxAge` is purged, and so is one in doubt:
   *   it missed heartbeats within `maxAge`, this process was just cut off, or its record does not
   *   decode. If it was only slow, its next heartbeat registers it again.
   * - An instance as `list`, `get` or `watch` returned it is removed only if it has sent no
   *   heartbeat since. Otherwise `deregister` returns false.
   * - With `readLegacyKeys`, names also remove the record of AegisSDK. Its process registers the
   *   instance again with its next heartbeat.
   *
   * If another process registers under the same id during the removal, that registration is
   * kept. Fails with `InvalidName`, `InvalidConfig` or `KVStoreError`.
   *
   * **Example** (Removing the instances that have expired)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { Aegis, Registry } from "effect-aegis"
   *
   * const program = Effect.gen(function*() {
   *   const registry = yield* Registry.Registry
   *   const all = yield* registry.list("orders", { includeExpired: true })
   *   return yield* Effect.forEach(all, (instance) => registry.deregister(instance, { onlyIfExpired: true }))
   * })
   *
   * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
   * // => []
   * ```
   */
  readonly deregister: (
    instance: ServiceInstance | { readonly serviceName: string; readonly instanceId: string },
    options?: DeregisterOptions
  ) => Effect.Effect<boolean, RegistryError>
  /**
   * Reads one instance. Returns `Option.none()` if the instance is absent or
   * expired.
   *
   * **Details**
   *
   * Fails with `UndecodableValue` if the stored record does not decode, and with
   * `InvalidName`, `InvalidConfig` or `KVStoreError`.
   */
  readonly get: (
    serviceName: string,
    instanceId: string,
    options?: ReadOptions
  ) => Effect.Effect<Option.Option<ServiceInstance>, RegistryError>
  /**
   * Reads the live instances of a service, sorted by id.
   *
   * **Details**
   *
   * A record that does not decode is logged and left out. A list starts the watch that `watch` uses, and
   * keeps it for 30 seconds: so the next list contains what was live before an outage, or before the bucket was
   * deleted, until the instances had time to send a heartbeat.
   *
   * Fails with `InvalidName`, `InvalidConfig` or `KVStoreError`; during an outage it fails and never returns
   * an empty list.
   */
  readonly list: (
    serviceName: string,
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyArray<ServiceInstance>, RegistryError>
  /**
   * Reads the live instances of all services, grouped by service name. A service
   * without live instances is left out. A record that does not decode is logged and
   * left out. Fails with `InvalidConfig` or `KVStoreError`.
   */
  readonly listAll: (
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyMap<string, ReadonlyArray<ServiceInstance>>, RegistryError>
  /**
   * Emits `Up` for each live instance, then `Ready`, then an event for every change.
   * Follows one service, or all services if no name is given.
   *
   * **Details**
   *
   * All watches of a registry share one watch of the store. A timer of this process
   * emits `Down` for an instance whose last heartbeat is older than `maxAge`. Time in which this
   * process could not hear of the instances does not count: while it is cut off
   * from the store, paused, or blocked. After its return they have one heartbeat and 2.5 seconds
   * before any of them expires. Fails with `InvalidName`, or with `KVStoreError` if
   * the watch of the store fails; calling `watch` again then starts a new watch of
   * the store.
   *
   * **Example** (Keeping a set of live instances)
   *
   * ```ts
   * import { Effect, Stream } from "effect"
   * import { Aegis, Registry } from "effect-aegis"
   *
   * const program = Effect.gen(function*() {
   *   const registry = yield* Registry.Registry
   *   yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.2.3" })
   *   const live = new Set<string>()
   *   yield* registry.watch("orders").pipe(
   *     // A server would follow the changes until it shuts down.
   *     Stream.takeUntil((event) => event._tag === "Ready"),
   *     Stream.runForEach((event) =>
   *       Effect.sync(() => {
   *         if (event._tag === "Up") live.add(event.instance.instanceId)
   *         if (event._tag === "Down") live.delete(event.instance.instanceId)
   *       })
   *     )
   *   )
   *   return [...live]
   * }).pipe(Effect.scoped)
   *
   * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
   * // => [ 'orders-1' ]
   * ```
   */
  readonly watch: (serviceName?: string) => Stream.Stream<RegistryEvent, RegistryError>
  /**
   * Removes the expired records once, and returns a report of the removed
   * instances. `layerCleanup` runs it on a schedule.
   *
   * **Details**
   *
   * Each removal is conditioned on the revision that was read, so an instance that
   * sends a heartbeat during the run is kept. If more than `maxRemovalRatio` of the
   * instances of a service look expired, none of that service is removed. Fails with
   * `InvalidConfig`, or with `KVStoreError` if the records cannot be read.
   */
  readonly cleanup: (options?: CleanupOptions) => Effect.Effect<CleanupReport, RegistryError>
  /** The registrations of this registry in this process, without those of `heartbeat`. No request is sent. */
  readonly status: Effect.Effect<ReadonlyArray<RegistrationStatus>>
  /**
   * The clock by which `lastHeartbeat` of read instances is given: that of the store, or that of this host with
   * `clock: "local"`. For `Expiration.isExpired`.
   */
  readonly clock: Clock.Clock
}>()("effect-aegis/Registry") {}

/**
 * A registration in this process.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegistrationStatus {
  /** The service of the instance. */
  readonly serviceName: string
  /** The instance. */
  readonly instanceId: string
  /** Whether the instance is registered: false while it waits for the record of another process, and after a loss. */
  readonly isRegistered: boolean
  /** The status of the instance, as last stored. */
  readonly status: ServiceInstance["status"]
  /** When its last heartbeat was stored, by the clock of this host; none before the first. */
  readonly lastHeartbeat: Option.Option<DateTime.Utc>
}

/**
 * A change of the instances, emitted by `watch`. A heartbeat that changes only the
 * time of the last heartbeat emits no event.
 *
 * **Details**
 *
 * - `Up`: an instance registered, or was live when the watch began
 * - `Changed`: the status, version, group, host, port or metadata of an instance changed, or a process was restarted with its id
 * - `Down`: an instance was deregistered, expired, or was removed by a cleanup
 * - `Ready`: `Up` has been emitted for every instance that was live when the watch
 *   began. Emitted once, also if there was no live instance
 *
 * @category models
 * @since 0.1.0
 */
export type RegistryEvent =
  | {
    /** Discriminator of `RegistryEvent`. */
    readonly _tag: "Up"
    /** The live instance. */
    readonly instance: ServiceInstance
  }
  | {
    /** Discriminator of `RegistryEvent`. */
    readonly _tag: "Changed"
    /** The instance after the change. */
    readonly instance: ServiceInstance
    /** The instance before the change. */
    readonly previous: ServiceInstance
    /**
     * Whether another registration has the id now: the process was restarted or replaced. Always false if one of the two
     * records is of AegisSDK.
     */
    readonly restarted: boolean
  }
  | {
    /** Discriminator of `RegistryEvent`. */
    readonly _tag: "Down"
    /** The instance as this watch knew it last. */
    readonly instance: ServiceInstance
    /**
     * `deregistered`: by its owner or another process; `expired`: no heartbeat for
     * `maxAge`; `cleanedUp`: by a cleanup.
     */
    readonly reason: "deregistered" | "expired" | "cleanedUp"
  }
  | {
    /** Discriminator of `RegistryEvent`. */
    readonly _tag: "Ready"
  }

/**
 * Options of `register` and `layerInstance`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegisterOptions {
  /**
   * Time between two heartbeats, from 100 ms to half of `maxAge`; a number is
   * milliseconds. Or a Schedule. Default: the `heartbeat` of the registry (10
   * seconds).
   *
   * A Schedule is limited to one heartbeat every 100 ms. A delay of more than half
   * of `maxAge` is logged as a warning. When the Schedule ends, the heartbeats stop
   * and the instance expires.
   */
  readonly heartbeat?: Schedule.Schedule<unknown> | Duration.Input | undefined
  /**
   * Behaviour if a live record of another registration has the id. Default `"wait"`.
   *
   * - `"wait"`: waits until the other registration has sent no heartbeat for `maxAge`,
   *   or until its record is removed; fails with `DuplicateInstance` as soon as the
   *   other registration sends a heartbeat
   * - `"fail"`: fails with `DuplicateInstance` at once
   * - `"replace"`: overwrites the record; the `lost` of the other registration returns
   *   `DuplicateInstance` after its next heartbeat. Fails with `DuplicateInstance` if
   *   the record is written at the same time
   *
   * A process that crashed leaves its record. If it restarts with the same
   * `instanceId` (the name of a host, for example), `"wait"` delays its start by up
   * to `maxAge`. To start at once, omit `instanceId` (the default id is random), or
   * use `"replace"` if no other process can have this id.
   */
  readonly onDuplicate?: "wait" | "fail" | "replace" | undefined
  /**
   * Reports whether the instance works. It runs once per heartbeat interval (`maxAge/3` with a Schedule). After
   * `healthFailures` failures in a row the status of the instance becomes `UNHEALTHY`, and after the next success what
   * it was before. A check that takes more than a second, fails, dies, or returns a non-boolean counts as a failure.
   * One that takes longer is interrupted, and no other one begins until it has ended. Heartbeats continue. Default: none.
   */
  readonly healthCheck?: Effect.Effect<boolean> | undefined
  /** The number of failures in a row after which the instance is unhealthy, at least 1. Default 3. */
  readonly healthFailures?: number | undefined
}

/**
 * Options of `deregister`.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeregisterOptions {
  /**
   * Age of the last heartbeat above which the instance is expired. Above 0; a number is milliseconds. Default: the `maxAge`
   * of the instance.
   */
  readonly maxAge?: Duration.Input | undefined
  /** Whether to remove the instance only if it is expired. Default false. */
  readonly onlyIfExpired?: boolean | undefined
}

/**
 * Options of `get`, `list` and `listAll`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadOptions {
  /**
   * Age of the last heartbeat above which an instance is expired, for this read
   * only. Above 0; a number is milliseconds. Default: the `maxAge` of each instance.
   */
  readonly maxAge?: Duration.Input | undefined
  /** Whether to return expired instances too. Default false. */
  readonly includeExpired?: boolean | undefined
}

/**
 * A registered instance. Valid until the scope of `register` closes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Registration {
  /**
   * Returns the instance as this process last stored it. Unlike in reads, its
   * `lastHeartbeat` may be by the clock of this host, also with `clock: "store"`.
   */
  readonly instance: Effect.Effect<ServiceInstance>
  /**
   * Writes a new version, status, group, host, port or metadata at once. `f` receives the
   * stored instance, including changes by other writers, and returns the new one;
   * fields that `f` does not change keep their values. `f` can be called again
   * after a conflict.
   *
   * Fails with `InvalidConfig` (also for another status while the instance drains),
   * `InvalidValue` (metadata) or `ValueTooLarge` before it writes anything; with `DuplicateInstance` or `Deregistered` if the
   * registration is lost; and with `KVStoreError` if the write fails. If the reason
   * of that `KVStoreError` is `OutcomeUnknown`, the change may have been stored.
   */
  readonly update: (f: (current: ServiceInstance) => ServiceInstance) => Effect.Effect<void, RegistryError>
  /**
   * Sets the status to `DRAINING`, waits until `done` ends or `timeout` has passed,
   * then deregisters.
   *
   * **Details**
   *
   * Draining is final: the status stays `DRAINING`, also if `drain` is interrupted. A failure of
   * `done` is logged and ends the wait. Work that is not done at the timeout is interrupted, and is
   * not waited for. During an outage, too, `drain` waits for `done`: heartbeats that are
   * stored later have the status, and the record is removed if the store comes back
   * within the registry's `leaveTimeout`. Fails with `DuplicateInstance` or `Deregistered`
   * if the registration was lost (at once, if before the call) or has ended, and with `KVStoreError` if the record could not be
   * removed.
   */
  readonly drain: (
    done: Effect.Effect<void>,
    options: {
      /** Longest wait for `done`, from 0 to 366 days; a number is milliseconds. Required. */
      readonly timeout: Duration.Input
    }
  ) => Effect.Effect<void, RegistryError>
  /**
   * Waits until the registration is lost, and returns the error: `DuplicateInstance`
   * if another process took the id, `Deregistered` if the instance was deregistered. After
   * `deregister` of this registry it returns at once, after that of another process with the
   * next heartbeat or `update`.
   */
  readonly lost: Effect.Effect<RegistryError>
  /**
   * Emits whether other processes see the instance as live: the current state, then
   * every change.
   */
  readonly visibility: Stream.Stream<Visibility>
}

/**
 * Whether other processes see an instance as live.
 *
 * **Details**
 *
 * It is `Invisible` once `maxAge` has passed since the last stored heartbeat was sent, and
 * `Visible` again within 250 ms after the next stored heartbeat. `reason` says why the last
 * heartbeat failed; none if no heartbeat has failed, because the process did not run. If the
 * reason changes, `Invisible` is emitted again, with the same `since`.
 *
 * @category models
 * @since 0.1.0
 */
export type Visibility =
  | {
    /** Discriminator of `Visibility`. */
    readonly _tag: "Visible"
  }
  | {
    /** Discriminator of `Visibility`. */
    readonly _tag: "Invisible"
    /** When the instance became invisible, by the clock of this host. */
    readonly since: DateTime.Utc
    /** Why the last heartbeat failed. */
    readonly reason: Option.Option<RegistryReason>
  }

/**
 * Options of one run of the cleanup.
 *
 * @category models
 * @since 0.1.0
 */
export interface CleanupOptions {
  /**
   * Age of the last heartbeat above which an instance is removed. From twice the
   * registry's `heartbeat` (200 ms if that is a Schedule) to 366 days; a number is
   * milliseconds. Default: the `maxAge` of each instance.
   */
  readonly maxAge?: Duration.Input | undefined
  /** Whether to report the expired instances without removing them. Default false. */
  readonly dryRun?: boolean | undefined
  /**
   * Self-preservation, from 0 to 1: if more than this fraction of a service's
   * instances is expired, the run removes no instance of that service. Applies to
   * services with at least 10 records. Default 0.5; 1 disables it.
   */
  readonly maxRemovalRatio?: number | undefined
  /**
   * Whether to remove only instances that an earlier run of this registry found
   * expired at the same revision, at least one heartbeat earlier. This prevents one
   * wrong reading of a clock from removing live instances. Default false; true in
   * `layerCleanup`.
   */
  readonly confirm?: boolean | undefined
}

/**
 * Report of one run of the cleanup. With `dryRun`, `removed` lists the instances
 * that a run would remove.
 *
 * @category models
 * @since 0.1.0
 */
export interface CleanupReport {
  /** Number of records that the run read. */
  readonly scanned: number
  /** The removed instances. */
  readonly removed: ReadonlyArray<{
    /** The instance as `<serviceName>/<instanceId>`. */
    readonly instance: string
    /** Why the instance was removed. */
    readonly reason: string
  }>
  /**
   * Number of expired records that changed or were removed between the read and the
   * removal. The run did not remove them.
   */
  readonly conflicts: number
  /** The expired instances that could not be removed. The next run tries again. */
  readonly failed: ReadonlyArray<{
    /** The instance as `<serviceName>/<instanceId>`. */
    readonly instance: string
    /** Why the removal failed. */
    readonly reason: string
  }>
  /**
   * Records that do not decode, as `<serviceName>/<instanceId>`, and those of AegisSDK by their key. They are removed by the
   * age of their last write.
   */
  readonly undecodable: ReadonlyArray<string>
  /**
   * Names of the services that the run skipped because too many of their instances looked expired. `service-instances__*`:
   * the records of AegisSDK that do not decode.
   */
  readonly preserved: ReadonlyArray<string>
}

/**
 * Options of a registry.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Age of the last heartbeat above which an instance is expired. At least twice
   * `heartbeat` (200 ms if that is a Schedule), and at most half of the bucket's
   * `streamMaxAge` and 366 days; a number is milliseconds. Default 30 seconds.
   *
   * With `Aegis`, the bucket follows this option: see `Aegis.Options.onMismatch`.
   */
  readonly maxAge?: Duration.Input | undefined
  /**
   * Time between two heartbeats of a registration: at least 100 ms, or a Schedule
   * (see `RegisterOptions`). A number is milliseconds. Default 10 seconds.
   */
  readonly heartbeat?: Schedule.Schedule<unknown> | Duration.Input | undefined
  /**
   * Clock that measures ages. `"store"` (default) uses the store's timestamps.
   * `"local"` compares `lastHeartbeat`, written by the clock of the instance's host,
   * with the `Clock` of this host, as AegisSDK does: the clocks of all hosts must
   * agree.
   */
  readonly clock?: "store" | "local" | undefined
  /**
   * Whether the records of AegisSDK for Python are read, too, which have other keys
   * (`service-instances__orders__orders-1`). Default false.
   *
   * Its instances are listed, watched, cleaned up and deregistered as those of this library are. An
   * instance with a record of each library is listed once. A registration waits or fails, as
   * `onDuplicate` says, if a live instance of AegisSDK has its id; `"replace"` registers beside it. No
   * record of AegisSDK is written: its processes do not see the instances of this library.
   *
   * Lists and watches then read all keys of the bucket that have one token. Use the option while a
   * fleet moves to this library.
   */
  readonly readLegacyKeys?: boolean | undefined
  /**
   * The longest time for which the end of a registration waits for the store, to
   * deregister the instance. After it, the instance stays listed until its last
   * heartbeat is older than `maxAge`. 0 to 1 minute. Default 2 seconds. With `Aegis`, the
   * time of all registrations and leaderships that end together.
   */
  readonly leaveTimeout?: Duration.Input | undefined
}

/**
 * Creates a registry on the `KVStore` of the context.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` for an invalid option, a `maxAge` below two heartbeats
 * or above 366 days, a bucket whose `streamMaxAge` is below twice `maxAge`, or an
 * accepted bucket that removes old values when it is full (`discard: "old"`).
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Options
): Effect.Effect<Registry["Service"], RegistryError, KVStore | Scope.Scope> =>
  Effect.flatMap(KVStore, (store) => service.make("Registry.make", store, options))

/**
 * Provides a registry on the `KVStore` of the context. Fails as `make` does.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Registry, RegistryError, KVStore> =>
  Layer.effect(Registry, Effect.flatMap(KVStore, (store) => service.make("Registry.layer", store, options)))

/**
 * The registration of a process that has one: provided by `layerInstance`. A process with
 * several uses `register`.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentRegistration extends Context.Service<CurrentRegistration, Registration>()(
  "effect-aegis/Registry/CurrentRegistration"
) {}

/**
 * Options of `layerInstance`.
 *
 * @category models
 * @since 0.1.0
 */
export interface InstanceLayerOptions extends RegisterOptions {
  /**
   * Whether the instance drains when the layer is released. It has the status `DRAINING` until
   * `done` ends, or until `timeout` (from 0 to 366 days; a number is milliseconds) has passed, and is
   * deregistered then. Default `done`: none, so the time that load balancers and callers
   * have to notice is `timeout`. Default: the instance is deregistered at once.
   */
  readonly drain?: {
    /** The work that the instance finishes. */
    readonly done?: Effect.Effect<void> | undefined
    /** Longest wait for `done`. */
    readonly timeout: Duration.Input
  } | undefined
}

/**
 * Registers an instance while the layer is in use, and deregisters it when the
 * layer is released. Provides the registration.
 *
 * **Details**
 *
 * `instance` can be an effect, for a port that is known once the server listens. Fails
 * as the effect and as `register` do. If the registration is lost, because another process
 * took the id or deregistered the instance, an error is logged and the layer stays in
 * use.
 *
 * With `drain`, the instance finishes its work before it leaves. A layer is released before the
 * layers that it is built on: build this one on that of the HTTP server, as below,
 * so that the server answers while the instance drains.
 *
 * **Gotchas**
 *
 * With a fixed `instanceId`, a process that restarts after a crash waits up to
 * `maxAge` (30 seconds by default) until the record of its crashed predecessor
 * expires, and building the layer waits as long. To start at once, omit
 * `instanceId`, or set `onDuplicate: "replace"` if no other process can have this
 * id.
 *
 * **Example** (A process that is registered while it runs)
 *
 * ```ts
 * import { Effect, Layer, Option } from "effect"
 * import { KVStore, Registry } from "effect-aegis"
 *
 * const instance = Registry.layerInstance({
 *   serviceName: "orders",
 *   instanceId: "orders-1",
 *   version: "1.2.3",
 *   port: 8080
 * })
 *
 * const layer = instance.pipe(
 *   Layer.provideMerge(Registry.layer()),
 *   Layer.provide(KVStore.layerMemory({ bucket: "registry" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   return Option.isSome(yield* registry.get("orders", "orders-1"))
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, layer)))
 * // => true
 * ```
 *
 * **Example** (The port of an HTTP server, and time to drain)
 *
 * ```ts
 * import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 * import { Aegis, Registry } from "effect-aegis"
 * import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
 * import { createServer } from "node:http"
 *
 * const instance = Effect.map(HttpServer.HttpServer, ({ address }) => ({
 *   serviceName: "orders",
 *   version: "1.2.3",
 *   port: "port" in address ? address.port : undefined
 * }))
 *
 * const Instance = Registry.layerInstance(instance, { drain: { timeout: "5 seconds" } })
 *
 * const Routes = HttpRouter.add("GET", "/", HttpServerResponse.text("orders"))
 *
 * const Live = Instance.pipe(
 *   Layer.provideMerge(HttpRouter.serve(Routes)),
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 0 })),
 *   Layer.provide(Aegis.layerConfig())
 * )
 *
 * NodeRuntime.runMain(Layer.launch(Live))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerInstance = <E = never, R = never>(
  instance: InstanceOptions | Effect.Effect<InstanceOptions, E, R>,
  options?: InstanceLayerOptions
): Layer.Layer<CurrentRegistration, RegistryError | E, Registry | Exclude<R, Scope.Scope>> =>
  Layer.effect(
    CurrentRegistration,
    Effect.gen(function*() {
      const registry = yield* Registry
      const { drain, register } = yield* service.instanceLayerOptions(options)
      const registration = yield* registry.register(Effect.isEffect(instance) ? yield* instance : instance, register)
      // Runs before the registration ends.
      if (drain !== undefined) yield* Effect.addFinalizer(() => service.drainAtEnd(registration, drain))
      return registration
    })
  )

/**
 * Options of `layerCleanup` and `layerCleanupOnLeader`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CleanupLayerOptions extends CleanupOptions {
  /**
   * Time between two runs, at least 100 ms, or a Schedule. A number is milliseconds. Each interval
   * varies by up to a fifth, so that the processes of a fleet do not all clean up at once. Default 30 seconds.
   */
  readonly schedule?: Schedule.Schedule<unknown> | Duration.Input | undefined
}

/**
 * Runs `cleanup` repeatedly while the layer is in use. `schedule` is an interval of
 * at least 100 ms or a Schedule. Default: every 30 seconds, starting after the first
 * interval.
 *
 * **When to use**
 *
 * Use with a bucket of your own that has no `streamMaxAge` (`layerCleanupOnLeader` where every
 * process has this layer), because expired records
 * would stay in it, or to log the instances that expire. The layers of `Aegis` do not
 * need it: the `streamMaxAge` of their bucket removes a record 10 times `maxAge` after
 * its last heartbeat. Reads leave out expired instances in any case.
 *
 * **Details**
 *
 * A run removes only instances that an earlier run found expired at the same
 * revision, unless `confirm` is false. A failed run is logged, once per reason and
 * minute; the next run tries again. The cleanup ends with an error in the log if the
 * connection of the store is closed. A Schedule is limited to one run every 100 ms, counted from start to start;
 * its end is logged as a warning. Building the layer fails with `InvalidConfig` for
 * an invalid option.
 *
 * **Gotchas**
 *
 * The bucket's `streamMaxAge` removes old records independently of the cleanup, and
 * self-preservation does not prevent that.
 *
 * **Example** (Removing expired instances every minute)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { KVStore, Registry } from "effect-aegis"
 *
 * const layer = Registry.layerCleanup({ schedule: "1 minute", maxRemovalRatio: 0.3 }).pipe(
 *   Layer.provideMerge(Registry.layer({ maxAge: "30 seconds", heartbeat: "10 seconds" })),
 *   Layer.provide(KVStore.layerMemory({ bucket: "registry", streamMaxAge: "5 minutes" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   return (yield* registry.listAll()).size
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, layer)))
 * // => 0
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCleanup = (
  options?: CleanupLayerOptions
): Layer.Layer<never, RegistryError, Registry> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const registry = yield* Registry
    const cleanups = yield* service.cleanups("Registry.layerCleanup", registry, options)
    yield* forkReported("Registry", "the cleanup", cleanups)
  }))

/**
 * An instance whose metadata has been decoded by `typed`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedInstance<A> extends Omit<ServiceInstance, "metadata"> {
  /** The decoded metadata of the instance. */
  readonly metadata: A
}

/**
 * Reads of instances whose metadata is decoded, returned by `typed`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedRegistry<A> {
  /**
   * Reads the live instances of a service as `Registry.list` does, and decodes their metadata. An instance whose metadata does
   * not decode is left out, and logged once a minute.
   */
  readonly list: (
    serviceName: string,
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyArray<TypedInstance<A>>, RegistryError>
}

/**
 * Reads instances whose metadata is decoded by a schema.
 *
 * **Example** (Finding the instances of a zone)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Aegis, Registry } from "effect-aegis"
 *
 * const Metadata = Schema.Struct({ zone: Schema.String, weight: Schema.Int })
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   yield* registry.register({
 *     serviceName: "orders",
 *     instanceId: "orders-1",
 *     version: "1.2.3",
 *     metadata: { zone: "a", weight: 3 }
 *   })
 *   const orders = yield* Registry.typed(Metadata)
 *   const instances = yield* orders.list("orders")
 *   return instances.map(({ instanceId, metadata }) => `${instanceId}: zone ${metadata.zone}, weight ${metadata.weight}`)
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => [ 'orders-1: zone a, weight 3' ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const typed = <A, I>(metadata: Schema.Codec<A, I>): Effect.Effect<TypedRegistry<A>, never, Registry> =>
  Effect.map(Registry, (registry) => service.typed(registry, metadata))

/**
 * Runs `cleanup` repeatedly on the leader of an election, while the layer is in use: one process of
 * the fleet cleans up, and another one continues if it ends.
 *
 * **Details**
 *
 * The options and their defaults are those of `layerCleanup`. The confirmation by a second run
 * begins again with each leader. Building the layer fails with `InvalidConfig` for an invalid
 * option, and with `InvalidName` for an invalid name of the election.
 *
 * **Example** (Removing expired instances in one process of the fleet)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Aegis, Registry } from "effect-aegis"
 *
 * const Live = Registry.layerCleanupOnLeader("cleanup", { schedule: "1 minute" }).pipe(
 *   Layer.provideMerge(Aegis.layerMemory())
 * )
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   return (yield* registry.listAll()).size
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Live)))
 * // => 0
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCleanupOnLeader = (
  election: string,
  options?: CleanupLayerOptions
): Layer.Layer<never, RegistryError | ElectionError, Registry | Election> =>
  Layer.unwrap(Effect.gen(function*() {
    const registry = yield* Registry
    const cleanups = yield* service.cleanups("Registry.layerCleanupOnLeader", registry, options)
    // The cleanup ends with its Schedule, and when the connection is closed.
    return layerSingleton(election, Effect.andThen(cleanups, Effect.never))
  }))
