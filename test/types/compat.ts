/**
 * Type tests of `Compat`: each line after a `@ts-expect-error` has one mistake and must not compile; the other lines must
 * compile. Nothing here is run.
 */
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Compat from "../../src/Compat.ts"
import type * as KVStore from "../../src/KVStore.ts"
import type * as Registry from "../../src/Registry.ts"

const one = { serviceName: "orders", instanceId: "one", version: "1.0.0" }

export const instances = (instance: Registry.ServiceInstance, lastHeartbeat: DateTime.Utc) => [
  Compat.register(one),
  Compat.register(one, 30),
  Compat.register({ serviceName: "orders", version: "1.0.0" }, 30),
  Compat.updateHeartbeat(one, 30),
  Compat.isExpired(instance),
  Compat.isExpired({ lastHeartbeat }, 30),
  Compat.deregister("orders", "one"),
  Compat.cleanupExpiredServices(),
  Compat.cleanupExpiredServices(30),

  // @ts-expect-error The time to live is a number of seconds.
  Compat.register(one, "30 seconds"),
  // @ts-expect-error A heartbeat by hand requires an instanceId.
  Compat.updateHeartbeat({ serviceName: "orders", version: "1.0.0" }),
  // @ts-expect-error The age is a number of seconds.
  Compat.isExpired(instance, "30 seconds"),
  // @ts-expect-error The age is a number of seconds, not an object of options.
  Compat.cleanupExpiredServices({ maxAge: 30 }),
  // @ts-expect-error Deregistration needs both names.
  Compat.deregister("orders")
]

export const options = (store: KVStore.KVStore["Service"], value: Uint8Array) => [
  store.put("k", value, Compat.KVOptionsFactory.createExclusive()),
  store.put("k", value, Compat.KVOptionsFactory.createUpdateOnly(3)),
  store.put("k", value, Compat.KVOptionsFactory.createWithRevision(3)),
  store.put("k", value, Compat.KVOptionsFactory.createEphemeral(30)),

  // @ts-expect-error AegisSDK deleted it together with the time to live.
  Compat.KVOptionsFactory.createWithTtl(30),
  // @ts-expect-error A revision is required.
  Compat.KVOptionsFactory.createWithRevision()
]

export const registered: Effect.Effect<
  Registry.Registration,
  Registry.RegistryError,
  Registry.Registry | Scope.Scope
> = Compat.register(one, 30)

export const listed: Effect.Effect<
  ReadonlyMap<string, ReadonlyArray<Registry.ServiceInstance>>,
  Registry.RegistryError,
  Registry.Registry
> = Compat.listAllServices
