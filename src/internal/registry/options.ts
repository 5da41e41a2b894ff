/**
 * Reads and checks the options of the registry's operations before anything is
 * written. Pure: an invalid option is a failed Result, and only documented defaults
 * are filled in (docs/protocols/registry.md, R27 and R28).
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SemVer from "effect/SemVer"
import { defaultMaxAge } from "../../Expiration.ts"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import { type InvalidConfig, InvalidName, type InvalidValue } from "../../RegistryError.ts"
import { InstanceId, type ServiceInstance, ServiceName, Status } from "../../ServiceInstance.ts"
import { healthCheckSetting, healthFailuresSetting } from "../healthCheck.ts"
import { leaveTimeout } from "../leaving.ts"
import { toMetadata } from "../metadata.ts"
import {
  anything,
  between,
  duration,
  flag,
  group,
  hintFor,
  integer,
  kindOf,
  longest,
  oneOf,
  optional,
  read,
  readGiven,
  refuse,
  scheduleOr,
  type Setting,
  shown,
  text,
  thatIs,
  time,
  withDefault
} from "../options.ts"
import { changed } from "./record.ts"

/** A third of the default maxAge: two heartbeats in a row may be lost. */
const defaultHeartbeat = Duration.seconds(10)

/**
 * Shortest time between the starts of two heartbeats, or of two runs of the cleanup.
 * No useful maxAge needs more than ten requests per second, and a Schedule without
 * delays would send thousands.
 */
export const shortestInterval = Duration.millis(100)

/** The failed health checks in a row after which an instance is unhealthy. */
const defaultHealthFailures = 3

/** If a larger fraction of a service's instances is expired, a run of the cleanup removes none of them. */
const defaultMaxRemovalRatio = 0.5

type HeartbeatSchedule = Schedule.Schedule<unknown> | Duration.Duration

/** The times of a registry. */
export interface RegistryTimings {
  readonly maxAge: Duration.Duration
  readonly heartbeat: HeartbeatSchedule
}

/**
 * Requires maxAge to be at least two heartbeats, so that live instances do not expire.
 * The delays of a Schedule are not known in advance, so `shortestInterval` counts as its heartbeat.
 */
const checkMaxAge = (
  given: unknown,
  maxAge: Duration.Duration,
  heartbeat: HeartbeatSchedule | undefined
): Result.Result<Duration.Duration, InvalidConfig> => {
  const [which, interval] = Duration.isDuration(heartbeat)
    ? ["heartbeat", heartbeat] as const
    : ["shortest heartbeat", shortestInterval] as const
  const least = Duration.times(interval, 2)
  if (Duration.isLessThan(maxAge, least)) {
    // Names the option that was given: the other one is its default.
    return given === undefined && Duration.isDuration(heartbeat)
      ? refuse(
        "heartbeat",
        `at most ${Duration.format(Duration.divideUnsafe(maxAge, 2))}, half of maxAge (${Duration.format(maxAge)})`,
        Duration.format(heartbeat)
      )
      : refuse(
        "maxAge",
        `at least ${Duration.format(least)}, twice the ${which}`,
        `${Duration.format(maxAge)}${hintFor(given)}`
      )
  }
  return Duration.isGreaterThan(maxAge, longest)
    ? refuse("maxAge", `at most ${Duration.format(longest)}`, Duration.format(maxAge))
    : Result.succeed(maxAge)
}

const positive = duration(Duration.nanos(1n), Duration.infinity, "a time of more than 0")

const layerSettings = {
  maxAge: withDefault(positive, defaultMaxAge),
  heartbeat: withDefault(scheduleOr(duration(shortestInterval)), defaultHeartbeat),
  clock: withDefault(oneOf(["store", "local"]), "store"),
  readLegacyKeys: withDefault(flag, false),
  leaveTimeout
}

const given = (options: unknown, name: string): unknown => Object(options)[name]

