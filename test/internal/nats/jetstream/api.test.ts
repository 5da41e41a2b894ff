/** The requests and answers of the JetStream API, over a requester with prepared answers. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import { make } from "../../../../src/internal/nats/jetstream/api.ts"
import type { PullWindow } from "../../../../src/internal/nats/jetstream/pullWindow.ts"
import type { Requester } from "../../../../src/internal/nats/jetstream/requester.ts"
import type { NatsMessage, NatsPort } from "../../../../src/internal/nats/port.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

interface Asked {
  readonly subject: string
  readonly body: unknown
}

const message = (given: Partial<NatsMessage>): NatsMessage => ({
  subject: "",
  reply: undefined,
  status: 0,
  description: "",
  header: () => "",
  data: new Uint8Array(0),
  ...given
})

const json = (value: unknown) => message({ data: encoder.encode(JSON.stringify(value)) })

/** Answers the requests in order. */
const answering = (...answers: ReadonlyArray<NatsMessage>) => {
  const asked: Array<Asked> = []
  const next = (subject: string, data: Uint8Array) => {
    const text = decoder.decode(data)
    asked.push({ subject, body: text === "" ? undefined : JSON.parse(text) })
    return answers[asked.length - 1] ?? assert.fail(`an unexpected request: ${subject}`)
  }
  const requester: Requester = {
    port: {} as NatsPort,
    window: {} as PullWindow,
    request: (subject, data) => Effect.sync(() => next(subject, data)),
    requestMany: ({ data, subject }) => Effect.sync(() => ({ answers: [], end: next(subject, data(1000)) }))
  }
  return { js: make(requester), asked }
}

