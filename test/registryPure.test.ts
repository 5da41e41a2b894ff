/** The registry's decisions, as tables: what a lost beat means, what a sweep removes, what is a record, who is alive. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Equal from "effect/Equal"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { confirm, type Judged, plan, type Suspects } from "../src/internal/registry/cleanup.ts"
import {
  afterLostBeat,
  type BeatDecision,
  beforeRegistering,
  type LastSeen,
  type RegisterDecision
} from "../src/internal/registry/protocol.ts"
import { changed, decode, encode, keyOf, namesOf, type Record } from "../src/internal/registry/record.ts"
import { Roster } from "../src/internal/registry/view.ts"
import { InstanceId, ServiceInstance, ServiceName } from "../src/ServiceInstance.ts"

// -----------------------------------------------------------------------------
// helpers
// -----------------------------------------------------------------------------

const instance = new ServiceInstance({
  serviceName: ServiceName.make("orders"),
  instanceId: InstanceId.make("one"),
  version: "1.2.3",
  status: "ACTIVE",
  lastHeartbeat: DateTime.makeUnsafe(1_000_000),
  metadata: { zone: "a", ports: [80, 443] }
})

const mine = "mine"

const recordOf = (nonce: string | undefined): Record => ({ instance, nonce, rest: { color: "red" } })

const entryOf = (value: Uint8Array | string, key = keyOf(instance)) => ({
  key,
  value: typeof value === "string" ? new TextEncoder().encode(value) : value,
  revision: 7,
  created: DateTime.makeUnsafe(2_000_000)
})

const textOf = (value: Uint8Array) => new TextDecoder().decode(value)

// -----------------------------------------------------------------------------
// protocol
// -----------------------------------------------------------------------------

interface Cell {
  readonly what: string
  readonly seen: LastSeen
  /** After a beat that lost its compare-and-set. */
  readonly beat: BeatDecision
  /** Before registering, while what is there has been silent for less than maxAge, and for more. */
  readonly young: RegisterDecision
  readonly old: RegisterDecision
}

const write = (revision: number): RegisterDecision => ({ _tag: "Write", revision })

const cells: ReadonlyArray<Cell> = [
  {
    what: "nothing at all",
    seen: { _tag: "Nothing" },
    beat: { _tag: "RegisterAgain", revision: 0 },
    young: write(0),
    old: write(0)
  },
  {
    what: "the tombstone of a delete",
    seen: { _tag: "Removed", revision: 5, reason: "delete" },
    beat: { _tag: "Deregistered" },
    young: write(5),
    old: write(5)
  },
  ...(["purge", "expire", "reset"] as const).map((reason): Cell => ({
    what: `a message that it went by ${reason}`,
    seen: { _tag: "Removed", revision: 5, reason },
    beat: { _tag: "RegisterAgain", revision: 5 },
    young: write(5),
    old: write(5)
  })),
  {
    what: "our own record",
    seen: { _tag: "Live", revision: 5, record: recordOf(mine) },
    beat: { _tag: "Adopt", revision: 5, record: recordOf(mine) },
    young: { _tag: "Own", revision: 5, record: recordOf(mine) },
    old: { _tag: "Own", revision: 5, record: recordOf(mine) }
  },
  ...(["another", undefined] as const).map((nonce): Cell => ({
    what: nonce === undefined ? "a record without a nonce" : "another process's record",
    seen: { _tag: "Live", revision: 5, record: recordOf(nonce) },
    beat: { _tag: "Taken" },
    young: { _tag: "Occupied", revision: 5 },
    old: write(5)
  })),
  {
    what: "something that is no record",
    seen: { _tag: "Undecodable", revision: 5 },
    beat: { _tag: "Taken" },
    young: { _tag: "Occupied", revision: 5 },
    old: write(5)
  }
]

describe("a beat that lost its compare-and-set", () => {
  for (const { beat, seen, what } of cells) {
    it(`means ${beat._tag} where it finds ${what}`, () => {
      assert.deepStrictEqual(afterLostBeat(mine, seen), beat)
    })
  }
})

describe("a process that wants to register", () => {
  for (const { old, seen, what, young } of cells) {
    it(`decides ${young._tag} where it finds ${what}`, () => {
      assert.deepStrictEqual(beforeRegistering(mine, seen, false), young)
    })

    it(`decides ${old._tag} where it finds ${what}, silent for too long`, () => {
      assert.deepStrictEqual(beforeRegistering(mine, seen, true), old)
    })
  }
})

// -----------------------------------------------------------------------------
// cleanup
// -----------------------------------------------------------------------------

/** So many known of a service, of which so many are to go. */
const judgedOf = (serviceName: string, known: number, going: number): ReadonlyArray<Judged> =>
  Array.from({ length: known }, (_, index) => ({
    key: `service-instances.${serviceName}.${index}`,
    serviceName,
    revision: index + 1,
    reason: index < going ? "expired" : undefined
  }))

