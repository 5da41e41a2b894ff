/**
 * The registry over a store: names and times checked, records read and judged,
 * and the parts put together.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RcRef from "effect/RcRef"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { defaultMaxAge } from "../../Expiration.ts"
import type { KVEntry, KVStore } from "../../KVStore.ts"
import { InvalidConfig, type KVStoreError, UndecodableValue } from "../../KVStoreError.ts"
import type { Options, ReadOptions, Registry } from "../../Registry.ts"
import { InvalidInstance, InvalidName, RegistryError, type RegistryReason } from "../../RegistryError.ts"
import { InstanceId, type InstanceOptions, ServiceInstance, ServiceName } from "../../ServiceInstance.ts"
import { randomName } from "../names.ts"
import { monotonicMillis } from "../time.ts"
import * as accessTo from "./access.ts"
import * as cleanup from "./cleanup.ts"
import { makeHeartbeat } from "./heartbeat.ts"
import { conflictPause } from "./ownRecord.ts"
import { keyOf, keyPrefix } from "./record.ts"
import * as registration from "./registration.ts"
import * as view from "./view.ts"

type Service = Registry["Service"]

/** 82 bits: two processes never make up the same one. */
const nonceLength = 16

/** 41 bits, and readable: what is made up is still checked by compare-and-set. */
const idLength = 8

/** Three beats fit into the default maxAge: two may be lost. */
const defaultHeartbeat = Duration.seconds(10)

const nameRules = {
  serviceName: [Schema.is(ServiceName), "a letter, then letters, digits, _ and -"],
  instanceId: [Schema.is(InstanceId), "a letter or a digit, then letters, digits, _ and -"]
} as const

const checkName = (field: keyof typeof nameRules, value: unknown): InvalidName | undefined => {
  const [isValid, expected] = nameRules[field]
  return isValid(value) ? undefined : new InvalidName({ field, value: String(value), expected })
}

/** Names that cannot be part of a key go nowhere. */
const checked = <A, R>(
  operation: string,
  names: { readonly serviceName: string | undefined; readonly instanceId?: string },
  run: () => Effect.Effect<A, RegistryError, R>
): Effect.Effect<A, RegistryError, R> =>
  Effect.suspend(() => {
    const wrong = (names.serviceName === undefined ? undefined : checkName("serviceName", names.serviceName)) ??
      ("instanceId" in names ? checkName("instanceId", names.instanceId) : undefined)
    return wrong === undefined ? run() : Effect.fail(failure(operation)(wrong))
  })

const decodeInstance = Schema.decodeUnknownEffect(Schema.toType(Schema.Struct(ServiceInstance.fields)))

const toInstance = (registerable: InstanceOptions, instanceId: string) =>
  Effect.gen(function*() {
    const problem = checkName("serviceName", registerable.serviceName) ?? checkName("instanceId", instanceId)
    if (problem !== undefined) return yield* problem
    const fields = yield* Effect.mapError(
      decodeInstance({
        status: "ACTIVE",
        metadata: {},
        ...Object.fromEntries(Object.entries(registerable).filter(([, value]) => value !== undefined)),
        instanceId,
        lastHeartbeat: yield* DateTime.now
      }),
      (error) => new InvalidInstance({ problem: error.message })
    )
    return new ServiceInstance(fields)
  })

const toHeartbeat = (input: Schedule.Schedule<unknown> | Duration.Input) =>
  Schedule.isSchedule(input) ? input : Duration.fromInputUnsafe(input)

type Heartbeat = ReturnType<typeof toHeartbeat>

/** A Schedule tells its gaps only as they come, and is watched then. */
const checkHeartbeat = (heartbeat: Heartbeat, maxAge: Duration.Duration): InvalidConfig | undefined => {
  if (!Duration.isDuration(heartbeat)) return undefined
  const shown = Duration.format(heartbeat)
  if (!Duration.isPositive(heartbeat)) {
    return new InvalidConfig({ problem: `heartbeat must be a positive time, got ${shown}` })
  }
  return Duration.isGreaterThan(Duration.times(heartbeat, 2), maxAge)
    ? new InvalidConfig({
      problem: `maxAge (${Duration.format(maxAge)}) must be at least twice the heartbeat (${shown})`
    })
    : undefined
}

