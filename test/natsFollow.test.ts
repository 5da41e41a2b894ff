/** A watch over a server that does and says only what the test wants. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { BackendEvent, Follow } from "../src/internal/kv/backend.ts"
import { follow } from "../src/internal/nats/follow.ts"
import type { ConsumerSettings, JetStream } from "../src/internal/nats/jetstream.ts"
import type { LinkEvent, NatsMessage } from "../src/internal/nats/port.ts"
import { BucketNotFound, type KVStoreReason, Unavailable } from "../src/KVStoreError.ts"

interface FakeConsumer {
  readonly settings: ConsumerSettings
  readonly push: (message: Partial<NatsMessage>) => void
  /** A value of the key that is named like its revision, or of another. */
  readonly value: (revision: number, inConsumer: number, pending?: number, key?: string) => void
  /** The same, of a tombstone. */
  readonly tombstone: (revision: number, inConsumer: number, pending: number, key: string) => void
  readonly heartbeat: (lastInConsumer: number, stalled?: string) => void
}

/** A server that does nothing by itself: what it says, and when, is the test's. */
const makeServer = () => {
  const stream = { created: "2026-11-01T00:00:00Z", lastRevision: 100 }
  const consumers: Array<FakeConsumer> = []
  const deleted: Array<string> = []
  const acknowledged: Array<string> = []
  const inboxes = new Map<string, (message: NatsMessage) => void>()
  const links = new Set<(event: LinkEvent) => void>()
  const state = {
    pending: 0,
    infoFails: undefined as KVStoreReason | undefined,
    /** Keys that have a message in the stream, of those that a comparison asks for. */
    present: [] as ReadonlyArray<string>,
    comparisons: 0,
    closed: false
  }
  const unused = (): never => assert.fail("a watch has no use for this")

  const makeConsumer = (settings: ConsumerSettings): FakeConsumer => {
    const push = (message: Partial<NatsMessage>) =>
      inboxes.get(settings.deliver_subject)?.({
        subject: "",
        reply: undefined,
        status: 0,
        description: "",
        header: () => "",
        data: new Uint8Array(0),
        ...message
      })
    const place = (revision: number, inConsumer: number, pending: number) =>
      `$JS.ACK.KV_b.c.1.${revision}.${inConsumer}.1000000.${pending}`
    return {
      settings,
      push,
      value: (revision, inConsumer, pending = 0, key = `k${revision}`) =>
        push({ subject: `$KV.b.${key}`, reply: place(revision, inConsumer, pending) }),
      tombstone: (revision, inConsumer, pending, key) =>
        push({
          subject: `$KV.b.${key}`,
          reply: place(revision, inConsumer, pending),
          header: (name) => name === "KV-Operation" ? "DEL" : ""
        }),
      heartbeat: (last, stalled = "") =>
        push({
          status: 100,
          header: (name) => name === "Nats-Last-Consumer" ? `${last}` : name === "Nats-Consumer-Stalled" ? stalled : ""
        })
    }
  }

  const js: JetStream = {
    port: {
      isConnected: () => true,
      isClosed: () => state.closed,
      server: unused,
      inbox: () => `_INBOX.${inboxes.size}`,
      publish: (subject) => acknowledged.push(subject),
      subscribe: (subject, onMessage) => {
        inboxes.set(subject, onMessage)
        return () => inboxes.set(subject, () => undefined)
      },
      onLink: (listener) => {
        links.add(listener)
        return () => links.delete(listener)
      },
      release: unused
    },
    publish: unused,
    lastMessage: unused,
    lastMessages: unused,
    streamInfo: unused,
    createStream: unused,
    purgeSubject: unused,
    updateStream: unused,
    subjects: () =>
      Effect.sync(() => {
        state.comparisons++
        return { names: state.present.map((key) => `$KV.b.${key}`), meanSize: 0 }
      }),
    createConsumer: (_stream, settings) =>
      Effect.sync(() => {
        consumers.push(makeConsumer(settings))
        return state.pending
      }),
    deleteConsumer: (_stream, name) => Effect.sync(() => deleted.push(name))
  }
  const tell = (event: LinkEvent) => [...links].forEach((listener) => listener(event))
  return { js, stream, consumers, deleted, acknowledged, state, links, tell }
}

