/**
 * The names of AegisSDK for Python that its document says were kept, for programs that move from it. Each prints one
 * deprecation warning per process. `docs/migration-from-aegissdk.md` names what to use instead.
 *
 * A parameter `ttlSeconds` is accepted and ignored, as in AegisSDK: an instance expires by the age of its last
 * heartbeat, and a value by the `streamMaxAge` of its bucket.
 *
 * The module is a separate entry point: `import * as Compat from "effect-aegis/Compat"`.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Expiration from "./Expiration.ts"
import { deprecated } from "./internal/deprecated.ts"
import { refuse, shown } from "./internal/options.ts"
import type { KVOptions } from "./KVStore.ts"
import { type InstanceOptions, type Registration, Registry, RegistryError, ServiceInstance } from "./Registry.ts"

const expiring = "the streamMaxAge of a bucket, or KVStore.getUnexpired"

/** An age in seconds. Fails before anything is sent. */
const toMaxAge = (operation: string, seconds: unknown): Effect.Effect<Duration.Duration, RegistryError> =>
  Effect.mapError(
    Effect.fromResult(
      typeof seconds === "number" && seconds >= 0
        ? Result.succeed(Duration.seconds(seconds))
        : refuse("maxAgeSeconds", "a number of seconds from 0", shown(seconds))
    ),
    (reason) => new RegistryError({ operation, reason })
  )

// -----------------------------------------------------------------------------
// key-value store
// -----------------------------------------------------------------------------

/**
 * The options of `put` under the names that AegisSDK gave them. Those with a time to live return no options, as in
 * AegisSDK after it had removed the time to live of a key.
 *
 * **Example** (Writing a value only if its key has none)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KVStore } from "effect-aegis"
 * import * as Compat from "effect-aegis/Compat"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const store = yield* KVStore.makeMemory({ bucket: "settings" })
 *   return yield* store.put("theme", new TextEncoder().encode("dark"), Compat.KVOptionsFactory.createExclusive())
 * }))
 *
 * console.log(await Effect.runPromise(program))
 * // => 1
 * ```
 *
 * @deprecated Write the options of `put` as an object: `{ createOnly: true }`, `{ updateOnly: true }` or `{ revision }`.
 * @category key-value store
 * @since 0.1.0
 */
export const KVOptionsFactory: {
  /** `{ createOnly: true }`: writes only if the key has no value. */
  readonly createExclusive: () => KVOptions
  /**
   * `{ updateOnly: true }`: writes only if the key has a value. With a revision `{ revision }`: writes only if the last
   * message of the key has it.
   */
  readonly createUpdateOnly: (revision?: number) => KVOptions
  /** `{ revision }`: writes only if the last message of the key has this revision. */
  readonly createWithRevision: (revision: number) => KVOptions
  /** No options. */
  readonly createPersistent: () => undefined
  /** No options: `ttlSeconds` is ignored. Use the `streamMaxAge` of a bucket, or `KVStore.getUnexpired`. */
  readonly createEphemeral: (ttlSeconds?: number) => undefined
  /** No options: `ttlSeconds` is ignored. Use the `streamMaxAge` of a bucket, or `KVStore.getUnexpired`. */
  readonly createSession: (ttlSeconds?: number) => undefined
  /** No options: `ttlSeconds` is ignored. Use the `streamMaxAge` of a bucket, or `KVStore.getUnexpired`. */
  readonly createCache: (ttlSeconds?: number) => undefined
} = {
  createExclusive: () => deprecated("KVOptionsFactory.createExclusive", "{ createOnly: true }", { createOnly: true }),
  createUpdateOnly: (revision) =>
    deprecated(
      "KVOptionsFactory.createUpdateOnly",
      "{ updateOnly: true }",
      revision === undefined ? { updateOnly: true } : { revision }
    ),
  createWithRevision: (revision) => deprecated("KVOptionsFactory.createWithRevision", "{ revision }", { revision }),
  createPersistent: () => deprecated("KVOptionsFactory.createPersistent", "put without options", undefined),
  createEphemeral: () => deprecated("KVOptionsFactory.createEphemeral", expiring, undefined),
  createSession: () => deprecated("KVOptionsFactory.createSession", expiring, undefined),
  createCache: () => deprecated("KVOptionsFactory.createCache", expiring, undefined)
}

// -----------------------------------------------------------------------------
// registry
// -----------------------------------------------------------------------------

/** An instance that `isExpired` has found expired, and when: by the clock of the registry, in milliseconds. */
interface Found {
  readonly instance: ServiceInstance
  readonly at: number
}

/** By registry and name, in the order in which they were found, until `deregister` removes them. */
const foundExpired = new WeakMap<Registry["Service"], Map<string, Found>>()

/** A later `deregister` is not the one that a check was made for. In milliseconds. */
const longestBetween = 30_000

/** The most that are remembered: a program may check instances, and never deregister them. */
const mostFound = 10_000

const nameOf = ({ instanceId, serviceName }: { readonly serviceName: string; readonly instanceId: string }): string =>
  `${serviceName}/${instanceId}`

const remember = (registry: Registry["Service"], instance: ServiceInstance): void => {
  const found = foundExpired.get(registry) ?? new Map<string, Found>()
  foundExpired.set(registry, found)
  const name = nameOf(instance)
  found.delete(name)
  found.set(name, { instance, at: registry.clock.currentTimeMillisUnsafe() })
  const [oldest] = found.keys()
  if (found.size > mostFound && oldest !== undefined) found.delete(oldest)
}