describe("JetStream", () => {
  it.effect("reports a refusal with the code and the description of the server", () =>
    Effect.gen(function*() {
      const error = { code: 400, err_code: 10071, description: "wrong last sequence: 7" }
      const { js } = answering(json({ error }), json({ error: { code: 503 } }), message({ data: encoder.encode("?") }))
      const publish = Effect.flip(js.publish("$KV.b.a", new Uint8Array(0), [], 1000))
      assert.deepStrictEqual(yield* publish, { _tag: "Api", code: 10071, description: error.description })
      assert.deepStrictEqual(yield* publish, { _tag: "Api", code: 503, description: "no description" })
      // An answer that cannot be parsed is neither a success nor a refusal: the write may have been stored.
      assert.strictEqual((yield* publish)._tag, "ConnectionLost")
    }))

  it.effect("reports whether the stream has a leader, and returns the names of its subjects only then", () =>
    Effect.gen(function*() {
      const state = { messages: 1, bytes: 40, last_seq: 7, subjects: { "$KV.b.a": 1 } }
      const of = (cluster?: object) => json({ config: {}, created: "2026-11-01T00:00:00Z", state, total: 1, cluster })
      const { js } = answering(of({ name: "lab" }), of({ name: "lab", leader: "" }), of({}), of({ leader: "n1" }), of())
      const info = js.streamInfo("KV_b", 1000)
      assert.deepInclude(yield* info, { hasLeader: false, lastRevision: 7 })
      assert.isFalse((yield* info).hasLeader)
      const names = js.subjects("KV_b", "$KV.b.>", 1000)
      assert.include(yield* Effect.flip(names), { _tag: "Api", code: 10008 })
      assert.isTrue((yield* info).hasLeader)
      // Without a cluster no leader is named.
      assert.isTrue((yield* info).hasLeader)
    }))

  it.effect("reads a message of the leader, with headers and value in Base64", () =>
    Effect.gen(function*() {
      const kept = {
        subject: "$KV.b.a",
        seq: 7,
        time: "2026-11-01T00:00:00.5Z",
        hdrs: Base64.encode("NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup:sub\r\n\r\n"),
        data: Base64.encode(new Uint8Array([0, 255]))
      }
      const { asked, js } = answering(
        json({ message: kept }),
        json({ message: { ...kept, hdrs: undefined, data: "" } })
      )
      const read = js.lastMessage("KV_b", "$KV.b.a", "leader", 1000)
      const found = yield* Effect.fromNullishOr(yield* read)
      assert.deepStrictEqual(
        [found.revision, found.created, [...found.data], found.header("KV-Operation"), found.header("Nats-Rollup")],
        [7, Date.parse("2026-11-01T00:00:00.5Z"), [0, 255], "PURGE", "sub"]
      )
      assert.strictEqual(found.header("kv-operation"), "")
      const bare = yield* Effect.fromNullishOr(yield* read)
      assert.deepStrictEqual([bare.data.length, bare.header("KV-Operation")], [0, ""])
      assert.deepStrictEqual(asked[0], { subject: "$JS.API.STREAM.MSG.GET.KV_b", body: { last_by_subj: "$KV.b.a" } })
    }))

  it.effect("reads undefined for a subject without a message, and fails for any other refusal", () =>
    Effect.gen(function*() {
      const { js } = answering(
        json({ error: { code: 404, err_code: 10037 } }),
        message({ status: 404 }),
        json({ error: { code: 404, err_code: 10059 } }),
        message({ status: 408, description: "Bad Request" })
      )
      const read = (from: "leader" | "nearest") => js.lastMessage("KV_b", "$KV.b.a", from, 1000)
      assert.isUndefined(yield* read("leader"))
      assert.isUndefined(yield* read("nearest"))
      assert.include(yield* Effect.flip(read("leader")), { _tag: "Api", code: 10059 })
      assert.include(yield* Effect.flip(read("nearest")), { _tag: "Api", code: 408, description: "Bad Request" })
    }))

  it.effect("fails for a message that cannot be decoded", () =>
    Effect.gen(function*() {
      const { js } = answering(json({ message: { subject: "s", seq: 1, time: "", data: "%" } }))
      assert.strictEqual((yield* Effect.flip(js.lastMessage("KV_b", "s", "leader", 1000)))._tag, "ConnectionLost")
    }))

  it.effect("reads a stored message of any status, and fails for an answer without a sequence", () =>
    Effect.gen(function*() {
      const stored: Record<string, string> = { "Nats-Stream": "KV_b", "Nats-Subject": "$KV.b.a", "Nats-Sequence": "7" }
      const header = (name: string) => stored[name] ?? ""
      const { js } = answering(message({ status: 404, header }), message({ status: 404 }), message({}))
      const nearest = js.lastMessage("KV_b", "$KV.b.a", "nearest", 1000)
      assert.deepInclude(yield* nearest, { subject: "$KV.b.a", revision: 7 })
      assert.isUndefined(yield* nearest)
      assert.strictEqual((yield* Effect.flip(nearest))._tag, "ConnectionLost")
    }))

  it.effect("fails for a direct read that another stream has answered", () =>
    Effect.gen(function*() {
      const stored: Record<string, string> = { "Nats-Stream": "copy", "Nats-Subject": "$KV.b.a", "Nats-Sequence": "7" }
      const { js } = answering(message({ header: (name) => stored[name] ?? "" }))
      const failure = yield* Effect.flip(js.lastMessage("KV_b", "$KV.b.a", "nearest", 1000))
      assert.deepStrictEqual(failure, { _tag: "OtherStream", stream: "copy" })
    }))

  it.effect("reports whether a batch is complete, by the message that ends it", () =>
    Effect.gen(function*() {
      const ends: ReadonlyArray<readonly [status: number, pending: string, isComplete: boolean]> = [
        [204, "0", true],
        [204, "25", false],
        [404, "", true],
        [413, "", false]
      ]
      const { asked, js } = answering(
        ...ends.map(([status, pending]) =>
          message({ status, header: (name) => name === "Nats-Num-Pending" ? pending : "" })
        ),
        message({ status: 408, description: "Bad Request" })
      )
      const ask = js.lastMessages(
        { stream: "KV_b", subjects: ["$KV.b.a", "$KV.b.>"], expected: 9 },
        1000,
        ({ subject }) => subject
      )
      for (const [, , isComplete] of ends) {
        assert.deepStrictEqual(yield* ask, { messages: [], isComplete })
      }
      assert.include(yield* Effect.flip(ask), { _tag: "Api", code: 408 })
      assert.deepStrictEqual(asked[0], {
        subject: "$JS.API.DIRECT.GET.KV_b",
        body: { multi_last: ["$KV.b.a", "$KV.b.>"], max_bytes: 1000 }
      })
    }))

  it.effect("fails for a batch with a lost answer: each message has the sequence of the previous one", () =>
    Effect.gen(function*() {
      const one = (sequence: number, before: number) =>
        message({
          header: (name) =>
            ({ "Nats-Stream": "KV_b", "Nats-Sequence": `${sequence}`, "Nats-Last-Sequence": `${before}` })[name] ?? ""
        })
      const end = (before: number) =>
        message({
          status: 204,
          header: (name) => ({ "Nats-Num-Pending": "0", "Nats-Last-Sequence": `${before}` })[name] ?? ""
        })
      const ask = (...messages: ReadonlyArray<NatsMessage>) => {
        const requester: Requester = {
          port: {} as NatsPort,
          window: {} as PullWindow,
          request: () => assert.fail("one request is enough"),
          requestMany: (_request, _timeout, read) =>
            Effect.sync(() => ({ answers: messages.slice(0, -1).map(read), end: messages.at(-1)! }))
        }
        return make(requester).lastMessages(
          { stream: "KV_b", subjects: ["$KV.b.>"], expected: 9 },
          1000,
          ({ revision }) => revision
        )
      }
      const whole = yield* ask(one(3, 0), one(7, 3), one(9, 7), end(9))
      assert.deepStrictEqual(whole, { messages: [3, 7, 9], isComplete: true })
      for (
        const torn of [
          [one(7, 3), one(9, 7), end(9)],
          [one(3, 0), one(9, 7), end(9)],
          [one(3, 0), one(7, 3), end(9)],
          [end(9)],
          [one(7, 3), one(3, 0), one(9, 7), end(9)]
        ]
      ) {
        assert.include(yield* Effect.flip(ask(...torn)), { _tag: "ConnectionLost" })
      }
    }))

  it.effect("reads names in pages that overlap", () =>
    Effect.gen(function*() {
      const state = { messages: 10, bytes: 500, last_seq: 7 }
      const page = (from: number, to: number) =>
        json({
          total: 4000,
          state: {
            ...state,
            subjects: Object.fromEntries(Array.from({ length: to - from }, (_, n) => [`s${from + n}`, 1]))
          }
        })
      const { asked, js } = answering(page(0, 2500), page(1500, 4000))
      const { meanSize, names } = yield* js.subjects("KV_b", "$KV.b.>", 1000)
      assert.deepStrictEqual(names, Array.from({ length: 4000 }, (_, n) => `s${n}`))
      assert.strictEqual(meanSize, 50)
      assert.deepStrictEqual(asked.map(({ body }) => body), [
        { subjects_filter: "$KV.b.>", offset: 0 },
        { subjects_filter: "$KV.b.>", offset: 1500 }
      ])
      const none = answering(json({ state: { messages: 0, bytes: 0, last_seq: 0 } }))
      assert.deepStrictEqual(yield* none.js.subjects("KV_b", "$KV.b.>", 1000), {
        names: [],
        lastRevision: 0,
        meanSize: 0
      })
    }))

  it.effect("keeps all other settings of a stream that it updates", () =>
    Effect.gen(function*() {
      const config = { name: "KV_b", max_age: 5, description: "theirs" }
      const { asked, js } = answering(json({ config, state: {} }), json({}))
      yield* js.updateStream("KV_b", { max_age: 7 }, 1000)
      assert.deepStrictEqual(asked[1], {
        subject: "$JS.API.STREAM.UPDATE.KV_b",
        body: { name: "KV_b", max_age: 7, description: "theirs" }
      })
    }))

  it.effect("does not store the version of a server in a stream that it updates", () =>
    Effect.gen(function*() {
      const metadata = { "_nats.ver": "2.15.1", "_nats.level": "5", "_nats.req.level": "0", owner: "them" }
      const { asked, js } = answering(json({ config: { metadata }, state: {} }), json({}))
      yield* js.updateStream("KV_b", { max_age: 7 }, 1000)
      assert.deepStrictEqual(asked[1]?.body, { max_age: 7, metadata: { "_nats.req.level": "0", owner: "them" } })
    }))

  it.effect("reads the version of the server only if the answer also has a setting of 2.11", () =>
    Effect.gen(function*() {
      const metadata = { "_nats.ver": "2.15.1" }
      const { js } = answering(
        json({ config: { allow_msg_ttl: false, metadata }, state: {} }),
        json({ config: { allow_msg_ttl: true, metadata }, state: {} }),
        json({ config: { metadata }, state: {} }),
        json({ config: {}, state: {} })
      )
      const versions = yield* Effect.replicateEffect(
        Effect.map(js.streamInfo("KV_b", 1000), ({ version }) => version),
        4
      )
      assert.deepStrictEqual(versions, ["2.15.1", "2.15.1", undefined, undefined])
    }))
})