/** What cannot work is refused when the layer is built, not when the first instance vanishes. */
const checkTimes = (
  maxAge: Duration.Duration,
  heartbeat: Heartbeat,
  streamMaxAge: Duration.Duration | undefined
): InvalidConfig | undefined => {
  const shown = Duration.format(maxAge)
  if (!Duration.isFinite(maxAge) || !Duration.isPositive(maxAge)) {
    return new InvalidConfig({ problem: `maxAge must be a positive time, got ${shown}` })
  }
  if (streamMaxAge !== undefined && Duration.isLessThan(streamMaxAge, Duration.times(maxAge, 2))) {
    return new InvalidConfig({
      problem: `the bucket's streamMaxAge (${Duration.format(streamMaxAge)}) must be at least twice maxAge (${shown})`
    })
  }
  return checkHeartbeat(heartbeat, maxAge)
}

const failure = (operation: string) => (reason: RegistryReason) => new RegistryError({ operation, reason })

const storeFailure = (operation: string) => (error: KVStoreError) => failure(operation)(error)

/** In order of ids, whatever the order of the last beats. */
const byId = (a: ServiceInstance, b: ServiceInstance): number =>
  a.instanceId < b.instanceId ? -1 : a.instanceId > b.instanceId ? 1 : 0

/** The one who asks may give an id; otherwise one is made up. */
const idFor = (registerable: InstanceOptions): Effect.Effect<string> =>
  registerable.instanceId === undefined
    ? Effect.map(randomName(idLength), (name) => `${registerable.serviceName}-${name}`)
    : Effect.succeed(registerable.instanceId)

const readers = (access: accessTo.Access) => {
  const { store } = access

  /** One bad record does not hide the others. */
  const decodeOrTell = (entry: KVEntry) =>
    Result.match(access.decode(entry), {
      onFailure: (cause) => Effect.as(Effect.logWarning(`the record ${entry.key} does not decode`, cause), []),
      onSuccess: (record) => Effect.succeed([record.instance])
    })

  const read = (operation: string, filter: string, options: ReadOptions = {}) =>
    Effect.mapError(store.entries(filter), storeFailure(operation)).pipe(
      Effect.flatMap((entries) => Effect.forEach(entries, decodeOrTell)),
      Effect.map((instances) =>
        instances
          .flat()
          .filter((instance) => options.includeExpired === true || !access.expired(instance, options.maxAge))
          .toSorted(byId)
      )
    )

  const get = (serviceName: string, instanceId: string, options: ReadOptions = {}) =>
    Effect.gen(function*() {
      const key = keyOf({ serviceName, instanceId })
      const entry = yield* Effect.mapError(store.get(key), storeFailure("get"))
      if (Option.isNone(entry)) return Option.none<ServiceInstance>()
      const record = access.decode(entry.value)
      if (Result.isFailure(record)) {
        return yield* failure("get")(new UndecodableValue({ revision: entry.value.revision, cause: record.failure }))
      }
      const { instance } = record.success
      return options.includeExpired === true || !access.expired(instance, options.maxAge)
        ? Option.some(instance)
        : Option.none()
    })

  return {
    get,
    list: (serviceName: string, options?: ReadOptions) => read("list", `${keyPrefix}.${serviceName}.*`, options),
    listAll: (
      options?: ReadOptions
    ): Effect.Effect<ReadonlyMap<string, ReadonlyArray<ServiceInstance>>, RegistryError> =>
      Effect.map(
        read("listAll", `${keyPrefix}.*.*`, options),
        (instances) => Map.groupBy(instances, (instance): string => instance.serviceName)
      )
  }
}

/** Removes the instance that is there, whoever wrote it, past beats that are under way; not one that came after it. */
const deregister = (access: accessTo.Access, key: string, first?: string): Effect.Effect<boolean, KVStoreError> =>
  Effect.flatMap(access.store.get(key), (entry) => {
    if (Option.isNone(entry)) return Effect.succeed(false)
    const nonce = Result.getOrUndefined(access.decode(entry.value))?.nonce
    if (first !== undefined && nonce !== first) return Effect.succeed(false)
    return Effect.catchIf(
      Effect.as(access.store.delete(key, { revision: entry.value.revision }), true),
      (error: KVStoreError) => error.reason._tag === "RevisionMismatch",
      () => Effect.andThen(conflictPause, deregister(access, key, nonce))
    )
  })

/** What the parts of one registry share. */
interface Parts {
  readonly access: accessTo.Access
  readonly clock: Clock.Clock
  readonly heartbeat: Heartbeat
}

