/**
 * Type tests of `Registry`: each line after a `@ts-expect-error` has one mistake and must not compile; the other lines
 * must compile. Nothing here is run.
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

  // @ts-expect-error A heartbeat by hand requires an instanceId.
  registry.heartbeat(orders),
  // @ts-expect-error The instanceId of a heartbeat by hand must not be undefined.
  registry.heartbeat({ ...orders, instanceId: undefined }),
  // @ts-expect-error The instanceId of a heartbeat by hand must not be optional.
  registry.heartbeat(given),
  // @ts-expect-error The option is named group; stickyActiveGroup is the name of the stored field.
  registry.register({ ...one, stickyActiveGroup: "eu" }),
  // @ts-expect-error The option is named status.
  registry.register({ ...one, stickyActiveStatus: "ACTIVE" }),
  // @ts-expect-error An unknown status: the names are upper case.
  registry.register({ ...one, status: "active" }),
  // @ts-expect-error An unknown value of onDuplicate: the names are lower case.
  registry.register(one, { onDuplicate: "Fail" })
]

export const draining = ({ drain }: Registry.Registration) => [
  drain(Effect.void, { timeout: "1 minute" }),

  // @ts-expect-error The timeout is required: no default suits all callers.
  drain(Effect.void),
  // @ts-expect-error The timeout must not be undefined.
  drain(Effect.void, { timeout: undefined }),
  // @ts-expect-error The timeout is passed by its option name.
  drain(Effect.void, "1 minute")
]

export const made: Effect.Effect<Service, Registry.RegistryError, KVStore.KVStore | Scope.Scope> = Registry.make()

export const cleanup: Layer.Layer<never, Registry.RegistryError, Registry.Registry> = Registry.layerCleanup()
// @ts-expect-error The layer can fail with InvalidConfig.
export const infallible: Layer.Layer<never, never, Registry.Registry> = Registry.layerCleanup()
