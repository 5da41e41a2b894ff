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
import { onSchedule } from "./internal/registry/pace.ts"
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
 * @category services
 * @since 0.1.0
 */
export class Registry extends Context.Service<Registry, {
  /** Registers, beats on the layer's Schedule, deregisters when the scope closes. */
  readonly register: (
    instance: InstanceOptions,
    options?: RegisterOptions
  ) => Effect.Effect<Registration, RegistryError, Scope.Scope>
  /** One beat by hand, for callers who keep their own loop; `instanceId` is needed. Registers again where the record has gone. */
  readonly heartbeat: (
    instance: InstanceOptions & { readonly instanceId: string }
  ) => Effect.Effect<void, RegistryError>
  /** Removes an instance on purpose, whoever registered it. False: it was not there. */
  readonly deregister: (serviceName: string, instanceId: string) => Effect.Effect<boolean, RegistryError>
  /** None where it is absent or expired. */
  readonly get: (
    serviceName: string,
    instanceId: string,
    options?: ReadOptions
  ) => Effect.Effect<Option.Option<ServiceInstance>, RegistryError>
  /** Who is alive, in order of their ids. */
  readonly list: (
    serviceName: string,
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyArray<ServiceInstance>, RegistryError>
  readonly listAll: (
    options?: ReadOptions
  ) => Effect.Effect<ReadonlyMap<string, ReadonlyArray<ServiceInstance>>, RegistryError>
  /**
   * `Up` for each who is alive, `Ready`, then what changes. All watches of a
   * process share one. An observer that is itself cut off from the store for
   * longer than `maxAge` sees no beats, and tells them all `Down` (`expired`)
   * until it is back.
   */
  readonly watch: (serviceName?: string) => Stream.Stream<RegistryEvent, RegistryError>
  /** One pass: removes, by compare-and-purge, what is expired. Reports what and why. */
  readonly cleanup: (options?: CleanupOptions) => Effect.Effect<CleanupReport, RegistryError>
}>()("effect-aegis/Registry") {}

/**
 * What happens to an instance. A beat that changes nothing but the time is no
 * event.
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
  /** Everybody who was there has been told. */
  | { readonly _tag: "Ready" }

/**
 * How to register.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegisterOptions {
  /** How often to beat. Default: the layer's, 10 seconds. */
  readonly heartbeat?: Schedule.Schedule<unknown> | Duration.Input | undefined
  /**
   * A live record under this id that another process wrote. `"wait"` (default):
   * until it has been silent for `maxAge`, and fails with `DuplicateInstance` as
   * soon as it beats. `"fail"`: at once. `"replace"`: takes it over, once.
   */
  readonly onDuplicate?: "wait" | "fail" | "replace" | undefined
}

/**
 * How to read.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadOptions {
  /** Default: the layer's. */
  readonly maxAge?: Duration.Input | undefined
  /** Default false. */
  readonly includeExpired?: boolean | undefined
}

/**
 * A registration, for as long as its scope is open.
 *
 * @category models
 * @since 0.1.0
 */
export interface Registration {
  /** As it was last written. */
  readonly instance: Effect.Effect<ServiceInstance>
  /** Changes status or metadata at once, without losing what another writer put there. */
  readonly update: (f: (current: ServiceInstance) => ServiceInstance) => Effect.Effect<void, RegistryError>
  /** `DRAINING` now, deregistered when `done` ends or the time is up. */
  readonly drain: (
    done: Effect.Effect<void>,
    options: { readonly timeout: Duration.Input }
  ) => Effect.Effect<void, RegistryError>
  /** Succeeds once this registration is over for a reason not its own: another process took the id, or it was deregistered. */
  readonly lost: Effect.Effect<RegistryError>
  /** The state now, then told when others may no longer see us, and when they do again. */
  readonly visibility: Stream.Stream<"visible" | "invisible">
}

/**
 * What a pass of the cleanup may do.
 *
 * @category models
 * @since 0.1.0
 */
export interface CleanupOptions {
  /** Default: the layer's. */
  readonly maxAge?: Duration.Input | undefined
  /** Reports, and removes nothing. Default false. */
  readonly dryRun?: boolean | undefined
  /** Largest share of a service (of at least 10) that one pass may remove. Default 0.5; 1 turns self-preservation off. */
  readonly maxRemovalRatio?: number | undefined
  /**
   * Removes only what an earlier pass of this registry saw unchanged, at least
   * one heartbeat before, so that a wrong clock cannot clean up a live fleet.
   * Default false; `layerCleanup` sets it.
   */
  readonly confirm?: boolean | undefined
}

/**
 * What a pass of the cleanup did, or, with `dryRun`, would have done.
 *
 * @category models
 * @since 0.1.0
 */
export interface CleanupReport {
  readonly scanned: number
  readonly removed: ReadonlyArray<{ readonly instance: string; readonly reason: string }>
  /** Beaten, or removed by somebody else, between the read and the removal: left alone. */
  readonly conflicts: number
  /** Not removed because the store could not do it, and why: the next pass tries again. */
  readonly failed: ReadonlyArray<{ readonly instance: string; readonly reason: string }>
  /** Records that do not decode. They go by age too. */
  readonly undecodable: ReadonlyArray<string>
  /** Services that self-preservation held back. */
  readonly preserved: ReadonlyArray<string>
}

/**
 * How a registry works.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long an instance may be silent. Default 30 seconds. */
  readonly maxAge?: Duration.Input | undefined
  /** How often registrations beat. Default 10 seconds. */
  readonly heartbeat?: Schedule.Schedule<unknown> | Duration.Input | undefined
  /** `"store"` (default) compares the store's own timestamps; `"local"` compares `lastHeartbeat` with this host's Clock. */
  readonly clock?: "store" | "local" | undefined
}

/**
 * Creates a registry on the `KVStore` of the context. Fails with `InvalidConfig`
 * for times that cannot work: `maxAge` below two heartbeats, or a bucket whose
 * `streamMaxAge` is below twice `maxAge`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Options
): Effect.Effect<Registry["Service"], RegistryError, KVStore | Scope.Scope> =>
  Effect.flatMap(KVStore, (store) => service.make("Registry.make", store, options))

/**
 * A registry on a bucket. Refuses times that cannot work: `maxAge` below two
 * heartbeats, or a bucket whose `streamMaxAge` is below twice `maxAge`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Registry, RegistryError, KVStore> =>
  Layer.effect(Registry, Effect.flatMap(KVStore, (store) => service.make("Registry.layer", store, options)))

/**
 * A backend's own registration: registered while the layer lives. Where the
 * registration is lost (another process took the id, or somebody deregistered
 * it) that is logged as an error.
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
 * The cleanup: a pass on each occurrence of the schedule (default: every 30
 * seconds), which removes only what an earlier pass saw unchanged. A pass that
 * fails is logged, and the next one tries again. `streamMaxAge` of the bucket is
 * what no cleanup can hold back.
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
