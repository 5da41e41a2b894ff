/** The failures of the simulated server: expiry, elections, losses and pauses, as observed on real servers. */
import { assert, describe, it } from "@effect/vitest"
import {
  epoch,
  expecting,
  type Given,
  purge,
  replicated,
  seconds,
  start,
  tombstone
} from "../../../support/simulatedServer.ts"

const codeOf = (answer: { error?: { err_code: number } } | undefined) => answer?.error?.err_code

describe("expiry in a simulated stream", () => {
  /** The delays of the expiry of 200 keys that are written over a second, in milliseconds. */
  const tolerance = (version: Given["version"] & string, stream: object = {}) => {
    const { client, server, time } = start({ version, stream: { max_age: seconds(2), ...stream } })
    const due = new Map<string, number>()
    for (let count = 0; count < 200; count++) {
      client.put(`k${count}`)
      time.pass(5 * (count + 1) + 10 - time.now())
    }
    for (const { created, subject } of server.stream("KV_b")!.messages) due.set(subject, created - epoch + 2000)
    const late: Array<number> = []
    while (due.size > 0) {
      time.pass(1)
      const present = new Set(server.stream("KV_b")!.messages.map(({ subject }) => subject))
      for (const [subject, at] of due) {
        if (present.has(subject)) continue
        late.push(time.now() - at)
        due.delete(subject)
      }
    }
    return { late: late.toSorted((a, b) => a - b), time }
  }

  it("is late by up to 0.3 s on 2.15 and 1 s on 2.10, and never early", () => {
    for (const [version, median, most] of [["2.15.1", 75, 305], ["2.10.27", 300, 1005]] as const) {
      const { late, time } = tolerance(version)
      assert.isAtLeast(late[0]!, 0)
      assert.isAbove(late[100]!, median)
      assert.isBelow(late[199]!, most)
      assert.isAbove(time.count("late expiry"), 0)
    }
  })

  it("removes a single key on time", () => {
    const { client, server, time } = start({ stream: { max_age: seconds(2) } })
    client.put("a")
    time.pass(1990)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 1)
    time.pass(20)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 0)
    assert.strictEqual(client.put("a", "", expecting(0)), 2)
  })

  it("stores no message if the stream has no markers", () => {
    const { client, stored, time } = start({ stream: { max_age: seconds(1) } })
    const { messages } = client.consume("c")
    client.put("a")
    client.put("a", "", tombstone)
    time.pass(3000)
    assert.deepStrictEqual([stored.length, messages.length], [2, 2])
  })

  const marking = { max_age: seconds(4), subject_delete_marker_ttl: seconds(1) }

  it("leaves expiry markers for values and delete markers, not for purge markers or expiry markers", () => {
    const { client, server, stored, time } = start({ stream: marking })
    const { messages } = client.consume("c", { idle_heartbeat: 0 })
    client.put("a")
    client.put("b", "", tombstone)
    client.put("c", "", purge)
    time.pass(4500)
    assert.deepStrictEqual(stored.slice(3), ["expire a@4", "expire b@5"])
    assert.deepStrictEqual(messages[3]!.headers, [
      ["Nats-Marker-Reason", "MaxAge"],
      ["Nats-Rollup", "sub"],
      ["Nats-TTL", "1s"]
    ])
    assert.strictEqual(time.count("marker"), 2)
    assert.strictEqual(client.refusal("a", "", expecting(0)), 10071)
    assert.strictEqual(client.put("a", "", expecting(4)), 6)
    time.pass(1500)
    assert.deepStrictEqual(server.stream("KV_b")!.messages.map(({ subject }) => subject), ["$KV.b.a"])
    assert.strictEqual(stored.length, 6)
  })

  it("leaves one marker for all values of a key, which expires on time while another key still has a value", () => {
    const { client, server, stored, time } = start({ stream: { ...marking, max_msgs_per_subject: 3 } })
    assert.isTrue(client.api("STREAM.INFO.KV_b").config.allow_msg_ttl)
    client.put("a", "1")
    time.pass(2000)
    client.put("a", "2")
    time.pass(2300)
    assert.strictEqual(client.api("STREAM.INFO.KV_b").state.messages, 1)
    client.put("b")
    time.pass(2000)
    assert.deepStrictEqual(stored.slice(3), ["expire a@4"])
    time.pass(1300)
    assert.deepStrictEqual(server.stream("KV_b")!.messages.map(({ subject }) => subject), ["$KV.b.b"])
  })

  it("leaves no markers on 2.10, which does not support them", () => {
    const { client, stored, time } = start({ version: "2.10.27", stream: marking })
    assert.isUndefined(client.api("STREAM.INFO.KV_b").config.subject_delete_marker_ttl)
    client.put("a")
    time.pass(6000)
    assert.deepStrictEqual(stored, ["put a@1"])
  })

  it("waits until the stream has a leader", () => {
    const { client, server, time } = start({ stream: { ...replicated, max_age: seconds(2) } })
    client.put("a")
    time.pass(1900)
    server.loseLeader("KV_b", 4000)
    time.pass(3900)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 1)
    // The clock of the new leader is off by at most half a second.
    time.pass(800)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 0)
  })
})

