/** Messages of `KVStoreError`, on every backend. */
import { assert, describe, it } from "@effect/vitest"
import * as KVStore from "../../src/KVStore.ts"

const messageOf = (operation: string, reason: KVStore.KVStoreReason) =>
  new KVStore.KVStoreError({ bucket: "orders", operation, key: "a", reason }).message

const writes = ["put", "delete", "purge", "modify"]
const reads = ["get", "getMany", "getUnexpired", "keys", "entries", "history", "status", "watch", "open", "connect"]

describe("the message of a KVStoreError", () => {
  const unavailable = new KVStore.Unavailable({ problem: "not connected" })

  it("of an unavailable store adds to writes that nothing was written", () => {
    for (const operation of writes) {
      assert.strictEqual(
        messageOf(operation, unavailable),
        `${operation} "a" in bucket "orders": the store cannot be reached (not connected): try again; ` +
          "nothing was written"
      )
    }
  })

  it("of an unavailable store adds nothing to reads", () => {
    for (const operation of reads) assert.notInclude(messageOf(operation, unavailable), "written")
  })

  it("of a write that was refused or has an unknown outcome does not add that nothing was written", () => {
    const reasons = [
      new KVStore.OutcomeUnknown({ problem: "no answer in time" }),
      new KVStore.Rejected({ code: 10_039, description: "jetstream not enabled for account" }),
      new KVStore.RevisionMismatch({ expected: 1 })
    ]
    for (const operation of writes) {
      for (const reason of reasons) assert.notInclude(messageOf(operation, reason), "nothing was written")
    }
  })
})
