/** `judge` and `resetProblems` of the fault tests report every kind of error, and no error for correct events. */
import { assert, describe, it } from "@effect/vitest"
import { judge, resetProblems, type Seen } from "../../tools/watchFaults/verdict.ts"

const put = (key: string, revision: number, value = 0, at = 0): Seen => ({ _tag: "Put", at, key, revision, value })
const removed = (key: string, revision: number, reason = "delete"): Seen => ({
  _tag: "Removed",
  at: 0,
  key,
  revision,
  reason
})
const ready: Seen = { _tag: "Ready", at: 0 }

const verdict = (
  seen: ReadonlyArray<Seen>,
  held: Record<string, number> = {},
  rest: Partial<Parameters<typeof judge>[0]> = {}
) => {
  const { disordered, duplicates, firstEvent, missed, notRemoved, skipped } = judge({
    seen,
    held: new Map(Object.entries(held)),
    anew: false,
    fresh: undefined,
    acknowledged: [],
    ...rest
  })
  return {
    ...(missed.length > 0 && { missed }),
    ...(notRemoved.length > 0 && { notRemoved }),
    ...(duplicates.length > 0 && { duplicates }),
    ...(disordered.length > 0 && { disordered }),
    ...(skipped > 0 && { skipped }),
    ...(firstEvent !== undefined && { firstEvent })
  }
}

describe("watchFaults judge", () => {
  it("reports no error if the last event of every key matches the server", () => {
    const seen = [put("a", 1), put("b", 2), ready, removed("b", 3), put("a", 5), put("c", 6), removed("c", 6, "purge")]
    assert.deepStrictEqual(verdict(seen, { a: 5 }), {})
  })

  it("reports a last value that was not emitted, or was emitted before an older value", () => {
    assert.deepStrictEqual(verdict([put("a", 1), ready], { a: 2, b: 3 }), { missed: ["a", "b"] })
    assert.deepStrictEqual(verdict([put("a", 2), put("a", 1)], { a: 2 }), {
      missed: ["a"],
      disordered: ["Put a@1"]
    })
  })

  it("reports a deleted key whose removal was not emitted", () => {
    assert.deepStrictEqual(verdict([put("a", 1), put("b", 2)], { b: 2 }), { notRemoved: ["a"] })
  })

  it("reports values, delete markers and resets that are emitted twice", () => {
    assert.deepStrictEqual(verdict([put("a", 1), put("a", 1)], { a: 1 }), { duplicates: ["Put a@1"] })
    assert.deepStrictEqual(verdict([put("a", 1), removed("a", 2), removed("a", 2)]), {
      duplicates: ["Removed a@2"]
    })
    assert.deepStrictEqual(verdict([put("a", 1), removed("a", 1, "reset"), removed("a", 1, "reset")]), {
      duplicates: ["Removed a@1"]
    })
  })

  it("recognizes a recreated bucket by its revisions, and reports late events of the former bucket", () => {
    const before = [put("a", 101, 1), put("b", 102, 2), put("a", 103, 3)]
    const after = [removed("b", 102, "reset"), put("a", 1, 4), put("a", 2, 5)]
    assert.deepStrictEqual(verdict([...before, ...after], { a: 2 }, { anew: true }), {})
    assert.deepStrictEqual(verdict([...before, ...after, put("b", 104, 2)], { a: 2, b: 104 }, { anew: true }), {
      disordered: ["Put b@104"]
    })
    assert.deepStrictEqual(verdict([...before, ...after, put("a", 2, 5)], { a: 2 }, { anew: true }), {
      duplicates: ["Put a@2"]
    })
  })

  it("counts acknowledged writes that were not emitted", () => {
    const acknowledged = [1, 2, 3].map((value) => ({ key: "a", revision: value, value, at: 0 }))
    assert.deepStrictEqual(verdict([put("a", 1, 1), put("a", 3, 3)], { a: 3 }, { acknowledged }), { skipped: 1 })
  })

  it("measures from the fresh write to the first event of the same bucket with its revision or a later one", () => {
    const fresh = { key: "a", revision: 7, value: 9, at: 1000 }
    const seen = [put("a", 6, 1, 1100), put("b", 8, 2, 1250), put("a", 9, 3, 1300)]
    assert.deepStrictEqual(verdict(seen, { a: 9, b: 8 }, { fresh }), { firstEvent: 250 })
    assert.deepStrictEqual(verdict(seen, { a: 9, b: 8 }, { fresh: { ...fresh, revision: 10 } }), {})
    assert.deepStrictEqual(verdict([put("a", 7, 9, 990)], { a: 7 }, { fresh }), { firstEvent: 0 })
    const anew = [put("a", 100, 1, 1100), put("a", 7, 9, 1400)]
    assert.deepStrictEqual(verdict(anew, { a: 7 }, { fresh, anew: true }), { firstEvent: 400 })
  })
})

describe("watchFaults resetProblems", () => {
  const before = [put("a", 1, 1), ready, put("b", 2, 2), put("a", 3, 3)]
  const [a, b] = [removed("a", 3, "reset"), removed("b", 2, "reset")]
  const after = put("a", 9, 5)
  const found = (...seen: ReadonlyArray<Seen>) => resetProblems([...before, ...seen], ["a", "b"], 4)

  it("reports no problem if every lost key is reset before the snapshot, and Ready follows", () => {
    assert.deepStrictEqual(found(a, b, after, ready), [])
    assert.deepStrictEqual(found(a, b, ready), [])
  })

  it("reports missing and repeated resets, a wrong revision, a wrong order, and a missing Ready", () => {
    assert.deepStrictEqual(found(after, ready), ["a was reset 0 times", "b was reset 0 times"])
    assert.deepStrictEqual(found(a, ready), ["b was reset 0 times"])
    assert.deepStrictEqual(found(a, b, b, ready), ["b was reset 2 times"])
    assert.deepStrictEqual(found(removed("a", 1, "reset"), b, ready), ["a was reset with revision 1, expected 3"])
    assert.deepStrictEqual(found(a, after, b, ready), ["b was reset after the new snapshot had begun"])
    assert.deepStrictEqual(found(a, b, after), ["Ready was emitted 1 times, expected 2"])
    assert.deepStrictEqual(found(a, ready, b), ["Ready was emitted before a reset"])
  })
})