/** Removes the instance, and returns it if it was found a moment ago. */
const take = (registry: Registry["Service"], name: string): ServiceInstance | undefined => {
  const found = foundExpired.get(registry)
  const last = found?.get(name)
  found?.delete(name)
  return last !== undefined && registry.clock.currentTimeMillisUnsafe() - last.at <= longestBetween
    ? last.instance
    : undefined
}

/**
 * Registers an instance as `Registry.register` does: it sends heartbeats in the background, and is deregistered when the
 * scope closes. `ttlSeconds` is ignored. Fails as `Registry.register` does.
 *
 * @deprecated Use `register` of the `Registry`, or `Registry.layerInstance`.
 * @category registry
 * @since 0.1.0
 */
export const register = (
  instance: InstanceOptions,
  _ttlSeconds?: number
): Effect.Effect<Registration, RegistryError, Registry | Scope.Scope> =>
  Effect.suspend(() =>
    deprecated("register", "register of the Registry", Registry.use((registry) => registry.register(instance)))
  )

/**
 * Sends one heartbeat as `Registry.heartbeat` does, for programs with their own loop. The first one registers the
 * instance. `ttlSeconds` is ignored. Fails as `Registry.heartbeat` does.
 *
 * @deprecated Use `register` of the `Registry`, which sends the heartbeats, or its `heartbeat`.
 * @category registry
 * @since 0.1.0
 */
export const updateHeartbeat = (
  instance: InstanceOptions & { readonly instanceId: string },
  _ttlSeconds?: number
): Effect.Effect<void, RegistryError, Registry> =>
  Effect.suspend(() =>
    deprecated("updateHeartbeat", "heartbeat of the Registry", Registry.use((registry) => registry.heartbeat(instance)))
  )

/**
 * Whether the last heartbeat of an instance is older than `maxAgeSeconds`, 30 by default, by the clock of the registry.
 * A heartbeat that is exactly that old is live. Fails with `InvalidConfig` if the age is no number of seconds from 0.
 *
 * **Gotchas**
 *
 * After an outage of the store all instances are older than `maxAgeSeconds`, although they are live. `list` knows of the
 * outage, and keeps them.
 *
 * @deprecated Use `list` of the `Registry`, which leaves expired instances out, or `Expiration.isExpired`.
 * @category registry
 * @since 0.1.0
 */
export const isExpired = (
  instance: { readonly lastHeartbeat: DateTime.Utc | undefined },
  maxAgeSeconds: number = 30
): Effect.Effect<boolean, RegistryError, Registry> =>
  Effect.gen(function*() {
    const maxAge = yield* deprecated("isExpired", "list of the Registry", toMaxAge("isExpired", maxAgeSeconds))
    const registry = yield* Registry
    const isExpired = Expiration.isExpired(registry.clock, { maxAge })(instance)
    if (isExpired && instance instanceof ServiceInstance) remember(registry, instance)
    return isExpired
  })

/**
 * Reads the instances of all services, grouped by service name, with those that have expired: programs of AegisSDK
 * check the age themselves. Fails as `Registry.listAll` does.
 *
 * @deprecated Use `listAll` of the `Registry`, which leaves expired instances out.
 * @category registry
 * @since 0.1.0
 */
export const listAllServices: Effect.Effect<
  ReadonlyMap<string, ReadonlyArray<ServiceInstance>>,
  RegistryError,
  Registry
> = Effect.suspend(() =>
  deprecated(
    "listAllServices",
    "listAll of the Registry",
    Registry.use((registry) => registry.listAll({ includeExpired: true }))
  )
)

/**
 * Removes an instance, whichever process registered it. One that is expired, or may only have been slow, registers again
 * with its next heartbeat. Within 30 seconds after `isExpired` has found the instance expired, it is removed only if it has
 * sent no heartbeat since. That the instance does not exist is no error. Fails as `Registry.deregister` does.
 *
 * @deprecated Use `deregister` of the `Registry`, which takes an object and returns whether a record was removed.
 * @category registry
 * @since 0.1.0
 */
export const deregister = (serviceName: string, instanceId: string): Effect.Effect<void, RegistryError, Registry> =>
  Effect.suspend(() =>
    deprecated(
      "deregister",
      "deregister of the Registry",
      Registry.use((registry) => {
        const names = { serviceName, instanceId }
        return Effect.asVoid(registry.deregister(take(registry, nameOf(names)) ?? names))
      })
    )
  )

/**
 * Removes the instances whose last heartbeat is older than `maxAgeSeconds`, and returns their number. Default: the `maxAge`
 * of each instance, 30 seconds unless its registry has another one. Fails as `Registry.cleanup` does.
 *
 * **Details**
 *
 * A removal is conditioned on the record that was read, and an instance that was only slow registers again with its next
 * heartbeat. If more than half of the ten or more instances of a service look expired, none of them is removed.
 *
 * @deprecated Use `cleanup` of the `Registry`, or `Registry.layerCleanup`, which runs it repeatedly.
 * @category registry
 * @since 0.1.0
 */
export const cleanupExpiredServices = (maxAgeSeconds?: number): Effect.Effect<number, RegistryError, Registry> =>
  Effect.suspend(() =>
    deprecated(
      "cleanupExpiredServices",
      "cleanup of the Registry",
      Effect.gen(function*() {
        const registry = yield* Registry
        const maxAge = maxAgeSeconds === undefined
          ? undefined
          : yield* toMaxAge("cleanupExpiredServices", maxAgeSeconds)
        return (yield* registry.cleanup({ maxAge })).removed.length
      })
    )
  )
