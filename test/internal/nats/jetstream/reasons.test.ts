/** The reasons for the failures that servers and clients report. */
import { assert, describe, it } from "@effect/vitest"
import type { AccountLimits, StreamInfo } from "../../../../src/internal/nats/jetstream/api.ts"
import { ApiAccess } from "../../../../src/internal/nats/jetstream/apiAccess.ts"
import {
  asNotEnabled,
  fullScope,
  isReservation,
  notConnected,
  openingReason,
  readReason,
  reservationScope,
  unanswered,
  writeReason
} from "../../../../src/internal/nats/jetstream/reasons.ts"
import type { Outage } from "../../../../src/internal/nats/port.ts"
import type { PortFailure } from "../../../../src/internal/nats/port.ts"
import { KVStoreError, StorageFull } from "../../../../src/KVStoreError.ts"
import { append } from "../../../support/appends.ts"

describe("a failure", () => {
  const api = (code: number, description = "of the server"): PortFailure => ({ _tag: "Api", code, description })
  const conditioned = append("put", { key: "a.b", revision: 7 })

  const cases: ReadonlyArray<
    readonly [what: string, failure: PortFailure, read: string, write: string, conditioned: string]
  > = [
    ["10059, no such stream", api(10059), "BucketNotFound", "BucketNotFound", "BucketNotFound"],
    ["10008, a cluster without a leader", api(10008), "Unavailable", "Unavailable", "Unavailable"],
    ["10002, the account's resources", api(10002), "StorageFull", "StorageFull", "StorageFull"],
    ["10023, the server's resources", api(10023), "StorageFull", "StorageFull", "StorageFull"],
    ["10028, the server's memory", api(10028), "StorageFull", "StorageFull", "StorageFull"],
    ["10039, an account without JetStream", api(10039), "Rejected", "Rejected", "Rejected"],
    ["10076, a server without JetStream", api(10076), "Rejected", "Rejected", "Rejected"],
    ["10047, no storage", api(10047), "StorageFull", "StorageFull", "StorageFull"],
    ["10077, maximum bytes", api(10077), "StorageFull", "StorageFull", "StorageFull"],
    ["10054, too large", api(10054), "Rejected", "ValueTooLarge", "ValueTooLarge"],
    ["10071, a wrong sequence", api(10071), "Rejected", "Rejected", "RevisionMismatch"],
    ["10164, a wrong sequence without its number", api(10164), "Rejected", "Rejected", "RevisionMismatch"],
    ["10058, the stream exists", api(10058), "Rejected", "Rejected", "Rejected"],
    ["10026, too many consumers", api(10026), "Rejected", "Rejected", "Rejected"],
    ["an unknown code", api(19999), "Rejected", "Rejected", "Rejected"],
    [
      "a denied permission",
      { _tag: "Denied", subject: "$KV.b.a" },
      "PermissionDenied",
      "PermissionDenied",
      "PermissionDenied"
    ],
    [
      "a permission denied for the answer",
      { _tag: "Denied", subject: "_INBOX.x.*", wasSent: true },
      "PermissionDenied",
      "OutcomeUnknown",
      "OutcomeUnknown"
    ],
    ["no responders", { _tag: "NoResponders" }, "Unavailable", "Unavailable", "Unavailable"],
    [
      "a request above max_payload",
      { _tag: "TooLarge", size: 600, limit: 512 },
      "InvalidConfig",
      "ValueTooLarge",
      "ValueTooLarge"
    ],
    ["a request not sent", { _tag: "NotSent", problem: "closed" }, "Unavailable", "Unavailable", "Unavailable"],
    ["a timeout", { _tag: "Timeout" }, "Unavailable", "OutcomeUnknown", "OutcomeUnknown"],
    [
      "a lost connection",
      { _tag: "ConnectionLost", problem: "reset" },
      "Unavailable",
      "OutcomeUnknown",
      "OutcomeUnknown"
    ]
  ]

  for (const [what, failure, read, write, underCondition] of cases) {
    it(`(${what}) is ${read} for a read and ${write} for a write`, () => {
      assert.strictEqual(readReason(failure)._tag, read)
      assert.strictEqual(writeReason(failure, append("put"))._tag, write)
      assert.strictEqual(writeReason(failure, append("delete"))._tag, write)
      assert.strictEqual(writeReason(failure, conditioned)._tag, underCondition)
    })
  }

  it("of a condition has the expected revision, and the actual one if the server reports it", () => {
    const reason = (failure: PortFailure) => {
      const reason = writeReason(failure, conditioned)
      return reason._tag === "RevisionMismatch" ? [reason.expected, reason.actual] : assert.fail(reason._tag)
    }
    assert.deepStrictEqual(reason(api(10071, "wrong last sequence: 1795000000000007")), [7, 1_795_000_000_000_007])
    assert.deepStrictEqual(reason(api(10071, "wrong last sequence: 0")), [7, 0])
    assert.deepStrictEqual(reason(api(10071, "wrong last sequence")), [7, undefined])
    assert.deepStrictEqual(reason(api(10164, "wrong last sequence")), [7, undefined])
  })

  it("is classified by its code, not by its text", () => {
    assert.strictEqual(readReason(api(10059, "wrong last sequence: 7"))._tag, "BucketNotFound")
    assert.strictEqual(writeReason(api(19999, "wrong last sequence: 7"), conditioned)._tag, "Rejected")
  })

  it("is retryable only if it is Unavailable", () => {
    const isRetryable = (reason: ReturnType<typeof readReason>) =>
      new KVStoreError({ bucket: "b", operation: "put", key: "a.b", reason }).isRetryable
    for (const [, failure, read, write] of cases) {
      assert.strictEqual(isRetryable(readReason(failure)), read === "Unavailable")
      assert.strictEqual(isRetryable(writeReason(failure, append("put"))), write === "Unavailable")
    }
  })

  it("of a full store has the scope of its code, and its message names the remedy", () => {
    const scopes = [
      [10077, "bucket", "maxBytes"],
      [10002, "account", "limit"],
      [10023, "server", "on the server"],
      [10028, "server", "on the server"],
      [10047, "server", "on the server"]
    ] as const
    for (const [code, scope, remedy] of scopes) {
      for (const reason of [readReason(api(code)), writeReason(api(code), append("put"))]) {
        assert.isTrue(reason._tag === "StorageFull" && reason.scope === scope && reason.code === code, String(code))
        assert.include(reason.message, remedy)
      }
    }
  })

  it("of a server or account without JetStream is not retryable, and its message does not advise a retry", () => {
    for (const [code, words] of [[10039, "this account has no JetStream"], [10076, "without JetStream"]] as const) {
      const reason = readReason(api(code, "jetstream not enabled"))
      const opening = openingReason(reason)
      assert.strictEqual(opening._tag, "InvalidConfig")
      for (const word of ["jetstream not enabled", words, String(code)]) assert.include(opening.message, word)
      assert.isTrue(reason._tag === "Rejected" && reason.code === code)
      assert.isFalse(reason.isRetryable)
      for (const word of ["jetstream not enabled", words, String(code)]) assert.include(reason.message, word)
      assert.notInclude(reason.message, "try again")
    }
  })

  it("has the error that the client reported as its cause, and no cause otherwise", () => {
    const cause = new Error("reported by the client")
    const failures: ReadonlyArray<PortFailure> = [
      { _tag: "NotSent", problem: "draining" },
      { _tag: "ConnectionLost", problem: "the connection was lost" },
      { _tag: "Denied", subject: "$KV.b.a" }
    ]
    for (const failure of failures) {
      for (const read of [readReason, (failure: PortFailure) => writeReason(failure, append("put"))]) {
        assert.propertyVal(read({ ...failure, cause } as PortFailure), "cause", cause, failure._tag)
        assert.notProperty(read(failure), "cause", failure._tag)
      }
    }
  })

  it("keeps the codes and descriptions of the server", () => {
    const full = readReason(api(10077, "maximum bytes exceeded"))
    assert.isTrue(full._tag === "StorageFull" && full.code === 10077)
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

describe("a server that does not answer", () => {
  const server = (jetstream: boolean, cluster?: string) => ({ version: "2.15.1", maxPayload: 1, jetstream, cluster })
  const none: PortFailure = { _tag: "NoResponders" }
  const own = new ApiAccess()
  const foreign = new ApiAccess({ domain: "hub" })

  it("at opening has no JetStream, if its INFO says so and no other server can answer for it", () => {
    assert.deepStrictEqual(asNotEnabled(none, server(false), own), {
      _tag: "Api",
      code: 10_076,
      description: "JetStream not enabled"
    })
    for (const other of [server(true), server(false, "lab"), server(true, "lab")]) {
      assert.strictEqual(asNotEnabled(none, other, own), none)
    }
    assert.strictEqual(asNotEnabled(none, server(false), foreign), none)
    const timeout: PortFailure = { _tag: "Timeout" }
    assert.strictEqual(asNotEnabled(timeout, server(false), own), timeout)
  })

  it("later is unavailable, and its INFO decides the text", () => {
    assert.include(unanswered(server(false), own).message, "the server has no JetStream; start it with --jetstream")
    assert.include(unanswered(server(false, "lab"), own).message, "no other server answers for it (cluster lab)")
    assert.include(unanswered(server(true), own).message, "see its log")
    assert.include(unanswered(server(false), foreign).message, "no responders for $JS.hub.API: ")
  })

  it("for other reasons is not a mistake of the configuration", () => {
    for (const code of [10_059, 10_026, 10_047]) {
      const reason = readReason({ _tag: "Api", code, description: "of the server" })
      assert.strictEqual(openingReason(reason), reason)
    }
  })
})

describe("an operation without a connection", () => {
  it("has the known causes, and the last error", () => {
    const down = (outage: Outage | undefined) => ({ isClosed: () => false, outage: () => outage })
    assert.strictEqual(notConnected(down(undefined)).problem, "not connected")
    assert.notProperty(notConnected(down(undefined)), "cause")
    const cause = new Error("refused")
    const reason = notConnected(down({ problem: "a:1: connection refused", cause }))
    assert.deepStrictEqual([reason.problem, reason.cause], ["not connected; a:1: connection refused", cause])
  })
})

describe("full storage", () => {
  const info = (config: StreamInfo["config"], bytes: number, messages = 1): StreamInfo => ({
    config,
    created: "2026-11-01T00:00:00Z",
    ts: undefined,
    messages,
    bytes,
    lastRevision: 1,
    deleted: 0,
    hasLeader: true
  })

  it("is the bucket's if the value does not fit below its limits, and otherwise the server's", () => {
    const cases: ReadonlyArray<readonly [StreamInfo, number, StorageFull["scope"]]> = [
      [info({ max_bytes: -1 }, 1_000_000), 50_000, "server"],
      [info({}, 1_000_000), 50_000, "server"],
      [info({ max_bytes: 100_000 }, 90_000), 50_000, "bucket"],
      [info({ max_bytes: 100_000 }, 98_000), 0, "bucket"],
      [info({ max_bytes: 1_000_000 }, 90_000), 50_000, "server"],
      [info({ max_bytes: -1, max_msgs: 10 }, 100, 10), 1, "bucket"],
      [info({ max_bytes: -1, max_msgs: 10 }, 100, 9), 1, "server"],
      [info({ max_bytes: -1, max_msgs: -1 }, 100, 9), 1, "server"],
      [info({ discard_new_per_subject: true }, 100), 1, "bucket"]
    ]
    for (const [stream, size, scope] of cases) assert.strictEqual(fullScope(stream, size), scope)
  })

  it("of a new bucket is the account's if maxBytes exceeds the space left within the account's limit", () => {
    const account = (max_storage: number, reserved_storage: number): AccountLimits => ({
      reserved_storage,
      reserved_memory: 0,
      limits: { max_storage, max_memory: 50 }
    })
    const stream = (max_bytes: number, num_replicas = 1, storage: "file" | "memory" = "file") => ({
      max_bytes,
      num_replicas,
      storage
    })
    const cases: ReadonlyArray<readonly [AccountLimits, ReturnType<typeof stream>, StorageFull["scope"]]> = [
      [account(100, 60), stream(41), "account"],
      [account(100, 60), stream(40), "server"],
      [account(100, 0), stream(40, 3), "account"],
      [account(100, 0), stream(33, 3), "server"],
      // Without a limit a server before 2.11 returns a negative number as a large one.
      [account(-1, 2 ** 64), stream(40), "server"],
      [account(-1, 0), stream(51, 1, "memory"), "account"],
      [account(10, 0), stream(50, 1, "memory"), "server"],
      [{ ...account(0, 0), tiers: { R3: account(100, 0) } }, stream(40, 3), "server"],
      [{ ...account(0, 0), tiers: { R3: account(100, 0) } }, stream(101, 3), "account"]
    ]
    for (const [limits, settings, scope] of cases) assert.strictEqual(reservationScope(limits, settings), scope)
  })

  it("of a new bucket has other advice than that of a write", () => {
    for (const scope of ["account", "server"] as const) {
      for (const code of [10_028, 10_047]) {
        const full = new StorageFull({ scope, code, description: "insufficient storage resources available" })
        assert.isTrue(isReservation(full))
        for (const word of ["choose a smaller maxBytes", `the ${scope} has not enough space`, `${code}`]) {
          assert.include(full.message, word)
        }
      }
      assert.isFalse(isReservation(new StorageFull({ scope, code: 10_023, description: "insufficient resources" })))
    }
  })
})
