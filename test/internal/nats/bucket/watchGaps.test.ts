/** The removals that a watch reports after a gap, and after its stream was recreated. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Unavailable } from "../../../../src/KVStoreError.ts"
import { type FakeConsumer, keepAlive, makeServer, pass, settle, startWatch } from "../../../support/fakeServer.ts"

describe("a watch after a gap", () => {
  const recreated: ReadonlyArray<
    readonly [how: string, change: (stream: { created: string; lastRevision: number }) => void]
  > = [
    ["was recreated", (stream) => Object.assign(stream, { created: "2026-11-02T00:00:00Z", lastRevision: 200 })],
    ["was rolled back", (stream) => Object.assign(stream, { lastRevision: 90 })]
  ]

  for (const [how, change] of recreated) {
    it.effect(`reports removed keys, then the snapshot, then Ready, when the stream ${how}`, () =>
      Effect.gen(function*() {
        const server = yield* makeServer
        server.state.pending = 3
        const { words } = yield* startWatch(server)
        server.consumers[0]!.value(50, 1, 2, "gone")
        server.consumers[0]!.value(51, 2, 1, "kept")
        server.consumers[0]!.value(52, 3, 0, "deleted")
        yield* settle
        change(server.stream)
        server.state.present = ["kept", "deleted", "new"]
        yield* pass(3000)
        const { settings, tombstone, value } = server.consumers[1]!
        assert.strictEqual(settings.deliver_policy, "last_per_subject")
        // Revisions of the former stream cannot be compared with those of the new one.
        value(20, 1, 3, "kept")
        tombstone(21, 2, 2, "deleted")
        tombstone(22, 3, 1, "never")
        value(80, 4, 0, "new")
        yield* settle
        assert.strictEqual(
          words.join(", "),
          "gone, kept, deleted, ready, reset gone@50, kept, delete deleted, new, ready"
        )
      }))
  }

  it.effect("detects that the stream is recreated while the consumer is created", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      let isFirst = true
      server.state.beforeConsumer = () => {
        if (isFirst) Object.assign(server.stream, { created: "2026-11-02T00:00:00Z", lastRevision: 7 })
        isFirst = false
      }
      server.state.present = ["a"]
      const { restarts, words } = yield* startWatch(server)
      yield* pass(200)
      assert.deepStrictEqual([server.consumers.length, restarts], [2, ["reset"]])
      server.consumers[1]!.value(8, 1, 0, "a")
      yield* settle
      assert.deepStrictEqual(words, ["ready", "a"])
    }))

  it.effect("reports a key that the new stream loses during its snapshot before the next Ready", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 1
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(50, 1, 0, "a")
      yield* settle
      Object.assign(server.stream, { created: "2026-11-02T00:00:00Z", lastRevision: 200 })
      server.state.present = ["a"]
      yield* pass(3000)
      server.state.present = []
      server.consumers[1]!.heartbeat(0)
      yield* settle
      assert.deepStrictEqual(words, ["a", "ready", "reset a@50", "ready"])
    }))

  it.effect("reports keys removed without a message during a gap, once it has caught up", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(101, 1, 0, "a")
      server.consumers[0]!.value(102, 2, 0, "b")
      server.consumers[0]!.value(103, 3, 0, "c")
      yield* settle
      server.stream.lastRevision = 110
      server.state.pending = 2
      server.state.present = ["b", "d"]
      yield* pass(3000)
      assert.strictEqual(server.state.comparisons, 0)
      server.consumers[1]!.tombstone(105, 1, 1, "a")
      server.consumers[1]!.value(110, 2, 0, "d")
      yield* settle
      assert.deepStrictEqual(words, ["ready", "a", "b", "c", "delete a", "d", "expire c@103"])
      // It compares once.
      server.consumers[1]!.value(111, 3, 0, "e")
      yield* settle
      assert.strictEqual(server.state.comparisons, 1)
    }))

  it.effect("when a snapshot starts again, reports the removal of known keys only", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 3
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(50, 1, 2, "a")
      server.consumers[0]!.value(51, 2, 1, "b")
      yield* settle
      server.state.present = ["a", "x"]
      server.state.pending = 2
      server.stream.lastRevision = 102
      yield* pass(3000)
      server.consumers[1]!.tombstone(101, 1, 1, "a")
      server.consumers[1]!.tombstone(102, 2, 0, "x")
      yield* settle
      assert.deepStrictEqual(words, ["a", "b", "delete a", "expire b@51", "ready"])
    }))

  it.effect("does not give the reason reset for a key that the new stream had and later lost", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(101, 1, 0, "a")
      yield* settle
      Object.assign(server.stream, { created: "2026-11-02T00:00:00Z", lastRevision: 200 })
      server.state.present = ["a"]
      server.state.pending = 1
      yield* pass(3000)
      server.consumers[1]!.value(150, 1, 0, "a")
      yield* settle
      server.state.present = []
      server.state.pending = 0
      yield* pass(3000)
      assert.deepStrictEqual(words, ["ready", "a", "a", "ready", "expire a@150"])
    }))

  it.effect("emits messages that a lagging replica pushes after Ready, also those older than the stream info", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 1
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(50, 1, 0, "a")
      yield* settle
      // The leader had reported revision 100 before the consumer was created.
      server.consumers[0]!.value(99, 2, 1, "a")
      server.consumers[0]!.value(100, 3, 0, "b")
      yield* settle
      assert.deepStrictEqual(words, ["a", "ready", "a", "b"])
      yield* pass(3000)
      const { settings } = server.consumers[1]!
      assert.deepStrictEqual([settings.deliver_policy, settings.opt_start_seq], ["by_start_sequence", 101])
    }))

  it.effect("looks for removed keys after it was behind for long, because markers may have expired unseen", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { words } = yield* startWatch(server)
      const { end, heartbeat, value } = server.consumers[0]!
      const behindFor = Effect.fnUntraced(function*(millis: number) {
        end(409)
        yield* pass(millis)
        end(404)
        yield* settle
        heartbeat(2)
        yield* settle
      })
      value(101, 1, 0, "a")
      value(102, 2, 0, "b")
      server.state.present = ["b"]
      yield* behindFor(450)
      assert.deepStrictEqual([words, server.state.comparisons], [["ready", "a", "b"], 0])
      // The expiry marker of "a" was removed before its turn.
      yield* behindFor(550)
      assert.deepStrictEqual(words, ["ready", "a", "b", "expire a@101"])
      heartbeat(2)
      yield* settle
      assert.strictEqual(server.state.comparisons, 1)
    }))

  it.effect("looks for removed keys again if a new consumer is not read for long, because markers may have expired unseen", () =>
    Effect.gen(function*() {
      for (const [millis, comparisons] of [[450, 1], [550, 2]] as const) {
        const server = yield* makeServer
        const { words } = yield* startWatch(server)
        server.consumers[0]!.value(101, 1, 0, "a")
        yield* settle
        server.stream.lastRevision = 101
        server.state.namesTake = millis
        // The name of "a" is listed because of its expiry marker, which is removed before the consumer is read.
        server.state.present = ["a"]
        yield* pass(3000)
        server.state.present = comparisons === 1 ? ["a"] : []
        yield* pass(millis)
        const heartbeat = Effect.andThen(Effect.sync(() => server.consumers[1]!.heartbeat(0)), pass(millis))
        yield* Effect.replicateEffect(heartbeat, 3)
        assert.strictEqual(server.state.comparisons, comparisons)
        assert.deepStrictEqual(words, ["ready", "a", ...comparisons === 1 ? [] : ["expire a@101"]])
      }
    }))

  it.effect("counts the time behind from the first full pull", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { words } = yield* startWatch(server)
      const { end, heartbeat, value } = server.consumers[0]!
      value(101, 1, 0, "a")
      for (let pulls = 0; pulls < 4; pulls++) {
        value(102 + pulls, 2 + pulls, 1, "b")
        end(409)
        yield* pass(200)
      }
      server.state.present = ["b"]
      end(404)
      yield* settle
      heartbeat(5)
      yield* settle
      assert.strictEqual(words.at(-1), "expire a@101")
    }))

  it.effect("resumes after its last message, even if that was a tombstone that it did not emit", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      server.state.pending = 1
      const { words } = yield* startWatch(server)
      server.consumers[0]!.tombstone(60, 1, 0, "a")
      yield* settle
      assert.deepStrictEqual(words, ["ready"])
      yield* pass(3000)
      const { settings } = server.consumers[1]!
      assert.deepStrictEqual([settings.deliver_policy, settings.opt_start_seq], ["by_start_sequence", 61])
    }))

  it.effect("restarts soon if listing the stream's names fails, and compares them then", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { restarts, words } = yield* startWatch(server)
      server.consumers[0]!.value(101, 1, 0, "a")
      yield* settle
      server.stream.lastRevision = 101
      server.state.namesFail = true
      yield* pass(2500)
      assert.deepStrictEqual(restarts.slice(0, 2), ["silence", "unavailable"])
      assert.deepStrictEqual(words, ["ready", "a"])
      server.state.namesFail = false
      yield* pass(1500)
      assert.deepStrictEqual(words, ["ready", "a", "expire a@101"])
    }))

  it.effect("does not list the stream's names if it has emitted no key", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      yield* startWatch(server)
      yield* pass(3000)
      assert.deepStrictEqual([server.consumers.length, server.state.comparisons], [2, 0])
    }))

  it.effect("of updates only, on a new stream, reports removed keys, then all messages, then Ready", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { words } = yield* startWatch(server, "updates")
      server.consumers[0]!.value(101, 1, 0, "a")
      server.consumers[0]!.value(102, 2, 0, "b")
      yield* settle
      Object.assign(server.stream, { created: "2026-11-02T00:00:00Z", lastRevision: 200 })
      server.state.present = ["b", "c"]
      server.state.pending = 2
      yield* pass(3000)
      const { settings, value } = server.consumers[1]!
      assert.deepStrictEqual([settings.deliver_policy, settings.opt_start_seq], ["by_start_sequence", 1])
      value(30, 1, 1, "b")
      value(31, 2, 0, "c")
      yield* settle
      assert.deepStrictEqual(words, ["ready", "a", "b", "reset a@101", "b", "c", "ready"])
    }))

  it.effect("of updates only, reads pending messages before it reports keys removed without a message", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { words } = yield* startWatch(server, "updates")
      server.consumers[0]!.value(101, 1, 0, "a")
      yield* settle
      server.stream.lastRevision = 102
      server.state.pending = 1
      yield* pass(3000)
      server.consumers[1]!.tombstone(102, 1, 0, "a")
      yield* settle
      assert.deepStrictEqual(words, ["ready", "a", "delete a"])
    }))

  it.effect("looks for removed keys after a slow reader, because markers may have expired unseen", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      const { words } = yield* startWatch(server, "snapshot", Effect.sleep("2 millis"))
      const deliver = Effect.fnUntraced(function*({ value }: FakeConsumer) {
        for (let n = 1; n <= 20; n++) {
          value(100 + n, n, n === 20 ? 0 : 1, n === 1 ? "a" : "b")
          yield* settle
        }
      })
      yield* deliver(server.consumers[0]!)
      yield* pass(1000)
      assert.strictEqual(server.state.comparisons, 0)
      const slow = yield* startWatch(server, "snapshot", Effect.sleep("1 second"))
      server.state.present = ["b"]
      yield* deliver(server.consumers[1]!)
      yield* keepAlive(server.consumers[1]!, 20, 25)
      assert.strictEqual(slow.words.at(-1), "expire a@101")
      assert.notInclude(words, "expire a@101")
    }))
})

describe("a connected watch", () => {
  /** A watch that has emitted "a" and "b", and gets a heartbeat every second. */
  const watching = Effect.gen(function*() {
    const server = yield* makeServer
    const { restarts, words } = yield* startWatch(server)
    const [consumer] = server.consumers
    consumer!.value(101, 1, 0, "a")
    consumer!.value(102, 2, 0, "b")
    server.stream.lastRevision = 102
    server.state.messages = 2
    server.state.present = ["a", "b"]
    yield* settle
    const minute = keepAlive(consumer!, 2, 60)
    return { server, words, restarts, minute }
  })

  it.effect("reports a key that was removed without a message, within a minute", () =>
    Effect.gen(function*() {
      const { minute, server, words } = yield* watching
      server.state.present = ["b"]
      server.state.messages = 1
      yield* minute
      assert.deepStrictEqual(words, ["ready", "a", "b", "expire a@101"])
      server.state.present = []
      server.state.messages = 0
      yield* minute
      assert.deepStrictEqual(words, ["ready", "a", "b", "expire a@101", "expire b@102"])
    }))

  it.effect("reports it also while messages arrive all the time", () =>
    Effect.gen(function*() {
      const { server, words } = yield* watching
      server.state.present = ["b"]
      for (let n = 3; n <= 63; n++) {
        yield* TestClock.adjust("1 second")
        server.stream.lastRevision = 100 + n
        server.consumers[0]!.value(100 + n, n, 0, "b")
        yield* settle
      }
      assert.strictEqual(words.filter((word) => word !== "b").join(), "ready,a,expire a@101")
    }))

  it.effect("does not request the names again while the stream has not changed", () =>
    Effect.gen(function*() {
      const { minute, server } = yield* watching
      for (let minutes = 0; minutes < 5; minutes++) yield* minute
      assert.strictEqual(server.state.comparisons, 1)
      server.state.messages = 1
      yield* minute
      assert.strictEqual(server.state.comparisons, 2)
    }))

  it.effect("does not report a key that the leader has, or that an answer from before its message lacks", () =>
    Effect.gen(function*() {
      const { minute, server, words } = yield* watching
      server.state.present = ["b"]
      server.state.atLeader = ["a"]
      yield* minute
      assert.deepStrictEqual([words, server.state.comparisons], [["ready", "a", "b"], 1])
      server.state.atLeader = []
      server.state.messages = 1
      server.state.namesLag = 1
      yield* minute
      assert.deepStrictEqual([words, server.state.comparisons], [["ready", "a", "b"], 2])
      server.state.namesLag = 0
      yield* minute
      assert.deepStrictEqual(words, ["ready", "a", "b", "expire a@101"])
    }))

  it.effect("notices within a minute that the stream was recreated although its consumer sends heartbeats", () =>
    Effect.gen(function*() {
      const { minute, restarts, server } = yield* watching
      Object.assign(server.stream, { created: "2026-11-02T00:00:00Z", lastRevision: 200 })
      yield* minute
      assert.strictEqual(restarts[0], "reset")
    }))

  it.effect("does not wait for the answer to its search for more than a second, and searches again", () =>
    Effect.gen(function*() {
      const { restarts, server, words } = yield* watching
      server.state.isInfoSilent = true
      const before = server.state.infos
      for (let n = 3; n <= 62; n++) {
        server.stream.lastRevision = 100 + n
        server.consumers[0]!.value(100 + n, n, 0, "b")
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(words.length, n + 1, `message ${n}`)
      }
      assert.isAbove(server.state.infos, before + 1, "it has searched several times")
      assert.deepStrictEqual(restarts, [])
      server.state.isInfoSilent = false
      server.state.present = ["b"]
      server.state.messages = 1
      yield* keepAlive(server.consumers[0]!, 62, 7)
      assert.deepStrictEqual([words.at(-1), restarts], ["expire a@101", []])
    }))

  it.effect("is not interrupted if the stream has no leader when it searches", () =>
    Effect.gen(function*() {
      const { minute, restarts, server, words } = yield* watching
      server.state.infoFails = new Unavailable({ problem: "the stream has no leader" })
      yield* minute
      assert.isAbove(server.state.infos, 2)
      assert.deepStrictEqual(restarts, [])
      server.state.infoFails = undefined
      server.state.present = ["b"]
      server.state.messages = 1
      yield* keepAlive(server.consumers[0]!, 2, 7)
      assert.deepStrictEqual([words.at(-1), restarts], ["expire a@101", []])
    }))

  it.effect("looks for nothing if it has emitted no key", () =>
    Effect.gen(function*() {
      const server = yield* makeServer
      yield* startWatch(server)
      yield* keepAlive(server.consumers[0]!, 0, 120)
      assert.strictEqual(server.state.comparisons, 0)
    }))
})
