/** Processes with a registry each, what they see of one another, and what is stored of them. */
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

/** A bucket of its own for a test. */
export const openBucket = (options: Partial<KVStore.BucketOptions> = {}) => open({ storage: "memory", ...options })

/** A registry with a link of its own to the store. */
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
    /** Registers until `close`, or the end of the test, for which the link is mended first. */
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
        /** Why the registration is over; undefined while it is not. */
        whyLost: Effect.sync(() => {
          const exit = lost.pollUnsafe()
          return exit !== undefined && Exit.isSuccess(exit) ? exit.value.reason._tag : undefined
        })
      }
    })
  }
})

export type Process = Effect.Success<ReturnType<typeof startProcess>>

/** A bucket with two processes on it; one that is not asked for anything asks for nothing. */
export const world = Effect.fnUntraced(function*(times: Registry.Options) {
  const store = yield* openBucket()
  return [store, yield* startProcess(store, times), yield* startProcess(store, times)] as const
})

/** An instance that has its id, as a heartbeat by hand needs it. */
type NamedInstance = Registry.InstanceOptions & { readonly instanceId: string }

/** A heartbeat by hand that gets there: on a busy machine one with short times may be cut off. */
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

/** The ids that a process sees of a service. */
export const listed = (process: Process, serviceName = "orders", options?: Registry.ReadOptions) =>
  Effect.map(process.registry.list(serviceName, options), idsOf)

/** The last message of a key in a word. */
export const lastOf = (store: Store, key: string) =>
  Effect.map(
    store.history(key),
    ([last]) =>
      last === undefined ? "nothing" : last._tag === "Removed" ? last.reason : last._tag === "Put" ? "put" : last._tag
  )

export const entryOf = (store: Store, key: string) => Effect.map(store.get(key), Option.getOrThrow)

const Fields = Schema.Record(Schema.String, Schema.Json)

/** The fields of a record, as they are stored. */
export const fieldsOf = (store: Store, key: string) =>
  Effect.map(
    entryOf(store, key),
    (entry) => Schema.decodeSync(Schema.fromJsonString(Fields))(new TextDecoder().decode(entry.value))
  )

/** Changes the fields of a record underneath whoever wrote it. */
export const underneath = (store: Store, key: string, fields: typeof Fields.Type) =>
  KVStore.typed(store, Fields).modify(key, Option.map(Struct.assign(fields)))

/** An event in a few words. */
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

/** What a watch has told so far, in words. */
export const watched = (process: Process, serviceName?: string) =>
  record(Stream.map(process.registry.watch(serviceName), shown))

/** For `until`: from now on so many of the process's writes have landed. */
export const hasWritten = (process: Process, writes: number) => {
  const before = process.link.landed.length
  return [Effect.sync(() => process.link.landed.length - before), (count: number) => count >= writes] as const
}
