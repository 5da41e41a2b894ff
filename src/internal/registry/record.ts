/**
 * An instance as it is stored: camelCase JSON with a nonce that tells one
 * process from another under the same id. What we do not know is kept as it is.
 * Pure.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
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
  /** Undefined: somebody else's library wrote it. */
  readonly nonce: string | undefined
  /** Fields that are none of ours. */
  readonly rest: { readonly [field: string]: unknown }
}

const InstanceCodec = Schema.toCodecJson(ServiceInstance)
const encodeInstance = Schema.encodeSync(InstanceCodec)
const decodeInstance = Schema.decodeUnknownResult(InstanceCodec)
const ours = new Set(["nonce", ...Object.keys(ServiceInstance.fields)])

export const encode = (record: InstanceRecord): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({ ...record.rest, ...Object(encodeInstance(record.instance)), nonce: record.nonce })
  )

const parse = (bytes: Uint8Array): Result.Result<object, unknown> =>
  Result.try({
    try: () => Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))),
    catch: (cause) => cause
  })

/** What is stored under a key; the reason where it is no instance, or another's. */
export const decode = (entry: KVEntry): Result.Result<InstanceRecord, unknown> =>
  Result.flatMap(parse(entry.value), (stored) =>
    Result.flatMap(decodeInstance(stored), (instance) => {
      if (keyOf(instance) !== entry.key) return Result.fail(`it names ${keyOf(instance)}`)
      const nonce: unknown = Reflect.get(stored, "nonce")
      return Result.succeed({
        instance,
        nonce: typeof nonce === "string" ? nonce : undefined,
        rest: Object.fromEntries(Object.entries(stored).filter(([field]) => !ours.has(field)))
      })
    }))

/** The same instance with other values; the class is made anew, so its checks run. */
export const changed = (instance: ServiceInstance, fields: Partial<ServiceInstance>): ServiceInstance =>
  new ServiceInstance({ ...instance, ...fields })
