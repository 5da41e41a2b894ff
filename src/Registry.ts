/**
 * Service registry with heartbeats: registration, discovery by name, expiry and
 * cleanup.
 *
 * An instance registers, sends heartbeats, and expires once its last heartbeat is
 * older than `maxAge`: by the store's own time, so that no host's clock matters,
 * and never by trust in a per-key TTL. Every write is a compare-and-set on what
 * this process wrote last: no registration overwrites another's, and a heartbeat
 * that was under way cannot bring back what was deregistered.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { forkReported } from "./internal/fibers.ts"
import { onSchedule } from "./internal/registry/schedule.ts"
import * as service from "./internal/registry/service.ts"
import { KVStore } from "./KVStore.ts"
import type { RegistryError } from "./RegistryError.ts"
import type { InstanceOptions, ServiceInstance } from "./ServiceInstance.ts"

export * from "./RegistryError.ts"
export * from "./ServiceInstance.ts"

/**
 * Service registry with heartbeats: registration, discovery by name, expiry and
 * cleanup.
 *
 * **Example** (A backend that finds the instances of another)
 *
 * ```ts
 * import { KVStore, Registry } from "effect-aegis"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   yield* registry.register({ serviceName: "orders", version: "1.2.3", metadata: { port: 8080 } })
 *   const instances = yield* registry.list("orders")
 *   return instances.map((instance) => instance.metadata["port"])
 * })
 *
 * const layer = Registry.layer().pipe(Layer.provide(KVStore.layerMemory({ bucket: "registry" })))
 * Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class Registry extends Context.Service<Registry, {
  /**
   * Registers an instance, sends its heartbeats, and deregisters it when the
   * scope closes.
   *
   * **Details**
   *
   * Waits for a live record of another process under the same id to expire,
   * unless `onDuplicate` says otherwise. Heartbeats go on through any outage of
   * the store. Closing the scope takes at most twice the store's `timeout`.
   *
   * Fails with `InvalidName`, `InvalidConfig`, `InvalidValue` (metadata) or
   * `ValueTooLarge` before anything is sent, with `DuplicateInstance` where
   * another process has the id, and with `KVStoreError` where the store cannot be
   * reached.
   *
   * **Example** (Registered while it serves)
   *
   * ```ts
   * import { KVStore, Registry } from "effect-aegis"
   * import * as Console from "effect/Console"
   * import * as Effect from "effect/Effect"
   * import * as Layer from "effect/Layer"
   *
   * const serve = Effect.gen(function*() {
   *   const registry = yield* Registry.Registry
   *   const registration = yield* registry.register(
   *     { serviceName: "orders", instanceId: "orders-1", version: "1.2.3", metadata: { port: 8080 } },
   *     { heartbeat: "5 seconds", onDuplicate: "fail" }
   *   )
   *   yield* registration.update((current) => ({ ...current, status: "STANDBY" }))
   *   const { status } = yield* registration.instance
   *   yield* Console.log(`registered as ${status}`)
   * }).pipe(Effect.scoped)
   *
   * const layer = Registry.layer().pipe(Layer.provide(KVStore.layerMemory({ bucket: "registry" })))
   * Effect.runPromise(Effect.provide(serve, layer))
   * ```
   */
  readonly register: (
    instance: InstanceOptions,
    options?: RegisterOptions
  ) => Effect.Effect<Registration, RegistryError, Scope.Scope>
  /**
   * Sends one heartbeat by hand, for callers who keep their own loop. The first
   * one registers the instance; so does one that finds its record expired or
   * cleaned up.
   *
   * **Details**
   *
   * Version, status, group and metadata are written with it. Fails as `register`
   * does, but waits for no other process: a live one under the id is
   * `DuplicateInstance` at once. Fails with `Deregistered`, from then on, where
   * another process deregistered the instance.
   */
  readonly heartbeat: (instance: InstanceOptions & { readonly instanceId: string }) => Effect.Effect<
    void,
    RegistryError
  >
  /**
   * Removes an instance, whichever process registered it, and returns whether
   * there was one. Its owner sends no more heartbeats.
   *
   * **Details**
   *
   * An instance that registers in its place meanwhile is kept. Fails with
   * `InvalidName`, or `KVStoreError`.
   */
  readonly deregister: (serviceName: string, instanceId: string) => Effect.Effect<boolean, RegistryError>
  /**
   * Reads one instance: none where it is absent or expired. Fails with
   * `UndecodableValue` where the record does not decode, with `InvalidName`,
   * `InvalidConfig` or `KVStoreError`.
   */
  readonly get: (
    serviceName: string,
    instanceId: string,
    options?: ReadOptions
  ) => Effect.Effect<Option.Option<ServiceInstance>, RegistryError>
  /**
   * Reads the live instances of a service, in order of their ids.
   *
   * **Details**
   *
   * A record that does not decode is logged and left out. Fails with
   * `InvalidName`, `InvalidConfig` or `KVStoreError`: an outage is never an empty
   * list.
   */
  readonly list: (
    serviceName: string,
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyArray<ServiceInstance>, RegistryError>
  /**
   * Reads the live instances of all services, by service name; a service without
   * one is left out. Fails with `InvalidConfig` or `KVStoreError`.
   */
  readonly listAll: (
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyMap<string, ReadonlyArray<ServiceInstance>>, RegistryError>
  /**
   * Emits `Up` for each live instance, then `Ready`, then every change; of one
   * service, or of all.
   *
   * **Details**
   *
   * All watches of a registry share one watch of the store. An instance goes
   * `Down` by a timer of this process once `maxAge` has passed since its last
   * heartbeat was seen. Fails with `InvalidName`, or with `KVStoreError` where the
   * store's watch fails; watching again starts a new one.
   *
   * **Gotchas**
   *
   * A process that is itself cut off from the store for longer than `maxAge` sees
   * no heartbeats, and gets `Down` with the reason `expired` for every instance
   * until it is back.
   *
   * **Example** (Following a service)
   *
   * ```ts
   * import { KVStore, Registry } from "effect-aegis"
   * import * as Console from "effect/Console"
   * import * as Effect from "effect/Effect"
   * import * as Layer from "effect/Layer"
   * import * as Stream from "effect/Stream"
   *
   * const follow = Effect.gen(function*() {
   *   const registry = yield* Registry.Registry
   *   yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.2.3" })
   *   yield* registry.watch("orders").pipe(
   *     Stream.takeUntil((event) => event._tag === "Ready"),
   *     Stream.runForEach((event) =>
   *       Console.log(event._tag === "Ready" ? "Ready" : `${event._tag} ${event.instance.instanceId}`)
   *     )
   *   )
   * }).pipe(Effect.scoped)
   *
   * const layer = Registry.layer().pipe(Layer.provide(KVStore.layerMemory({ bucket: "registry" })))
   * Effect.runPromise(Effect.provide(follow, layer))
   * ```
   */
  readonly watch: (serviceName?: string) => Stream.Stream<RegistryEvent, RegistryError>
  /**
   * Removes expired records once, by compare-and-purge, and reports which and
   * why. `layerCleanup` does so on a schedule.
   *
   * **Details**
   *
   * An instance that sends a heartbeat meanwhile is kept. Where more than
   * `maxRemovalRatio` of a service looks expired, none of it is removed. Fails
   * with `InvalidConfig`, or with `KVStoreError` where the records cannot be read.
   */
  readonly cleanup: (options?: CleanupOptions) => Effect.Effect<CleanupReport, RegistryError>
}>()("effect-aegis/Registry") {}

/**
 * A change of the instances that a watch follows. A heartbeat that changes nothing
 * but the time is no event.
 *
 * **Details**
 *
 * - `Up`: an instance registered, or was live when the watch began
 * - `Changed`: its status, version, group or metadata changed
 * - `Down`: it was deregistered, expired, or was cleaned up
 * - `Ready`: `Up` has been emitted for every instance that was live when the watch
 *   began; once, also where there is none
 *
 * @category models
 * @since 0.1.0
 */
export type RegistryEvent =
  | { readonly _tag: "Up"; readonly instance: ServiceInstance }
  | { readonly _tag: "Changed"; readonly instance: ServiceInstance; readonly previous: ServiceInstance }
  | {
    readonly _tag: "Down"
    readonly instance: ServiceInstance
    readonly reason: "deregistered" | "expired" | "cleanedUp"
  }
  | { readonly _tag: "Ready" }

/**
 * Options of `register` and `layerInstance`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegisterOptions {
  /**
   * The time between two heartbeats: from 100 ms to half of `maxAge`, or a
   * Schedule. Default: the registry's, 10 seconds.
   *
   * A Schedule is never followed sooner than 100 ms after the heartbeat before,
   * and a gap of more than half of `maxAge` is a warning. One that ends lets the
   * instance expire.
   */
  readonly heartbeat?: Schedule.Schedule<unknown> | Duration.Input | undefined
  /**
   * What to do about a live record of another process under the same id. Default
   * `"wait"`.
   *
   * - `"wait"`: waits until it has sent no heartbeat for `maxAge`; fails with
   *   `DuplicateInstance` as soon as it sends one
   * - `"fail"`: fails with `DuplicateInstance` at once
   * - `"replace"`: takes the id over at once; the other process is told through
   *   its `lost`
   */
  readonly onDuplicate?: "wait" | "fail" | "replace" | undefined
}

