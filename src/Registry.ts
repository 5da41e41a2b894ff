/**
 * Who is alive.
 *
 * An instance registers, beats, and is taken for gone once its last beat is
 * older than `maxAge`: by the store's own time, so that no host's clock matters,
 * and never by trust in a per-key TTL. Every write is a compare-and-set on what
 * this process wrote last: no registration overwrites another's, and a beat that
 * was under way cannot bring back what was deregistered.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { defaultMaxAge } from "./Expiration.ts"
import { forkReported } from "./internal/fibers.ts"
import type { CleanupOptions, Options, RegisterOptions, RegistryService } from "./internal/registry/models.ts"
import { make } from "./internal/registry/service.ts"
import { KVStore } from "./KVStore.ts"
import type { RegistryError } from "./RegistryError.ts"
import type { InstanceOptions } from "./ServiceInstance.ts"

export type {
  CleanupOptions,
  CleanupReport,
  Options,
  ReadOptions,
  RegisterOptions,
  Registration,
  RegistryEvent,
  RegistryService
} from "./internal/registry/models.ts"
export * from "./RegistryError.ts"
export * from "./ServiceInstance.ts"

/**
 * The registry.
 *
 * @category services
 * @since 0.1.0
 */
export class Registry extends Context.Service<Registry, RegistryService>()("effect-aegis/Registry") {}

/**
 * A registry on a bucket. Refuses times that cannot work: `maxAge` below two
 * heartbeats, or a bucket whose `streamMaxAge` is below twice `maxAge`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Registry, RegistryError, KVStore> =>
  Layer.effect(Registry, Effect.flatMap(KVStore, (store) => make(store, options)))

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
): Layer.Layer<never, never, Registry> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const registry = yield* Registry
    const { schedule = defaultMaxAge, ...passOptions } = options ?? {}
    const pass = registry.cleanup({ confirm: true, ...passOptions }).pipe(
      Effect.tap(({ failed }) =>
        Effect.forEach(failed, (one) => Effect.logWarning(`not cleaned up ${one.instance}: ${one.reason}`))
      ),
      Effect.tap(({ removed }) =>
        Effect.forEach(removed, (one) => Effect.logInfo(`cleaned up ${one.instance}: ${one.reason}`))
      ),
      Effect.catch((error) => Effect.logWarning("a pass of the cleanup failed", error.message))
    )
    yield* forkReported(
      "the cleanup",
      Effect.schedule(pass, Schedule.isSchedule(schedule) ? schedule : Schedule.spaced(schedule))
    )
  }))
