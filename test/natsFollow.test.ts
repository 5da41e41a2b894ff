/** A watch over a server that does and says only what the test wants. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { Follow } from "../src/internal/kv/backend.ts"
import { follow } from "../src/internal/nats/follow.ts"
import type { ConsumerSettings, NatsPort, PushedMessage } from "../src/internal/nats/port.ts"
import { BucketNotFound, type KVStoreReason, Unavailable } from "../src/KVStoreError.ts"

interface FakeConsumer {
  readonly settings: ConsumerSettings
  readonly push: (message: Partial<PushedMessage>) => void
  /** A value of the key that is named like its revision. */
  readonly value: (revision: number, inConsumer: number, pending?: number) => void
  readonly heartbeat: (lastInConsumer: number, stalled?: string) => void
}

/** A server that does nothing by itself: what it says, and when, is the test's. */
const makeServer = () => {
  const stream = { created: "2026-11-01T00:00:00Z", lastRevision: 100 }
  const consumers: Array<FakeConsumer> = []
  const deleted: Array<string> = []
  const acknowledged: Array<string> = []
  const listeners = new Map<string, (message: PushedMessage) => void>()
  const state = { pending: 0, infoFails: undefined as KVStoreReason | undefined }
  const unused = (): never => assert.fail("a watch has no use for this")

  const port: NatsPort = {
    isConnected: () => true,
    server: unused,
    publish: unused,
    lastMessage: unused,
    createStream: unused,
    purgeSubject: unused,
    updateStream: unused,
    subjects: unused,
    failure: unused,
    streamInfo: () => Promise.resolve({ ...stream, config: {}, ts: undefined, messages: 0, bytes: 0 }),
    createConsumer: (_stream, settings) => {
      const push = (message: Partial<PushedMessage>) =>
        listeners.get(settings.deliver_subject)?.({
          subject: "",
          reply: undefined,
          status: 0,
          header: () => "",
          data: new Uint8Array(0),
          ...message
        })
      consumers.push({
        settings,
        push,
        value: (revision, inConsumer, pending = 0) =>
          push({
            subject: `$KV.b.k${revision}`,
            reply: `$JS.ACK.KV_b.c.1.${revision}.${inConsumer}.1000000.${pending}`
          }),
        heartbeat: (last, stalled = "") =>
          push({
            status: 100,
            header: (name) =>
              name === "Nats-Last-Consumer" ? `${last}` : name === "Nats-Consumer-Stalled" ? stalled : ""
          })
      })
      return Promise.resolve(state.pending)
    },
    deleteConsumer: (_stream, name) => {
      deleted.push(name)
      return Promise.resolve()
    },
    inbox: () => `_INBOX.${listeners.size}`,
    subscribe: (subject, onMessage) => {
      listeners.set(subject, onMessage)
      return () => listeners.set(subject, () => undefined)
    },
    acknowledge: (subject) => acknowledged.push(subject)
  }
  return { port, stream, consumers, deleted, acknowledged, state }
}

/** A watch of that server: what it has given so far, in words. */
const startWatch = Effect.fnUntraced(function*(server: ReturnType<typeof makeServer>, from: Follow = "snapshot") {
  const words: Array<string> = []
  const fiber = yield* follow({
    port: server.port,
    stream: "KV_b",
    prefix: "$KV.b.",
    filter: ">",
    from,
    purpose: "watch",
    timeout: 1000,
    read: (run) =>
      Effect.suspend(() =>
        server.state.infoFails === undefined ? Effect.promise(run) : Effect.fail(server.state.infoFails)
      ),
    saw: () => undefined
  }).pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        words.push(event._tag === "Ready" ? "ready" : event.message.key)
      })
    ),
    Effect.forkScoped
  )
  yield* settle
  return { words, fiber }
})

/** Lets promises and fibers come to rest; no time passes. */
const settle = Effect.replicateEffect(
  Effect.andThen(Effect.promise(() => Promise.resolve()), Effect.yieldNow),
  30,
  { discard: true }
)

/** Time passes, and promises get their turns. */
const pass = Effect.fnUntraced(function*(millis: number) {
  for (let passed = 0; passed < millis; passed += 50) {
    yield* TestClock.adjust("50 millis")
    yield* settle
  }
})

