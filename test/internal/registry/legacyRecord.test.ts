/** The decoding of records that AegisSDK for Python wrote. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { decodeLegacy, legacyKeyOf } from "../../../src/internal/registry/legacyRecord.ts"
import { InstanceId, ServiceName } from "../../../src/ServiceInstance.ts"
import { bytes } from "../../../tools/values.ts"
import { legacyFields, legacyKey } from "../../support/legacyRecord.ts"
import { noTimes } from "../../support/registryRecord.ts"

const created = DateTime.makeUnsafe(2_000_000)

const entryOf = (value: Uint8Array | string, key = legacyKey("orders", "one")) => ({
  key,
  value: typeof value === "string" ? bytes(value) : value,
  revision: 7,
  created
})

const decoded = (stored: object, key?: string) => Result.getOrThrow(decodeLegacy(entryOf(JSON.stringify(stored), key)))

const stored = legacyFields("orders", "one", { lastHeartbeat: "2026-11-01T12:00:00.123456+00:00" })
const heartbeat = "2026-11-01T12:00:00.123Z"

const snakeCase = {
  service_name: "orders",
  instance_id: "one",
  version: "1.0.0",
  status: "STANDBY",
  last_heartbeat: "2026-11-01T12:00:00.123456",
  sticky_active_group: "eu",
  metadata: { zone: "a" }
}

describe("a record of AegisSDK", () => {
  it("is decoded without a nonce and times", () => {
    const { instance, ...others } = decoded(stored)
    assert.deepStrictEqual({ ...instance, lastHeartbeat: DateTime.formatIso(instance.lastHeartbeat) }, {
      serviceName: ServiceName.make("orders"),
      instanceId: InstanceId.make("one"),
      version: "1.0.0",
      status: "ACTIVE",
      lastHeartbeat: heartbeat,
      metadata: {}
    })
    assert.deepStrictEqual(others, {
      times: noTimes,
      nonce: undefined,
      rest: { stickyActiveGroup: null },
      isLegacy: true
    })
  })

  it("is decoded with the names of fields in snake_case", () => {
    const { instance, rest } = decoded(snakeCase)
    assert.strictEqual(instance.status, "STANDBY")
    assert.strictEqual(instance.group, "eu")
    assert.deepStrictEqual(instance.metadata, { zone: "a" })
    assert.strictEqual(DateTime.formatIso(instance.lastHeartbeat), heartbeat)
    assert.deepStrictEqual(rest, {})
  })

  it("is decoded with both, of which the one in camelCase counts unless it is null", () => {
    const both = { ...snakeCase, serviceName: null, instanceId: "one", instance_id: "two", stickyActiveGroup: "us" }
    const { instance } = decoded(both)
    assert.deepStrictEqual([instance.serviceName, instance.instanceId, instance.group], ["orders", "one", "us"])
  })

  for (
    const [what, time, millis] of [
      ["with Z", "2026-11-01T12:00:00Z", "2026-11-01T12:00:00.000Z"],
      ["with an offset", "2026-11-01T14:00:00.5+02:00", "2026-11-01T12:00:00.500Z"],
      ["with a negative offset without a colon", "2026-11-01T12:00:00-0330", "2026-11-01T15:30:00.000Z"],
      ["without a zone, in UTC", "2026-11-01T12:00:00", "2026-11-01T12:00:00.000Z"],
      ["without a zone, with a space", "2026-11-01 12:00:00.999999", "2026-11-01T12:00:00.999Z"],
      ["at the end of the last year", "9999-12-31T23:59:59-12:00", "+010000-01-01T11:59:59.000Z"]
    ] as const
  ) {
    it(`has a time ${what}`, () => {
      for (const field of ["lastHeartbeat", "last_heartbeat"]) {
        const { instance } = decoded({ ...stored, lastHeartbeat: undefined, [field]: time })
        assert.strictEqual(DateTime.formatIso(instance.lastHeartbeat), millis)
      }
    })
  }

  it("without a heartbeat has the time at which the store stored it", () => {
    assert.deepStrictEqual(decoded({ ...stored, lastHeartbeat: undefined }).instance.lastHeartbeat, created)
    assert.deepStrictEqual(decoded({ ...stored, lastHeartbeat: null }).instance.lastHeartbeat, created)
  })

  it("has a default for each other field but its names", () => {
    const names = { serviceName: "orders", instanceId: "one" }
    for (const others of [{}, { version: null, status: null, metadata: null, stickyActiveGroup: null }]) {
      const { group, metadata, status, version } = decoded({ ...names, ...others }).instance
      assert.deepStrictEqual([version, status, metadata, group], ["0.0.0", "ACTIVE", {}, undefined])
    }
  })

  for (const status of ["SHUTDOWN", "UNHEALTHY", "", "unheard of"]) {
    it(`keeps the status "${status}"`, () => {
      assert.strictEqual(decoded({ ...stored, status }).instance.status, status)
    })
  }

  it("keeps unknown fields, also those that a record of this library has", () => {
    const others = {
      stickyActiveStatus: "STANDBY",
      ttl_seconds: 30,
      host: "10.0.0.7",
      port: 8080,
      startedAt: "2026-11-01T12:00:00Z",
      nonce: "mine",
      maxAge: 1,
      streakSince: "2026-11-01T12:00:00Z",
      group: "us",
      constructor: 1
    }
    const { instance, nonce, rest, times } = decoded({ ...stored, stickyActiveGroup: 5, ...others })
    assert.deepStrictEqual(rest, { stickyActiveGroup: 5, ...others })
    assert.deepStrictEqual([instance.host, instance.port, instance.startedAt, instance.group, nonce], [
      undefined,
      undefined,
      undefined,
      undefined,
      undefined
    ])
    assert.deepStrictEqual(times, noTimes)
  })

  it("keeps a field named __proto__, which gives the record no others", () => {
    const text = `{"__proto__":{"version":"9.9.9","status":"STANDBY"},"serviceName":"orders","instanceId":"one"}`
    const { instance, rest } = Result.getOrThrow(decodeLegacy(entryOf(text)))
    assert.deepStrictEqual([instance.version, instance.status], ["0.0.0", "ACTIVE"])
    assert.deepStrictEqual(Object.keys(rest), ["__proto__"])
  })

  for (
    const [service, id] of [["a", "b__c"], ["a__b", "c"], ["a", "b"], ["A-1", "9_"], ["a__", "1__"]] as const
  ) {
    it(`has the names of its fields, "${service}" and "${id}", whatever its key looks like`, () => {
      const { instance } = decoded(legacyFields(service, id), legacyKey(service, id))
      assert.deepStrictEqual([instance.serviceName, instance.instanceId], [service, id])
      assert.strictEqual(legacyKeyOf(instance), legacyKey(service, id))
    })
  }

  const deep = `${"[".repeat(300)}${"]".repeat(300)}`
  const broken: ReadonlyArray<readonly [what: string, value: Uint8Array | string, key?: string]> = [
    ["an empty value", ""],
    ["broken JSON", "{\"serviceName\":"],
    ["a number", "5"],
    ["a text", "\"orders\""],
    ["null", "null"],
    ["a list", "[1]"],
    ["a list with a record", JSON.stringify([stored])],
    ["an empty object", "{}"],
    ["Python's NaN", `{"serviceName":"orders","instanceId":"one","metadata":{"a":NaN}}`],
    ["invalid UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d)],
    ["more than 256 levels", `{"serviceName":"orders","instanceId":"one","metadata":{"a":${deep}}}`],
    ["more than 1 MiB", JSON.stringify({ ...stored, metadata: { a: "x".repeat(1024 * 1024) } })],
    ["a record of another instance", JSON.stringify(stored), legacyKey("orders", "two")],
    ["a record of another service", JSON.stringify(stored), legacyKey("mail", "one")],
    ["a record under a key of this library", JSON.stringify(stored), "service-instances.orders.one"],
    ["a name with a dot", JSON.stringify({ ...stored, instanceId: "a.b" }), legacyKey("orders", "a.b")],
    ["no name", JSON.stringify({ ...stored, serviceName: undefined })],
    ["a name that is a number", JSON.stringify({ ...stored, instanceId: 1 }), legacyKey("orders", "1")],
    ["a version that is a number", JSON.stringify({ ...stored, version: 1 })],
    ["a status that is a list", JSON.stringify({ ...stored, status: ["ACTIVE"] })],
    ["metadata that is a list", JSON.stringify({ ...stored, metadata: [] })],
    ["metadata that is a text", JSON.stringify({ ...stored, metadata: "{}" })],
    ...[
      "soon",
      "",
      "1",
      "2026",
      "2026-11-01",
      "2026-13-01T12:00:00Z",
      "2026-11-01T25:00:00Z",
      "99999-01-01T00:00:00Z",
      "2026-11-01T12:00:00+99:99",
      "2026-11-01T12:00:00Zulu",
      5,
      1_762_000_000.5,
      true,
      {},
      ["2026-11-01T12:00:00Z"]
    ].map((lastHeartbeat) =>
      [`the heartbeat ${JSON.stringify(lastHeartbeat)}`, JSON.stringify({ ...stored, lastHeartbeat })] as const
    )
  ]

  for (const [what, value, key] of broken) {
    it(`does not decode from ${what}`, () => {
      assert.isTrue(Result.isFailure(decodeLegacy(entryOf(value, key))))
    })
  }

  const Anything = Schema.Union([Schema.Json, Schema.Record(Schema.String, Schema.Json)])

  it.prop("is decoded or refused, whatever is stored", { value: Anything, key: Schema.String }, ({ key, value }) => {
    const text = JSON.stringify(value)
    for (const  of of[text, `{"serviceName":"orders","instanceId":"one","metadata":${text}}`]) {
      for (const under of [legacyKey("orders", "one"), `service-instances__${key}`]) {
        const read = decodeLegacy(entryOf(of, under))
        if (Result.isSuccess(read)) assert.strictEqual(legacyKeyOf(read.success.instance), under)
      }
    }
  })

  const fields = [
    "serviceName",
    "service_name",
    "instanceId",
    "version",
    "status",
    "lastHeartbeat",
    "last_heartbeat",
    "stickyActiveGroup",
    "sticky_active_group",
    "metadata",
    "nonce"
  ]

  it.prop(
    "is decoded or refused, whatever one of its fields is",
    { value: Schema.Json, field: Schema.Literals(fields) },
    ({ field, value }) => {
      const read = decodeLegacy(entryOf(JSON.stringify({ ...stored, [field]: value })))
      if (Result.isFailure(read)) return
      const { instance, nonce } = read.success
      assert.strictEqual(legacyKeyOf(instance), legacyKey("orders", "one"))
      assert.isUndefined(nonce)
      assert.isTrue(Number.isFinite(instance.lastHeartbeat.epochMilliseconds))
      assert.strictEqual(typeof instance.status, "string")
    }
  )

  it.prop(
    "keeps its metadata and its unknown fields",
    { metadata: Schema.Record(Schema.String, Schema.Json), other: Schema.Record(Schema.String, Schema.Json) },
    ({ metadata, other }) => {
      const rest = Object.fromEntries(Object.entries(other).map(([name, value]) => [`x-${name}`, value]))
      const read = decoded({ ...stored, stickyActiveGroup: "eu", metadata, ...rest })
      assert.deepStrictEqual(JSON.parse(JSON.stringify(read.instance.metadata)), JSON.parse(JSON.stringify(metadata)))
      assert.deepStrictEqual(JSON.parse(JSON.stringify(read.rest)), JSON.parse(JSON.stringify(rest)))
    }
  )
})
