/** The simulated server fails as real ones have been measured to fail: ages, elections, losses, stops. */
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

describe("ages in a simulated stream", () => {
  /** How late 200 keys go that are written over a second, in milliseconds. */
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

  it("end values late, by up to 0.3 s on 2.15 and 1 s on 2.10, and never early", () => {
    for (const [version, median, most] of [["2.15.1", 75, 305], ["2.10.27", 300, 1005]] as const) {
      const { late, time } = tolerance(version)
      assert.isAtLeast(late[0]!, 0)
      assert.isAbove(late[100]!, median)
      assert.isBelow(late[199]!, most)
      assert.isAbove(time.count("late expiry"), 0)
    }
  })

  it("end the only key that there is at once", () => {
    const { client, server, time } = start({ stream: { max_age: seconds(2) } })
    client.put("a")
    time.pass(1990)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 1)
    time.pass(20)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 0)
    assert.strictEqual(client.put("a", "", expecting(0)), 2)
  })

  it("are silent without markers", () => {
    const { client, stored, time } = start({ stream: { max_age: seconds(1) } })
    const { words } = client.consume("c", { idle_heartbeat: 0 })
    client.put("a")
    client.put("a", "", tombstone)
    time.pass(3000)
    assert.deepStrictEqual([stored.length, words.length], [2, 2])
  })

  const marking = { max_age: seconds(4), subject_delete_marker_ttl: seconds(1) }

  it("leave markers of values and of tombstones, not of purges nor of markers, and those go silently", () => {
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

  it("leave one marker for all values of a history, and look for it in time while another value lives on", () => {
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

  it("leave no markers on a server that has none", () => {
    const { client, stored, time } = start({ version: "2.10.27", stream: marking })
    assert.isUndefined(client.api("STREAM.INFO.KV_b").config.subject_delete_marker_ttl)
    client.put("a")
    time.pass(6000)
    assert.deepStrictEqual(stored, ["put a@1"])
  })

  it("wait for somebody who leads the stream", () => {
    const { client, server, time } = start({ stream: { ...replicated, max_age: seconds(2) } })
    client.put("a")
    time.pass(1900)
    server.loseLeader("KV_b", 4000)
    time.pass(3900)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 1)
    // The next one's clock is off by half a second at most.
    time.pass(800)
    assert.strictEqual(server.stream("KV_b")!.messages.length, 0)
  })
})

describe("a simulated stream without a leader", () => {
  it("has nobody who takes a write, and says of the API nothing, or that there is no leader", () => {
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

  it("is read from its followers, and one with a single replica from nobody", () => {
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

  it("is read as its followers know it, however late they are", () => {
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

  it("leaves what was in flight without an answer, landed or not, in its order and without a hole", () => {
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
        // Whoever has an answer has been stored, and whoever was told that nobody listens has not.
        assert.isTrue(
          replies.every((status, index) => status === undefined || keys.includes("abcd"[index]!) === (status === 0))
        )
        assert.strictEqual(keys.join(""), "abcd".slice(0, keys.length))
        assert.strictEqual(
          time.count("unknown outcome in an election") > 0,
          replies.some((status) => status === undefined)
        )
      }
      assert.isTrue(seen.landed > 15 && seen.lost > 15, JSON.stringify(seen))
      assert.isAbove(before === 2.2 ? seen.answered : seen.refused, 15)
    }
  })

  it("has lost some of its consumers afterwards; a server with one replica all of them", () => {
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

  it("keeps the heartbeats and the place of the consumers that it still has", () => {
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
    assert.fail("no consumer outlived its election")
  })

  it("has another one's clock afterwards, off by half a second at most, and stays as old as it is", () => {
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

  it("in memory, on one server, is gone", () => {
    const { client, server } = start({ stream: { storage: "memory" } })
    server.loseLeader("KV_b", 1000)
    assert.strictEqual(codeOf(client.api("STREAM.INFO.KV_b")), 10059)
  })
})

describe("a simulated stream that is lost", () => {
  it("is gone with its consumers, and nobody tells those who listen", () => {
    const { client, server, time } = start()
    const { words } = client.consume("c", {})
    client.put("a")
    server.loseStream("KV_b")
    time.pass(3000)
    assert.deepStrictEqual(words, ["a@1 #1 -0"])
    assert.strictEqual(client.write("a")?.status, 503)
    assert.strictEqual(codeOf(client.api("STREAM.INFO.KV_b")), 10059)
    assert.strictEqual(codeOf(client.api("CONSUMER.INFO.KV_b.c")), 10059)
    assert.isUndefined(server.stream("KV_b"))
    assert.deepStrictEqual(new Set(time.faults.keys()), new Set(["consumers lost", "stream lost"]))
  })

  it("may be recreated by others, with revisions from 1 and another time of its creation", () => {
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

  it("may be rolled back: its last messages are gone, and those before them that history had dropped too", () => {
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

  it("may lose its consumers alone", () => {
    const { client, server } = start()
    client.consume("c")
    client.put("a")
    server.dropConsumers("KV_b")
    assert.strictEqual(codeOf(client.api("CONSUMER.INFO.KV_b.c")), 10014)
    assert.strictEqual(client.put("a", "", expecting(1)), 2)
  })
})

describe("a simulated server that is stopped", () => {
  it("does and says nothing, and does all that has come in its order when it goes on", () => {
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

  it("is stopped for as long as the longest of several times", () => {
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
  /** All that happens in a life with everything in it. */
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

  it("does the same again for the same seed", () => {
    assert.deepStrictEqual(life(7), life(7))
    assert.notDeepEqual(life(7).stored, life(8).stored)
  })

  it("writes down what it does, for whoever reads it", () => {
    const lines = Array.from({ length: 5 }, (_, seed) => life(seed).lines).flat().join("\n")
    for (
      const what of [/k\d @\d+ put/, /refused: 10071 wrong last/, /has no leader for 300 ms/, /expired/, /paused for/]
    ) {
      assert.match(lines, what)
    }
  })
})