describe("the plan of a sweep", () => {
  const cases: ReadonlyArray<readonly [known: number, going: number, atMost: number, frozen: boolean]> = [
    [0, 0, 0.5, false],
    [1, 1, 0.5, false],
    [9, 9, 0.5, false],
    [10, 0, 0.5, false],
    [10, 5, 0.5, false],
    [10, 6, 0.5, true],
    [10, 10, 0.5, true],
    [11, 5, 0.5, false],
    [11, 6, 0.5, true],
    [100, 50, 0.5, false],
    [100, 51, 0.5, true],
    [10, 10, 1, false],
    [1000, 1000, 1, false],
    [10, 2, 0.2, false],
    [10, 3, 0.2, true],
    [9, 9, 0, false],
    [10, 0, 0, false],
    [10, 1, 0, true]
  ]

  for (const [known, going, atMost, frozen] of cases) {
    it(`${frozen ? "leaves alone" : "removes"} ${going} expired of ${known} known, at most ${atMost}`, () => {
      const judged = judgedOf("orders", known, going)
      assert.deepStrictEqual(plan(judged, atMost), {
        remove: frozen ? [] : judged.slice(0, going),
        frozen: frozen ? ["orders"] : []
      })
    })
  }

  it("judges each service by itself", () => {
    const small = judgedOf("small", 3, 3)
    const dying = judgedOf("dying", 10, 9)
    const well = judgedOf("well", 10, 1)
    const { frozen, remove } = plan([...small, ...dying, ...well], 0.5)
    assert.deepStrictEqual(frozen, ["dying"])
    assert.deepStrictEqual(remove, [...small, ...well.slice(0, 1)])
  })

  it("does not take one service for another whose name begins as its own", () => {
    const { frozen, remove } = plan([...judgedOf("a", 5, 5), ...judgedOf("a-b", 5, 5)], 0.5)
    assert.deepStrictEqual(frozen, [])
    assert.strictEqual(remove.length, 10)
  })
})

describe("the confirmation of a sweep", () => {
  const heartbeat = 10_000
  const [one, two] = judgedOf("orders", 2, 2) as [Judged, Judged]
  const keysOf = (confirmed: ReadonlyArray<Judged>) => confirmed.map((judged) => judged.key)

  /** What each pass confirms, one after the other. */
  const passes = (...all: ReadonlyArray<readonly [now: number, remove: ReadonlyArray<Judged>]>) => {
    const suspects: Suspects = new Map()
    return all.map(([now, remove]) => keysOf(confirm(suspects, remove, now, heartbeat)))
  }

  it("removes nothing on the first pass", () => {
    assert.deepStrictEqual(passes([0, [one, two]]), [[]])
  })

  it("removes nothing on a second pass less than a heartbeat later", () => {
    assert.deepStrictEqual(passes([0, [one]], [heartbeat - 1, [one]]), [[], []])
  })

  it("removes on a second pass a heartbeat later", () => {
    assert.deepStrictEqual(passes([0, [one]], [heartbeat, [one]]), [[], [one.key]])
  })

  it("counts from the first sight, and not from the last", () => {
    assert.deepStrictEqual(passes([0, [one]], [6_000, [one]], [heartbeat, [one]]), [[], [], [one.key]])
  })

  it("begins anew where the record was written in between", () => {
    const later = { ...one, revision: one.revision + 1 }
    assert.deepStrictEqual(
      passes([0, [one]], [heartbeat, [later]], [heartbeat + 1, [later]], [2 * heartbeat, [later]]),
      [[], [], [], [one.key]]
    )
  })

  it("begins anew where it was alive in between", () => {
    assert.deepStrictEqual(passes([0, [one]], [6_000, []], [heartbeat, [one]], [2 * heartbeat, [one]]), [
      [],
      [],
      [],
      [one.key]
    ])
  })

  it("confirms each by itself", () => {
    assert.deepStrictEqual(passes([0, [one]], [6_000, [one, two]], [heartbeat, [one, two]], [16_000, [two]]), [
      [],
      [],
      [one.key],
      [two.key]
    ])
  })

  it("confirms again what could not be removed", () => {
    assert.deepStrictEqual(passes([0, [one]], [heartbeat, [one]], [heartbeat + 1, [one]]), [[], [one.key], [one.key]])
  })
})

// -----------------------------------------------------------------------------
// records
// -----------------------------------------------------------------------------

const stored = {
  serviceName: "orders",
  instanceId: "one",
  version: "1.2.3",
  status: "ACTIVE",
  lastHeartbeat: "2026-11-01T00:00:00.000Z",
  metadata: { zone: "a" },
  nonce: mine
}