/** Refuses times that would make live instances expire, when the registry is created (R27). */
export const toLayerOptions = (
  options: unknown,
  { discard, streamMaxAge }: Pick<KVStoreConfig, "discard" | "streamMaxAge">
) =>
  Result.gen(function*() {
    if (discard === "old") {
      return yield* refuse(
        "discard of the bucket",
        "\"new\", because a full bucket would remove live instances (open it with onMismatch: \"update\")",
        "\"old\""
      )
    }
    const values = yield* read("options", options, layerSettings)
    const maxAge = yield* checkMaxAge(given(options, "maxAge"), values.maxAge, values.heartbeat)
    if (streamMaxAge !== undefined && Duration.isLessThan(streamMaxAge, Duration.times(maxAge, 2))) {
      return yield* refuse(
        "streamMaxAge of the bucket",
        `at least twice maxAge (${Duration.format(maxAge)})`,
        Duration.format(streamMaxAge)
      )
    }
    return values
  })

export const toRegisterOptions = (options: unknown, { heartbeat, maxAge }: RegistryTimings) => {
  const half = Duration.divideUnsafe(maxAge, 2)
  const range = `a time from ${Duration.format(shortestInterval)} to ${Duration.format(half)} (half of maxAge)`
  return read("options", options, {
    heartbeat: withDefault(scheduleOr(duration(shortestInterval, half, range)), heartbeat),
    onDuplicate: withDefault(oneOf(["wait", "fail", "replace"]), "wait"),
    healthCheck: optional(healthCheckSetting),
    healthFailures: healthFailuresSetting(defaultHealthFailures)
  })
}

const readSettings = {
  maxAge: optional(positive),
  includeExpired: withDefault(flag, false)
}

export const toReadOptions = (options: unknown) => read("options", options, readSettings)

export const toDeregisterOptions = (options: unknown) =>
  read("options", options, { maxAge: optional(positive), onlyIfExpired: withDefault(flag, false) })

/** Reads the names of an instance, and its last heartbeat if it is one that a read has returned. */
export const toInstanceRef = (instance: unknown) =>
  Result.gen(function*() {
    if (typeof instance !== "object" || instance === null) {
      return yield* refuse("instance", "an object with serviceName and instanceId", kindOf(instance))
    }
    const { instanceId, lastHeartbeat, serviceName }: { readonly [field: string]: unknown } = { ...instance }
    const names = yield* toNames(serviceName, instanceId)
    return { ...names, lastHeartbeat: isUtc(lastHeartbeat) ? lastHeartbeat : undefined }
  })

const isUtc = (value: unknown): value is DateTime.Utc => DateTime.isDateTime(value) && DateTime.isUtc(value)

const cleanupSettings = {
  maxAge: optional(time),
  dryRun: withDefault(flag, false),
  maxRemovalRatio: withDefault(between(0, 1), defaultMaxRemovalRatio),
  confirm: withDefault(flag, false)
}

const withMaxAge = <A extends { readonly maxAge: Duration.Duration | undefined }>(
  options: unknown,
  values: A,
  times: RegistryTimings | undefined
): Result.Result<A, InvalidConfig> =>
  values.maxAge === undefined
    ? Result.succeed(values)
    : Result.map(checkMaxAge(given(options, "maxAge"), values.maxAge, times?.heartbeat), () => values)

export const toCleanupOptions = (options: unknown, times: RegistryTimings) =>
  Result.flatMap(read("options", options, cleanupSettings), (values) => withMaxAge(options, values, times))

/** A function, so that a bundle without this layer does not contain it. */
const cleanupLayerSettings = () => ({
  ...cleanupSettings,
  confirm: withDefault(flag, true),
  schedule: withDefault(scheduleOr(duration(shortestInterval)), defaultMaxAge)
})

/** `times` is undefined for a registry that this library did not create, such as a mock. */
export const toCleanupLayerOptions = (options: unknown, times: RegistryTimings | undefined) =>
  Result.flatMap(read("options", options, cleanupLayerSettings()), (values) => withMaxAge(options, values, times))

export const toDrainOptions = (done: unknown, options: unknown) =>
  Effect.isEffect(done)
    ? read("options", options, { timeout: duration(Duration.zero) })
    : refuse("done", "an Effect", kindOf(done))

/** A function, for the same reason. */
const instanceLayerSettings = () => ({
  heartbeat: anything,
  onDuplicate: anything,
  healthCheck: anything,
  healthFailures: anything,
  drain: optional(group({
    done: optional<Effect.Effect<void>>((name, value) =>
      Effect.isEffect(value) ? Result.succeed(value as Effect.Effect<void>) : refuse(name, "an Effect", kindOf(value))
    ),
    timeout: duration(Duration.zero)
  }))
})

