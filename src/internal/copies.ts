/**
 * Copies of values that a client has received. A client's value is a view of a whole
 * network buffer, which would stay in memory with it.
 */
import { markAsUntransferable } from "node:worker_threads"

/** Small copies share buffers of this size, as those of Node's `Buffer` do: a buffer for each copy takes 10 times as long. */
const sharedBytes = 8192

/** The largest copy in a shared buffer. */
const mostShared = 1024

let shared = new ArrayBuffer(0)
let used = 0

/** Returns a copy of some bytes. Its `buffer` can be larger than the copy, and cannot be transferred then. */
export const copyOf = (bytes: Uint8Array): Uint8Array => {
  const { length } = bytes
  if (length === 0 || length > mostShared) return new Uint8Array(bytes)
  if (used + length > shared.byteLength) {
    shared = new ArrayBuffer(sharedBytes)
    markAsUntransferable(shared)
    used = 0
  }
  const copy = new Uint8Array(shared, used, length)
  copy.set(bytes)
  used += length
  return copy
}
