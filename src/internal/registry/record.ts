/**
 * An instance as it is stored: camelCase JSON with a nonce that tells one
 * process from another under the same id. What we do not know is kept as it is
 * (docs/protocols/registry.md, R1 to R3). Pure.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidValue, ValueTooLarge } from "../../AegisError.ts"
import type { KVEntry } from "../../KVStore.ts"
import { ServiceInstance } from "../../ServiceInstance.ts"

export const keyPrefix = "service-instances"

export const keyOf = (instance: { readonly serviceName: string; readonly instanceId: string }): string =>
  `${keyPrefix}.${instance.serviceName}.${instance.instanceId}`

/** The names that a key holds; they are tokens, and have no dots. */
export const namesOf = (key: string): { readonly serviceName: string; readonly instanceId: string } => {
  const [, serviceName = "", instanceId = ""] = key.split(".")
  return { serviceName, instanceId }
}

export interface InstanceRecord {
  readonly instance: ServiceInstance
  /** Undefined: another library wrote it. */
  readonly nonce: string | undefined
  /** Fields that are none of ours. */
  readonly rest: { readonly [field: string]: unknown }
}

/** The name of `group` in the stored JSON: AegisSDK's. */
const groupField = "stickyActiveGroup"

const InstanceCodec = Schema.toCodecJson(ServiceInstance)
const encodeInstance = Schema.encodeSync(InstanceCodec)
const decodeInstance = Schema.decodeUnknownResult(InstanceCodec)

/** The stored fields that are read into an instance, the group apart. */
const ours = new Set(["nonce", ...Object.keys(ServiceInstance.fields).filter((field) => field !== "group")])

export const encode = ({ instance, nonce, rest }: InstanceRecord): Uint8Array => {
  const { group, ...fields } = Object(encodeInstance(instance))
  const grouped = group === undefined ? {} : { [groupField]: group }
  return new TextEncoder().encode(JSON.stringify({ ...rest, ...fields, ...grouped, nonce }))
}

/** The bytes of a record, or why they cannot be stored in a bucket whose values may have so many bytes. */
export const toBytes = (
  record: InstanceRecord,
  limit: number
): Result.Result<Uint8Array, InvalidValue | ValueTooLarge> =>
  Result.flatMap(
    Result.try({ try: () => encode(record), catch: (cause) => new InvalidValue({ problem: String(cause) }) }),
    (bytes) =>
      bytes.length > limit ? Result.fail(new ValueTooLarge({ size: bytes.length, limit })) : Result.succeed(bytes)
  )

/** JSON can be nested deeper than a decoder can go: it throws then. */
const attempt = <A>(read: () => A): Result.Result<A, unknown> => Result.try({ try: read, catch: (cause) => cause })

const parse = (bytes: Uint8Array): Result.Result<object, unknown> =>
  attempt(() => Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))))

/** The instance in a stored object. A group that is no text is left where it is, as any field of another writer. */
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

/** What is stored under a key; the reason where it is no instance, or another's. */
export const decode = (entry: KVEntry): Result.Result<InstanceRecord, unknown> =>
  parse(entry.value).pipe(
    Result.flatMap((stored) => Result.flatMap(attempt(() => read(stored)), (record) => record)),
    Result.flatMap((record) =>
      keyOf(record.instance) === entry.key ? Result.succeed(record) : Result.fail(`it names ${keyOf(record.instance)}`)
    )
  )

/** An instance; a group that is undefined is left out, so that equal instances have the same fields. */
export const toInstance = ({ group, ...fields }: ServiceInstance): ServiceInstance =>
  new ServiceInstance(group === undefined ? fields : { ...fields, group })

/** The same instance with other values; the class is constructed again, so its checks run. */
export const changed = (instance: ServiceInstance, fields: Partial<ServiceInstance>): ServiceInstance =>
  toInstance({ ...instance, ...fields })
