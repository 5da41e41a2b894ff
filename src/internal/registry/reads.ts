/**
 * The reads `get`, `list` and `listAll` (docs/protocols/registry.md, R23 and R33).
 */
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
import { isLegacyKey, sameNames, storedKeyOf } from "./keys.ts"
import * as options from "./options.ts"
import { ages } from "./outages.ts"
import type { InstanceRecord, Names } from "./record.ts"
import type { SharedView } from "./sharedView.ts"
import { type Candidate, oneOfEach } from "./twoRecords.ts"

type Service = Registry["Service"]

/** Order by id. The order of the store may depend on the times of the last heartbeats. */
const byId = (a: ServiceInstance, b: ServiceInstance): number =>
  a.instanceId < b.instanceId ? -1 : a.instanceId > b.instanceId ? 1 : 0

/**
 * The number of keys without a value whose last message is read, to learn why the view of this process lists their
 * instances. If more are missing, and none of these has a message, the bucket was lost.
 */
const mostLooks = 16

/** A live instance of the view, whose key has no value in the bucket. */
interface Missing {
  readonly key: string
  readonly instance: ServiceInstance
}

/**
 * The instances that the view lists and the bucket does not have, because it was lost, rolled back or emptied, or because their
 * records were removed by age in an outage: they register again. The marker of a deregistration can have been removed by age,
 * too: the view lists that instance until it judges again, and a list has what the view has.
 */