/** Reads the options of `layerInstance`, without those of `register`, which that checks. */
export const toInstanceLayerOptions = (options: unknown) => read("options", options, instanceLayerSettings())

const nameRules = {
  serviceName: [Schema.is(ServiceName), "a letter, then letters, digits, _ and -"],
  instanceId: [Schema.is(InstanceId), "a letter or a digit, then letters, digits, _ and -"]
} as const

const invalidName = (field: keyof typeof nameRules, value: unknown): InvalidName =>
  new InvalidName({ field, value: typeof value === "string" ? value : shown(value), expected: nameRules[field][1] })

/** Checks that a name can be part of a key. */
export const toServiceName = (value: unknown): Result.Result<ServiceName, InvalidName> =>
  nameRules.serviceName[0](value) ? Result.succeed(value) : Result.fail(invalidName("serviceName", value))

/** Checks that an id can be part of a key. */
const toInstanceId = (value: unknown): Result.Result<InstanceId, InvalidName> =>
  nameRules.instanceId[0](value) ? Result.succeed(value) : Result.fail(invalidName("instanceId", value))

export const toNames = (serviceName: unknown, instanceId: unknown) =>
  Result.all({ serviceName: toServiceName(serviceName), instanceId: toInstanceId(instanceId) })

const version: Setting<string> = (name, value) =>
  typeof value === "string" && Result.isSuccess(SemVer.parse(value))
    ? Result.succeed(value)
    : refuse(name, `a semantic version such as "1.2.3" or "1.2.3-rc.1"`, shown(value))

const status = oneOf(Status.literals)

const host = thatIs(
  (value): value is string => typeof value === "string" && value.trim() === value && value !== "",
  "a host name or an address, such as \"10.0.0.7\""
)

const port = integer(1, 65_535)

const instanceSettings = {
  serviceName: anything,
  instanceId: anything,
  version,
  status: withDefault(status, "ACTIVE"),
  group: optional(text),
  host: optional(host),
  port: optional(port),
  metadata: anything
}

/**
 * Reads the fields of an instance. An optional id that is omitted is returned as
 * undefined; the caller generates it.
 */
export const toInstanceFields = (instance: unknown, id: "required" | "optional") =>
  Result.gen(function*() {
    const values = yield* readGiven("instance", instance, instanceSettings)
    return {
      serviceName: yield* toServiceName(values.serviceName),
      instanceId: values.instanceId === undefined && id === "optional"
        ? undefined
        : yield* toInstanceId(values.instanceId),
      version: values.version,
      status: values.status,
      group: values.group,
      host: values.host,
      port: values.port,
      metadata: yield* toMetadata(values.metadata === undefined ? {} : values.metadata)
    }
  })

const unchanged = <A>(current: A, otherwise: Setting<A>): Setting<A> => (name, value) =>
  value === current ? Result.succeed(current) : otherwise(name, value)

/** A field that must not change: the names form the key of the record. */
const stays = <A extends string>(current: A): Setting<A> =>
  unchanged(current, (name, value) => refuse(name, `"${current}", which cannot change`, shown(value)))

/**
 * Applies the function of `update` and checks the result. A field that is not changed is
 * not checked again: another library may have written it.
 */
export const toChanged = (
  f: (current: ServiceInstance) => unknown,
  current: ServiceInstance
): Result.Result<ServiceInstance, InvalidConfig | InvalidValue> =>
  Result.gen(function*() {
    const result = yield* Result.orElse(
      Result.try(() => f(current)),
      (cause) =>
        refuse("update", "a changed instance", `an exception: ${cause instanceof Error ? String(cause) : shown(cause)}`)
    )
    const next = yield* readGiven("instance", result, {
      serviceName: stays(current.serviceName),
      instanceId: stays(current.instanceId),
      version: unchanged(current.version, version),
      status: unchanged(current.status, status),
      lastHeartbeat: anything,
      startedAt: anything,
      group: unchanged(current.group, optional(text)),
      host: unchanged(current.host, optional(host)),
      port: unchanged(current.port, optional(port)),
      metadata: anything
    })
    const metadata = yield* toMetadata(next.metadata)
    return changed(current, {
      version: next.version,
      status: next.status,
      group: next.group,
      host: next.host,
      port: next.port,
      metadata
    })
  })