const rest: ReadonlyArray<readonly [what: string, fields: string]> = [
  ["a text", "\"color\":\"red\""],
  ["an object", "\"build\":{\"commit\":\"abc\",\"tags\":[1,null,true]}"],
  ["null", "\"owner\":null"],
  ["a name that every object has", "\"constructor\":1,\"toString\":\"x\""],
  ["the name of a prototype", "\"__proto__\":{\"x\":1}"],
  ["a name of another alphabet", "\"größe\":\"日本\""]
]

describe("a record", () => {
  it("is written as camelCase JSON, and what is not set is left out", () => {
    assert.deepStrictEqual(JSON.parse(textOf(encode(recordOf(mine)))), {
      color: "red",
      serviceName: "orders",
      instanceId: "one",
      version: "1.2.3",
      status: "ACTIVE",
      lastHeartbeat: "1970-01-01T00:16:40.000Z",
      metadata: { zone: "a", ports: [80, 443] },
      nonce: mine
    })
  })

  it("is written with its sticky group and status", () => {
    const sticky = changed(instance, { stickyActiveGroup: "eu", stickyActiveStatus: "STANDBY" })
    const written = JSON.parse(textOf(encode({ ...recordOf(mine), instance: sticky })))
    assert.strictEqual(written.stickyActiveGroup, "eu")
    assert.strictEqual(written.stickyActiveStatus, "STANDBY")
  })

  it("is read as it was written", () => {
    const record = recordOf(mine)
    const read = Result.getOrThrow(decode(entryOf(encode(record))))
    assert.isTrue(Equal.equals(read.instance, record.instance))
    assert.strictEqual(read.nonce, mine)
    assert.deepStrictEqual(read.rest, record.rest)
  })

  for (const [what, fields] of rest) {
    it(`keeps ${what} that is none of ours through a change`, () => {
      const text = `{${fields},${JSON.stringify(stored).slice(1)}`
      const record = Result.getOrThrow(decode(entryOf(text)))
      const next = { ...record, instance: changed(record.instance, { status: "DRAINING" }) }
      const expected = JSON.parse(text.replace("\"ACTIVE\"", "\"DRAINING\""))
      assert.deepStrictEqual(JSON.parse(textOf(encode(next))), expected)
    })
  }

  it.prop(
    "keeps whatever else it holds, and its own fields apart from that",
    { metadata: Schema.Record(Schema.String, Schema.Json), other: Schema.Record(Schema.String, Schema.Json) },
    ({ metadata, other }) => {
      const record: Record = {
        instance: changed(instance, { metadata }),
        nonce: mine,
        rest: Object.fromEntries(Object.entries(other).map(([name, value]) => [`x-${name}`, value]))
      }
      const text = textOf(encode(record))
      const read = Result.getOrThrow(decode(entryOf(text)))
      assert.deepStrictEqual(JSON.parse(textOf(encode(read))), JSON.parse(text))
      assert.deepStrictEqual(Object.keys(read.rest).toSorted(), Object.keys(record.rest).toSorted())
    }
  )

  it("has no nonce where another library wrote it", () => {
    assert.isUndefined(Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, nonce: undefined })))).nonce)
    assert.isUndefined(Result.getOrThrow(decode(entryOf(JSON.stringify({ ...stored, nonce: 5 })))).nonce)
  })

  it("keeps its nonce out of the fields that are none of ours", () => {
    assert.deepStrictEqual(Result.getOrThrow(decode(entryOf(JSON.stringify(stored)))).rest, {})
  })

  const broken: ReadonlyArray<readonly [what: string, value: Uint8Array | string, key?: string]> = [
    ["nothing", ""],
    ["broken JSON", "{\"serviceName\":"],
    ["text that is no JSON", "hello"],
    ["a number", "5"],
    ["a text", "\"orders\""],
    ["null", "null"],
    ["a list", "[]"],
    ["true", "true"],
    ["an empty object", "{}"],
    ["invalid UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d)],
    ["invalid UTF-8 inside a text", new Uint8Array([...new TextEncoder().encode("{\"a\":\""), 0xc3, 0x28, 0x22, 0x7d])],
    ["a record of another instance", JSON.stringify(stored), "service-instances.orders.two"],
    ["a record of another service", JSON.stringify(stored), "service-instances.payments.one"],
    ["a name with a dot", JSON.stringify({ ...stored, serviceName: "a.b" }), "service-instances.a.b.one"],
    ["a version that is none", JSON.stringify({ ...stored, version: "one" })],
    ["a status that we do not know", JSON.stringify({ ...stored, status: "SHUTDOWN" })],
    ["a heartbeat that is no time", JSON.stringify({ ...stored, lastHeartbeat: "soon" })],
    ["no heartbeat", JSON.stringify({ ...stored, lastHeartbeat: undefined })],
    ["metadata that is no object", JSON.stringify({ ...stored, metadata: 5 })]
  ]

  for (const [what, value, key] of broken) {
    it(`is not what is read from ${what}`, () => {
      assert.isTrue(Result.isFailure(decode(entryOf(value, key))))
    })
  }

  it("has the names that its key holds", () => {
    assert.strictEqual(keyOf(instance), "service-instances.orders.one")
    assert.deepStrictEqual(namesOf(keyOf(instance)), { serviceName: "orders", instanceId: "one" })
    assert.deepStrictEqual(namesOf("service-instances.a__b.c-d"), { serviceName: "a__b", instanceId: "c-d" })
  })
})

