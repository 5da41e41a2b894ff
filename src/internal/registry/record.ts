/**
 * Encodes and decodes the stored record of an instance: camelCase JSON with a nonce
 * that identifies the process that wrote it. Unknown fields are preserved
 * (docs/protocols/registry.md, R1 to R3). Pure.
 */
import * as DateTime from "effect/DateTime"
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidValue, ValueTooLarge } from "../../AegisError.ts"
import type { KVEntry } from "../../KVStore.ts"
import { ServiceInstance } from "../../ServiceInstance.ts"
import { frozen } from "../metadata.ts"
import { textOfRecord } from "../storedJson.ts"

export const keyPrefix = "service-instances"

export interface Names {
  readonly serviceName: string
  readonly instanceId: string
}

export const keyOf = (instance: Names): string => `${keyPrefix}.${instance.serviceName}.${instance.instanceId}`

/** Splits a key into its names. Names contain no dots (R1). */
export const namesOf = (key: string): Names => {
  const [, serviceName = "", instanceId = ""] = key.split(".")
  return { serviceName, instanceId }
}

/** What the owner tells readers about its heartbeats. Undefined if another library wrote the record. */
export interface HeartbeatTimes {
  /** The age at which its registry takes the instance for expired, in milliseconds. */
  readonly maxAge: number | undefined
  /** When its heartbeats began, or began again after one was missed: milliseconds of the registry's clock. */
  readonly streakSince: number | undefined
  /** Its last heartbeat before one was missed; undefined if none was missed since it registered. */
  readonly streakAfter: number | undefined
}

export interface InstanceRecord {
  readonly instance: ServiceInstance
  readonly times: HeartbeatTimes
  /** Undefined if another library wrote the record. */
  readonly nonce: string | undefined
  /** Fields of other writers, preserved when the record is written again. */
  readonly rest: { readonly [field: string]: unknown }
  /** Whether AegisSDK for Python wrote the record under its own key (R31). */
  readonly isLegacy?: true
}

/** Name of `group` in the stored JSON, chosen by AegisSDK. */
export const groupField = "stickyActiveGroup"

const InstanceCodec = Schema.toCodecJson(ServiceInstance)
const encodeInstance = Schema.encodeSync(InstanceCodec)
const decodeAny = Schema.decodeUnknownResult(InstanceCodec)

/** Decodes an instance, and freezes it: readers share it. */
export const decodeInstance = (stored: unknown): Result.Result<ServiceInstance, unknown> =>
  Result.map(decodeAny(stored), frozenInstance)

const toTime = (value: unknown): number | undefined => {
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

const toText = (time: number | undefined): string | undefined =>
  time === undefined ? undefined : new Date(time).toISOString()

const largestPort = 65_535

/**
 * The stored fields that a record need not have, and whether a value is one that this library writes. Another value stays
 * in `rest`, as any other field of another writer.
 */
const optionalFields: { readonly [field: string]: Predicate.Predicate<unknown> } = {
  [groupField]: Predicate.isString,
  host: (value) => Predicate.isString(value) && value !== "",
  port: (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= largestPort,
  startedAt: (value) => toTime(value) !== undefined,
  nonce: Predicate.isString,
  maxAge: (value) => Predicate.isNumber(value) && value > 0,
  streakSince: (value) => toTime(value) !== undefined,
  streakAfter: (value) => toTime(value) !== undefined
}

const requiredFields = new Set(["serviceName", "instanceId", "version", "status", "lastHeartbeat", "metadata"])

const isOurs = ([field, value]: readonly [field: string, value: unknown]): boolean =>
  requiredFields.has(field) || (Object.hasOwn(optionalFields, field) && optionalFields[field]!(value))

export const encode = ({ instance, nonce, rest, times }: InstanceRecord): Uint8Array => {
  const { group, ...fields } = Object(encodeInstance(instance))
  const { maxAge, streakAfter, streakSince } = times
  return new TextEncoder().encode(JSON.stringify({
    ...rest,
    ...fields,
    ...(group !== undefined && { [groupField]: group }),
    ...(nonce !== undefined && { nonce }),
    ...(maxAge !== undefined && { maxAge }),
    ...(streakSince !== undefined && { streakSince: toText(streakSince) }),
    ...(streakAfter !== undefined && { streakAfter: toText(streakAfter) })
  }))
}

/** Encodes a record. Fails if it cannot be encoded, or if it has more bytes than `limit`. */
export const toBytes = (
  record: InstanceRecord,
  limit: number
): Result.Result<Uint8Array, InvalidValue | ValueTooLarge> =>
  Result.flatMap(
    Result.try({ try: () => encode(record), catch: (cause) => new InvalidValue({ problem: String(cause) }) }),
    (bytes) =>
      bytes.length > limit ? Result.fail(new ValueTooLarge({ size: bytes.length, limit })) : Result.succeed(bytes)
  )

/** Catches exceptions: JSON.parse throws. */
const attempt = <A>(read: () => A): Result.Result<A, unknown> => Result.try({ try: read, catch: (cause) => cause })

/** The stored JSON as an object. */
export const parse = (bytes: Uint8Array): Result.Result<object, unknown> =>
  Result.flatMap(textOfRecord(bytes), (text) => attempt(() => Object(JSON.parse(text))))

/** Decodes a stored object. */
const read = (stored: object): Result.Result<InstanceRecord, unknown> => {
  const fields: ReadonlyArray<readonly [string, unknown]> = Object.entries(stored)
  const ours = Object.fromEntries(fields.filter(isOurs))
  const { [groupField]: group, maxAge, nonce, streakAfter, streakSince, ...named } = ours
  return Result.map(decodeInstance(group === undefined ? named : { ...named, group }), (instance) => ({
    instance,
    times: { maxAge: maxAge as number | undefined, streakSince: toTime(streakSince), streakAfter: toTime(streakAfter) },
    nonce: nonce as string | undefined,
    rest: Object.fromEntries(fields.filter((field) => !isOurs(field)))
  }))
}

/**
 * Decodes the entry of a key. Fails if the value is not a record of an instance, or if
 * the record names another key.
 */
export const decode = (entry: KVEntry): Result.Result<InstanceRecord, unknown> =>
  parse(entry.value).pipe(
    Result.flatMap(read),
    Result.flatMap((record) =>
      keyOf(record.instance) === entry.key
        ? Result.succeed(record)
        : Result.fail(`the record names the key ${keyOf(record.instance)}`)
    )
  )

const withoutUndefined = <A extends object>(fields: A): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

const frozenInstance = (instance: ServiceInstance): ServiceInstance => {
  frozen(instance.metadata)
  return Object.freeze(instance)
}

/** Constructs a frozen instance. Omits undefined fields, so that equal instances have the same fields. */
export const toInstance = (fields: ServiceInstance): ServiceInstance =>
  frozenInstance(new ServiceInstance(withoutUndefined(fields)))

/** Copies an instance with other values. The constructor of the class checks them. */
export const changed = (instance: ServiceInstance, fields: Partial<ServiceInstance>): ServiceInstance =>
  toInstance({ ...instance, ...fields })

const epoch = DateTime.makeUnsafe(0)

/** Equality without `lastHeartbeat`: a heartbeat that changes nothing else emits no event. */
export const sameButTime = (a: ServiceInstance, b: ServiceInstance): boolean =>
  Equal.equals(changed(a, { lastHeartbeat: epoch }), changed(b, { lastHeartbeat: epoch }))
