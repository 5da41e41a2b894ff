/** The subjects and headers that the NATS backend sends and reads. */
import { assert, describe, it } from "@effect/vitest"
import type { Append, MessageOperation } from "../../../../src/internal/kv/backend.ts"
import { headersFor } from "../../../../src/internal/kv/headers.ts"
import { fromDelivered, fromStored, placeReader } from "../../../../src/internal/nats/jetstream/messages.ts"
import { bytes } from "../../../../tools/values.ts"
import { append } from "../../../support/appends.ts"

const placeOf = (reply: string | undefined) => placeReader()(reply)

describe("a delivered message's place", () => {
  const place = { streamSequence: 1_795_000_000_000_007, consumerSequence: 12, created: 1_795_000_000_123, pending: 34 }
  const tail = "1795000000000007.12.1795000000123456789.34"

  const replies: ReadonlyArray<readonly [form: string, reply: string]> = [
    ["of nine tokens", `$JS.ACK.KV_b.consumer.1.${tail}`],
    ["with a domain and an account", `$JS.ACK.hub.AbCdEf.KV_b.consumer.1.${tail}`],
    ["with a domain, an account and a token at the end", `$JS.ACK.hub.AbCdEf.KV_b.consumer.1.${tail}.x7Gh`],
    ["with no domain, an account and a token at the end", `$JS.ACK._.AbCdEf.KV_b.consumer.1.${tail}.x7Gh`]
  ]

  for (const [form, reply] of replies) {
    it(`is read from a reply subject ${form}`, () => {
      assert.deepStrictEqual(placeOf(reply), place)
    })
  }

  it("is undefined for any other reply subject", () => {
    const others = [
      undefined,
      "",
      "_INBOX.abc.def",
      "$JS.FC.KV_b.consumer.xyz",
      "$JS.ACK.KV_b.consumer.1.2.3.4",
      `$JS.ACK.hub.KV_b.consumer.1.${tail}`,
      `JS.ACK.KV_b.consumer.1.${tail}`,
      `$JS.NAK.KV_b.consumer.1.${tail}`,
      "$JS.ACK.KV_b.consumer.1.2.3.now.0"
    ]
    for (const reply of others) assert.isUndefined(placeOf(reply), reply)
  })

  it("is read of many messages of a consumer, and of another consumer", () => {
    const read = placeReader()
    for (const [, reply] of [...replies, ...replies]) {
      for (let n = 1; n <= 3; n++) {
        const at = reply.replace(".12.", `.${n}.`)
        assert.deepStrictEqual(read(at), { ...place, consumerSequence: n })
      }
      for (const other of [undefined, "", reply.replace(".12.", "."), reply.replace(".12.", ".x."), "_INBOX.a.b"]) {
        assert.isUndefined(read(other), other)
      }
    }
  })

  it("has the exact millisecond, although the nanoseconds exceed the safe integers", () => {
    const at = (nanos: string) => placeOf(`$JS.ACK.s.c.1.1.1.${nanos}.0`)!.created
    assert.strictEqual(at("1795000000123999999"), 1_795_000_000_123)
    assert.strictEqual(at("1795000000124000000"), 1_795_000_000_124)
  })
})

describe("the headers", () => {
  const subjectOf = (key: string) => `$KV.b.${key}`
  const expected = "Nats-Expected-Last-Subject-Sequence"

  const cases: ReadonlyArray<readonly [what: string, message: Append, headers: ReturnType<typeof headersFor>]> = [
    ["of a put: none", append("put"), []],
    ["of a delete: the operation", append("delete"), [["KV-Operation", "DEL"]]],
    ["of a purge: the operation and a rollup", append("purge"), [["KV-Operation", "PURGE"], ["Nats-Rollup", "sub"]]],
    ["of a condition: the revision", append("put", { key: "a.b", revision: 7 }), [[expected, "7"]]],
    ["of a condition on revision 0: the revision", append("put", { key: "a.b", revision: 0 }), [[expected, "0"]]],
    [
      "of a condition on a large revision: all digits",
      append("put", { key: "a.b", revision: 1_795_000_000_000_007 }),
      [[expected, "1795000000000007"]]
    ],
    [
      "of a condition on another key: the revision and the subject",
      append("put", { key: "guard", revision: 7 }),
      [[expected, "7"], ["Nats-Expected-Last-Subject-Sequence-Subject", "$KV.b.guard"]]
    ],
    [
      "of a purge with a condition: the operation, a rollup and the revision",
      append("purge", { key: "a.b", revision: 7 }),
      [["KV-Operation", "PURGE"], ["Nats-Rollup", "sub"], [expected, "7"]]
    ]
  ]

  for (const [what, message, headers] of cases) {
    it(what, () => {
      assert.deepStrictEqual(headersFor(message, subjectOf), headers)
    })
  }

  it("never include a message id: for a reused id the server reports an old success and stores nothing", () => {
    for (const [, message] of cases) {
      assert.notInclude(headersFor(message, subjectOf).map(([name]) => name), "Nats-Msg-Id")
    }
  })
})

describe("a message of the server", () => {
  const cases: ReadonlyArray<readonly [headers: Record<string, string>, operation: MessageOperation]> = [
    [{}, "put"],
    [{ "KV-Operation": "DEL" }, "delete"],
    [{ "KV-Operation": "PURGE" }, "purge"],
    [{ "KV-Operation": "PUT" }, "put"],
    [{ "Nats-Marker-Reason": "MaxAge" }, "expire"],
    [{ "Nats-Marker-Reason": "Purge" }, "purge"],
    [{ "Nats-Marker-Reason": "Remove" }, "delete"],
    [{ "Nats-Marker-Reason": "MaxAge", "KV-Operation": "DEL" }, "expire"],
    [{ "Nats-TTL": "5s" }, "put"],
    [{ "KV-Operation": "toString" }, "put"],
    [{ "Nats-Marker-Reason": "constructor" }, "put"]
  ]

  for (const [list, operation] of cases) {
    it(`with ${JSON.stringify(list)} is a ${operation}, stored or pushed`, () => {
      const header = (name: string) => list[name] ?? ""
      const data = bytes("1")
      const stored = { subject: "$KV.b.a.b", revision: 7, created: 5, header, data }
      const expected = { key: "a.b", revision: 7, created: 5, operation, value: data }
      assert.deepStrictEqual(fromStored(stored, "$KV.b."), expected)
      const pushed = { subject: "$KV.b.a.b", reply: undefined, status: 0, description: "", header, data }
      const place = { streamSequence: 7, consumerSequence: 1, created: 5, pending: 0 }
      assert.deepStrictEqual(fromDelivered(pushed, place, "$KV.b."), expected)
    })
  }
})