/**
 * Options of `get`, `list` and `listAll`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadOptions {
  /** The age from which an instance is expired: more than 0; a number is milliseconds. Default: the registry's. */
  readonly maxAge?: Duration.Input | undefined
  /** Whether expired instances are returned too. Default false. */
  readonly includeExpired?: boolean | undefined
}

/**
 * A registered instance, for as long as its scope is open.
 *
 * @category models
 * @since 0.1.0
 */
export interface Registration {
  /** The instance as it was last written. */
  readonly instance: Effect.Effect<ServiceInstance>
  /**
   * Changes version, status, group or metadata at once. `f` is given the instance
   * with what other writers put there; what it leaves is kept.
   *
   * Fails with `InvalidConfig`, `InvalidValue` (metadata) or `ValueTooLarge`
   * before anything is sent; with `OutcomeUnknown` in a `KVStoreError` the change
   * may have been stored.
   */
  readonly update: (f: (current: ServiceInstance) => ServiceInstance) => Effect.Effect<void, RegistryError>
  /**
   * Sets the status to `DRAINING`, waits until `done` ends or `timeout` has
   * passed, and deregisters. `timeout` is from 0 to 366 days, without a default; a
   * number is milliseconds. A `done` that fails is logged, and ends the wait.
   */
  readonly drain: (
    done: Effect.Effect<void>,
    options: { readonly timeout: Duration.Input }
  ) => Effect.Effect<void, RegistryError>
  /** Waits until another process takes the id (`DuplicateInstance`) or deregisters the instance (`Deregistered`), and returns which. */
  readonly lost: Effect.Effect<RegistryError>
  /** Emits whether other processes see the instance as live: now, and on every change. It is `invisible` once no heartbeat has been stored for `maxAge`. */
  readonly visibility: Stream.Stream<"visible" | "invisible">
}

