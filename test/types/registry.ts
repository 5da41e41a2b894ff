/**
 * What must not compile of a registry. Every line after a `@ts-expect-error` is one mistake away from a line that
 * compiles. Nothing here is run.
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"

type Service = Registry.Registry["Service"]

const orders = { serviceName: "orders", version: "1.0.0" }
const one = { ...orders, instanceId: "one" }

export const instances = (registry: Service, given: Registry.InstanceOptions) => [
  registry.register(orders),
  registry.register(one),
  registry.register({ ...one, group: "eu", status: "STANDBY", metadata: { zone: "a" } }),
  registry.heartbeat(one),

  // @ts-expect-error A heartbeat by hand needs the id of the instance that it is for.
  registry.heartbeat(orders),
  // @ts-expect-error Nor may it be undefined.
  registry.heartbeat({ ...orders, instanceId: undefined }),
  // @ts-expect-error Nor may it be there or not.
  registry.heartbeat(given),
  // @ts-expect-error The group has one name; AegisSDK's is that of the stored field.
  registry.register({ ...one, stickyActiveGroup: "eu" }),
  // @ts-expect-error There is one status.
  registry.register({ ...one, stickyActiveStatus: "ACTIVE" }),
  // @ts-expect-error A status is one of five.
  registry.register({ ...one, status: "active" }),
  // @ts-expect-error A choice is one of three.
  registry.register(one, { onDuplicate: "Fail" })
]

export const draining = ({ drain }: Registry.Registration) => [
  drain(Effect.void, { timeout: "1 minute" }),

  // @ts-expect-error How long it may take is not left out: there is no time that suits all.
  drain(Effect.void),
  // @ts-expect-error Nor is it undefined.
  drain(Effect.void, { timeout: undefined }),
  // @ts-expect-error It has a name.
  drain(Effect.void, "1 minute")
]

export const made: Effect.Effect<Service, Registry.RegistryError, KVStore.KVStore | Scope.Scope> = Registry.make()

export const cleanup: Layer.Layer<never, Registry.RegistryError, Registry.Registry> = Registry.layerCleanup()
// @ts-expect-error Its options may be refused.
export const infallible: Layer.Layer<never, never, Registry.Registry> = Registry.layerCleanup()