/** Registrations, and heartbeats by hand. */
const registering = Effect.fnUntraced(function*({ access, heartbeat }: Parts) {
  const { maxAge } = access
  const byHand = makeHeartbeat(
    access,
    yield* randomName(nonceLength),
    registration.attemptTimeout(heartbeat, maxAge)
  )
  const register: Service["register"] = Effect.fnUntraced(function*(registerable, registerOptions) {
    const instance = yield* Effect.mapError(
      Effect.flatMap(idFor(registerable), (id) => toInstance(registerable, id)),
      failure("register")
    )
    const ownHeartbeat = registerOptions?.heartbeat === undefined ? heartbeat : toHeartbeat(registerOptions.heartbeat)
    const wrong = checkHeartbeat(ownHeartbeat, maxAge)
    if (wrong !== undefined) return yield* failure("register")(wrong)
    return yield* registration.make({
      access,
      instance,
      nonce: yield* randomName(nonceLength),
      heartbeat: ownHeartbeat,
      onDuplicate: registerOptions?.onDuplicate ?? "wait"
    })
  })
  const sendHeartbeat: Service["heartbeat"] = (registerable) =>
    Effect.mapError(
      Effect.flatMap(toInstance(registerable, registerable.instanceId ?? ""), byHand),
      failure("heartbeat")
    )
  return { register, heartbeat: sendHeartbeat }
})

/** One view for all watches, for as long as there is one. */
const watching = Effect.fnUntraced(function*({ access }: Parts) {
  const shared = yield* RcRef.make({ acquire: view.make(access) })
  const watch: Service["watch"] = (serviceName) =>
    Stream.unwrap(
      checked("watch", { serviceName }, () =>
        Effect.map(RcRef.get(shared), (view) =>
          view.watch(serviceName).pipe(
            // The next to ask starts a new watch; this one is over for all who share it.
            Stream.tapError(() => RcRef.invalidate(shared)),
            Stream.mapError(storeFailure("watch"))
          )))
    )
  return { watch }
})

const cleaning = ({ access, clock, heartbeat }: Parts) => {
  const { maxAge } = access
  const suspects: cleanup.Suspects = new Map()
  const confirmAfter = Duration.toMillis(Duration.isDuration(heartbeat) ? heartbeat : Duration.divideUnsafe(maxAge, 3))
  const cleanUp: Service["cleanup"] = Effect.fnUntraced(function*(options = {}) {
    const { confirm = false, dryRun = false, maxRemovalRatio = cleanup.defaultMaxRemovalRatio } = options
    if (!(maxRemovalRatio >= 0 && maxRemovalRatio <= 1)) {
      const wrong = new InvalidConfig({ problem: `maxRemovalRatio is a share from 0 to 1, got ${maxRemovalRatio}` })
      return yield* failure("cleanup")(wrong)
    }
    const run = cleanup.run(access, {
      maxAge: options.maxAge === undefined ? maxAge : Duration.fromInputUnsafe(options.maxAge),
      dryRun,
      maxRemovalRatio,
      confirmed: (remove) => confirm ? cleanup.confirm(suspects, remove, monotonicMillis(clock), confirmAfter) : remove
    })
    return yield* Effect.mapError(run, storeFailure("cleanup"))
  })
  return { cleanup: cleanUp }
}

export const make = Effect.fnUntraced(function*(
  store: KVStore["Service"],
  options: Options
): Effect.fn.Return<Service, RegistryError, Scope.Scope> {
  const maxAge = Duration.fromInputUnsafe(options.maxAge ?? defaultMaxAge)
  const heartbeat = toHeartbeat(options.heartbeat ?? defaultHeartbeat)
  const problem = checkTimes(maxAge, heartbeat, store.config.streamMaxAge)
  if (problem !== undefined) return yield* failure("Registry.layer")(problem)
  const access = yield* accessTo.make(store, { maxAge, clock: options.clock ?? "store" })
  const parts: Parts = { access, clock: yield* Clock.Clock, heartbeat }
  const { get, list, listAll } = readers(access)
  return {
    ...(yield* registering(parts)),
    ...(yield* watching(parts)),
    ...cleaning(parts),
    deregister: (serviceName, instanceId) =>
      checked(
        "deregister",
        { serviceName, instanceId },
        () => Effect.mapError(deregister(access, keyOf({ serviceName, instanceId })), storeFailure("deregister"))
      ),
    get: (serviceName, instanceId, readOptions) =>
      checked("get", { serviceName, instanceId }, () => get(serviceName, instanceId, readOptions)),
    list: (serviceName, readOptions) => checked("list", { serviceName }, () => list(serviceName, readOptions)),
    listAll
  }
})