/**
 * Options of a run of the cleanup.
 *
 * @category models
 * @since 0.1.0
 */
export interface CleanupOptions {
  /** The age from which an instance is removed: at least twice the registry's heartbeat. Default: the registry's. */
  readonly maxAge?: Duration.Input | undefined
  /** Whether to report only, and remove nothing. Default false. */
  readonly dryRun?: boolean | undefined
  /**
   * The largest share of a service, of at least 10 instances, that one run may
   * remove: from 0 to 1. Default 0.5; 1 turns self-preservation off.
   */
  readonly maxRemovalRatio?: number | undefined
  /**
   * Whether to remove only what an earlier run of this registry saw unchanged, at
   * least one heartbeat before, so that a wrong clock cannot remove a live fleet.
   * Default false; true in `layerCleanup`.
   */
  readonly confirm?: boolean | undefined
}

/**
 * The outcome of a run of the cleanup; with `dryRun`, what it would have been.
 *
 * @category models
 * @since 0.1.0
 */
export interface CleanupReport {
  /** How many records were read. */
  readonly scanned: number
  /** The instances that were removed (`<serviceName>/<instanceId>`), and why. */
  readonly removed: ReadonlyArray<{ readonly instance: string; readonly reason: string }>
  /** How many sent a heartbeat, or were removed by another process, between the read and the removal: left alone. */
  readonly conflicts: number
  /** The instances that the store failed to remove, and why: the next run tries again. */
  readonly failed: ReadonlyArray<{ readonly instance: string; readonly reason: string }>
  /** The records that do not decode; they are removed by age too. */
  readonly undecodable: ReadonlyArray<string>
  /** The services of which self-preservation kept everything. */
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
   * The age of its last heartbeat from which an instance is expired: at least
   * twice `heartbeat`, and at most half of the bucket's `streamMaxAge`. A number is
   * milliseconds. Default 30 seconds.
   */
  readonly maxAge?: Duration.Input | undefined
  /** The time between two heartbeats of a registration: at least 100 ms, or a Schedule (see `RegisterOptions`). Default 10 seconds. */
  readonly heartbeat?: Schedule.Schedule<unknown> | Duration.Input | undefined
  /**
   * The clock that ages are measured by. Default `"store"`: the store's own
   * timestamps. `"local"` compares `lastHeartbeat`, as its writer's clock had it,
   * with this host's Clock, as AegisSDK does.
   */
  readonly clock?: "store" | "local" | undefined
}