type Server = ReturnType<typeof makeServer>

const shown = (event: BackendEvent): string => {
  switch (event._tag) {
    case "Ready":
      return "ready"
    case "Gone":
      return `${event.reason} ${event.key}@${event.revision}`
    case "Message":
      return event.message.operation === "put" ? event.message.key : `${event.message.operation} ${event.message.key}`
  }
}

/** A watch of that server: what it has given so far, in words, and why it began again. */
const startWatch = Effect.fnUntraced(function*(
  server: Server,
  from: Follow = "snapshot",
  pause: Effect.Effect<void> = Effect.void
) {
  const words: Array<string> = []
  const restarts: Array<string> = []
  const fiber = yield* follow({
    js: server.js,
    stream: "KV_b",
    prefix: "$KV.b.",
    filter: ">",
    from,
    purpose: "watch",
    timeout: 1000,
    silentRemoval: "expire",
    info: Effect.suspend(() =>
      server.state.infoFails === undefined
        ? Effect.succeed({ ...server.stream, config: {}, ts: undefined, messages: 0, bytes: 0 })
        : Effect.fail(server.state.infoFails)
    ),
    read: (request) => Effect.mapError(request, () => new Unavailable({ problem: "not connected" })),
    saw: () => undefined,
    onRestart: (cause) => Effect.sync(() => restarts.push(cause))
  }).pipe(
    Stream.runForEach((event) => {
      words.push(shown(event))
      return pause
    }),
    Effect.forkScoped
  )
  yield* settle
  return { words, fiber, restarts }
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

/** Seconds pass, and the consumer beats, which has no more to say. */
const keepAlive = Effect.fnUntraced(function*(consumer: FakeConsumer, last: number, seconds: number) {
  for (let beat = 0; beat < seconds; beat++) {
    yield* TestClock.adjust("1 second")
    consumer.heartbeat(last)
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

  it.effect("takes a consumer that misses two heartbeats for dead, and one that beats for alive", () =>
    Effect.gen(function*() {
      const server = makeServer()
      yield* startWatch(server)
      for (let beat = 0; beat < 10; beat++) {
        yield* pass(1000)
        server.consumers[0]!.heartbeat(0)
      }
      assert.strictEqual(server.consumers.length, 1)
      yield* pass(2150)
      assert.strictEqual(server.consumers.length, 1)
      yield* pass(150)
      assert.strictEqual(server.consumers.length, 2)
    }))

  it.effect("begins with a snapshot again where it was lost before it was ready, and gives nothing twice", () =>
    Effect.gen(function*() {
      const server = makeServer()
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
      assert.deepStrictEqual(words, ["k50", "k60", "k70", "ready"])
    }))

  const anew: ReadonlyArray<
    readonly [how: string, change: (stream: { created: string; lastRevision: number }) => void]
  > = [
    ["was made anew", (stream) => Object.assign(stream, { created: "2026-11-02T00:00:00Z", lastRevision: 200 })],
    ["was rolled back", (stream) => Object.assign(stream, { lastRevision: 90 })]
  ]

  for (const [how, change] of anew) {
    it.effect(`tells of what is gone, gives the snapshot, and is ready again, when the stream ${how}`, () =>
      Effect.gen(function*() {
        const server = makeServer()
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
        // Revisions of another stream say nothing about those of this one.
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

  it.effect("a key that the new stream loses before its turn is told to be gone before the watch is ready again", () =>
    Effect.gen(function*() {
      const server = makeServer()
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

  it.effect("tells of keys that went without a message while nobody listened, once it has caught up", () =>
    Effect.gen(function*() {
      const server = makeServer()
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

  it.effect("a key that was deleted while a snapshot had to begin again is told to be gone, one never given is not", () =>
    Effect.gen(function*() {
      const server = makeServer()
      server.state.pending = 3
      const { words } = yield* startWatch(server)
      server.consumers[0]!.value(50, 1, 2, "a")
      server.consumers[0]!.value(51, 2, 1, "b")
      yield* settle
      server.state.present = ["a", "x"]
      server.state.pending = 2
      yield* pass(3000)
      server.consumers[1]!.tombstone(90, 1, 1, "a")
      server.consumers[1]!.tombstone(91, 2, 0, "x")
      yield* settle
      assert.deepStrictEqual(words, ["a", "b", "delete a", "expire b@51", "ready"])
    }))

  it.effect("compares nothing where it has given nothing", () =>
    Effect.gen(function*() {
      const server = makeServer()
      yield* startWatch(server)
      yield* pass(3000)
      assert.deepStrictEqual([server.consumers.length, server.state.comparisons], [2, 0])
    }))

  it.effect("asks for another consumer as soon as the link is back", () =>
    Effect.gen(function*() {
      const server = makeServer()
      const { restarts } = yield* startWatch(server)
      server.tell({ _tag: "Disconnected" })
      yield* settle
      assert.strictEqual(server.consumers.length, 1)
      server.tell({ _tag: "Connected" })
      yield* pass(100)
      assert.deepStrictEqual([server.consumers.length, restarts], [2, ["link"]])
    }))

  it.effect("does not wait out a pause between two attempts when the link is back", () =>
    Effect.gen(function*() {
      const server = makeServer()
      server.state.infoFails = new Unavailable({ problem: "not connected" })
      const { words } = yield* startWatch(server)
      yield* pass(10_000)
      server.state.infoFails = undefined
      server.tell({ _tag: "Connected" })
      yield* pass(100)
      assert.deepStrictEqual(words, ["ready"])
    }))

  it.effect("ends with Unavailable when the connection is closed for good, now or before it began", () =>
    Effect.gen(function*() {
      const server = makeServer()
      const before = yield* startWatch(server)
      server.state.closed = true
      server.tell({ _tag: "Closed" })
      const after = yield* startWatch(server)
      for (const { fiber } of [before, after]) {
        const failure = yield* Effect.flip(Fiber.join(fiber))
        assert.deepStrictEqual([failure._tag, failure.message.includes("closed")], ["Unavailable", true])
      }
      assert.strictEqual(server.links.size, 0)
    }))

  it.effect("of updates only, tells of what is gone and gives all there is before it is ready again on a new stream", () =>
    Effect.gen(function*() {
      const server = makeServer()
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

  it.effect("of updates only, waits for what is pending before it says that a key is gone without a message", () =>
    Effect.gen(function*() {
      const server = makeServer()
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

  it.effect("ends with PermissionDenied where it may not listen to its own consumer", () =>
    Effect.gen(function*() {
      const server = makeServer()
      const { fiber } = yield* startWatch(server)
      const subject = server.consumers[0]!.settings.deliver_subject
      server.tell({ _tag: "Denied", operation: "subscription", subject })
      yield* settle
      const failure = yield* Effect.flip(Fiber.join(fiber))
      assert.deepStrictEqual([failure._tag, failure.message.includes(subject)], ["PermissionDenied", true])
    }))

  it.effect("looks for what has gone while its reader kept it waiting, for that may have outlasted a marker", () =>
    Effect.gen(function*() {
      const server = makeServer()
      const { words } = yield* startWatch(server, "snapshot", Effect.sleep("2 millis"))
      const { value } = server.consumers[0]!
      for (let n = 1; n <= 300; n++) value(100 + n, n, n === 300 ? 0 : 1, n === 1 ? "a" : `k${n}`)
      yield* pass(1500)
      assert.strictEqual(server.state.comparisons, 0)
      const slow = yield* startWatch(server, "snapshot", Effect.sleep("1 second"))
      for (let n = 1; n <= 300; n++) server.consumers[1]!.value(100 + n, n, n === 300 ? 0 : 1, n === 1 ? "a" : "b")
      server.state.present = ["b"]
      yield* keepAlive(server.consumers[1]!, 300, 302)
      assert.strictEqual(slow.words.at(-1), "expire a@101")
      assert.notInclude(words, "expire a@101")
    }))

  it.effect("after a long life a consumer that ends is followed as soon as after a short one", () =>
    Effect.gen(function*() {
      const server = makeServer()
      yield* startWatch(server)
      for (let ended = 1; ended <= 12; ended++) {
        server.consumers.at(-1)!.heartbeat(7)
        yield* pass(150)
        assert.strictEqual(server.consumers.length, ended + 1)
      }
    }))

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
