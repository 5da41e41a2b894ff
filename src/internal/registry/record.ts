/**
 * Encodes and decodes the stored record of an instance: camelCase JSON with a nonce
 * that identifies the process that wrote it. Unknown fields are preserved
 * (docs/protocols/registry.md, R1 to R3). Pure.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidValue, ValueTooLarge } from "../../AegisError.ts"
import type { KVEntry } from "../../KVStore.ts"
import { ServiceInstance } from "../../ServiceInstance.ts"
import { textOfRecord } from "../storedJson.ts"

export const keyPrefix = "service-instances"

export const keyOf = (instance: { readonly serviceName: string; readonly instanceId: string }): string =>
  `${keyPrefix}.${instance.serviceName}.${instance.instanceId}`

/** Splits a key into its names. Names contain no dots (R1). */
export const namesOf = (key: string): { readonly serviceName: string; readonly instanceId: string } => {
  const [, serviceName = "", instanceId = ""] = key.split(".")
  return { serviceName, instanceId }
}

export interface InstanceRecord {
  readonly instance: ServiceInstance
  /** Undefined if another library wrote the record. */
  readonly nonce: string | undefined
  /** Fields of other writers, preserved when the record is written again. */
  readonly rest: { readonly [field: string]: unknown }
}

/** Name of `group` in the stored JSON, chosen by AegisSDK. */
const groupField = "stickyActiveGroup"

const InstanceCodec = Schema.toCodecJson(ServiceInstance)
const encodeInstance = Schema.encodeSync(InstanceCodec)
const decodeInstance = Schema.decodeUnknownResult(InstanceCodec)

/** Names of the stored fields that this library reads, except the group. */
const ours = new Set(["nonce", ...Object.keys(ServiceInstance.fields).filter((field) => field !== "group")])

export const encode = ({ instance, nonce, rest }: InstanceRecord): Uint8Array => {
  const { group, ...fields } = Object(encodeInstance(instance))
  const grouped = group === undefined ? {} : { [groupField]: group }
  return new TextEncoder().encode(JSON.stringify({ ...rest, ...fields, ...grouped, nonce }))
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

const parse = (bytes: Uint8Array): Result.Result<object, unknown> =>
  Result.flatMap(textOfRecord(bytes), (text) => attempt(() => Object(JSON.parse(text))))

/** Decodes a stored object. A group that is not a string stays in `rest`, as any other field of another writer. */
const read = (stored: object): Result.Result<InstanceRecord, unknown> => {
  const fields = Object.entries(stored)
  const nonce: unknown = Reflect.get(stored, "nonce")
  const group: unknown = Reflect.get(stored, groupField)
  const grouped = typeof group === "string" ? [["group", group]] as const : []
  const isRead = (field: string) => ours.has(field) || (field === groupField && grouped.length > 0)
  const named = Object.fromEntries([...fields.filter(([field]) => ours.has(field)), ...grouped])
  return Result.map(decodeInstance(named), (instance) => ({
    instance,
    nonce: typeof nonce === "string" ? nonce : undefined,
    rest: Object.fromEntries(fields.filter(([field]) => !isRead(field)))
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

/** Constructs an instance. Omits an undefined group, so that equal instances have the same fields. */
export const toInstance = ({ group, ...fields }: ServiceInstance): ServiceInstance =>
  new ServiceInstance(group === undefined ? fields : { ...fields, group })

/** Copies an instance with other values. The constructor of the class checks them. */
export const changed = (instance: ServiceInstance, fields: Partial<ServiceInstance>): ServiceInstance =>
  toInstance({ ...instance, ...fields })