describe("a watch", () => {
  it.effect("is ready when nothing is pending, and when the last that was pending has come", () =>
    Effect.gen(function*() {
      const server = makeServer()
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

  it.effect("is ready, too, when what was pending has aged away or was purged before its turn came", () =>
    Effect.gen(function*() {
      const server = makeServer()
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

  it.effect("is not ready by a heartbeat that says that the server waits for us, and answers it", () =>
    Effect.gen(function*() {
      const server = makeServer()
      server.state.pending = 2
      const { words } = yield* startWatch(server)
      server.consumers[0]!.heartbeat(0, "$JS.FC.stalled")
      yield* settle
      assert.deepStrictEqual([words, server.acknowledged], [[], ["$JS.FC.stalled"]])
    }))

  it.effect("answers a request for flow control in its turn", () =>
    Effect.gen(function*() {
      const server = makeServer()
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(101, 1)
      server.consumers[0]!.push({ status: 100, reply: "$JS.FC.1" })
      yield* settle
      assert.deepStrictEqual([words, server.acknowledged], [["ready", "k101"], ["$JS.FC.1"]])
    }))

  it.effect("asks for a consumer with a heartbeat, of a name of its own, and deletes it in the end", () =>
    Effect.gen(function*() {
      const server = makeServer()
      const { fiber } = yield* startWatch(server)
      const { settings } = server.consumers[0]!
      assert.deepStrictEqual(
        [settings.deliver_policy, settings.filter_subject, settings.idle_heartbeat, settings.ack_policy],
        ["last_per_subject", "$KV.b.>", 1_000_000_000, "none"]
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(server.deleted, [settings.name])
    }))

  const losses: ReadonlyArray<readonly [how: string, lose: (consumer: FakeConsumer) => void]> = [
    ["a message is missing before the one that came", (consumer) => consumer.value(105, 4)],
    ["a heartbeat tells of more than has come", (consumer) => consumer.heartbeat(3)],
    ["a message does not say where it stands", (consumer) => consumer.push({ subject: "$KV.b.x" })]
  ]

  for (const [how, lose] of losses) {
    it.effect(`goes on after the last that it gave, with another consumer, when ${how}`, () =>
      Effect.gen(function*() {
        const server = makeServer()
        const { words } = yield* startWatch(server)
        server.consumers[0]!.value(101, 1)
        server.consumers[0]!.value(103, 2)
        server.stream.lastRevision = 105
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

  it.effect("takes a consumer that misses two heartbeats for dead, and one that beats for alive", () =>
    Effect.gen(function*() {
      const server = makeServer()
      yield* startWatch(server)
      for (let beat = 0; beat < 10; beat++) {
        yield* pass(1000)
        server.consumers[0]!.heartbeat(0)
      }
      assert.strictEqual(server.consumers.length, 1)
      yield* pass(2000)
      assert.strictEqual(server.consumers.length, 1)
      yield* pass(600)
      assert.strictEqual(server.consumers.length, 2)
    }))

  it.effect("begins with a snapshot again where it was lost before it was ready, and gives nothing twice", () =>
    Effect.gen(function*() {
      const server = makeServer()
      server.state.pending = 3
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(50, 1, 2)
      yield* pass(3000)
      const { settings, value } = server.consumers[1]!
      assert.strictEqual(settings.deliver_policy, "last_per_subject")
      value(50, 1, 2)
      value(60, 2, 1)
      value(70, 3, 0)
      yield* settle
      assert.deepStrictEqual(words, ["k50", "k60", "k70", "ready"])
    }))

  const anew: ReadonlyArray<
    readonly [how: string, change: (stream: { created: string; lastRevision: number }) => void]
  > = [
    ["was made anew", (stream) => Object.assign(stream, { created: "2026-11-02T00:00:00Z", lastRevision: 200 })],
    ["was rolled back", (stream) => Object.assign(stream, { lastRevision: 90 })]
  ]

  for (const [how, change] of anew) {
    it.effect(`begins with a snapshot again, and is ready again, when the stream ${how}`, () =>
      Effect.gen(function*() {
        const server = makeServer()
        const { words } = yield* startWatch(server)
        change(server.stream)
        server.state.pending = 1
        yield* pass(3000)
        const { settings, value } = server.consumers[1]!
        assert.strictEqual(settings.deliver_policy, "last_per_subject")
        value(80, 1, 0)
        yield* settle
        assert.deepStrictEqual(words, ["ready", "k80", "ready"])
      }))
  }

  it.effect("waits out an outage, and ends with the bucket", () =>
    Effect.gen(function*() {
      const server = makeServer()
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
