/** The rules of `Log`, the log of a bucket in memory. */
import { assert, describe, it } from "@effect/vitest"
import type { Append, StoredMessage } from "../../../src/internal/kv/backend.ts"
import { Log, type LogOptions } from "../../../src/internal/kv/log.ts"
import { textOf } from "../../../tools/values.ts"
import { put, remove } from "../../support/appends.ts"

const makeLog = (options: Partial<LogOptions> = {}) =>
  new Log({
    firstRevision: 1,
    historySize: 1,
    maxAge: undefined,
    markerAge: undefined,
    maxBytes: undefined,
    sizeOf: ({ key, value }) => key.length + value.length,
    ...options
  })

const everyKey = () => true

const shown = ({ key, operation, revision, value }: StoredMessage) =>
  `${revision} ${operation} ${key}${value.length === 0 ? "" : `=${textOf(value)}`}`

const keys = (log: Log) => log.lastOfEach(everyKey).map(shown)

const history = (log: Log, key: string) => log.history(key).map(shown)

/** Appends a message, and fails the test if it is refused. */
const write = (log: Log, message: Append, now = 0): number => {
  const outcome = log.append(message, now)
  return typeof outcome === "number" ? outcome : assert.fail(outcome.message)
}

/** Appends a message that must be refused. Returns the tag of the reason, or the two revisions of a mismatch. */
const refused = (log: Log, message: Append, now = 0): unknown => {
  const before = log.lastRevision
  const outcome = log.append(message, now)
  assert.strictEqual(log.lastRevision, before)
  if (typeof outcome === "number") return assert.fail("the message was appended")
  return outcome._tag === "RevisionMismatch" ? [outcome.expected, outcome.actual] : outcome._tag
}

describe("revisions", () => {
  it("start at firstRevision, and grow by one for all keys and operations", () => {
    const log = makeLog({ firstRevision: 1_000 })
    assert.strictEqual(log.lastRevision, 999)
    assert.strictEqual(write(log, put("a")), 1000)
    assert.strictEqual(write(log, remove("delete", "b")), 1001)
    assert.strictEqual(write(log, remove("purge", "a")), 1002)
    assert.strictEqual(write(log, put("c")), 1003)
    assert.strictEqual(log.lastRevision, 1003)
  })

  it("are not reused after a message was removed", () => {
    const log = makeLog({ maxAge: 10 })
    write(log, put("a"), 0)
    log.expire(10)
    assert.strictEqual(log.size, 0)
    assert.strictEqual(write(log, put("a"), 10), 2)
  })

  it("are not used up by refused messages", () => {
    const log = makeLog()
    refused(log, put("a", "1", { key: "a", revision: 7 }))
    assert.strictEqual(write(log, put("a")), 1)
  })
})

describe("conditions", () => {
  it("hold if the last message of the key has that revision", () => {
    const log = makeLog()
    const first = write(log, put("a", "1", { key: "a", revision: 0 }))
    const second = write(log, put("a", "2", { key: "a", revision: first }))
    assert.deepStrictEqual(refused(log, put("a", "3", { key: "a", revision: first })), [first, second])
    assert.deepStrictEqual(refused(log, put("a", "3", { key: "a", revision: 0 })), [0, second])
    assert.deepStrictEqual(keys(log), ["2 put a=2"])
  })

  it("count a delete or purge marker as the last message", () => {
    for (const operation of ["delete", "purge"] as const) {
      const log = makeLog()
      const first = write(log, put("a"))
      const tombstone = write(log, remove(operation, "a"))
      assert.deepStrictEqual(refused(log, put("a", "", { key: "a", revision: 0 })), [0, tombstone])
      assert.deepStrictEqual(refused(log, put("a", "", { key: "a", revision: first })), [first, tombstone])
      write(log, put("a", "", { key: "a", revision: tombstone }))
    }
  })

  it("count an expiry marker as the last message, and a key that expired without a marker as 0", () => {
    const marked = makeLog({ maxAge: 10, markerAge: 5 })
    const first = write(marked, put("a"), 0)
    marked.expire(10)
    assert.deepStrictEqual(refused(marked, put("a", "", { key: "a", revision: 0 }), 10), [0, first + 1])
    write(marked, put("a", "", { key: "a", revision: first + 1 }), 10)

    const silent = makeLog({ maxAge: 10 })
    write(silent, put("a"), 0)
    silent.expire(10)
    assert.deepStrictEqual(refused(silent, put("a", "", { key: "a", revision: 1 }), 10), [1, 0])
    write(silent, put("a", "", { key: "a", revision: 0 }), 10)
  })

  it("can be on another key", () => {
    const log = makeLog()
    const guard = write(log, put("guard"))
    write(log, put("a", "1", { key: "guard", revision: guard }))
    write(log, put("guard"))
    assert.deepStrictEqual(refused(log, put("a", "2", { key: "guard", revision: guard })), [guard, 3])
  })

  it("are checked for deletes and purges too, and a refused purge removes nothing", () => {
    const log = makeLog({ historySize: 3 })
    write(log, put("a", "1"))
    write(log, put("a", "2"))
    assert.deepStrictEqual(refused(log, remove("delete", "a", { key: "a", revision: 1 })), [1, 2])
    assert.deepStrictEqual(refused(log, remove("purge", "a", { key: "a", revision: 1 })), [1, 2])
    assert.deepStrictEqual(history(log, "a"), ["1 put a=1", "2 put a=2"])
    write(log, remove("purge", "a", { key: "a", revision: 2 }))
    assert.deepStrictEqual(history(log, "a"), ["3 purge a"])
  })
})

