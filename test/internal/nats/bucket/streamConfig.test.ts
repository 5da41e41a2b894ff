/** The configuration of a bucket's stream, and the differences between two configurations. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Config from "../../../../src/internal/kv/config.ts"
import { subjectPrefix } from "../../../../src/internal/kv/headers.ts"
import {
  differences,
  hasMarkers,
  losesItsStart,
  mismatchOf,
  openedAs,
  settingsFor,
  settingsOfLost,
  streamName
} from "../../../../src/internal/nats/bucket/streamConfig.ts"
import type { StreamSettings } from "../../../../src/internal/nats/jetstream/api.ts"
import type { BucketOptions } from "../../../../src/KVStoreConfig.ts"

const settings = (options: Partial<BucketOptions> = {}) =>
  Effect.map(Config.make({ bucket: "b", ...options }), (config) => settingsFor(config, 7))

describe("a bucket's stream", () => {
  it.effect("has the name, subjects and settings of a NATS KV bucket", () =>
    Effect.gen(function*() {
      assert.strictEqual(streamName("b"), "KV_b")
      assert.strictEqual(subjectPrefix("b"), "$KV.b.")
      assert.deepStrictEqual<StreamSettings>(yield* settings(), {
        name: "KV_b",
        subjects: ["$KV.b.>"],
        max_msgs_per_subject: 1,
        max_msg_size: 1024 * 1024 + 2048,
        max_bytes: -1,
        max_msgs: -1,
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
        no_ack: false,
        allow_msg_ttl: false,
        subject_delete_marker_ttl: 0,
        first_seq: 7
      })
    }))

  it.effect("has durations in nanoseconds, and a duplicate window of at most its age", () =>
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
  it.effect("do not include settings without an option", () =>
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

  it.effect("do not include settings that are off and that an older server leaves out", () =>
    Effect.gen(function*() {
      const wanted = yield* settings()
      const off = new Set(["max_age", "subject_delete_marker_ttl"])
      const found = Object.fromEntries(Object.entries(wanted).filter(([name]) => !off.has(name)))
      assert.deepStrictEqual(differences(wanted, found).list, [])
    }))

  const cases: ReadonlyArray<
    readonly [
      Partial<BucketOptions>,
      { setting: string; expected: string; actual: string },
      Partial<StreamSettings>
    ]
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
    it.effect(`include ${difference.setting} with the expected and the actual value, and the update`, () =>
      Effect.gen(function*() {
        const found = yield* settings()
        const wanted = yield* settings(options)
        assert.deepStrictEqual(differences(wanted, found), { list: [difference], update })
        const back = differences(found, wanted).list
        assert.deepStrictEqual(back, [{ ...difference, expected: difference.actual, actual: difference.expected }])
      }))
  }

  it.effect("include rollups, which purge needs", () =>
    Effect.gen(function*() {
      const wanted = yield* settings()
      const { list, update } = differences(wanted, { ...wanted, allow_rollup_hdrs: false })
      assert.deepStrictEqual(list, [{ setting: "rollups (needed for purge)", expected: "true", actual: "false" }])
      assert.deepStrictEqual(update, { allow_rollup_hdrs: true })
    }))
})

describe("a stream", () => {
  it.effect("that was lost is recreated with the settings that it had, and another first revision", () =>
    Effect.gen(function*() {
      const config = yield* Config.make({ bucket: "b" })
      const theirs = {
        ...yield* settings(),
        max_msg_size: -1,
        description: "theirs",
        discard: "old",
        first_seq: 5
      } as const
      assert.deepStrictEqual(settingsOfLost(config, theirs, 9), { ...theirs, first_seq: 9 })
      // Settings with which it would be no bucket are not restored, nor those of a stream that was never seen.
      for (
        const last of [
          { ...theirs, no_ack: true },
          { ...theirs, persist_mode: "async" as const },
          { ...theirs, sources: [{ name: "KV_a" }] },
          {}
        ]
      ) {
        assert.deepStrictEqual(settingsOfLost(config, last, 9), settingsFor(config, 9))
      }
    }))

  it.effect("that is a mirror or has sources is refused", () =>
    Effect.gen(function*() {
      const wanted = yield* settings()
      assert.isUndefined(mismatchOf(wanted, wanted))
      assert.isUndefined(mismatchOf(wanted, { ...wanted, sources: [] }))
      const refusalOf = (found: Partial<StreamSettings>) => mismatchOf(wanted, found)?.differences
      const copyOf = (
        names: string
      ) => [{ setting: "mirror and sources", expected: "none", actual: `a copy of ${names}` }]
      assert.deepStrictEqual(refusalOf({ mirror: { name: "KV_a" } }), copyOf("KV_a"))
      const sources = [{ name: "KV_a" }, { name: "KV_c" }]
      assert.deepStrictEqual(refusalOf({ ...wanted, sources }), copyOf("KV_a, KV_c"))
    }))

  it.effect("whose writes are acknowledged before they are stored is refused", () =>
    Effect.gen(function*() {
      const wanted = yield* settings()
      assert.isUndefined(mismatchOf(wanted, { ...wanted, persist_mode: "default" }))
      const refused = mismatchOf(wanted, { ...wanted, persist_mode: "async" })
      assert.deepStrictEqual(refused?.differences, [{
        setting: "persist_mode",
        expected: "default",
        actual: "async (a crash of the server loses acknowledged writes)"
      }])
      assert.strictEqual(
        refused?.message,
        "the bucket exists with another configuration (persist_mode is async (a crash of the server loses acknowledged " +
          "writes), not default): no option can accept that: use another bucket, or change or recreate the stream"
      )
    }))

  it.effect("has the limits of another client, or those of the options that it was created with", () =>
    Effect.gen(function*() {
      const config = yield* Config.make({ bucket: "b", maxValueSize: 1000 })
      const limitsOf = (found: Partial<StreamSettings>) => {
        const { maxBytes, maxValueSize } = openedAs(config, found)
        return [maxValueSize, maxBytes]
      }
      assert.deepStrictEqual(limitsOf(settingsFor(config, 1)), [1000, undefined])
      assert.deepStrictEqual(limitsOf({ max_msg_size: 500, max_bytes: 9000 }), [500, 9000])
      assert.deepStrictEqual(limitsOf({ max_msg_size: -1, max_bytes: -1 }), [undefined, undefined])
      assert.deepStrictEqual(limitsOf({}), [undefined, undefined])
      // Without a limit nothing is discarded.
      const discardOf = (found: Partial<StreamSettings>) => openedAs(config, { ...found, discard: "old" }).discard
      assert.deepStrictEqual([{}, { max_bytes: -1 }, { max_bytes: 9000 }, { max_msgs: 10 }].map(discardOf), [
        "new",
        "new",
        "old",
        "old"
      ])
      const unlimited = yield* Config.make({ bucket: "b", maxValueSize: "unlimited" })
      assert.strictEqual(settingsFor(unlimited, 1).max_msg_size, -1)
      assert.isUndefined(openedAs(unlimited, { max_msg_size: -1 }).maxValueSize)
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
    it(`are ${has ? "" : "not "}supported by a server of version "${version}"`, () => {
      assert.strictEqual(hasMarkers(version), has)
    })
  }
})

describe("losesItsStart", () => {
  const cases: ReadonlyArray<
    readonly [version: string | undefined, first: number | undefined, last: number, loses: boolean]
  > = [
    [undefined, 1000, 999, true],
    [undefined, 1000, 1000, false],
    [undefined, 1000, 1050, false],
    [undefined, undefined, 0, false],
    ["2.15.1", 1000, 999, false]
  ]
  for (const [version, first_seq, lastRevision, loses] of cases) {
    it(`is ${loses ? "true" : "false"} on ${version ?? "a server before 2.11"} for first_seq ${first_seq ?? "1"}, now at ${lastRevision}`, () => {
      const config = first_seq === undefined ? {} : { first_seq }
      const info = {
        config,
        version,
        created: "",
        ts: undefined,
        messages: 0,
        bytes: 0,
        lastRevision,
        deleted: 0,
        hasLeader: true
      }
      assert.strictEqual(losesItsStart(info), loses)
    })
  }
})
