/**
 * The reads `get`, `list` and `listAll` (docs/protocols/registry.md, R23).
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { KVStoreError } from "../../KVStoreError.ts"
import type { Registry } from "../../Registry.ts"
import { UndecodableValue } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import type { Access } from "./access.ts"
import { accepted, failure } from "./failures.ts"
import * as options from "./options.ts"
import { ages } from "./outages.ts"
import { type InstanceRecord, keyOf, keyPrefix } from "./record.ts"
import type { SharedView } from "./sharedView.ts"
import type { KnownInstance } from "./view.ts"

type Service = Registry["Service"]

/** Order by id. The order of the store may depend on the times of the last heartbeats. */
const byId = (a: ServiceInstance, b: ServiceInstance): number =>
  a.instanceId < b.instanceId ? -1 : a.instanceId > b.instanceId ? 1 : 0

/** The keys of a service, and of all. */
const ofService = (name: string): string => `${keyPrefix}.${name}.*`
const ofAll = `${keyPrefix}.*.*`

/** The beginning of the keys that match. */
const beginning = (filter: string): string => filter.slice(0, filter.indexOf("*"))

/**
 * The number of keys without a value whose last message is read, to learn why the view of this process lists their
 * instances. If more are missing, and none of these has a message, the bucket was lost.
 */
const mostLooks = 16

/**
 * The instances that the view lists and the bucket does not have, because it was lost, rolled back or emptied: they register
 * again. Without a marker a key can also have been removed by age, with its marker.
 */
const lostWithBucket = Effect.fnUntraced(function*(
  access: Access,
  missing: ReadonlyArray<KnownInstance>
): Effect.fn.Return<ReadonlyArray<KnownInstance>, KVStoreError> {
  const { created, lastRevision } = yield* access.store.status
  const { streamMaxAge } = access.store.config
  const longest = streamMaxAge === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(streamMaxAge)
  const lost = missing.filter(({ instance: { lastHeartbeat }, revision }) =>
    lastRevision < revision || DateTime.isGreaterThan(created, lastHeartbeat) || access.ageAt(lastHeartbeat) < longest
  )
  const looked = lost.slice(0, mostLooks)
  const kept = yield* Effect.filter(
    looked,
    ({ instance }) =>
      Effect.map(access.lastOf(keyOf(instance)), ({ seen }) => seen._tag === "Nothing" || seen._tag === "Live"),
    { concurrency: "unbounded" }
  )
  // The others were deregistered, and the view learns of it later.
  return kept.length === looked.length ? lost : kept
})

/**
 * The records of live instances among all that are known of their services. A read with its own maxAge judges by age
 * alone.
 */
const live = (
  access: Access,
  view: SharedView,
  records: ReadonlyArray<InstanceRecord>,
  maxAge: Duration.Duration | undefined
): ReadonlyArray<InstanceRecord> => {
  if (maxAge !== undefined) return records.filter((one) => !access.expired(one, maxAge))
  const aged = records.map(access.aged)
  const ageOf = ages(aged, access.now())
  return aged
    .filter((one) => ageOf(one) <= one.maxAge || view.current()?.isLive(keyOf(one.record.instance)) === true)
    .map((one) => one.record)
}

/** The records that match, and the keys that have a value. A record that does not decode is logged and left out. */
const entriesOf = Effect.fnUntraced(function*(access: Access, filter: string) {
  const entries = yield* access.store.entries(filter)
  const records = yield* Effect.forEach(entries, (entry) =>
    Result.match(access.decode(entry), {
      onFailure: (cause) => Effect.as(access.reportUndecodable(entry, cause), []),
      onSuccess: (decoded) => Effect.succeed([decoded])
    }))
  return { records: records.flat(), keys: new Set(entries.map(({ key }) => key)) }
})

/** The operations that read several records. */
const listing = (access: Access, view: SharedView): Pick<Service, "list" | "listAll"> => {
  const read = Effect.fnUntraced(function*(
    operation: string,
    filter: string,
    readOptions: unknown
  ) {
    const { includeExpired, maxAge } = yield* accepted(operation, options.toReadOptions(readOptions))
    yield* view.keep
    const { keys, records } = yield* Effect.mapError(entriesOf(access, filter), failure(operation))
    const found = (includeExpired ? records : live(access, view, records, maxAge)).map(({ instance }) => instance)
    if (maxAge !== undefined) return found.toSorted(byId)
    const open = view.current()
    const missing = Array.from(open?.keys() ?? [])
      .filter((key) => key.startsWith(beginning(filter)) && !keys.has(key))
      .flatMap((key) => open?.find(key) ?? [])
    const lost = missing.length === 0
      ? missing
      : yield* Effect.mapError(lostWithBucket(access, missing), failure(operation))
    return [...found, ...lost.map(({ instance }) => instance)].toSorted(byId)
  })

  const list: Service["list"] = (serviceName, readOptions) =>
    Effect.flatMap(
      accepted("list", options.toServiceName(serviceName)),
      (name) => read("list", ofService(name), readOptions)
    )

  const listAll: Service["listAll"] = (readOptions) =>
    Effect.map(
      read("listAll", ofAll, readOptions),
      (instances) => Map.groupBy(instances, (instance): string => instance.serviceName)
    )

  return { list, listAll }
}

export const reading = (access: Access, view: SharedView): Pick<Service, "get" | "list" | "listAll"> => {
  const get: Service["get"] = Effect.fnUntraced(function*(serviceName, instanceId, readOptions) {
    const names = yield* accepted("get", options.toNames(serviceName, instanceId))
    const { includeExpired, maxAge } = yield* accepted("get", options.toReadOptions(readOptions))
    const entry = yield* Effect.mapError(access.store.get(keyOf(names), { fromLeader: true }), failure("get"))
    if (Option.isNone(entry)) return Option.none()
    const found = yield* accepted(
      "get",
      Result.mapError(
        access.decode(entry.value),
        (cause) => new UndecodableValue({ revision: entry.value.revision, cause })
      )
    )
    const { instance } = found
    if (includeExpired || live(access, view, [found], maxAge).length > 0) return Option.some(instance)
    if (maxAge !== undefined) return Option.none()
    // The records of the other instances show whether there was an outage.
    const { records } = yield* Effect.mapError(entriesOf(access, ofService(names.serviceName)), failure("get"))
    const others = records.filter((one) => one.instance.instanceId !== names.instanceId)
    return live(access, view, [found, ...others], undefined).includes(found) ? Option.some(instance) : Option.none()
  })

  return { get, ...listing(access, view) }
}
