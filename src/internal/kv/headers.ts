/**
 * The headers of a message, and the size of a stored message as servers count it. The
 * memory backend counts the same, so that a bucket is full with the same content
 * (docs/protocols/kv.md, K7). Pure.
 */
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import type { Append } from "./backend.ts"

type Headers = ReadonlyArray<readonly [name: string, value: string]>

export const operationHeader = "KV-Operation"
export const markerHeader = "Nats-Marker-Reason"

/** The subjects of all keys of all buckets. */
export const allSubjects = "$KV.>"

export const subjectPrefix = (bucket: string): string => `$KV.${bucket}.`

const operationHeaders: { readonly [Operation in Append["operation"]]: Headers } = {
  put: [],
  delete: [[operationHeader, "DEL"]],
  purge: [[operationHeader, "PURGE"], ["Nats-Rollup", "sub"]]
}

/** The headers of the marker that a server writes for an expired value. `age` is its lifetime in milliseconds. */
export const markerHeaders = (age: number): Headers => [
  [markerHeader, "MaxAge"],
  ["Nats-Rollup", "sub"],
  ["Nats-TTL", `${Math.floor(age / 1000)}s`]
]

/** The headers with which a message is sent, and stored. */
export const headersFor = (
  { condition, key, operation }: Pick<Append, "condition" | "key" | "operation">,
  subjectOf: (key: string) => string
): Headers => [
  ...operationHeaders[operation],
  ...condition === undefined ? [] : [["Nats-Expected-Last-Subject-Sequence", String(condition.revision)] as const],
  ...condition === undefined || condition.key === key
    ? []
    : [["Nats-Expected-Last-Subject-Sequence-Subject", subjectOf(condition.key)] as const]
]

/** The headers of a write with the longest condition on its own key. */
export const largestCondition: Headers = [
  ["Nats-Expected-Last-Subject-Sequence", String(Number.MAX_SAFE_INTEGER)]
]

/** The first line of a header block, and the empty line at its end. */
const blockOverhead = "NATS/1.0\r\n\r\n".length

const lineOverhead = ": \r\n".length

/** The size of the encoded header block, in bytes. */
export const sizeOfHeaders = (headers: Headers): number => {
  if (headers.length === 0) return 0
  let size = blockOverhead
  for (const [name, value] of headers) size += name.length + value.length + lineOverhead
  return size
}

/** Bytes of a stored message besides its subject, headers and value, and those for having headers. */
const overheads = { file: { message: 30, headers: 4 }, memory: { message: 16, headers: 0 } } as const

/** The size of a stored message, in bytes (measured on nats-server 2.10.27 and 2.15.1). */
export const sizeOfStored = (
  storage: KVStoreConfig["storage"],
  subject: string,
  headerSize: number,
  value: Uint8Array
): number => {
  const { headers, message } = overheads[storage]
  return message + subject.length + headerSize + (headerSize === 0 ? 0 : headers) + value.length
}