/**
 * Creates a registry on the `KVStore` of the context.
 *
 * **Details**
 *
 * Fails with `InvalidConfig` for options that it does not take, and for times that
 * cannot work: `maxAge` below two heartbeats, or a bucket whose `streamMaxAge` is
 * below twice `maxAge`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Options
): Effect.Effect<Registry["Service"], RegistryError, KVStore | Scope.Scope> =>
  Effect.flatMap(KVStore, (store) => service.make("Registry.make", store, options))

/**
 * Provides a registry on a bucket. Fails as `make` does.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Registry, RegistryError, KVStore> =>
  Layer.effect(Registry, Effect.flatMap(KVStore, (store) => service.make("Registry.layer", store, options)))

/**
 * Registers an instance for as long as the layer lives.
 *
 * **Details**
 *
 * Fails as `register` does. Where the registration is lost, because another process
 * took the id or deregistered it, that is logged as an error, and the layer lives
 * on.
 *
 * **Example** (A backend that is registered while it runs)
 *
 * ```ts
 * import { KVStore, Registry } from "effect-aegis"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const instance = Registry.layerInstance({
 *   serviceName: "orders",
 *   instanceId: "orders-1",
 *   version: "1.2.3",
 *   metadata: { port: 8080 }
 * })
 *
 * const layer = instance.pipe(
 *   Layer.provideMerge(Registry.layer()),
 *   Layer.provide(KVStore.layerMemory({ bucket: "registry" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   return yield* registry.get("orders", "orders-1")
 * })
 * Effect.runPromise(Effect.provide(program, layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerInstance = (
  instance: InstanceOptions,
  options?: RegisterOptions
): Layer.Layer<never, RegistryError, Registry> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const registry = yield* Registry
    const { lost } = yield* registry.register(instance, options)
    yield* forkReported("a registration", Effect.flatMap(lost, (error) => Effect.fail(error)))
  }))

/**
 * Runs `cleanup` on a schedule: an interval of at least 100 ms, or a Schedule.
 * Default: every 30 seconds, the first time after one interval.
 *
 * **Details**
 *
 * A run removes only what an earlier one saw unchanged, unless `confirm` is false.
 * One that fails is logged, and the next one tries again. A Schedule is never
 * followed sooner than 100 ms after the start of the run before, and one that ends
 * is a warning. Fails with `InvalidConfig` when the layer is built.
 *
 * **Gotchas**
 *
 * Nothing holds back the bucket's own `streamMaxAge`, self-preservation neither.
 *
 * **Example** (A registry that cleans up after itself)
 *
 * ```ts
 * import { KVStore, Registry } from "effect-aegis"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const layer = Registry.layerCleanup({ schedule: "1 minute", maxRemovalRatio: 0.3 }).pipe(
 *   Layer.provideMerge(Registry.layer({ maxAge: "30 seconds", heartbeat: "10 seconds" })),
 *   Layer.provide(KVStore.layerMemory({ bucket: "registry", streamMaxAge: "5 minutes" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* Registry.Registry
 *   return yield* registry.listAll()
 * })
 * Effect.runPromise(Effect.provide(program, layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCleanup = (
  options?: CleanupOptions & { readonly schedule?: Schedule.Schedule<unknown> | Duration.Input | undefined }
): Layer.Layer<never, RegistryError, Registry> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const registry = yield* Registry
    const { schedule, ...run } = yield* service.cleanupLayerOptions(registry, options)
    const done = run.dryRun ? "would clean up" : "cleaned up"
    const cleanup = registry.cleanup(run).pipe(
      Effect.tap(({ failed }) =>
        Effect.forEach(failed, (one) => Effect.logWarning(`could not clean up ${one.instance}: ${one.reason}`))
      ),
      Effect.tap(({ removed }) =>
        Effect.forEach(removed, (one) => Effect.logInfo(`${done} ${one.instance}: ${one.reason}`))
      ),
      Effect.catch((error) => Effect.logWarning(`the cleanup failed: ${error.message}`))
    )
    const clock = yield* Clock.Clock
    const label = "the schedule of the cleanup"
    yield* forkReported(
      "the cleanup",
      Duration.isDuration(schedule)
        ? Effect.schedule(cleanup, Schedule.spaced(schedule))
        : Effect.andThen(
          onSchedule(label, cleanup, schedule, clock),
          Effect.logWarning(`${label} has ended: expired instances are no longer removed`)
        )
    )
  }))
