/** The decisions by the last STREAM.INFO, and which answers count. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as filters from "../../../../src/internal/filters.ts"
import {
  canBatch,
  canFilter,
  hasNoHistory,
  isNearestCurrent,
  isUndisturbed,
  LastSeen,
  type Seen,
  silentRemoval,
  whyNotGuarded
} from "../../../../src/internal/nats/bucket/seen.ts"
import type { StreamSettings } from "../../../../src/internal/nats/jetstream/api.ts"

const seen = (config: Partial<StreamSettings>, version: string | undefined = "2.15.1"): Seen => ({ config, version })

describe("the last STREAM.INFO", () => {
  const reads: ReadonlyArray<readonly [Partial<StreamSettings>, string | undefined, nearest: boolean, batch: boolean]> =
    [
      [{ allow_direct: true, num_replicas: 1 }, "2.15.1", true, true],
      [{ allow_direct: true }, "2.11.0", true, true],
      [{ allow_direct: true, num_replicas: 1 }, undefined, true, false],
      [{ allow_direct: true, num_replicas: 3 }, "2.15.1", false, true],
      [{ allow_direct: false, num_replicas: 1 }, "2.15.1", false, false],
      [{}, undefined, false, false]
    ]
  for (const [config, version, nearest, batch] of reads) {
    it(`decides where ${JSON.stringify(config)} of ${version ?? "a server before 2.11"} is read`, () => {
      assert.deepStrictEqual(
        [isNearestCurrent({ config, version }), canBatch({ config, version })],
        [nearest, batch]
      )
    })
  }

  it("decides whether a consumer can have several filters", () => {
    const two = Result.getOrThrow(filters.read(["a", "b"]))
    const can = (config: Partial<StreamSettings>, version?: string, maxPayload = 1_000_000) =>
      canFilter(two, { config, version }, { maxPayload, prefix: "$KV.b." })
    assert.isTrue(can({ num_replicas: 1 }, "2.15.1"))
    // A consumer of 2.10.27 with several filters loses messages, and servers between the two are not measured.
    for (const version of [undefined, "2.11.0", "2.14.9"]) assert.isFalse(can({ num_replicas: 1 }, version))
    // Another server of the cluster can have the consumer.
    assert.isFalse(can({ num_replicas: 3 }, "2.15.1"))
    assert.isFalse(can({ num_replicas: 1 }, "2.15.1", 512))
    // A server takes seconds for many filters, and for long ones.
    const canFor = (list: ReadonlyArray<string>) =>
      canFilter(
        Result.getOrThrow(filters.read(list)),
        { config: { num_replicas: 1 }, version: "2.15.1" },
        { maxPayload: 1_000_000, prefix: "$KV.b." }
      )
    const many = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`)
    const long = (tokens: number) => ["x", Array.from({ length: tokens }, () => "t").join(".")]
    assert.deepStrictEqual([canFor(many(16)), canFor(many(17))], [true, false])
    assert.deepStrictEqual([canFor(long(30)), canFor(long(31))], [true, false])
  })

  it("decides the reason for silent removals and whether there is a history", () => {
    assert.strictEqual(silentRemoval(seen({ max_age: 0 })), "purge")
    assert.strictEqual(silentRemoval(seen({ max_age: 1 })), "expire")
    assert.strictEqual(silentRemoval(seen({ subject_delete_marker_ttl: 1 })), "expire")
    const sizes = [undefined, -1, 1, 2].map((size) =>
      hasNoHistory(seen(size === undefined ? {} : { max_msgs_per_subject: size }))
    )
    assert.deepStrictEqual(sizes, [true, false, true, false])
  })

  const guards: ReadonlyArray<
    readonly [replicas: number, version: string | undefined, guardedWrites: boolean, refused: RegExp | undefined]
  > = [
    [1, "2.15.1", false, undefined],
    [1, "2.11.0", false, undefined],
    [1, undefined, false, /whenKey.*2\.11.*connected to 2\.14\.9/],
    [1, undefined, true, /whenKey.*2\.11/],
    [1, "2.10.27", true, /whenKey.*2\.11/],
    [3, "2.15.1", false, /guardedWrites: true.*3 replicas.*2\.11/],
    [3, "2.15.1", true, undefined],
    [3, undefined, true, /whenKey.*2\.11/]
  ]
  for (const [replicas, version, guardedWrites, refused] of guards) {
    const stated = guardedWrites ? "with" : "without"
    it(`${refused ? "refuses" : "allows"} whenKey on ${replicas} of ${version ?? "?"} ${stated} guardedWrites`, () => {
      const reason = whyNotGuarded({ config: { num_replicas: replicas }, version }, {
        connected: "2.14.9",
        guardedWrites
      })
      if (refused === undefined) assert.isUndefined(reason)
      else assert.match(reason?.problem ?? "", refused)
    })
  }
})

const info = (num_replicas: number) => ({
  config: { num_replicas },
  version: "2.15.1",
  created: "",
  ts: undefined,
  messages: 0,
  bytes: 0,
  lastRevision: 0,
  deleted: 0,
  hasLeader: true
})

describe("the snapshot of a consumer", () => {
  const before = { ...info(1), messages: 5, lastRevision: 9, deleted: 4 }

  it("is undisturbed if the stream has the same messages and one replica", () => {
    assert.isTrue(isUndisturbed(before, { ...before, ts: "later", bytes: 1 }))
    const changes = [
      { lastRevision: 10, messages: 6 },
      { messages: 4 },
      { deleted: 5 },
      { lastRevision: 10, deleted: 5 },
      { created: "another" },
      { config: { num_replicas: 3 } }
    ]
    for (const change of changes) {
      assert.isFalse(isUndisturbed(before, { ...before, ...change }), JSON.stringify(change))
    }
    assert.isFalse(isUndisturbed(undefined, before))
  })
})

describe("the last answer", () => {
  const replicas = (last: LastSeen) => last.now.config.num_replicas

  it("is that of the last request that was answered", () => {
    const last = new LastSeen()
    assert.isFalse(last.isCurrent)
    const [first, second, third] = [last.ask(), last.ask(), last.ask()]
    second(info(3))
    assert.deepStrictEqual([replicas(last), last.isCurrent], [3, true])
    first(info(1))
    assert.strictEqual(replicas(last), 3)
    third(info(5))
    assert.strictEqual(replicas(last), 5)
  })

  it("is not current after a doubt, until a request that was sent later is answered", () => {
    const last = new LastSeen()
    last.ask()(info(1))
    const before = last.ask()
    last.doubt()
    assert.isFalse(last.isCurrent)
    before(info(3))
    assert.deepStrictEqual([replicas(last), last.isCurrent], [3, false])
    last.ask()(info(1))
    assert.deepStrictEqual([replicas(last), last.isCurrent], [1, true])
  })
})
