/** A watch over a server that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { open } from "../../../../src/internal/nats/jetstream/consumer.ts"
import type { Grant } from "../../../../src/internal/nats/jetstream/pullWindow.ts"
import { BucketNotFound, Unavailable } from "../../../../src/KVStoreError.ts"
import { type FakeConsumer, makeServer, pass, settle, startWatch } from "../../../support/fakeServer.ts"

describe("a watch", () => {
  it.effect("is ready when nothing is pending, or when the last pending message has arrived", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const empty = yield* startWatch(server)
      assert.deepStrictEqual(empty.words, ["ready"])
      server.state.pending = 2
      const full = yield* startWatch(server)
      assert.deepStrictEqual(full.words, [])
      server.consumers[1]!.value(50, 1, 1)
      server.consumers[1]!.value(60, 2, 0)
      yield* settle
      assert.deepStrictEqual(full.words, ["k50", "k60", "ready"])
    }))

  for (const status of [100, 404, 408, 409, 503]) {
    it.effect(`emits a stored message with status ${status}`, () =>
      Effect.gen(function*() {
        const server = yield* makeServer
        const { restarts, words } = yield* startWatch(server)
        const place = "$JS.ACK.KV_b.c.1.101.1.1000000.0"
        server.consumers[0]!.push({ subject: "$KV.b.k101", reply: place, status, description: "stored" })
        yield* settle
        assert.deepStrictEqual([words, restarts], [["ready", "k101"], []])
      }))
  }

  it.effect("is ready with a heartbeat, if pending messages expired or were purged before they were pushed", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 2
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(50, 1, 1)
      yield* settle
      assert.deepStrictEqual(words, ["k50"])
      server.consumers[0]!.heartbeat(1)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "ready"])
      server.consumers[0]!.heartbeat(1)
      server.consumers[0]!.value(101, 2)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "ready", "k101"])
    }))

  it.effect("is ready when nothing is pending after the last revision that the stream had at the end of the snapshot", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 2
      const { words } = yield* startWatch(server)
      const { value } = server.consumers[0]!
      value(50, 1, 1)
      // Two keys of the snapshot are overwritten before their turn.
      server.stream.lastRevision = 102
      value(60, 2, 0)
      value(101, 3, 1)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "k60", "k101"])
      server.stream.lastRevision = 104
      value(102, 4, 2)
      value(103, 5, 1)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "k60", "k101", "k102", "k103"])
      value(104, 6, 0)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "k60", "k101", "k102", "k103", "k104", "ready"])
    }))

  it.effect("is ready when a heartbeat reports that the consumer has passed that revision", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 1
      const { words } = yield* startWatch(server)
      server.stream.lastRevision = 102
      server.consumers[0]!.value(60, 1, 0)
      server.consumers[0]!.heartbeat(1, 101)
      yield* settle
      assert.deepStrictEqual(words, ["k60"])
      server.stream.lastRevision = 110
      server.consumers[0]!.heartbeat(1, 102)
      yield* settle
      assert.deepStrictEqual(words, ["k60", "ready"])
    }))

  it.effect("starts again if the stream is rolled back below that revision", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 1
      const { restarts, words } = yield* startWatch(server)
      server.stream.lastRevision = 102
      server.consumers[0]!.value(60, 1, 0)
      yield* settle
      server.stream.lastRevision = 101
      server.consumers[0]!.heartbeat(1)
      yield* pass(500)
      assert.deepStrictEqual([restarts, words], [["reset"], ["k60", "reset k60@60"]])
    }))

  it.effect("with replicas is ready when the consumer's replica has the revision of the leader", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.replicas = 3
      const { words } = yield* startWatch(server)
      assert.deepStrictEqual(words, [])
      server.consumers[0]!.heartbeat(0, 99)
      yield* settle
      assert.deepStrictEqual(words, [])
      server.consumers[0]!.value(100, 1)
      yield* settle
      assert.deepStrictEqual(words, ["k100", "ready"])
    }))

  it.effect("creates a consumer with a unique name, pulls with a heartbeat, and deletes it at the end", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { fiber } = yield* startWatch(server)
      const { pulls, settings } = server.consumers[0]!
      assert.deepStrictEqual(
        [settings.deliver_policy, settings.filter_subject, pulls[0]?.idle_heartbeat, settings.ack_policy],
        ["last_per_subject", "$KV.b.>", 1_000_000_000, "none"]
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(server.deleted, [settings.name])
    }))

  const losses: ReadonlyArray<readonly [how: string, lose: (consumer: FakeConsumer) => void]> = [
    ["a message is missing before the received one", (consumer) => consumer.value(105, 4)],
    ["a heartbeat has a higher sequence than the last message", (consumer) => consumer.heartbeat(3)],
    ["the server ends the consumer", (consumer) => consumer.push({ status: 409, description: "Consumer Deleted" })],
    ["the consumer does not exist any more", (consumer) => consumer.push({ status: 503 })]
  ]

  for (const [how, lose] of losses) {
    it.effect(`resumes after its last event with a new consumer when ${how}`, () =>
      Effect.gen(function*() {
        const server = yield* makeServer
        const { words } = yield* startWatch(server)
        server.consumers[0]!.value(101, 1)
        server.consumers[0]!.value(103, 2)
        server.stream.lastRevision = 105
        server.state.present = ["k101", "k103", "k104", "k105"]
        yield* settle
        lose(server.consumers[0]!)
        yield* pass(1500)
        assert.strictEqual(server.consumers.length, 2)
        const { settings, value } = server.consumers[1]!
        assert.deepStrictEqual([settings.deliver_policy, settings.opt_start_seq], ["by_start_sequence", 104])
        assert.notStrictEqual(settings.name, server.consumers[0]!.settings.name)
        assert.deepStrictEqual(server.deleted, [server.consumers[0]!.settings.name])
        value(103, 1, 2)
        value(104, 2, 1)
        value(105, 3, 0)
        yield* settle
        assert.deepStrictEqual(words, ["ready", "k101", "k103", "k104", "k105"])
      }))
  }

  it.effect("after a missed heartbeat asks whether the consumer exists, and replaces it if it does not", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { restarts } = yield* startWatch(server)
      yield* pass(1150)
      assert.strictEqual(server.state.doubts, 0)
      yield* pass(50)
      assert.deepStrictEqual([server.state.doubts, server.consumers.length], [1, 1])
      // The consumer exists: the watch does not ask again until it has received another heartbeat.
      yield* pass(800)
      assert.deepStrictEqual([server.state.doubts, server.consumers.length], [1, 1])
      server.consumers[0]!.heartbeat(0)
      server.state.isConsumerGone = true
      yield* pass(1350)
      assert.deepStrictEqual([server.consumers.length, restarts], [2, ["silence"]])
    }))

  it.effect("replaces a consumer that misses two heartbeats, and keeps one that sends them", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      yield* startWatch(server)
      for (let heartbeat = 0; heartbeat < 10; heartbeat++) {
        yield* pass(1000)
        server.consumers[0]!.heartbeat(0)
      }
      assert.strictEqual(server.consumers.length, 1)
      yield* pass(2150)
      assert.strictEqual(server.consumers.length, 1)
      yield* pass(150)
      assert.strictEqual(server.consumers.length, 2)
    }))

  it.effect("keeps a silent consumer for 10 s while large pulls of the connection arrive", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      yield* startWatch(server)
      const grants: Array<Grant> = []
      server.js.window.ask("large", { what: "another", atLeast: 0, granted: (grant) => grants.push(grant) })
      const passBusy = Effect.fnUntraced(function*(millis: number) {
        for (let passed = 0; passed < millis; passed += 200) {
          grants[0]!.arrived(1)
          yield* pass(200)
        }
      })
      yield* passBusy(9800)
      assert.deepStrictEqual([server.consumers.length, server.state.doubts], [1, 0])
      yield* passBusy(2000)
      assert.deepStrictEqual([server.consumers.length, server.state.doubts], [2, 1])
    }))

  it.effect("starts the snapshot again if it is interrupted before Ready, and emits nothing twice", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.historySize = 5
      server.state.pending = 3
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(50, 1, 2)
      server.state.present = ["k50", "k60", "k70"]
      yield* pass(3000)
      const { settings, value } = server.consumers[1]!
      assert.strictEqual(settings.deliver_policy, "last_per_subject")
      value(50, 1, 2)
      value(60, 2, 1)
      value(70, 3, 0)
      yield* settle
      server.consumers[1]!.heartbeat(3)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "k60", "k70", "ready"])
    }))

  it.effect("of a bucket with history is ready by a revision, not by the number of pending messages", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.historySize = 5
      server.state.pending = 4
      const { words } = yield* startWatch(server)
      const { heartbeat, value } = server.consumers[0]!
      value(50, 1, 0)
      heartbeat(1, 55)
      yield* settle
      assert.deepStrictEqual(words, ["k50"])
      value(60, 2, 2)
      yield* pass(60)
      heartbeat(2, 90)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "k60"])
      yield* pass(60)
      heartbeat(2)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "k60", "ready"])
    }))

  it.effect("replaces a consumer that was created after the history size had changed", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.beforeConsumer = () => {
        server.state.historySize = 5
      }
      const { restarts } = yield* startWatch(server)
      yield* pass(100)
      assert.deepStrictEqual([server.consumers.length, restarts], [2, ["reset"]])
      assert.deepStrictEqual(server.deleted, [server.consumers[0]!.settings.name])
    }))

  it.effect("asks the server rarely while heartbeats let a snapshot continue after removed messages", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.historySize = 5
      server.state.pending = 4
      const { words } = yield* startWatch(server)
      const before = server.state.infos
      for (let n = 0; n < 100; n++) {
        server.consumers[0]!.heartbeat(0, n)
        yield* TestClock.adjust("1 millis")
        yield* settle
      }
      assert.isAtMost(server.state.infos - before, 3)
      assert.deepStrictEqual(words, [])
    }))

  it.effect("creates a new consumer as soon as the connection is restored", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { restarts } = yield* startWatch(server)
      server.tell({ _tag: "Disconnected" })
      yield* settle
      assert.strictEqual(server.consumers.length, 1)
      server.tell({ _tag: "Connected" })
      yield* pass(100)
      assert.deepStrictEqual([server.consumers.length, restarts], [2, ["link"]])
    }))

  it.effect("ends the pause between two attempts when the connection is restored", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.infoFails = new Unavailable({ problem: "not connected" })
      const { words } = yield* startWatch(server)
      yield* pass(10_000)
      server.state.infoFails = undefined
      server.tell({ _tag: "Connected" })
      yield* pass(100)
      assert.deepStrictEqual(words, ["ready"])
    }))

  it.effect("fails with Unavailable when the connection is closed, during the watch or before", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const before = yield* startWatch(server)
      server.state.closed = true
      const cause = new Error("reported by the client")
      server.tell({ _tag: "Closed", cause })
      const after = yield* startWatch(server)
      for (const { fiber } of [before, after]) {
        const failure = yield* Effect.flip(Fiber.join(fiber))
        assert.deepStrictEqual([failure._tag, failure.message.includes("closed")], ["Unavailable", true])
      }
      const [reported] = [yield* Effect.flip(Fiber.join(before.fiber))]
      assert.strictEqual(reported._tag === "Unavailable" && reported.cause, cause)
      assert.strictEqual(server.links.size, 0)
    }))

  it.effect("fails with PermissionDenied if it may not subscribe to its inbox", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { fiber } = yield* startWatch(server)
      const subject = `_INBOX.${server.consumers[0]!.settings.name}.*`
      const cause = new Error("reported by the client")
      server.tell({ _tag: "Denied", operation: "subscription", subject, cause })
      yield* settle
      const failure = yield* Effect.flip(Fiber.join(fiber))
      assert.deepStrictEqual([failure._tag, failure.message.includes(subject)], ["PermissionDenied", true])
      assert.strictEqual(failure._tag === "PermissionDenied" && failure.cause, cause)
    }))

  it.effect("fails with PermissionDenied if it may not pull", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { fiber } = yield* startWatch(server)
      const subject = server.js.pullSubject("KV_b", server.consumers[0]!.settings.name)
      server.tell({ _tag: "Denied", operation: "publish", subject: "another subject", cause: new Error() })
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      const cause = new Error("reported by the client")
      server.tell({ _tag: "Denied", operation: "publish", subject, cause })
      yield* settle
      const failure = yield* Effect.flip(Fiber.join(fiber))
      assert.deepStrictEqual([failure._tag, failure.message.includes(subject)], ["PermissionDenied", true])
      assert.strictEqual(failure._tag === "PermissionDenied" && failure.cause, cause)
    }))

  it.effect("that cannot subscribe fails with the client's error as the cause", () =>
    Effect.gen(function*() {
      const { js } = yield* makeServer
      const cause = new Error("draining")
      const subscribe = () => {
        throw cause
      }
      const failure = yield* Effect.flip(Effect.scoped(open({
        js: { ...js, port: { ...js.port, subscribe } },
        stream: "KV_b",
        subjects: ["$KV.b.>"],
        what: "a watch",
        headersOnly: false,
        startAt: undefined,
        info: {
          config: {},
          created: "",
          ts: undefined,
          messages: 0,
          bytes: 0,
          lastRevision: 0,
          deleted: 0,
          hasLeader: true
        },
        timeout: 1000,
        read: Effect.mapError(() => new Unavailable({ problem: "not connected" }))
      })))
      assert.isTrue(failure._tag === "Unavailable" && failure.cause === cause)
      assert.include(failure.message, "draining")
    }))

  it.effect("pulls again after the last message of a pull, although the server does not report its end", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { restarts, words } = yield* startWatch(server)
      const { pulls, value } = server.consumers[0]!
      for (let n = 1; n <= 1000; n++) {
        const before = pulls.length
        for (let left = pulls.at(-1)!.batch; left > 1; left--) value(100 + n, n++, 0)
        yield* settle
        assert.strictEqual(pulls.length, before)
        value(100 + n, n, 0)
        yield* settle
        assert.strictEqual(pulls.length, before + 1)
      }
      assert.strictEqual(words.length, 1 + new Set(words.slice(1)).size)
      assert.deepStrictEqual(restarts, [])
    }))

  it.effect("replaces a consumer after the same short pause each time", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      yield* startWatch(server)
      for (let ended = 1; ended <= 12; ended++) {
        server.consumers.at(-1)!.heartbeat(7)
        yield* pass(150)
        assert.strictEqual(server.consumers.length, ended + 1)
      }
    }))

  it.effect("continues after an outage, and fails when the bucket does not exist any more", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.infoFails = new Unavailable({ problem: "not connected" })
      const { fiber, words } = yield* startWatch(server)
      yield* pass(10_000)
      assert.isUndefined(fiber.pollUnsafe())
      server.state.infoFails = undefined
      yield* pass(1500)
      assert.deepStrictEqual(words, ["ready"])
      server.state.infoFails = new BucketNotFound({})
      yield* pass(3000)
      const failure = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(failure._tag, "BucketNotFound")
    }))
})