describe("history", () => {
  it("keeps the last historySize messages of each key, markers included", () => {
    const log = makeLog({ historySize: 2 })
    write(log, put("a", "1"))
    write(log, put("b", "x"))
    write(log, put("a", "2"))
    write(log, remove("delete", "a"))
    assert.deepStrictEqual(history(log, "a"), ["3 put a=2", "4 delete a"])
    assert.deepStrictEqual(history(log, "b"), ["2 put b=x"])
    assert.strictEqual(log.size, 3)
  })

  it("is removed by a purge, which leaves its marker", () => {
    const log = makeLog({ historySize: 5 })
    for (const value of ["1", "2", "3"]) write(log, put("a", value))
    write(log, put("b"))
    write(log, remove("purge", "a"))
    assert.deepStrictEqual(history(log, "a"), ["5 purge a"])
    assert.deepStrictEqual(keys(log), ["4 put b", "5 purge a"])
    assert.strictEqual(log.size, 2)
    assert.strictEqual(log.bytes, 2)
  })

  it("is empty for a key that was never written", () => {
    assert.deepStrictEqual(makeLog().history("a"), [])
    assert.isUndefined(makeLog().last("a"))
  })

  it("does not change after it was returned", () => {
    const log = makeLog({ historySize: 5 })
    write(log, put("a", "1"))
    const given = log.history("a")
    write(log, put("a", "2"))
    assert.strictEqual(given.length, 1)
  })

  it("does not change if the caller changes the written bytes", () => {
    const log = makeLog()
    const message = put("a", "abc")
    write(log, message)
    message.value.fill(0)
    assert.strictEqual(textOf(log.last("a")!.value), "abc")
  })
})

describe("listings", () => {
  it("return the last message of each key that matches, in order of revisions", () => {
    const log = makeLog({ historySize: 3 })
    for (const key of ["a", "b", "c", "a", "d"]) write(log, put(key))
    write(log, remove("delete", "c"))
    assert.deepStrictEqual(keys(log), ["2 put b", "4 put a", "5 put d", "6 delete c"])
    assert.deepStrictEqual(log.lastOfEach((key) => key < "c").map(shown), ["2 put b", "4 put a"])
  })

  it("return the kept messages after a revision, in order", () => {
    const log = makeLog({ historySize: 2 })
    for (const key of ["a", "b", "a", "a", "c"]) write(log, put(key))
    const after = (revision: number) => log.after(revision, everyKey).map((message) => message.revision)
    assert.deepStrictEqual(after(0), [2, 3, 4, 5])
    assert.deepStrictEqual(after(3), [4, 5])
    assert.deepStrictEqual(after(5), [])
    assert.deepStrictEqual(after(99), [])
    assert.deepStrictEqual(after(-1), [2, 3, 4, 5])
    assert.deepStrictEqual(log.after(0, (key) => key !== "a").map(shown), ["2 put b", "5 put c"])
  })

  it("keep their order after compactions", () => {
    const log = makeLog({ historySize: 1 })
    for (let n = 0; n < 1000; n++) write(log, put(`k${n % 7}`, `${n}`))
    const revisions = log.after(0, everyKey).map((message) => message.revision)
    assert.deepStrictEqual(revisions, [994, 995, 996, 997, 998, 999, 1000])
    assert.deepStrictEqual(log.lastOfEach(everyKey).map((message) => message.revision), revisions)
    assert.strictEqual(log.size, 7)
    for (let from = 990; from <= 1000; from++) {
      assert.deepStrictEqual(log.after(from, everyKey).map((m) => m.revision), revisions.filter((r) => r > from))
    }
  })
})

