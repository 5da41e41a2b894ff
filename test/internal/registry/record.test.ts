/** The encoding and decoding of records. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Equal from "effect/Equal"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { changed, decode, encode, type InstanceRecord, keyOf, namesOf } from "../../../src/internal/registry/record.ts"
import { textOf } from "../../../tools/values.ts"
import { instance, mine, noTimes, recordOf } from "../../support/registryRecord.ts"

const entryOf = (value: Uint8Array | string, key = keyOf(instance)) => ({
  key,
  value: typeof value === "string" ? new TextEncoder().encode(value) : value,
  revision: 7,
  created: DateTime.makeUnsafe(2_000_000)
})

const stored = {
  serviceName: "orders",
  instanceId: "one",
  version: "1.2.3",
  status: "ACTIVE",
  lastHeartbeat: "2026-11-01T00:00:00.000Z",
  metadata: { zone: "a" },
  nonce: mine
}

const rest: ReadonlyArray<readonly [what: string, fields: string]> = [
  ["a string", "\"color\":\"red\""],
  ["an object", "\"build\":{\"commit\":\"abc\",\"tags\":[1,null,true]}"],
  ["null", "\"owner\":null"],
  ["a field named like a method of Object", "\"constructor\":1,\"toString\":\"x\""],
  ["a field named __proto__", "\"__proto__\":{\"x\":1}"],
  ["a field with a non-ASCII name", "\"größe\":\"日本\""]
]

describe("a record", () => {
  it("is encoded as camelCase JSON without undefined fields", () => {
    assert.deepStrictEqual(JSON.parse(textOf(encode(recordOf(mine)))), {
      color: "red",
      serviceName: "orders",
      instanceId: "one",
      version: "1.2.3",
      status: "ACTIVE",
      lastHeartbeat: "1970-01-01T00:16:40.000Z",
      metadata: { zone: "a", ports: [80, 443] },
      nonce: mine
    })
  })

  it("is encoded with its group under AegisSDK's name", () => {
    const grouped = {
      instance: changed(instance, { group: "eu", metadata: {} }),
      nonce: mine,
      rest: {},
      times: noTimes
    }
    assert.strictEqual(
      textOf(encode(grouped)),
      "{\"serviceName\":\"orders\",\"instanceId\":\"one\",\"version\":\"1.2.3\",\"status\":\"ACTIVE\"," +
        "\"lastHeartbeat\":\"1970-01-01T00:16:40.000Z\",\"metadata\":{},\"stickyActiveGroup\":\"eu\",\"nonce\":\"mine\"}"
    )
  })

  it("is decoded with its group under AegisSDK's name only", () => {
    const read = (fields: object) => Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, ...fields }))))
    assert.strictEqual(read({ stickyActiveGroup: "eu" }).instance.group, "eu")
    assert.deepStrictEqual(read({ stickyActiveGroup: "eu" }).rest, {})
    assert.isUndefined(read({ group: "eu" }).instance.group)
    assert.deepStrictEqual(read({ group: "eu" }).rest, { group: "eu" })
  })

  it("is decoded with a status that this library does not know", () => {
    const record = Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, status: "SHUTDOWN" }))))
    assert.strictEqual(record.instance.status, "SHUTDOWN")
  })

  it("is encoded with its times, and decoded with the same ones", () => {
    const times = { maxAge: 30_000, streakSince: 1_000_000, streakAfter: 900_000 }
    const text = textOf(encode({ ...recordOf(mine), times }))
    assert.include(JSON.parse(text), {
      maxAge: 30_000,
      streakSince: "1970-01-01T00:16:40.000Z",
      streakAfter: "1970-01-01T00:15:00.000Z"
    })
    assert.deepStrictEqual(Result.getOrThrow(decode(entryOf(text))).times, times)
  })

  it("keeps optional fields of other writers that are of another type", () => {
    const others = { host: 5, port: 70_000, startedAt: "soon", maxAge: -1, streakSince: 7, streakAfter: {}, nonce: [] }
    const record = Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, ...others }))))
    assert.deepStrictEqual(record.rest, others)
    assert.deepStrictEqual(record.times, noTimes)
  })

  it("of AegisSDK decodes and keeps its other fields through a change", () => {
    const theirs = { ...stored, nonce: undefined, stickyActiveGroup: "eu", stickyActiveStatus: "STANDBY", group: [1] }
    const record = Result.getOrThrow(decode(entryOf(JSON.stringify(theirs))))
    assert.strictEqual(record.instance.group, "eu")
    const next = { ...record, instance: changed(record.instance, { status: "DRAINING" }) }
    assert.deepStrictEqual(JSON.parse(textOf(encode(next))), {
      ...JSON.parse(JSON.stringify(theirs)),
      status: "DRAINING"
    })
    const left = { ...record, instance: changed(record.instance, { group: undefined }) }
    assert.notProperty(JSON.parse(textOf(encode(left))), "stickyActiveGroup")
    const moved = { ...record, instance: changed(record.instance, { group: "us" }) }
    assert.strictEqual(JSON.parse(textOf(encode(moved))).stickyActiveGroup, "us")
  })

  for (const group of [null, 5]) {
    it(`whose group is ${group} decodes without a group and keeps that field`, () => {
      const text = JSON.stringify({ ...stored, stickyActiveGroup: group })
      const record = Result.getOrThrow(decode(entryOf(text)))
      assert.isUndefined(record.instance.group)
      assert.deepStrictEqual(JSON.parse(textOf(encode(record))), JSON.parse(text))
    })
  }

  for (const version of ["v7", "1.2", "01.2.3", "", "latest"]) {
    it(`of another writer decodes with any version: "${version}"`, () => {
      const record = Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, version }))))
      assert.strictEqual(record.instance.version, version)
    })
  }

  it("decodes to the encoded record", () => {
    const record = recordOf(mine)
    const read = Result.getOrThrow(decode(entryOf(encode(record))))
    assert.isTrue(Equal.equals(read.instance, record.instance))
    assert.strictEqual(read.nonce, mine)
    assert.deepStrictEqual(read.rest, record.rest)
  })

  for (const [what, fields] of rest) {
    it(`keeps an unknown field through a change: ${what}`, () => {
      const text = `{${fields},${JSON.stringify(stored).slice(1)}`
      const record = Result.getOrThrow(decode(entryOf(text)))
      const next = { ...record, instance: changed(record.instance, { status: "DRAINING" }) }
      const expected = JSON.parse(text.replace("\"ACTIVE\"", "\"DRAINING\""))
      assert.deepStrictEqual(JSON.parse(textOf(encode(next))), expected)
    })
  }

  it.prop(
    "keeps all unknown fields, separate from its own fields",
    { metadata: Schema.Record(Schema.String, Schema.Json), other: Schema.Record(Schema.String, Schema.Json) },
    ({ metadata, other }) => {
      const record: InstanceRecord = {
        instance: changed(instance, { metadata }),
        nonce: mine,
        rest: Object.fromEntries(Object.entries(other).map(([name, value]) => [`x-${name}`, value])),
        times: noTimes
      }
      const text = textOf(encode(record))
      const read = Result.getOrThrow(decode(entryOf(text)))
      assert.deepStrictEqual(JSON.parse(textOf(encode(read))), JSON.parse(text))
      assert.deepStrictEqual(Object.keys(read.rest).toSorted(), Object.keys(record.rest).toSorted())
    }
  )

  it("has no nonce if another library wrote it", () => {
    assert.isUndefined(Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, nonce: undefined })))).nonce)
    assert.isUndefined(Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, nonce: 5 })))).nonce)
  })

  it("does not count the nonce as an unknown field", () => {
    assert.deepStrictEqual(Result.getOrThrow(decode(entryOf(JSON.stringify(stored)))).rest, {})
  })

  const broken: ReadonlyArray<readonly [what: string, value: Uint8Array | string, key?: string]> = [
    ["an empty value", ""],
    ["broken JSON", "{\"serviceName\":"],
    ["text that is not JSON", "hello"],
    ["a number", "5"],
    ["a string", "\"orders\""],
    ["null", "null"],
    ["a list", "[]"],
    ["true", "true"],
    ["an empty object", "{}"],
    ["invalid UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d)],
    [
      "invalid UTF-8 inside a string",
      new Uint8Array([...new TextEncoder().encode("{\"a\":\""), 0xc3, 0x28, 0x22, 0x7d])
    ],
    ["a record of another instance", JSON.stringify(stored), "service-instances.orders.two"],
    ["a record of another service", JSON.stringify(stored), "service-instances.payments.one"],
    ["a name with a dot", JSON.stringify({ ...stored, serviceName: "a.b" }), "service-instances.a.b.one"],
    ["a version that is not a string", JSON.stringify({ ...stored, version: 7 })],
    ["no version", JSON.stringify({ ...stored, version: undefined })],
    ["metadata that is nested too deeply", `{"metadata":{"a":${"[".repeat(9000)}${"]".repeat(9000)}},${rest[0]![1]}}`],
    ["a status that is not a text", JSON.stringify({ ...stored, status: 5 })],
    ["a lastHeartbeat that is not a time", JSON.stringify({ ...stored, lastHeartbeat: "soon" })],
    ["no lastHeartbeat", JSON.stringify({ ...stored, lastHeartbeat: undefined })],
    ["metadata that is not an object", JSON.stringify({ ...stored, metadata: 5 })]
  ]

  for (const [what, value, key] of broken) {
    it(`does not decode from ${what}`, () => {
      assert.isTrue(Result.isFailure(decode(entryOf(value, key))))
    })
  }

  it("has a key from which its names can be read", () => {
    assert.strictEqual(keyOf(instance), "service-instances.orders.one")
    assert.deepStrictEqual(namesOf(keyOf(instance)), { serviceName: "orders", instanceId: "one" })
    assert.deepStrictEqual(namesOf("service-instances.a__b.c-d"), { serviceName: "a__b", instanceId: "c-d" })
  })
})