const lostWithBucket = Effect.fnUntraced(function*(
  access: Access,
  missing: ReadonlyArray<Missing>
): Effect.fn.Return<ReadonlyArray<Missing>, KVStoreError> {
  const looked = missing.slice(0, mostLooks)
  const kept = yield* Effect.filter(
    looked,
    ({ key }) => Effect.map(access.lastOf(key), ({ seen }) => seen._tag === "Nothing" || seen._tag === "Live"),
    { concurrency: "unbounded" }
  )
  // The others were deregistered, and the view learns of it later.
  return kept.length === looked.length ? missing : kept
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
    .filter((one) => ageOf(one) <= one.maxAge || view.current()?.isLive(storedKeyOf(one.record)) === true)
    .map((one) => one.record)
}

/**
 * The records of a service, or of all, and the keys that have a value. A record that does not decode is logged and left
 * out.
 */
const entriesOf = Effect.fnUntraced(function*(access: Access, serviceName: string | undefined) {
  const entries = yield* access.entries(serviceName)
  const isOf = ({ instance }: InstanceRecord) => serviceName === undefined || instance.serviceName === serviceName
  const records = yield* Effect.forEach(entries, (entry) =>
    Result.match(access.decode(entry), {
      onFailure: (cause) => Effect.as(access.reportUndecodable(entry, cause), []),
      onSuccess: (decoded) => Effect.succeed(isOf(decoded) ? [decoded] : [])
    }))
  return { records: records.flat(), keys: new Set(entries.map(({ key }) => key)) }
})

/** Each instance once, from its records and from those that the view keeps. */
const oneOfRecords = (
  found: ReadonlyArray<InstanceRecord>,
  alive: ReadonlyArray<InstanceRecord>,
  lost: ReadonlyArray<Missing>
): ReadonlyArray<ServiceInstance> => {
  const isLive = new Set(alive)
  return oneOfEach([
    ...found.map((record): Candidate => ({
      instance: record.instance,
      isLegacy: record.isLegacy === true,
      isLive: isLive.has(record)
    })),
    ...lost.map(({ instance, key }) => ({ instance, isLegacy: isLegacyKey(key), isLive: true }))
  ])
}

/** The operations that read several records. */
const listing = (access: Access, view: SharedView): Pick<Service, "list" | "listAll"> => {
  /** The live instances of a service, or of all, that the view has and whose keys are not among these. */
  const missingOf = (keys: ReadonlySet<string>, serviceName: string | undefined): ReadonlyArray<Missing> => {
    const open = view.current()
    return Array.from(open?.keys() ?? [])
      .filter((key) => access.keys.mayBeOf(key, serviceName) && !keys.has(key))
      .flatMap((key) => {
        const instance = open?.find(key)
        return instance === undefined ? [] : [{ key, instance }]
      })
      .filter(({ instance }) => serviceName === undefined || instance.serviceName === serviceName)
  }

  const read = Effect.fnUntraced(function*(
    operation: string,
    serviceName: string | undefined,
    readOptions: unknown
  ) {
    const { includeExpired, maxAge } = yield* accepted(operation, options.toReadOptions(readOptions))
    yield* view.keep
    const { keys, records } = yield* Effect.mapError(entriesOf(access, serviceName), failure(operation))
    const { readsLegacy } = access.keys
    const alive = includeExpired && !readsLegacy ? records : live(access, view, records, maxAge)
    const found = includeExpired ? records : alive
    const missing = maxAge === undefined ? missingOf(keys, serviceName) : []
    const lost = yield* Effect.mapError(lostWithBucket(access, missing), failure(operation))
    const all = readsLegacy ? oneOfRecords(found, alive, lost) : [...found, ...lost].map(({ instance }) => instance)
    return all.toSorted(byId)
  })

  const list: Service["list"] = (serviceName, readOptions) =>
    Effect.flatMap(
      accepted("list", options.toServiceName(serviceName)),
      (name) => read("list", name, readOptions)
    )

  const listAll: Service["listAll"] = (readOptions) =>
    Effect.map(
      read("listAll", undefined, readOptions),
      (instances) => Map.groupBy(instances, (instance): string => instance.serviceName)
    )

  return { list, listAll }
}

/** The records of one instance, and the error of the first one that does not decode. */
const recordsOf = Effect.fnUntraced(function*(
  { decode, keys, store }: Access,
  names: Names
): Effect.fn.Return<
  { readonly records: ReadonlyArray<InstanceRecord>; readonly undecodable: UndecodableValue | undefined },
  KVStoreError
> {
  const entries = yield* Effect.forEach(keys.of(names), (key) => store.get(key, { fromLeader: true }), {
    concurrency: "unbounded"
  })
  const records: Array<InstanceRecord> = []
  let undecodable: UndecodableValue | undefined
  for (const entry of entries.flatMap(Option.toArray)) {
    const record = decode(entry)
    if (Result.isFailure(record)) {
      undecodable ??= new UndecodableValue({ revision: entry.revision, cause: record.failure })
    } else if (sameNames(record.success.instance, names)) records.push(record.success)
  }
  return { records, undecodable }
})

export const reading = (access: Access, view: SharedView): Pick<Service, "get" | "list" | "listAll"> => {
  const get: Service["get"] = Effect.fnUntraced(function*(serviceName, instanceId, readOptions) {
    const names = yield* accepted("get", options.toNames(serviceName, instanceId))
    const { includeExpired, maxAge } = yield* accepted("get", options.toReadOptions(readOptions))
    const { records: own, undecodable } = yield* Effect.mapError(recordsOf(access, names), failure("get"))
    const one = (found: ReadonlyArray<InstanceRecord>, alive: ReadonlyArray<InstanceRecord>) =>
      Option.fromUndefinedOr(oneOfRecords(found, alive, [])[0])
    const alive = live(access, view, own, maxAge)
    if (alive.length > 0) return one(alive, alive)
    if (undecodable !== undefined) return yield* failure("get")(undecodable)
    if (includeExpired) return one(own, alive)
    if (own.length === 0 || maxAge !== undefined) return Option.none()
    // The records of the other instances show whether there was an outage.
    const { records } = yield* Effect.mapError(entriesOf(access, names.serviceName), failure("get"))
    const others = records.filter((one) => one.instance.instanceId !== names.instanceId)
    const kept = live(access, view, [...own, ...others], undefined).filter((one) => own.includes(one))
    return one(kept, kept)
  })

  return { get, ...listing(access, view) }
}
