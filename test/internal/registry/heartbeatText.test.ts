/** Which stored records are the one that was decoded last with another time. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { HeartbeatText } from "../../../src/internal/registry/heartbeatText.ts"
import { changed, encode } from "../../../src/internal/registry/record.ts"
import { bytes } from "../../../tools/values.ts"
import { instance, mine, recordOf } from "../../support/registryRecord.ts"

const time = "2026-11-01T10:00:00.000Z"
const later = "2026-11-01T10:00:09.999Z"

const text = (heartbeat: string, fields = "") =>
  `{"serviceName":"orders","lastHeartbeat":"${heartbeat}","metadata":{"zone":"a"}${fields}}`

/** The time that is recognised in a record after another one has been decoded. */
const timeIn = (decoded: string, next: string) => HeartbeatText.of(bytes(decoded))?.timeIn(bytes(next))

describe("the text of a decoded record", () => {
  it("recognises the records that this library stores for the next heartbeats", () => {
    const record = { ...recordOf(mine), instance: changed(instance, { group: "eu" }) }
    const known = HeartbeatText.of(encode(record))
    for (const millis of [0, 1_000_000, 1_010_123, Date.UTC(2026, 11, 31)]) {
      const next = changed(record.instance, { lastHeartbeat: DateTime.makeUnsafe(millis) })
      assert.strictEqual(known?.timeIn(encode({ ...record, instance: next })), millis)
    }
  })

  it("recognises the same record", () => {
    assert.strictEqual(timeIn(text(time), text(time)), Date.parse(time))
  })

  const equal: ReadonlyArray<readonly [what: string, fields: string]> = [
    ["characters that are not ASCII", ",\"name\":\"Zürich, 日本\""],
    ["the name of the time in its metadata", `,"build":{"lastHeartbeat":"${time}"}`],
    ["brackets and an escaped quote in a nested string", ",\"build\":[\"}]{\\\"\"]"]
  ]

  for (const [what, fields] of equal) {
    it(`recognises a record with ${what}`, () => {
      assert.strictEqual(timeIn(text(time, fields), text(later, fields)), Date.parse(later))
    })
  }

  const others: ReadonlyArray<readonly [what: string, next: string]> = [
    ["another field", text(later).replace("\"a\"", "\"b\"")],
    ["another digit beside the time", text(later, ",\"port\":8080")],
    ["a longer text", text(later, " ")],
    ["an invalid time", text("2026-99-01T10:00:00.000Z")],
    ["a time in another form", text("2026-11-01T10:00:00,000Z")],
    ["an end of the string within the time", text("2026-11-01T10:00\",\"x\":\"")]
  ]

  for (const [what, next] of others) {
    it(`does not recognise a record with ${what}`, () => {
      assert.isUndefined(timeIn(text(time, next.includes("port") ? ",\"port\":8081" : ""), next))
    })
  }

  const unclear: ReadonlyArray<readonly [what: string, record: (heartbeat: string) => string]> = [
    ["two times", (heartbeat) => text(heartbeat, `,"lastHeartbeat":"${time}"`)],
    ["another spelling of its name", (heartbeat) => text(heartbeat, `,"last\\u0048eartbeat":"${time}"`)],
    ["a space before the time", (heartbeat) => text(heartbeat).replace("\":\"2026", "\": \"2026")],
    ["a time without milliseconds", (heartbeat) => text(heartbeat.replace(/\.\d+/, ""))],
    ["the time in its metadata only", (heartbeat) => `{"metadata":{"lastHeartbeat":"${heartbeat}"}}`],
    ["more than 4 kB", (heartbeat) => text(heartbeat, `,"x":"${"x".repeat(4096)}"`)]
  ]

  for (const [what, record] of unclear) {
    it(`recognises nothing if it has ${what}`, () => {
      assert.isUndefined(timeIn(record(time), record(later)))
    })
  }
})
