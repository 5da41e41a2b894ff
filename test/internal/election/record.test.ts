/** The stored record of an election: encoding and decoding. */
import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import {
  absent,
  electedRevisionOf,
  electionOf,
  encode,
  fromEntry,
  fromRead,
  keyOf,
  largestSize,
  releasing,
  StoredRecord
} from "../../../src/internal/election/record.ts"
import { nonceLength } from "../../../src/internal/identity.ts"
import { created, held, recordOf, vacant } from "../../support/electionRecord.ts"

const entryOf = (value: Uint8Array | string, revision = 7) => ({
  key: keyOf("orders"),
  value: typeof value === "string" ? new TextEncoder().encode(value) : value,
  revision,
  created
})

describe("a stored record", () => {
  /** Whether a key is escaped with a backslash: V8's JSON.parse may misread it after it has parsed the key "\\". */
  const hasEscapedKey = (json: unknown): boolean => {
    let found = false
    JSON.stringify(json, (key, value: unknown) => {
      found ||= JSON.stringify(key).includes("\\")
      return value
    })
    return found
  }

  it.prop("decodes to the record that was encoded", { record: StoredRecord }, ({ record }) => {
    if (hasEscapedKey(record.metadata)) return
    const seen = fromEntry(entryOf(encode(record)))
    assert.strictEqual(seen._tag, record.vacant ? "Vacant" : "Held")
    // JSON has no -0, so the encoded records are compared.
    assert.deepStrictEqual("record" in seen && encode(seen.record), encode(record))
    assert.isTrue("record" in seen && Equal.equals({ ...seen.record, metadata: 0 }, { ...record, metadata: 0 }))
  })

  it("is JSON in camelCase, with all fields that other candidates need", () => {
    const text = new TextDecoder().decode(
      encode(recordOf({ electedRevision: 4, state: releasing, metadata: { zone: "a" } }))
    )
    assert.deepStrictEqual(JSON.parse(text), {
      candidateId: "a",
      nonce: "mine",
      term: 3,
      attempt: 5,
      leaseMillis: 20_000,
      electedAt: "1970-01-01T00:16:40.000Z",
      electedRevision: 4,
      vacant: false,
      state: "Releasing",
      metadata: { zone: "a" }
    })
  })

  it("has the size largestSize with the largest counters, and is smaller otherwise", () => {
    const fields = { candidateId: "a", leaseMillis: 20_000, metadata: { zone: "grüße" } }
    const most = Number.MAX_SAFE_INTEGER
    const small = recordOf({ ...fields, nonce: "n".repeat(nonceLength), term: 1, attempt: 1 })
    const large = { ...small, term: most, attempt: most, electedRevision: most, state: releasing }
    assert.isBelow(encode(small).length, largestSize(fields))
    assert.strictEqual(encode(large).length, largestSize(fields))
    assert.isBelow(encode({ ...large, vacant: true }).length, largestSize(fields))
  })

  it("is stored under the key of its election, and electionOf returns the name", () => {
    assert.strictEqual(keyOf("orders/main"), "election.orders/main")
    assert.strictEqual(electionOf("election.orders/main"), "orders/main")
  })

  it("is decoded with its revision and its creation time", () => {
    assert.deepStrictEqual(fromEntry(entryOf(encode(recordOf()), 12)), held(12))
    assert.deepStrictEqual(fromRead(Option.some(entryOf(encode(recordOf({ vacant: true })), 12))), vacant(12))
    assert.deepStrictEqual(fromRead(Option.none()), absent)
  })

  it("has the revision that won its term, which is its own revision in the write that won", () => {
    assert.strictEqual(electedRevisionOf(held(12)), 12)
    assert.strictEqual(electedRevisionOf(held(12, { electedRevision: 4 })), 4)
    assert.strictEqual(electedRevisionOf(vacant(12, { electedRevision: 4 })), 4)
  })

  const fields: Record<string, unknown> = JSON.parse(
    new TextDecoder().decode(encode(recordOf({ electedRevision: 4 })))
  )
  const wrong: ReadonlyArray<readonly [what: string, value: Uint8Array | string]> = [
    ["no bytes", ""],
    ["text that is not JSON", "leader: me"],
    ["half a record", JSON.stringify(fields).slice(0, 40)],
    ["bytes that are not UTF-8", Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)],
    ["a string", "\"me\""],
    ["null", "null"],
    ["JSON that is nested too deep", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
    ["a list", JSON.stringify([fields])],
    ...Object.keys(fields).filter((name) => name !== "electedRevision").map((name) =>
      [`no ${name}`, JSON.stringify({ ...fields, [name]: undefined })] as const
    ),
    ...Object.entries({
      nonce: [5, null],
      candidateId: [5],
      // The next number would not be a safe integer, and every campaign would fail.
      term: [-1, 1.5, "3", Number.MAX_SAFE_INTEGER],
      attempt: [-1, 0.5, null, Number.MAX_SAFE_INTEGER],
      leaseMillis: [0, -1, "20 seconds", null],
      electedAt: ["yesterday"],
      electedRevision: [-1, 0.5, null],
      vacant: ["no", 0],
      state: [5, null],
      metadata: [null, 5]
    }).flatMap(([name, values]) =>
      values.map((value) => [`${name} ${JSON.stringify(value)}`, JSON.stringify({ ...fields, [name]: value })] as const)
    )
  ]
  for (const [what, value] of wrong) {
    it(`cannot be decoded with ${what}`, () => {
      const seen = fromEntry(entryOf(value))
      assert.deepStrictEqual([seen._tag, "revision" in seen && seen.revision], ["Undecodable", 7])
    })
  }

  const damaged: ReadonlyArray<readonly [what: string, value: Uint8Array | string, leaseMillis: number | undefined]> = [
    ["another field is wrong", JSON.stringify({ ...fields, term: "3" }), 20_000],
    [
      "a field was renamed by a later version",
      JSON.stringify({ ...fields, vacant: undefined, isVacant: false }),
      20_000
    ],
    ["it was cut off after the lease", JSON.stringify(fields).replace(/"electedAt".*/, ""), 20_000],
    ["it was cut off before the lease", JSON.stringify(fields).slice(0, 40), undefined],
    ["its lease is no number", JSON.stringify({ ...fields, leaseMillis: "20000" }), undefined],
    ["its lease is not positive", JSON.stringify({ ...fields, leaseMillis: -5 }), undefined],
    ["its lease is 0", JSON.stringify({ ...fields, leaseMillis: 0 }), undefined],
    ["its lease is too large for a number", "{ \"leaseMillis\" : 1e999 }", Number.POSITIVE_INFINITY],
    ["it has the lease twice", "{\"leaseMillis\":5,\"leaseMillis\":2.5e1,\"leaseMillis\":7}", 25],
    ["the name of the lease is within a string", JSON.stringify({ a: "\"leaseMillis\":5" }), undefined],
    ["it is not UTF-8", Uint8Array.of(0xff, ...new TextEncoder().encode("{\"leaseMillis\":5}")), 5],
    ["it is too large", `${" ".repeat(1024 * 1024)}{"leaseMillis":5}`, undefined]
  ]
  for (const [what, value, leaseMillis] of damaged) {
    it(`has the lease ${leaseMillis} if it cannot be decoded because ${what}`, () => {
      const seen = fromEntry(entryOf(value))
      assert.strictEqual(seen._tag === "Undecodable" ? seen.leaseMillis : seen._tag, leaseMillis)
    })
  }

  it("can be decoded with the fields of a later version", () => {
    assert.strictEqual(fromEntry(entryOf(JSON.stringify({ ...fields, color: "red" })))._tag, "Held")
  })
})
