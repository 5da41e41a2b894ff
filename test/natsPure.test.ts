/** What the NATS backend decides without a server: subjects and headers, configurations compared, codes told apart, and the store's time. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { Append, Condition, Follow, Operation } from "../src/internal/kv/backend.ts"
import * as revisions from "../src/internal/kv/revisions.ts"
import { follow } from "../src/internal/nats/follow.ts"
import { fromPushed, fromStored, headersFor, placeOf } from "../src/internal/nats/messages.ts"
import type {
  ConsumerSettings,
  NatsPort,
  PortFailure,
  PushedMessage,
  StreamSettings
} from "../src/internal/nats/port.ts"
import { readReason, writeReason } from "../src/internal/nats/reasons.ts"
import * as storeClock from "../src/internal/nats/storeClock.ts"
import { differences, hasMarkers, settingsFor, streamName, subjectPrefix } from "../src/internal/nats/stream.ts"
import * as Config from "../src/KVStoreConfig.ts"
import { BucketNotFound, KVStoreError, type KVStoreReason, Unavailable } from "../src/KVStoreError.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const append = (operation: Append["operation"], condition?: Condition): Append => ({
  key: "a.b",
  operation,
  value: bytes("12345"),
  condition
})

// -----------------------------------------------------------------------------
// messages.ts
// -----------------------------------------------------------------------------

describe("a pushed message's place", () => {
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

  it("is none in any other reply subject", () => {
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

  it("has the time to the millisecond, which nanoseconds in a number would not", () => {
    const at = (nanos: string) => placeOf(`$JS.ACK.s.c.1.1.1.${nanos}.0`)!.created
    assert.strictEqual(at("1795000000123999999"), 1_795_000_000_123)
    assert.strictEqual(at("1795000000124000000"), 1_795_000_000_124)
  })
})

describe("the headers of a write", () => {
  const subjectOf = (key: string) => `$KV.b.${key}`
  const expected = "Nats-Expected-Last-Subject-Sequence"

  const cases: ReadonlyArray<readonly [what: string, message: Append, headers: ReturnType<typeof headersFor>]> = [
    ["a put has none", append("put"), []],
    ["a delete says so", append("delete"), [["KV-Operation", "DEL"]]],
    ["a purge rolls up its key", append("purge"), [["KV-Operation", "PURGE"], ["Nats-Rollup", "sub"]]],
    ["a condition is a number", append("put", { key: "a.b", revision: 7 }), [[expected, "7"]]],
    ["0 is a condition too", append("put", { key: "a.b", revision: 0 }), [[expected, "0"]]],
    [
      "a large number has no exponent",
      append("put", { key: "a.b", revision: 1_795_000_000_000_007 }),
      [[expected, "1795000000000007"]]
    ],
    [
      "a condition on another key names its subject",
      append("put", { key: "guard", revision: 7 }),
      [[expected, "7"], ["Nats-Expected-Last-Subject-Sequence-Subject", "$KV.b.guard"]]
    ],
    [
      "a delete and a purge take conditions",
      append("purge", { key: "a.b", revision: 7 }),
      [["KV-Operation", "PURGE"], ["Nats-Rollup", "sub"], [expected, "7"]]
    ]
  ]

  for (const [what, message, headers] of cases) {
    it(what, () => {
      assert.deepStrictEqual(headersFor(message, subjectOf), headers)
    })
  }

  it("never have a message id: a reused one would answer an old success, and write nothing", () => {
    for (const [, message] of cases) {
      assert.notInclude(headersFor(message, subjectOf).map(([name]) => name), "Nats-Msg-Id")
    }
  })
})

describe("a message of the server", () => {
  const cases: ReadonlyArray<readonly [headers: Record<string, string>, operation: Operation]> = [
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
      const pushed = { subject: "$KV.b.a.b", reply: undefined, status: 0, header, data }
      const place = { streamSequence: 7, consumerSequence: 1, created: 5, pending: 0 }
      assert.deepStrictEqual(fromPushed(pushed, place, "$KV.b."), expected)
    })
  }
})

// -----------------------------------------------------------------------------
// stream.ts
// -----------------------------------------------------------------------------

const settings = (options: Partial<Config.Options> = {}) =>
  Effect.map(Config.make({ bucket: "b", ...options }), (config) => settingsFor(config, 7))

describe("a bucket's stream", () => {
  it.effect("is the one that every client knows, with what a bucket needs", () =>
    Effect.gen(function*() {
      assert.strictEqual(streamName("b"), "KV_b")
      assert.strictEqual(subjectPrefix("b"), "$KV.b.")
      assert.deepStrictEqual<StreamSettings>(yield* settings(), {
        name: "KV_b",
        subjects: ["$KV.b.>"],
        max_msgs_per_subject: 1,
        max_msg_size: 1024 * 1024 + 2048,
        max_bytes: -1,
        max_age: 0,
        max_consumers: 100_000,
        storage: "file",
        num_replicas: 1,
        discard: "new",
        duplicate_window: 120_000_000_000,
        allow_direct: true,
        allow_rollup_hdrs: true,
        deny_delete: true,
        deny_purge: false,
        allow_msg_ttl: false,
        subject_delete_marker_ttl: 0,
        first_seq: 7
      })
    }))

  it.effect("has its times in nanoseconds, and a duplicate window that is no longer than its age", () =>
    Effect.gen(function*() {
      const aged = yield* settings({ streamMaxAge: "5 seconds", expiryMarkers: "2 seconds" })
      assert.deepStrictEqual(
        [aged.max_age, aged.duplicate_window, aged.subject_delete_marker_ttl, aged.allow_msg_ttl],
        [5_000_000_000, 5_000_000_000, 2_000_000_000, true]
      )
      assert.strictEqual((yield* settings({ streamMaxAge: "1 hour" })).duplicate_window, 120_000_000_000)
    }))
})

describe("the differences of two configurations", () => {
  it.effect("are none where nothing differs that a configuration speaks of", () =>
    Effect.gen(function*() {
      const wanted = yield* settings()
      const others = {
        first_seq: 99,
        max_consumers: -1,
        duplicate_window: 1,
        allow_direct: false,
        discard: "old"
      } as const
      assert.deepStrictEqual(differences(wanted, { ...wanted, ...others }), { list: [], update: {} })
    }))

  it.effect("are none where an older server leaves out what is off", () =>
    Effect.gen(function*() {
      const wanted = yield* settings()
      const off = new Set(["max_age", "subject_delete_marker_ttl"])
      const found = Object.fromEntries(Object.entries(wanted).filter(([name]) => !off.has(name)))
      assert.deepStrictEqual(differences(wanted, found).list, [])
    }))

  const cases: ReadonlyArray<
    readonly [Partial<Config.Options>, { setting: string; expected: string; actual: string }, Partial<StreamSettings>]
  > = [
    [{ historySize: 3 }, { setting: "historySize", expected: "3", actual: "1" }, { max_msgs_per_subject: 3 }],
    [
      { maxValueSize: 1000 },
      { setting: "maxValueSize", expected: "1000", actual: "1048576" },
      { max_msg_size: 3048 }
    ],
    [{ maxBytes: 5000 }, { setting: "maxBytes", expected: "5000", actual: "unlimited" }, { max_bytes: 5000 }],
    [
      { streamMaxAge: "90 seconds" },
      { setting: "streamMaxAge", expected: "1m 30s", actual: "none" },
      { max_age: 90_000_000_000, duplicate_window: 90_000_000_000 }
    ],
    [
      { expiryMarkers: "2 seconds" },
      { setting: "expiryMarkers", expected: "2s", actual: "none" },
      { subject_delete_marker_ttl: 2_000_000_000, allow_msg_ttl: true }
    ],
    [{ storage: "memory" }, { setting: "storage", expected: "memory", actual: "file" }, { storage: "memory" }],
    [{ replicas: 3 }, { setting: "replicas", expected: "3", actual: "1" }, { num_replicas: 3 }]
  ]

  for (const [options, difference, update] of cases) {
    it.effect(`name ${difference.setting}, what was asked for and what is there, and what to send`, () =>
      Effect.gen(function*() {
        const found = yield* settings()
        const wanted = yield* settings(options)
        assert.deepStrictEqual(differences(wanted, found), { list: [difference], update })
        const back = differences(found, wanted).list
        assert.deepStrictEqual(back, [{ ...difference, expected: difference.actual, actual: difference.expected }])
      }))
  }

  it.effect("name what a purge needs", () =>
    Effect.gen(function*() {
      const wanted = yield* settings()
      const { list, update } = differences(wanted, { ...wanted, allow_rollup_hdrs: false })
      assert.deepStrictEqual(list, [{ setting: "rollups (needed for purge)", expected: "true", actual: "false" }])
      assert.deepStrictEqual(update, { allow_rollup_hdrs: true })
    }))
})

describe("markers", () => {
  const versions: ReadonlyArray<readonly [version: string, has: boolean]> = [
    ["2.9.10", false],
    ["2.10.0", false],
    ["2.10.27", false],
    ["2.11.0", true],
    ["2.11.0-preview.2", true],
    ["2.15.1", true],
    ["2.100.0", true],
    ["3.0.0", true],
    ["10.2.0", true],
    ["1.99.0", false],
    ["2", false],
    ["", false],
    ["unknown", false]
  ]
  for (const [version, has] of versions) {
    it(`are ${has ? "" : "not "}to be had of a server of version "${version}"`, () => {
      assert.strictEqual(hasMarkers(version), has)
    })
  }
})

// -----------------------------------------------------------------------------
// reasons.ts
// -----------------------------------------------------------------------------

describe("a failure", () => {
  const api = (code: number, description = "said the server"): PortFailure => ({ _tag: "Api", code, description })
  const conditioned = append("put", { key: "a.b", revision: 7 })

  const cases: ReadonlyArray<
    readonly [what: string, failure: PortFailure, read: string, write: string, conditioned: string]
  > = [
    ["10059, no such stream", api(10059), "BucketNotFound", "BucketNotFound", "BucketNotFound"],
    ["10008, a cluster without a leader", api(10008), "Unavailable", "Unavailable", "Unavailable"],
    ["10002, the account's resources", api(10002), "BucketFull", "BucketFull", "BucketFull"],
    ["10023, the server's resources", api(10023), "BucketFull", "BucketFull", "BucketFull"],
    ["10047, no storage", api(10047), "BucketFull", "BucketFull", "BucketFull"],
    ["10077, maximum bytes", api(10077), "BucketFull", "BucketFull", "BucketFull"],
    ["10054, too large", api(10054), "Rejected", "ValueTooLarge", "ValueTooLarge"],
    ["10071, a wrong sequence", api(10071), "Rejected", "Rejected", "RevisionMismatch"],
    ["10164, a wrong sequence without its number", api(10164), "Rejected", "Rejected", "RevisionMismatch"],
    ["10058, the stream exists", api(10058), "Rejected", "Rejected", "Rejected"],
    ["10026, too many consumers", api(10026), "Rejected", "Rejected", "Rejected"],
    ["a code that nobody knows", api(19999), "Rejected", "Rejected", "Rejected"],
    [
      "a denied permission",
      { _tag: "Denied", subject: "$KV.b.a" },
      "PermissionDenied",
      "PermissionDenied",
      "PermissionDenied"
    ],
    ["nobody there", { _tag: "NoResponders" }, "Unavailable", "Unavailable", "Unavailable"],
    ["what was held back", { _tag: "NotSent", problem: "closed" }, "Unavailable", "Unavailable", "Unavailable"],
    ["silence", { _tag: "Timeout" }, "Unavailable", "OutcomeUnknown", "OutcomeUnknown"],
    [
      "a lost connection",
      { _tag: "ConnectionLost", problem: "reset" },
      "Unavailable",
      "OutcomeUnknown",
      "OutcomeUnknown"
    ]
  ]

  for (const [what, failure, read, write, underCondition] of cases) {
    it(`by ${what} is ${read} for a read and ${write} for a write`, () => {
      assert.strictEqual(readReason(failure)._tag, read)
      assert.strictEqual(writeReason(failure, append("put"))._tag, write)
      assert.strictEqual(writeReason(failure, append("delete"))._tag, write)
      assert.strictEqual(writeReason(failure, conditioned)._tag, underCondition)
    })
  }

  it("of a condition has the number that was expected, and the one that was there where the server says it", () => {
    const reason = (failure: PortFailure) => {
      const reason = writeReason(failure, conditioned)
      return reason._tag === "RevisionMismatch" ? [reason.expected, reason.actual] : assert.fail(reason._tag)
    }
    assert.deepStrictEqual(reason(api(10071, "wrong last sequence: 1795000000000007")), [7, 1_795_000_000_000_007])
    assert.deepStrictEqual(reason(api(10071, "wrong last sequence: 0")), [7, 0])
    assert.deepStrictEqual(reason(api(10071, "wrong last sequence")), [7, undefined])
    assert.deepStrictEqual(reason(api(10164, "wrong last sequence")), [7, undefined])
  })

  it("is decided by its code, whatever its text", () => {
    assert.strictEqual(readReason(api(10059, "wrong last sequence: 7"))._tag, "BucketNotFound")
    assert.strictEqual(writeReason(api(19999, "wrong last sequence: 7"), conditioned)._tag, "Rejected")
  })

  it("is worth another attempt where nothing was written and nothing was decided, and nowhere else", () => {
    const isRetryable = (reason: ReturnType<typeof readReason>) =>
      new KVStoreError({ bucket: "b", operation: "put", key: "a.b", reason }).isRetryable
    for (const [, failure, read, write] of cases) {
      assert.strictEqual(isRetryable(readReason(failure)), read === "Unavailable")
      assert.strictEqual(isRetryable(writeReason(failure, append("put"))), write === "Unavailable")
    }
  })

  it("keeps the server's numbers and words", () => {
    const full = readReason(api(10077, "maximum bytes exceeded"))
    assert.isTrue(full._tag === "BucketFull" && full.code === 10077)
    assert.include(full.message, "maximum bytes exceeded")
    const rejected = readReason(api(10026, "maximum consumers limit reached"))
    assert.isTrue(rejected._tag === "Rejected" && rejected.code === 10026)
    assert.include(rejected.message, "maximum consumers limit reached")
    const large = writeReason(api(10054), append("put"))
    assert.isTrue(large._tag === "ValueTooLarge" && large.size === 5)
    const denied = readReason({ _tag: "Denied", subject: "$KV.b.a" })
    assert.include(denied.message, "$KV.b.a")
  })
})

// -----------------------------------------------------------------------------
// follow.ts
// -----------------------------------------------------------------------------

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

// -----------------------------------------------------------------------------
// storeClock.ts
// -----------------------------------------------------------------------------

describe("the better of two readings", () => {
  const sample = (sent: number, roundTrip: number, serverTime: number) => ({
    serverTime,
    sent,
    received: sent + roundTrip
  })

  it("is the only one there is", () => {
    assert.deepStrictEqual(storeClock.better(undefined, sample(100, 10, 5000)), {
      offset: 4895,
      error: 5,
      takenAt: 110
    })
  })

  it("is the one with the shorter round trip", () => {
    const slow = storeClock.better(undefined, sample(100, 40, 5000))
    const quick = storeClock.better(slow, sample(200, 2, 5090))
    assert.deepStrictEqual(quick, { offset: 4889, error: 1, takenAt: 202 })
    assert.strictEqual(storeClock.better(quick, sample(300, 40, 5300)), quick)
  })

  it("is a new one with the same round trip", () => {
    const first = storeClock.better(undefined, sample(100, 10, 5000))
    assert.strictEqual(storeClock.better(first, sample(200, 10, 5100)).takenAt, 210)
  })

  it("is a slower one in the end: what is known gets worse with its age", () => {
    const quick = storeClock.better(undefined, sample(0, 2, 5000))
    const minute = 60_000
    assert.strictEqual(storeClock.better(quick, sample(minute, 70, 65_000)), quick)
    assert.notStrictEqual(storeClock.better(quick, sample(10 * minute, 70, 605_000)), quick)
  })

  it.effect.prop(
    "is off by no more than it says, whatever part of the round trip went by before the server looked at its clock",
    {
      samples: Schema.NonEmptyArray(Schema.Struct({
        pause: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5000 })),
        there: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })),
        back: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))
      })),
      offset: Schema.Int
    },
    ({ offset, samples }) =>
      Effect.sync(() => {
        let now = 0
        let known: storeClock.Reading | undefined
        for (const { back, pause, there } of samples) {
          const sent = now + pause
          now = sent + there + back
          known = storeClock.better(known, { serverTime: sent + there + offset, sent, received: now })
          assert.isAtMost(Math.abs(known.offset - offset), known.error)
        }
      })
  )
})

describe("the store's clock", () => {
  it.effect("reads the server's time, and goes on with the monotonic one", () =>
    Effect.gen(function*() {
      const clock = storeClock.make(yield* Clock.Clock, () => 1_795_000_000_000.25)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_001_500)
      assert.strictEqual(clock.currentTimeMillisUnsafe(), 1_795_000_001_500)
      assert.strictEqual(Number((yield* clock.currentTimeNanos) / 1_000_000n), 1_795_000_001_500)
      assert.strictEqual(clock.currentTimeNanosUnsafe(), yield* clock.currentTimeNanos)
    }))

  it.effect("is not moved by a step of the host's wall clock, back or forth", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_800_000_000_000)
      const host = yield* Clock.Clock
      const offset = 1_795_000_000_000 - Number(yield* Clock.monotonicTimeNanos) / 1_000_000
      const clock = storeClock.make(host, () => offset)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.setTime(1_700_000_000_000)
      assert.strictEqual(yield* Clock.currentTimeMillis, 1_700_000_000_000)
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_000_000)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* clock.currentTimeMillis, 1_795_000_002_000)
    }))

  it.effect("follows a better reading when there is one", () =>
    Effect.gen(function*() {
      let offset = 1000
      const clock = storeClock.make(yield* Clock.Clock, () => offset)
      assert.strictEqual(yield* clock.currentTimeMillis, 1000)
      offset = 1003
      assert.strictEqual(yield* clock.currentTimeMillis, 1003)
    }))

  it.effect("waits as the host does", () =>
    Effect.gen(function*() {
      const clock = storeClock.make(yield* Clock.Clock, () => 1_795_000_000_000)
      let woken = false
      yield* clock.sleep(Duration.seconds(1)).pipe(
        Effect.andThen(Effect.sync(() => {
          woken = true
        })),
        Effect.forkScoped
      )
      yield* TestClock.adjust("999 millis")
      assert.isFalse(woken)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(woken)
      assert.strictEqual(yield* clock.monotonicTimeNanos, yield* Clock.monotonicTimeNanos)
    }))
})

// -----------------------------------------------------------------------------
// revisions.ts
// -----------------------------------------------------------------------------

describe("the first revision of a new bucket", () => {
  it("is microseconds since 1970, and a number holds it exactly", () => {
    assert.strictEqual(revisions.firstRevision("natsPure-1", 1_795_000_000_000.7), 1_795_000_000_000_000)
    assert.isTrue(Number.isSafeInteger(revisions.firstRevision("natsPure-1", Date.UTC(2200, 1))))
  })

  it("is 1 at the beginning of time: 0 means that there is no message", () => {
    assert.strictEqual(revisions.firstRevision("natsPure-2", 0), 1)
  })

  it("is above every revision that was seen of a bucket of that name, and of no other", () => {
    revisions.saw("natsPure-3", 1_795_000_000_000_500)
    revisions.saw("natsPure-3", 17)
    assert.strictEqual(revisions.firstRevision("natsPure-3", 1_795_000_000_000), 1_795_000_000_000_501)
    assert.strictEqual(revisions.firstRevision("natsPure-3", 1_795_000_000_001), 1_795_000_000_001_000)
    assert.strictEqual(revisions.firstRevision("natsPure-4", 1_795_000_000_000), 1_795_000_000_000_000)
  })
})