// -----------------------------------------------------------------------------
// the roster
// -----------------------------------------------------------------------------

describe("the roster", () => {
  const key = keyOf(instance)
  const beaten = changed(instance, { lastHeartbeat: DateTime.makeUnsafe(1_010_000) })
  const draining = changed(instance, { status: "DRAINING" })
  const other = changed(instance, { instanceId: InstanceId.make("two") })

  it("says Up at first sight", () => {
    assert.deepStrictEqual(new Roster().seen(key, instance, 30), { number: 1, event: { _tag: "Up", instance } })
  })

  it("says nothing of a beat, and remembers it", () => {
    const roster = new Roster()
    roster.seen(key, instance, 30)
    assert.isUndefined(roster.seen(key, beaten, 40))
    assert.strictEqual(roster.number, 1)
    assert.strictEqual(roster.nextExpiry(), 40)
    assert.deepStrictEqual(roster.gone(key, "swept")?.event, { _tag: "Down", instance: beaten, reason: "swept" })
  })

  it("says nothing where the metadata is the same by value", () => {
    const roster = new Roster()
    roster.seen(key, instance, 30)
    assert.isUndefined(roster.seen(key, changed(beaten, { metadata: { ports: [80, 443], zone: "a" } }), 40))
  })

  const changes: ReadonlyArray<readonly [what: string, ServiceInstance]> = [
    ["the status", draining],
    ["the version", changed(instance, { version: "1.2.4" })],
    ["the metadata", changed(instance, { metadata: { zone: "a", ports: [80] } })],
    ["the sticky group", changed(instance, { stickyActiveGroup: "eu" })],
    ["the sticky status", changed(instance, { stickyActiveStatus: "ACTIVE" })]
  ]

  for (const [what, next] of changes) {
    it(`says Changed where ${what} has, and what it was before`, () => {
      const roster = new Roster()
      roster.seen(key, instance, 30)
      assert.deepStrictEqual(roster.seen(key, next, 40), {
        number: 2,
        event: { _tag: "Changed", instance: next, previous: instance }
      })
    })
  }

  it("says Down once, and nothing of whom it does not know", () => {
    const roster = new Roster()
    assert.isUndefined(roster.gone(key, "deregistered"))
    roster.seen(key, instance, 30)
    assert.deepStrictEqual(roster.gone(key, "deregistered"), {
      number: 2,
      event: { _tag: "Down", instance, reason: "deregistered" }
    })
    assert.isUndefined(roster.gone(key, "deregistered"))
    assert.strictEqual(roster.number, 2)
  })

  it("says Up again for one who comes back", () => {
    const roster = new Roster()
    roster.seen(key, instance, 30)
    roster.gone(key, "expired")
    assert.deepStrictEqual(roster.seen(key, beaten, 60), { number: 3, event: { _tag: "Up", instance: beaten } })
  })

  it("expires nobody at the end of its time, and whoever is over it a moment later", () => {
    const roster = new Roster()
    roster.seen(key, instance, 30)
    roster.seen(keyOf(other), other, 31)
    assert.deepStrictEqual(roster.expire(30), [])
    assert.deepStrictEqual(roster.expire(31), [{ number: 3, event: { _tag: "Down", instance, reason: "expired" } }])
    assert.deepStrictEqual([...roster.alive.keys()], [keyOf(other)])
    assert.deepStrictEqual(roster.expire(31), [])
  })

  it("expires all that is due, each under a number of its own", () => {
    const roster = new Roster()
    roster.seen(key, instance, 30)
    roster.seen(keyOf(other), other, 31)
    assert.deepStrictEqual(roster.expire(1000).map((change) => change.number), [3, 4])
    assert.strictEqual(roster.alive.size, 0)
  })

  it("tells when the next one is due, and that nobody is", () => {
    const roster = new Roster()
    assert.isUndefined(roster.nextExpiry())
    roster.seen(key, instance, 30)
    roster.seen(keyOf(other), other, 20)
    assert.strictEqual(roster.nextExpiry(), 20)
    roster.seen(keyOf(other), other, 50)
    assert.strictEqual(roster.nextExpiry(), 30)
  })
})
