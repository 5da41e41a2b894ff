/** The simulated server handles requests, writes, reads and consumers as observed on real servers. */
import { assert, describe, it } from "@effect/vitest"
import type { PullSettings } from "../../../../src/internal/nats/jetstream/api.ts"
import { received } from "../../../../src/testing/internal/server/messages.ts"
import {
  consumerSettings,
  epoch,
  expecting,
  type Given,
  guardedBy,
  purge,
  replicated,
  seconds,
  start,
  streamSettings,
  tombstone
} from "../../../support/simulatedServer.ts"

const codeOf = (answer: { error?: { err_code: number } }) => answer.error?.err_code

describe("a simulated stream", () => {
  it("is created once with the requested configuration; a different one of the same name is refused", () => {
    const { client } = start({ stream: { first_seq: 1000, max_age: seconds(60) } })
    const same = streamSettings({ first_seq: 1000, max_age: seconds(60) })
    assert.isUndefined(codeOf(client.api("STREAM.CREATE.KV_b", same)))
    assert.strictEqual(codeOf(client.api("STREAM.CREATE.KV_b", { ...same, first_seq: 2000 })), 10058)
    const { config } = client.api("STREAM.INFO.KV_b")
    assert.deepInclude(config, { name: "KV_b", first_seq: 1000, max_age: seconds(60), num_replicas: 1, max_bytes: -1 })
    assert.strictEqual(client.put("a"), 1000)
    assert.strictEqual(codeOf(start().client.api("STREAM.CREATE.c", { ...same, name: "c", max_age: 1 })), 10052)
  })

  it("reports its time of creation, last sequence and subjects, and the server's time", () => {
    const { client, time } = start()
    client.put("a.x", "1")
    client.put("a.y", "22")
    client.put("b.x", "333")
    const { created, state, total, ts } = client.api("STREAM.INFO.KV_b", { subjects_filter: "$KV.b.a.*", offset: 1 })
    assert.deepStrictEqual([state.subjects, total], [{ "$KV.b.a.y": 1 }, 2])
    assert.deepInclude(state, { messages: 3, last_seq: 3, num_subjects: 3 })
    assert.isAbove(state.bytes, 3 * "$KV.b.a.x".length)
    assert.closeTo(Date.parse(created), epoch, 2)
    assert.closeTo(Date.parse(ts), epoch + time.now(), 2)
    assert.isUndefined(client.api("STREAM.INFO.KV_b").state.subjects)
  })

  it("drops messages beyond the history size when it is updated", () => {
    const { client } = start({ stream: { max_msgs_per_subject: 3 } })
    for (const value of ["1", "2", "3"]) client.put("a", value)
    assert.isUndefined(codeOf(client.api("STREAM.UPDATE.KV_b", streamSettings({ max_msgs_per_subject: 2 }))))
    assert.strictEqual(client.api("STREAM.INFO.KV_b").state.messages, 2)
    assert.strictEqual(codeOf(client.api("STREAM.UPDATE.KV_b", streamSettings({ storage: "memory" }))), 10052)
  })

  it("reports the version of a 2.15 server, and on 2.10 the metadata that a client has stored", () => {
    const theirs = { "_nats.ver": "9.9.9", owner: "them" }
    const asked = streamSettings({ metadata: theirs })
    const configOf = (version: "2.10.27" | "2.15.1") => {
      const { client } = start({ version })
      client.api("STREAM.UPDATE.KV_b", asked)
      return client.api("STREAM.INFO.KV_b").config
    }
    assert.deepInclude(configOf("2.15.1"), {
      allow_msg_ttl: false,
      metadata: { "_nats.level": "5", "_nats.ver": "2.15.1", owner: "them" }
    })
    const old = configOf("2.10.27")
    assert.deepStrictEqual([old.metadata, old.allow_msg_ttl], [theirs, undefined])
  })

  it("gets and loses replicas when it is updated: a new replica lags behind", () => {
    const { client, server, time } = start()
    client.put("a", "old")
    client.api("STREAM.UPDATE.KV_b", streamSettings(replicated))
    time.pass(10)
    server.lag("KV_b", 1000)
    client.put("a", "new")
    const read = () => client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")!.text
    assert.deepStrictEqual([...new Set(Array.from({ length: 30 }, read))].toSorted(), ["new", "old"])
    client.api("STREAM.UPDATE.KV_b", streamSettings())
    assert.deepStrictEqual([...new Set(Array.from({ length: 30 }, read))], ["new"])
  })

  it("is purged by subject without markers", () => {
    const { client } = start()
    client.put("a.x")
    client.put("b")
    assert.deepStrictEqual(client.api("STREAM.PURGE.KV_b", { filter: "$KV.b.a.>" }), { success: true, purged: 1 })
    assert.strictEqual(client.api("STREAM.INFO.KV_b").state.messages, 1)
    assert.strictEqual(client.put("a.x", "", expecting(0)), 3)
  })

  it("refuses requests and messages after it was deleted", () => {
    const { client } = start()
    assert.deepStrictEqual(client.api("STREAM.DELETE.KV_b"), { success: true })
    for (
      const subject of ["STREAM.INFO.KV_b", "STREAM.MSG.GET.KV_b", "CONSUMER.INFO.KV_b.c", "STREAM.PURGE.KV_b"]
    ) assert.strictEqual(codeOf(client.api(subject)), 10059)
    assert.strictEqual(client.write("a")?.status, 503)
    assert.strictEqual(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")?.status, 503)
  })
})

describe("a simulated write", () => {
  it("is acknowledged with its sequence and reported to listeners", () => {
    const { client, server, stored } = start()
    assert.deepStrictEqual(client.write("a", "x")?.json, { stream: "KV_b", seq: 1 })
    client.put("a", "", tombstone)
    client.put("a", "", purge)
    assert.deepStrictEqual(stored, ["put a@1", "delete a@2", "purge a@3"])
    const { lastRevision, messages } = server.stream("KV_b")!
    assert.strictEqual(lastRevision, 3)
    assert.deepStrictEqual(messages.map(({ operation, revision }) => [operation, revision]), [["purge", 3]])
  })

  it("is refused unless the last message of the subject, also a delete marker, has the expected sequence", () => {
    const { client } = start()
    assert.strictEqual(client.refusal("a", "", expecting(1)), 10071)
    client.put("b")
    client.put("a", "", expecting(0))
    const { code, description, err_code } = client.write("a", "", expecting(0))!.json.error
    assert.deepStrictEqual([code, err_code, description], [400, 10071, "wrong last sequence: 2"])
    client.put("a", "", [...tombstone, ...expecting(2)])
    assert.strictEqual(client.refusal("a", "", expecting(0)), 10071)
    assert.strictEqual(client.put("a", "", expecting(3)), 4)
  })

  it("can be conditioned on another subject from 2.11 on; before, the condition applies to its own subject", () => {
    const at = (version: Given["version"] & string) => {
      const { client } = start({ version })
      client.put("lease")
      const codes = [client.refusal("a", "", guardedBy("lease", 1)), client.refusal("a", "", guardedBy("lease", 9))]
      return [...codes, client.refusal("a", "", [["Nats-Expected-Last-Subject-Sequence-Subject", "$KV.b.lease"]])]
    }
    assert.deepStrictEqual(at("2.15.1"), [0, 10071, 10193])
    assert.deepStrictEqual(at("2.10.27"), [10071, 10071, 0])
  })

  it("replaces messages beyond the history size; a purge rolls up all of them, if the stream allows it", () => {
    const { client } = start({ stream: { max_msgs_per_subject: 3 } })
    const count = () => client.api("STREAM.INFO.KV_b", { subjects_filter: ">" }).state.subjects["$KV.b.a"]
    for (const value of ["1", "2", "3", "4"]) client.put("a", value)
    assert.strictEqual(count(), 3)
    client.put("a", "", purge)
    assert.strictEqual(count(), 1)
    assert.strictEqual(start({ stream: { allow_rollup_hdrs: false } }).client.refusal("a", "", purge), 10111)
  })

  it("is refused if it is too large, including its headers", () => {
    const { client } = start({ stream: { max_msg_size: 10 } })
    assert.strictEqual(client.refusal("a", "0123456789"), 0)
    assert.strictEqual(client.refusal("a", "0123456789a"), 10054)
    assert.strictEqual(client.refusal("a", "01234", expecting(1)), 10054)
  })

  it("is refused if it does not fit, except into the place of a message of its size, on 2.10 of a larger one", () => {
    for (const [version, overwriting] of [["2.15.1", 0], ["2.10.27", 10077]] as const) {
      const { client } = start({ version, stream: { max_bytes: 200 } })
      client.put("a", "x".repeat(100))
      assert.strictEqual(client.refusal("b", "x".repeat(100)), 10077)
      assert.strictEqual(client.refusal("a", "y".repeat(100)), overwriting)
      assert.strictEqual(client.refusal("a", "", tombstone), 0)
    }
  })

  it("with a used message id is acknowledged, not stored; versions check the id before or after the condition", () => {
    const orders = [
      ["2.15.1", 1, "after"],
      ["2.15.1", 3, "before"],
      ["2.10.27", 1, "before"],
      ["2.10.27", 3, "after"]
    ] as const
    for (const [version, replicas, order] of orders) {
      const { client, stored, time } = start({ version, stream: { num_replicas: replicas } })
      const id = ["Nats-Msg-Id", "one"] as const
      client.put("a", "1", [id])
      const again = (revision: number) => client.write("a", "2", [id, ...expecting(revision)])?.json
      assert.deepStrictEqual(again(1), { stream: "KV_b", seq: 1, duplicate: true })
      if (order === "before") assert.deepStrictEqual(again(0), { stream: "KV_b", seq: 1, duplicate: true })
      else assert.strictEqual(codeOf(again(0)), 10071)
      assert.strictEqual(time.count(`duplicate ${order} the condition`), order === "before" ? 2 : 1)
      assert.deepStrictEqual(stored, ["put a@1"])
      time.pass(120_000)
      assert.strictEqual(again(1).seq, 2)
    }
  })

  it("to several replicas takes time, in which other conditioned writes to its subject are refused", () => {
    const { client, time } = start({ stream: replicated })
    client.put("a", "1")
    const sent = [expecting(1), expecting(1), expecting(1)].map((headers) => client.send("$KV.b.a", "2", headers))
    const plain = client.send("$KV.b.a", "3")
    time.pass(20)
    const told = sent.map(([answer]) => JSON.parse(new TextDecoder().decode(answer!.data)))
    assert.deepStrictEqual(told.map((one) => one.seq ?? one.error.err_code), [2, 10164, 10164])
    assert.notMatch(told[1].error.description, /\d/)
    assert.strictEqual(plain.length, 1)
    assert.strictEqual(time.count("conflict in flight"), 2)
    assert.strictEqual(client.refusal("a", "4", expecting(2)), 10071)
  })

  it("to several replicas excludes other writes that are guarded by the same subject", () => {
    const { client, stored, time } = start({ stream: replicated })
    client.put("lease")
    for (const key of ["a", "b", "c"]) client.send(`$KV.b.${key}`, "", guardedBy("lease", 1))
    time.pass(20)
    assert.deepStrictEqual(stored, ["put lease@1", "put a@2"])
    client.put("b", "", guardedBy("lease", 1))
  })

  it("keeps the order of its session", () => {
    for (const stream of [{}, replicated]) {
      const { client, stored, time } = start({ stream })
      for (let count = 1; count <= 50; count++) client.send("$KV.b.a", String(count))
      time.pass(300)
      assert.deepStrictEqual(stored, Array.from({ length: 50 }, (_, index) => `put a@${index + 1}`))
    }
  })
})

describe("a simulated read", () => {
  it("from the leader returns the message with its headers, or error 10037", () => {
    const { client, time } = start()
    client.put("a", "värde", tombstone)
    const { data, hdrs, seq, subject, time: at } =
      client.api("STREAM.MSG.GET.KV_b", { last_by_subj: "$KV.b.a" }).message
    assert.deepStrictEqual([subject, seq], ["$KV.b.a", 1])
    assert.strictEqual(Buffer.from(data, "base64").toString(), "värde")
    assert.strictEqual(Buffer.from(hdrs, "base64").toString(), "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n")
    assert.closeTo(Date.parse(at), epoch + time.now(), 10)
    assert.strictEqual(codeOf(client.api("STREAM.MSG.GET.KV_b", { last_by_subj: "$KV.b.b" })), 10037)
  })

  it("by direct get returns the value, its headers, and its stream, subject and sequence; or status 404", () => {
    const { client } = start()
    client.put("a.b", "x", tombstone)
    const { header, text } = client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a.b")!
    const names = ["Nats-Stream", "Nats-Subject", "Nats-Sequence", "KV-Operation"]
    assert.deepStrictEqual([text, ...names.map(header)], ["x", "KV_b", "$KV.b.a.b", "1", "DEL"])
    assert.closeTo(Date.parse(header("Nats-Time-Stamp")), epoch, 100)
    assert.strictEqual(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.none")?.status, 404)
    assert.strictEqual(start({ stream: { allow_direct: false } }).client.ask("$JS.API.DIRECT.GET.KV_b.a")?.status, 503)
  })

  it("of many subjects returns the last message of each in order, and the number of messages left out", () => {
    const { client } = start({ stream: { max_msgs_per_subject: 2 } })
    for (const key of ["a", "b", "c", "a"]) client.put(key, key)
    const get = (body: object) => client.askMany("$JS.API.DIRECT.GET.KV_b", body)
    const all = get({ multi_last: ["$KV.b.>"] })
    assert.deepStrictEqual(all.map(({ text }) => text), ["b", "c", "a", ""])
    assert.deepStrictEqual([all[3]!.status, all[3]!.header("Nats-Num-Pending")], [204, "0"])
    const some = get({ multi_last: ["$KV.b.a", "$KV.b.b", "$KV.b.none"], max_bytes: 1 })
    assert.deepStrictEqual([some.map(({ text }) => text), some[1]!.header("Nats-Num-Pending")], [["b", ""], "1"])
    assert.strictEqual(get({ multi_last: ["$KV.b.none"] })[0]!.status, 404)
    for (let count = 0; count < 1100; count++) client.send(`$KV.b.k${count}`)
    assert.strictEqual(get({ multi_last: ["$KV.b.>"] })[0]!.status, 413)
  })

  it("of many subjects is refused by 2.10", () => {
    const { client } = start({ version: "2.10.27" })
    client.put("a")
    assert.strictEqual(client.askMany("$JS.API.DIRECT.GET.KV_b", { multi_last: ["$KV.b.>"] })[0]!.status, 408)
  })

  it("can be stale by direct get from a lagging replica, and is not stale from the leader", () => {
    const { client, server, time } = start({ stream: replicated })
    client.put("a", "old")
    time.pass(50)
    server.lag("KV_b", 1000)
    client.put("a", "new")
    const seen = new Set<string>()
    for (let count = 0; count < 30; count++) seen.add(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")!.text)
    assert.deepStrictEqual(seen, new Set(["old", "new"]))
    assert.isAbove(time.count("stale read"), 5)
    for (let count = 0; count < 20; count++) {
      assert.strictEqual(client.api("STREAM.MSG.GET.KV_b", { last_by_subj: "$KV.b.a" }).message.seq, 2)
    }
    time.pass(1100)
    const faults = time.count("stale read")
    for (let count = 0; count < 20; count++) {
      assert.strictEqual(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")!.text, "new")
    }
    assert.strictEqual(time.count("stale read"), faults)
  })
})

describe("a simulated consumer", () => {
  it("delivers the last message of each subject, then new messages, with their sequences and the number pending", () => {
    const { client, server, time } = start()
    for (const key of ["a", "b", "a", "other.x"]) client.put(key, key)
    const { answer, messages, words } = client.consume("c", { filter_subject: "$KV.b.*" })
    assert.strictEqual(answer.num_pending, 2)
    time.pass(5)
    client.put("c", "c", tombstone)
    client.put("other.y")
    time.pass(5)
    assert.deepStrictEqual(words, ["b@2 #1 -1", "a@3 #2 -0", "c@5 #3 -0"])
    assert.deepStrictEqual(messages[2]!.headers, tombstone)
    assert.match(messages[2]!.reply!, /^\$JS\.ACK\.KV_b\.c\.1\.5\.3\.1793491200\d{9}\.0$/)
    assert.strictEqual(server.consumers("KV_b"), 1)
  })

  it("begins at its start sequence; beyond the last message 2.10 begins at the next message", () => {
    const from = (version: Given["version"] & string, opt_start_seq: number) => {
      const { client, time } = start({ version, stream: { max_msgs_per_subject: 5 } })
      for (const value of ["1", "2", "3"]) client.put("a", value)
      const { answer, words } = client.consume("c", { deliver_policy: "by_start_sequence", opt_start_seq })
      for (const value of ["4", "5"]) client.put("a", value)
      time.pass(5)
      return [answer.num_pending, ...words.map((word) => word.split(" ")[0])]
    }
    assert.deepStrictEqual(from("2.15.1", 2), [2, "a@2", "a@3", "a@4", "a@5"])
    assert.deepStrictEqual(from("2.15.1", 5), [0, "a@5"])
    assert.deepStrictEqual(from("2.10.27", 5), [0, "a@4", "a@5"])
  })

  it("omits the values with headers_only", () => {
    const { client, time } = start()
    client.put("a", "value", tombstone)
    const { messages } = client.consume("c", { headers_only: true })
    time.pass(5)
    assert.strictEqual(messages[0]!.data.length, 0)
    assert.deepStrictEqual(messages[0]!.headers, [...tombstone, ["Nats-Msg-Size", "5"]])
  })

  it("sends an idle heartbeat with its sequence after each interval without a message", () => {
    const { client, time } = start()
    const { words } = client.consume("c", {})
    time.pass(2500)
    client.put("a")
    time.pass(900)
    assert.deepStrictEqual(words, ["idle 0", "idle 0", "a@1 #1 -0"])
    time.pass(200)
    assert.deepStrictEqual(words.slice(3), ["idle 1"])
  })

  it("skips messages that are removed before they are delivered, and does not count them as pending", () => {
    const { client, time } = start()
    for (let count = 0; count < 200; count++) client.send(`$KV.b.k${count}`)
    time.pass(200)
    const { words } = client.consume("c")
    // After the creation, before all messages are delivered.
    for (let count = 0; count < 199; count++) client.send(`$KV.b.k${count}`, "", purge)
    time.pass(200)
    assert.isBelow(words.length, 400)
    assert.strictEqual(words[words.length - 1]!.split(" ")[2], "-0")
    const sequences = words.map((word) => Number(/@(\d+)/.exec(word)?.[1]))
    assert.isAbove(sequences.length, 200)
    assert.deepStrictEqual(sequences, sequences.toSorted((a, b) => a - b))
  })

  it("ends a pull that does not wait when no message is left, and the lines of the server report it differently", () => {
    const drained = (version: Given["version"] & string) => {
      const { client, time } = start({ version })
      const heard = client.listen("_deliver.c")
      const config = consumerSettings("c")
      client.api("CONSUMER.CREATE.KV_b.c.$KV.b.>", { stream_name: "KV_b", config })
      client.put("a")
      for (let pulls = 0; pulls < 2; pulls++) {
        client.pull("c", { no_wait: true })
        time.pass(5)
      }
      return heard.words
    }
    assert.deepStrictEqual(drained("2.10.27"), ["a@1 #1 -0", "408 Request Timeout", "404 No Messages"])
    assert.deepStrictEqual(drained("2.15.1"), ["a@1 #1 -0", "404 No Messages", "404 No Messages"])
  })

  it("refuses a pull that does not wait while another one waits", () => {
    const { client, time } = start()
    const { words } = client.consume("c")
    client.pull("c", { no_wait: true })
    time.pass(5)
    assert.deepStrictEqual(words, ["408 Requests Pending"])
  })

  it("ends a pull whose bytes, messages or time are used up, and delivers the rest to the next pull", () => {
    const { client, time } = start()
    const heard = client.listen("_deliver.c")
    client.api("CONSUMER.CREATE.KV_b.c.$KV.b.>", { stream_name: "KV_b", config: consumerSettings("c") })
    for (const key of ["a", "b", "c"]) client.put(key, "x".repeat(100))
    const pull = (settings: Partial<PullSettings>) => {
      const before = heard.words.length
      client.pull("c", settings)
      time.pass(1000)
      return heard.words.slice(before)
    }
    assert.deepStrictEqual(pull({ max_bytes: 1, no_wait: true }), ["409 Message Size Exceeds MaxBytes"])
    assert.deepStrictEqual(pull({ batch: 1 }), ["a@1 #1 -2", "409 Batch Completed"])
    assert.deepStrictEqual(pull({ expires: seconds(0.5) }), ["b@2 #2 -1", "c@3 #3 -0", "408 Request Timeout"])
    assert.strictEqual(received(heard.raw.at(-1)!).header("Nats-Pending-Messages"), "998")
  })

  it("skips the last message of a subject that does not fit into a pull, if the stream keeps earlier ones", () => {
    const wordsWith = (stream: object, settings: object) => {
      const { client, time } = start({ stream })
      for (const key of ["a", "b", "c"]) client.put(key, "x".repeat(100))
      const heard = client.listen("_deliver.c")
      const config = consumerSettings("c", settings)
      client.api("CONSUMER.CREATE.KV_b.c.$KV.b.>", { stream_name: "KV_b", config })
      for (const max_bytes of [1, 1e9, 1]) {
        client.pull("c", { max_bytes, no_wait: true, batch: 1 })
        time.pass(5)
      }
      client.put("d")
      client.pull("c", { max_bytes: 1, no_wait: true })
      time.pass(5)
      client.pull("c", { no_wait: true })
      time.pass(5)
      return heard.words.flatMap((word) => /^[a-d]@/.exec(word) === null ? [] : [word[0]]).join("")
    }
    assert.strictEqual(wordsWith({ max_msgs_per_subject: 5 }, {}), "bd")
    assert.strictEqual(wordsWith({ max_msgs_per_subject: 1 }, {}), "abcd")
    const byRevision = { deliver_policy: "by_start_sequence", opt_start_seq: 1 }
    assert.strictEqual(wordsWith({ max_msgs_per_subject: 5 }, byRevision), "abcd")
  })

  it("delivers a message that does not fit into a waiting pull to the next one", () => {
    const { client, time } = start()
    const heard = client.listen("_deliver.c")
    client.api("CONSUMER.CREATE.KV_b.c.$KV.b.>", { stream_name: "KV_b", config: consumerSettings("c") })
    for (const max_bytes of [500, 1e9]) client.pull("c", { expires: seconds(1000), max_bytes })
    time.pass(5)
    client.put("a", "x".repeat(1000))
    time.pass(5)
    assert.deepStrictEqual(heard.words, ["409 Message Size Exceeds MaxBytes", "a@1 #1 -0"])
  })

  it("reports the end of only one of two pulls that a message does not fit into", () => {
    const { client, time } = start()
    const heard = client.listen("_deliver.c")
    client.api("CONSUMER.CREATE.KV_b.c.$KV.b.>", { stream_name: "KV_b", config: consumerSettings("c") })
    for (const max_bytes of [500, 600]) client.pull("c", { expires: seconds(1000), max_bytes })
    time.pass(5)
    client.put("a", "x".repeat(1000))
    time.pass(5)
    assert.deepStrictEqual(heard.words, ["409 Message Size Exceeds MaxBytes"])
    client.pull("c", { no_wait: true })
    time.pass(5)
    assert.deepStrictEqual(heard.words.slice(1, 2), ["a@1 #1 -0"])
  })

  it("counts more bytes per message for some consumers, as if the values were large", () => {
    const full = Array.from({ length: 40 }, (_, seed) => {
      const { client, time } = start({ seed })
      client.put("a")
      const heard = client.listen("_deliver.c")
      client.api("CONSUMER.CREATE.KV_b.c.$KV.b.>", { stream_name: "KV_b", config: consumerSettings("c") })
      client.pull("c", { max_bytes: 1000, no_wait: true })
      time.pass(5)
      return heard.words[0]!
    }).filter((word) => word.startsWith("409")).length
    assert.isTrue(full > 2 && full < 25, `${full} of 40`)
  })

  it("delivers nothing and is not found after it was deleted", () => {
    const { client, server, time } = start({ version: "2.10.27" })
    const { words } = client.consume("c")
    assert.strictEqual(client.api("CONSUMER.INFO.KV_b.c").name, "c")
    assert.deepStrictEqual(client.api("CONSUMER.DELETE.KV_b.c"), { success: true })
    for (const verb of ["INFO", "DELETE"]) assert.strictEqual(codeOf(client.api(`CONSUMER.${verb}.KV_b.c`)), 10014)
    client.put("a")
    time.pass(5000)
    assert.deepStrictEqual([server.consumers("KV_b"), words], [0, ["409 Consumer Deleted"]])
  })

  it("ends after its inactive threshold without a pull that is listened to", () => {
    const { another, client, server, time } = start()
    client.consume("c")
    time.pass(22_000)
    assert.strictEqual(server.consumers("KV_b"), 1)
    client.unlisten("_deliver.c")
    time.pass(5000)
    assert.strictEqual(server.consumers("KV_b"), 1)
    const again = client.listen("_deliver.c")
    client.pull("c")
    client.put("a", "1")
    time.pass(5)
    assert.strictEqual(again.words.at(-1), "a@1 #1 -0")
    const other = another("b")
    other.consume("d")
    other.session.close()
    time.pass(9900)
    assert.strictEqual(server.consumers("KV_b"), 2)
    time.pass(200)
    assert.strictEqual(server.consumers("KV_b"), 1)
  })

  it("is kept when its pull ends at the moment at which the threshold is over again", () => {
    const { client, server, time } = start()
    const config = consumerSettings("c")
    const { words } = client.listen("_deliver.c")
    client.api(`CONSUMER.CREATE.KV_b.c.${config.filter_subject}`, { stream_name: "KV_b", config })
    client.pull("c", { expires: seconds(20) })
    time.pass(20_500)
    assert.deepStrictEqual(words, ["408 Request Timeout"])
    assert.strictEqual(server.consumers("KV_b"), 1)
    time.pass(10_000)
    assert.strictEqual(server.consumers("KV_b"), 0)
  })

  it("is refused beyond the stream's maximum number of consumers", () => {
    const { client } = start({ stream: { max_consumers: 2 } })
    assert.deepStrictEqual(["c", "d", "e"].map((name) => codeOf(client.consume(name).answer)), [
      undefined,
      undefined,
      10026
    ])
  })

  it("can be deleted before it is created on 2.15, which handles requests in parallel, and not on 2.10", () => {
    const overtaken = (version: Given["version"] & string) => {
      let count = 0
      const { client, time } = start({ version })
      for (let index = 0; index < 300; index++) {
        client.send(`$JS.API.CONSUMER.CREATE.KV_b.c${index}.$KV.b.>`, { config: consumerSettings(`c${index}`) })
        const answers = client.send(`$JS.API.CONSUMER.DELETE.KV_b.c${index}`)
        time.pass(10)
        if (new TextDecoder().decode(answers[0]!.data).includes("10014")) count++
      }
      return count
    }
    const count = overtaken("2.15.1")
    assert.isTrue(count > 0 && count < 30, `${count} of 300`)
    assert.strictEqual(overtaken("2.10.27"), 0)
  })

  it("on a lagging replica delivers a message after the leader has acknowledged it", () => {
    const { client, server, time } = start({ stream: replicated })
    const all = Array.from({ length: 20 }, (_, index) => client.consume(`c${index}`))
    server.lag("KV_b", 500)
    client.put("a")
    time.pass(50)
    const heard = all.filter(({ words }) => words.length > 0).length
    assert.isTrue(heard > 0 && heard < 20, `${heard} of 20`)
    time.pass(500)
    assert.isTrue(all.every(({ words }) => words[words.length - 1] === "a@1 #1 -0"))
  })
})
