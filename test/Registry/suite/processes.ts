/** Processes (registries with their own links to a store), and helpers that read their views and records. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import * as KVStore from "../../../src/KVStore.ts"
import * as Registry from "../../../src/Registry.ts"

import { makeLink } from "../../support/links.ts"
import { type Store } from "../../support/suite.ts"
import { openBucket as open, record } from "../../support/suite.ts"
import { brisk } from "./fixture.ts"

/** Opens a new bucket for a test. */
export const openBucket = (options: Partial<KVStore.BucketOptions> = {}) => open({ storage: "memory", ...options })

/** Creates a registry with its own link to the store. */
export const startProcess = Effect.fnUntraced(function*(store: Store, options: Registry.Options = {}) {
  const link = makeLink()
  const context = yield* Layer.build(
    Registry.layer({ ...brisk, ...options }).pipe(
      Layer.provide(link.layer),
      Layer.provide(Layer.succeed(KVStore.KVStore, store))
    )
  )
  const registry = Context.get(context, Registry.Registry)
  return {
    link,
    registry,
    /** Registers an instance until `close`, or until the end of the test, which first removes the fault of the link. */
    enter: Effect.fnUntraced(function*(instance: Registry.InstanceOptions, options?: Registry.RegisterOptions) {
      const scope = yield* Effect.acquireRelease(
        Scope.make(),
        (scope) => Effect.andThen(link.set(undefined), Scope.close(scope, Exit.void))
      )
      const registration = yield* registry.register(instance, options).pipe(Scope.provide(scope))
      const lost = yield* Effect.forkIn(registration.lost, scope)
      return {
        ...registration,
        close: Scope.close(scope, Exit.void),
        /** Why the registration was lost; undefined while it is not lost. */
        whyLost: Effect.sync(() => {
          const exit = lost.pollUnsafe()
          return exit !== undefined && Exit.isSuccess(exit) ? exit.value.reason._tag : undefined
        })
      }
    })
  }
})

export type Process = Effect.Success<ReturnType<typeof startProcess>>

/** A bucket with two processes. A process that is not used makes no calls to the store. */
export const world = Effect.fnUntraced(function*(times: Registry.Options) {
  const store = yield* openBucket()
  return [store, yield* startProcess(store, times), yield* startProcess(store, times)] as const
})

/** An instance with an id, as `heartbeat` requires. */
type NamedInstance = Registry.InstanceOptions & { readonly instanceId: string }

/** Calls `heartbeat` and retries: on a busy machine a call with short times can time out. */
export const sendHeartbeat = (process: Process, instance: NamedInstance) =>
  Effect.retry(process.registry.heartbeat(instance), {
    while: (error) => error.reason._tag === "KVStoreError",
    times: 10
  })

export const named = (
  serviceName: string,
  instanceId: string,
  more?: Omit<Partial<Registry.InstanceOptions>, "instanceId">
): NamedInstance => ({ serviceName, instanceId, version: "1.0.0", ...more })

export const keyOf = (serviceName: string, instanceId: string) => `service-instances.${serviceName}.${instanceId}`

export const idsOf = (instances: ReadonlyArray<Registry.ServiceInstance>): ReadonlyArray<string> =>
  instances.map((instance) => instance.instanceId)

/** The ids of the instances that a process lists. */
export const listed = (process: Process, serviceName = "orders", options?: Registry.ReadOptions) =>
  Effect.map(process.registry.list(serviceName, options), idsOf)

/** The kind of the last message of a key, in one word. */
export const lastOf = (store: Store, key: string) =>
  Effect.map(
    store.history(key),
    ([last]) =>
      last === undefined ? "nothing" : last._tag === "Removed" ? last.reason : last._tag === "Put" ? "put" : last._tag
  )

export const entryOf = (store: Store, key: string) => Effect.map(store.get(key), Option.getOrThrow)

const Fields = Schema.Record(Schema.String, Schema.Json)

/** The stored fields of a record. */
export const fieldsOf = (store: Store, key: string) =>
  Effect.map(
    entryOf(store, key),
    (entry) => Schema.decodeSync(Schema.fromJsonString(Fields))(new TextDecoder().decode(entry.value))
  )

/** Changes fields of a stored record, as another writer would. */
export const underneath = (store: Store, key: string, fields: typeof Fields.Type) =>
  KVStore.typed(store, Fields).modify(key, Option.map(Struct.assign(fields)))

/** An event as text. */
const shown = (event: Registry.RegistryEvent): string => {
  if (event._tag === "Ready") return "ready"
  const name = `${event.instance.serviceName}/${event.instance.instanceId}`
  switch (event._tag) {
    case "Up":
      return `up ${name}`
    case "Changed":
      return `changed ${name} from ${event.previous.status} to ${event.instance.status}`
    case "Down":
      return `down ${name} ${event.reason}`
  }
}

/** Records the events of a watch as texts. */
export const watched = (process: Process, serviceName?: string) =>
  record(Stream.map(process.registry.watch(serviceName), shown))

/** The states of a registration's visibility. */
export const tagsOf = (visibility: Registry.Registration["visibility"]) => Stream.map(visibility, ({ _tag }) => _tag)

/** Arguments for `until`: waits until `writes` more writes of the process have landed. */
export const hasWritten = (process: Process, writes: number) => {
  const before = process.link.landed.length
  return [Effect.sync(() => process.link.landed.length - before), (count: number) => count >= writes] as const
}