describe("age", () => {
  it("removes values, history and markers exactly at the maximum age", () => {
    const log = makeLog({ historySize: 5, maxAge: 100 })
    write(log, put("a", "1"), 0)
    write(log, put("a", "2"), 10)
    write(log, remove("delete", "b"), 20)
    write(log, remove("purge", "c"), 30)
    assert.strictEqual(log.expire(99), 100)
    assert.strictEqual(log.size, 4)
    assert.strictEqual(log.expire(100), 110)
    assert.deepStrictEqual(history(log, "a"), ["2 put a=2"])
    log.expire(119)
    assert.deepStrictEqual(keys(log), ["3 delete b", "4 purge c"])
    assert.strictEqual(log.expire(130), undefined)
    assert.deepStrictEqual([log.size, log.bytes, keys(log)], [0, 0, []])
  })

  it("restarts with every write of a key", () => {
    const log = makeLog({ maxAge: 100 })
    write(log, put("a", "1"), 0)
    write(log, put("a", "2"), 60)
    log.expire(120)
    assert.deepStrictEqual(keys(log), ["2 put a=2"])
    log.expire(160)
    assert.deepStrictEqual(keys(log), [])
  })

  it("is unlimited if maxAge is not set", () => {
    const log = makeLog({ markerAge: 10 })
    write(log, put("a"), 0)
    assert.strictEqual(log.expire(1e15), undefined)
    assert.deepStrictEqual(keys(log), ["1 put a"])
  })

  it("leaves an expiry marker for values and delete markers, and none for purge markers and expiry markers", () => {
    const log = makeLog({ maxAge: 100, markerAge: 30 })
    write(log, put("v"), 0)
    write(log, remove("delete", "d"), 0)
    write(log, remove("purge", "p"), 0)
    assert.strictEqual(log.expire(100), 130)
    assert.deepStrictEqual(keys(log), ["4 expire v", "5 expire d"])
    assert.strictEqual(log.last("v")!.created, 100)
    assert.strictEqual(log.expire(130), undefined)
    assert.strictEqual(log.size, 0)
    assert.strictEqual(log.lastRevision, 5)
  })

  it("leaves one expiry marker per key, for its last message only", () => {
    const log = makeLog({ historySize: 3, maxAge: 100, markerAge: 30 })
    write(log, put("a", "1"), 0)
    write(log, put("a", "2"), 50)
    log.expire(100)
    assert.deepStrictEqual(history(log, "a"), ["2 put a=2"])
    log.expire(150)
    assert.deepStrictEqual(history(log, "a"), ["3 expire a"])
  })

  it("limits the lifetime of an expiry marker to maxAge", () => {
    const log = makeLog({ maxAge: 100, markerAge: 1000 })
    write(log, put("a"), 0)
    log.expire(100)
    assert.strictEqual(log.expire(199), 200)
    log.expire(200)
    assert.strictEqual(log.size, 0)
  })

  it("does not remove a value that was written after an expiry marker", () => {
    const log = makeLog({ maxAge: 100, markerAge: 30 })
    write(log, put("a", "1"), 0)
    log.expire(100)
    write(log, put("a", "2"), 110)
    log.expire(140)
    assert.deepStrictEqual(keys(log), ["3 put a=2"])
  })
})

describe("removal without a marker", () => {
  it("removes the messages of a key up to a revision", () => {
    const log = makeLog({ historySize: 3 })
    for (const value of ["1", "2", "3"]) write(log, put("a", value))
    write(log, put("b", "4"))
    log.removeUpTo("a", 2)
    log.removeUpTo("none", 9)
    assert.deepStrictEqual(history(log, "a"), ["3 put a=3"])
    assert.deepStrictEqual(keys(log), ["3 put a=3", "4 put b=4"])
    log.removeUpTo("a", 9)
    assert.deepStrictEqual([log.size, log.bytes, keys(log), log.lastRevision], [1, 2, ["4 put b=4"], 4])
  })
})

describe("free space", () => {
  it("is counted in bytes of keys and values", () => {
    const log = makeLog({ maxBytes: 10 })
    write(log, put("a", "1234"))
    assert.strictEqual(log.bytes, 5)
    write(log, put("b", "1234"))
    assert.strictEqual(log.bytes, 10)
    assert.strictEqual(refused(log, put("c")), "StorageFull")
    assert.strictEqual(log.size, 2)
  })

  it("includes the message that a write drops, and is required for markers, too", () => {
    const log = makeLog({ maxBytes: 10 })
    write(log, put("a", "123456789"))
    write(log, put("a", "987654321"))
    assert.strictEqual(refused(log, put("a", "1234567890")), "StorageFull")
    assert.strictEqual(refused(log, remove("delete", "b")), "StorageFull")
    assert.strictEqual(refused(log, remove("purge", "b")), "StorageFull")
    write(log, remove("delete", "a"))
    assert.strictEqual(log.bytes, 1)
  })

  it("includes one of the values that a purge removes, if the history of the key is full", () => {
    const purgeIn = (historySize: number) => {
      const log = makeLog({
        maxBytes: 10,
        historySize,
        sizeOf: ({ operation, value }) => operation === "put" ? value.length : 3
      })
      write(log, put("a", "1234"))
      write(log, put("a", "567890"))
      return log.append(remove("purge", "a"), 0)
    }
    assert.strictEqual(purgeIn(2), 3)
    assert.include(purgeIn(3), { _tag: "StorageFull" })
  })

  it("is named in the error with its limit", () => {
    const outcome = makeLog({ maxBytes: 3 }).append(put("a", "1234"), 0)
    assert.isTrue(typeof outcome !== "number" && outcome._tag === "StorageFull" && outcome.message.includes("3"))
  })

  it("is checked after the condition", () => {
    const log = makeLog({ maxBytes: 3 })
    assert.deepStrictEqual(refused(log, put("a", "1234", { key: "a", revision: 9 })), [9, 0])
  })
})