describe("a simulated stream without a leader", () => {
  it("refuses writes with 503, and answers only some API requests, with error 10008", () => {
    const { client, server, time } = start({ stream: replicated })
    client.put("a")
    server.loseLeader("KV_b", 5000)
    assert.strictEqual(time.count("no store leader"), 0)
    const before = time.now()
    assert.strictEqual(client.write("a")?.status, 503)
    assert.isBelow(time.now() - before, 2)
    assert.strictEqual(time.count("no store leader"), 1)
    const answers = Array.from({ length: 20 }, () => client.api("STREAM.MSG.GET.KV_b", { last_by_subj: "$KV.b.a" }))
    const answered = answers.filter((answer) => answer !== undefined)
    assert.isTrue(answered.length > 2 && answered.length < 18)
    assert.isTrue(answered.every((answer) => codeOf(answer) === 10008))
    time.pass(5000)
    assert.strictEqual(client.put("a", "", expecting(1)), 2)
  })

  it("answers direct gets from its followers; with a single replica it cannot be read", () => {
    for (const [stream, status] of [[replicated, 0], [{}, 503]] as const) {
      const { client, server, time } = start({ stream })
      client.put("a")
      time.pass(20)
      server.loseLeader("KV_b", 1000)
      assert.strictEqual(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")?.status, status)
      time.pass(1000)
      assert.strictEqual(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")?.status, 0)
    }
  })

  it("answers direct gets with the state of its followers, even if they lag", () => {
    const { client, server, time } = start({ stream: replicated })
    client.put("a", "old")
    time.pass(20)
    server.lag("KV_b", 100)
    client.put("a", "new")
    server.loseLeader("KV_b", 3000)
    for (let count = 0; count < 20; count++) {
      assert.strictEqual(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")!.text, "old")
      time.pass(100)
    }
    time.pass(1500)
    assert.strictEqual(client.ask("$JS.API.DIRECT.GET.KV_b.$KV.b.a")!.text, "new")
  })

  it("leaves writes in flight unanswered; some of them are stored, in order and without gaps", () => {
    for (const [stream, before] of [[replicated, 2.2], [replicated, 0.3], [{}, 0.3]] as const) {
      const seen = { answered: 0, landed: 0, lost: 0, refused: 0 }
      for (let seed = 1; seed <= 60; seed++) {
        const { client, server, stored, time } = start({ seed, stream })
        const sent = ["a", "b", "c", "d"].map((key) => client.send(`$KV.b.${key}`))
        time.pass(before)
        server.loseLeader("KV_b", 1000)
        time.pass(1100)
        const keys = stored.map((one) => one.slice(4, 5))
        const replies = sent.map(([reply]) => reply?.status)
        sent.forEach((_, index) => {
          if (replies[index] === 0) seen.answered++
          if (replies[index] === 503) seen.refused++
          if (replies[index] !== undefined) return
          if (keys.includes("abcd"[index]!)) seen.landed++
          else seen.lost++
        })
        // Acknowledged writes are stored; writes refused with 503 are not.
        assert.isTrue(
          replies.every((status, index) => status === undefined || keys.includes("abcd"[index]!) === (status === 0))
        )
        assert.strictEqual(keys.join(""), "abcd".slice(0, keys.length))
        assert.strictEqual(
          time.count("write without an answer as the leader changes") > 0,
          replies.some((status) => status === undefined)
        )
      }
      assert.isTrue(seen.landed > 15 && seen.lost > 15, JSON.stringify(seen))
      assert.isAbove(before === 2.2 ? seen.answered : seen.refused, 15)
    }
  })

  it("loses some of its consumers; with one replica it loses all of them", () => {
    const left = (stream: object) =>
      Array.from({ length: 20 }, (_, seed) => {
        const { client, server, time } = start({ seed, stream })
        for (let count = 0; count < 10; count++) client.consume(`c${count}`)
        server.loseLeader("KV_b", 1000)
        time.pass(1000)
        return server.consumers("KV_b")
      })
    assert.deepStrictEqual(new Set(left({})), new Set([0]))
    const some = left(replicated)
    assert.isTrue(some.includes(10))
    assert.isTrue(some.some((count) => count > 0 && count < 10))
  })

  it("keeps the heartbeats and the positions of its remaining consumers", () => {
    for (let seed = 1; seed < 20; seed++) {
      const { client, server, time } = start({ seed, stream: replicated })
      const { words } = client.consume("c", {})
      client.put("a")
      time.pass(20)
      server.loseLeader("KV_b", 3000)
      if (server.consumers("KV_b") === 0) continue
      time.pass(3000)
      client.put("b")
      time.pass(20)
      assert.deepStrictEqual([words[0], words[words.length - 1]], ["a@1 #1 -0", "b@2 #2 -0"])
      assert.isAtLeast(words.filter((word) => word === "idle 1").length, 2)
      return
    }
    assert.fail("no consumer survived its election")
  })

  it("uses another node's clock afterwards, off by at most half a second, and keeps its time of creation", () => {
    const offsets = Array.from({ length: 30 }, (_, seed) => {
      const { client, server, time } = start({ seed, stream: replicated })
      const { created } = client.api("STREAM.INFO.KV_b")
      server.loseLeader("KV_b", 1000)
      time.pass(1000)
      const info = client.api("STREAM.INFO.KV_b")
      assert.strictEqual(info.created, created)
      return Math.round(Date.parse(info.ts) - epoch - time.now())
    })
    assert.isTrue(offsets.some((offset) => offset < -50) && offsets.some((offset) => offset > 50))
    assert.isTrue(offsets.every((offset) => Math.abs(offset) <= 501), String(offsets))
  })

  it("is lost if it is stored in memory on one server", () => {
    const { client, server } = start({ stream: { storage: "memory" } })
    server.loseLeader("KV_b", 1000)
    assert.strictEqual(codeOf(client.api("STREAM.INFO.KV_b")), 10059)
  })
})

describe("a simulated stream that is lost", () => {
  it("loses its consumers, whose pulls get nothing any more, or a last message", () => {
    const { client, server, time } = start()
    const { words } = client.consume("c", {})
    client.put("a")
    time.pass(5)
    server.loseStream("KV_b")
    time.pass(3000)
    assert.strictEqual(words.filter((word) => word !== "409 Consumer Deleted").join(), "a@1 #1 -0")
    assert.strictEqual(client.write("a")?.status, 503)
    assert.strictEqual(codeOf(client.api("STREAM.INFO.KV_b")), 10059)
    assert.strictEqual(codeOf(client.api("CONSUMER.INFO.KV_b.c")), 10059)
    assert.isUndefined(server.stream("KV_b"))
    assert.deepStrictEqual(new Set(time.faults.keys()), new Set(["consumers lost", "stream lost"]))
  })

  it("can be recreated by other clients, with revisions from 1 and a new time of creation", () => {
    const { client, server, time } = start({ stream: { first_seq: 5000, max_age: seconds(9) } })
    client.put("a")
    const before = client.api("STREAM.INFO.KV_b")
    server.loseStream("KV_b", { recreate: true })
    const after = client.api("STREAM.INFO.KV_b")
    assert.deepStrictEqual({ ...after.config, first_seq: 5000 }, before.config)
    assert.isUndefined(after.config.first_seq)
    assert.notStrictEqual(after.created, before.created)
    assert.strictEqual(after.state.messages, 0)
    assert.strictEqual(client.put("a", "", expecting(0)), 1)
    assert.strictEqual(time.count("stream recreated from 1"), 1)
  })

  it("can be rolled back: it loses its last messages, and does not regain earlier ones that they had replaced", () => {
    for (const stream of [{}, replicated]) {
      const { client, server, time } = start({ stream })
      for (const key of ["a", "b", "c", "a"]) client.put(key, key)
      const id = ["Nats-Msg-Id", "one"] as const
      client.put("d", "", [id])
      time.pass(20)
      client.consume("c")
      const { created } = client.api("STREAM.INFO.KV_b")
      server.rollBack("KV_b", 3)
      const info = client.api("STREAM.INFO.KV_b", { subjects_filter: ">" })
      assert.deepStrictEqual([info.created, info.state.last_seq], [created, 2])
      assert.deepStrictEqual(info.state.subjects, { "$KV.b.b": 1 })
      assert.strictEqual(server.consumers("KV_b"), 0)
      assert.strictEqual(client.askMany("$JS.API.DIRECT.GET.KV_b", { multi_last: [">"] }).length, 2)
      assert.strictEqual(client.put("a", "", [id, ...expecting(0)]), 3)
      assert.strictEqual(time.count("rolled back"), 1)
    }
  })

  it("can lose only its consumers", () => {
    const { client, server } = start()
    client.consume("c")
    client.put("a")
    server.dropConsumers("KV_b")
    assert.strictEqual(codeOf(client.api("CONSUMER.INFO.KV_b.c")), 10014)
    assert.strictEqual(client.put("a", "", expecting(1)), 2)
  })
})

describe("a paused simulated server", () => {
  it("handles nothing, and handles all waiting messages in order when it resumes", () => {
    const { client, server, stored, time } = start()
    const { words } = client.consume("c")
    server.pause(5000)
    const answers = ["a", "b", "c"].map((key) => client.send(`$KV.b.${key}`))
    time.pass(4000)
    const later = client.send("$KV.b.d")
    time.pass(999)
    assert.deepStrictEqual([stored, words, answers.flat().length], [[], [], 0])
    assert.strictEqual(time.count("server paused"), 1)
    time.pass(20)
    assert.deepStrictEqual(stored, ["put a@1", "put b@2", "put c@3", "put d@4"])
    assert.deepStrictEqual([answers.flat().length, later.length], [3, 1])
    assert.deepStrictEqual(words.filter((word) => word.includes("@")).length, 4)
  })

  it("is paused until the latest end of overlapping pauses", () => {
    const { client, server, time } = start()
    server.pause(1000)
    time.pass(500)
    server.pause(1000)
    server.pause(100)
    const answers = client.send("$KV.b.a")
    time.pass(990)
    assert.strictEqual(answers.length, 0)
    time.pass(20)
    assert.strictEqual(answers.length, 1)
  })
})

describe("a simulated server", () => {
  /** Everything that happens in a run with all disruptions. */
  const life = (seed: number) => {
    const { another, client, server, stored, time } = start({ seed, stream: { ...replicated, max_age: seconds(1) } })
    const other = another("b")
    const { words } = client.consume("c", {})
    for (let count = 0; count < 300; count++) {
      const { chance } = time
      const who = chance.is(0.5) ? client : other
      if (chance.is(0.01)) server.loseLeader("KV_b", 300)
      if (chance.is(0.01)) server.pause(200)
      if (chance.is(0.01)) server.lag("KV_b", chance.between(0, 50))
      if (chance.is(0.005)) server.rollBack("KV_b", 3)
      if (chance.is(0.2)) who.send(`$JS.API.DIRECT.GET.KV_b.$KV.b.k${chance.below(9)}`)
      who.send(`$KV.b.k${chance.below(9)}`, "x", chance.is(0.5) ? expecting(count) : [])
      time.pass(chance.between(0, 20))
    }
    return { stored, words, faults: [...time.faults], lines: time.lines }
  }

  it("behaves identically for the same seed", () => {
    assert.deepStrictEqual(life(7), life(7))
    assert.notDeepEqual(life(7).stored, life(8).stored)
  })

  it("notes its actions in the timeline", () => {
    const lines = Array.from({ length: 5 }, (_, seed) => life(seed).lines).flat().join("\n")
    for (
      const what of [/k\d @\d+ put/, /refused: 10071 wrong last/, /has no leader for 300 ms/, /expired/, /paused for/]
    ) {
      assert.match(lines, what)
    }
  })
})
