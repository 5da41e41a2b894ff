/** The election's decisions, as tables: when to stand, how time passes, what a lost write means, what is refused. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { balanced, fast, type LossReason, resilient } from "../src/Election.ts"
import * as FencingToken from "../src/FencingToken.ts"
import { checkName, toCandidate, toMetadata, toTimes } from "../src/internal/election/candidate.ts"
import { type Observation, observe, standing } from "../src/internal/election/challenger.ts"
import { deadline, ElapsedTime, landed, type ReadBack, sortOut } from "../src/internal/election/lease.ts"
import {
  absent,
  electedRevisionOf,
  electionOf,
  encode,
  fromEntry,
  fromRead,
  keyOf,
  type Seen,
  StoredRecord
} from "../src/internal/election/record.ts"

// -----------------------------------------------------------------------------
// helpers
// -----------------------------------------------------------------------------

const created = DateTime.makeUnsafe(2_000_000)

const recordOf = (fields: Partial<StoredRecord> = {}): StoredRecord => ({
  candidateId: "a",
  nonce: "mine",
  term: 3,
  beat: 5,
  leaseMillis: 20_000,
  electedAt: DateTime.makeUnsafe(1_000_000),
  vacant: false,
  metadata: {},
  ...fields
})

type Held = Extract<Seen, { readonly _tag: "Held" }>
type Vacant = Extract<Seen, { readonly _tag: "Vacant" }>

const held = (revision: number, fields?: Partial<StoredRecord>): Held => ({
  _tag: "Held",
  revision,
  created,
  record: recordOf(fields)
})

const vacant = (revision: number, fields?: Partial<StoredRecord>): Vacant => ({
  _tag: "Vacant",
  revision,
  created,
  record: recordOf({ ...fields, vacant: true })
})

const undecodable = (revision: number): Seen => ({ _tag: "Undecodable", revision, created })

/** What has been seen, one second after the other, from second 0 on. */
const observed = (...all: ReadonlyArray<Seen>): Observation =>
  all.reduce<Observation | undefined>((known, seen, second) => observe(known, seen, second * 1000), undefined)!

const entryOf = (value: Uint8Array | string, revision = 7) => ({
  key: keyOf("orders"),
  value: typeof value === "string" ? new TextEncoder().encode(value) : value,
  revision,
  created
})

// -----------------------------------------------------------------------------
// challenger
// -----------------------------------------------------------------------------

describe("an observation", () => {
  const first = held(10)
  const same: ReadonlyArray<readonly [what: string, first: Seen, second: Seen]> = [
    ["the same revision, nonce and beat", first, held(10)],
    ["them with other metadata, as nobody writes the same beat twice", first, held(10, { metadata: { a: 1 } })],
    ["the same vacant record", vacant(10), vacant(10)],
    ["the same record that does not decode", undecodable(10), undecodable(10)],
    ["still nothing", absent, absent]
  ]
  for (const [what, one, two] of same) {
    it(`keeps its time where a second look shows ${what}`, () => {
      const known = observed(one)
      assert.strictEqual(observe(known, two, 99_000), known)
    })
  }

  const others: ReadonlyArray<readonly [what: string, first: Seen, second: Seen]> = [
    ["a higher revision", first, held(11)],
    ["a lower revision", first, held(9)],
    ["another nonce", first, held(10, { nonce: "theirs" })],
    ["another beat", first, held(10, { beat: 6 })],
    ["a lower beat", first, held(10, { beat: 4 })],
    ["that it was handed over", first, vacant(10)],
    ["that it does not decode", first, undecodable(10)],
    ["that it has gone", first, absent],
    ["that it has come", absent, first],
    ["that it has come, vacant", absent, vacant(10)],
    ["that it has come, and does not decode", absent, undecodable(10)],
    ["that the vacant seat was taken", vacant(10), held(11)],
    ["another vacant record", vacant(10), vacant(11)],
    ["another record that does not decode", undecodable(10), undecodable(11)],
    ["a record that decodes", undecodable(10), held(10)]
  ]
  for (const [what, one, two] of others) {
    it(`starts its time anew where a look shows ${what}`, () => {
      const next = observe(observed(one), two, 99_000)
      assert.strictEqual(next.since, 99_000)
      assert.deepStrictEqual(next.seen, two)
    })
  }

  const believed: ReadonlyArray<readonly [what: string, Observation, Observation["lastHeld"]]> = [
    ["nothing was ever there", observed(absent), undefined],
    ["there is a live record", observed(held(10, { leaseMillis: 7 })), { leaseMillis: 7, since: 0 }],
    [
      "a live record has gone",
      observed(absent, held(10, { leaseMillis: 7 }), absent),
      { leaseMillis: 7, since: 1000 }
    ],
    [
      "it was renewed, and has gone",
      observed(held(10), held(11, { beat: 6, leaseMillis: 7 }), absent),
      { leaseMillis: 7, since: 1000 }
    ],
    ["a record that does not decode has gone", observed(undecodable(10), absent), { leaseMillis: undefined, since: 0 }],
    ["it was handed over", observed(held(10), vacant(11)), undefined],
    ["it was handed over, and has gone then", observed(held(10), vacant(11), absent), undefined],
    [
      "the seat was taken again, and the record has gone",
      observed(held(10), vacant(11), held(12, { leaseMillis: 7 }), absent),
      { leaseMillis: 7, since: 2000 }
    ]
  ]
  for (const [what, { lastHeld }, expected] of believed) {
    it(`knows who may still believe that he leads where ${what}`, () => {
      assert.deepStrictEqual(lastHeld, expected)
    })
  }

  it("keeps the highest term it has seen, also over what bears none", () => {
    const terms = (...all: ReadonlyArray<Seen>) => observed(...all).term
    assert.strictEqual(terms(absent), 0)
    assert.strictEqual(terms(undecodable(1)), 0)
    assert.strictEqual(terms(held(1, { term: 4 })), 4)
    assert.strictEqual(terms(held(1, { term: 4 }), vacant(2, { term: 5 })), 5)
    assert.strictEqual(terms(held(1, { term: 4 }), absent), 4)
    assert.strictEqual(terms(held(1, { term: 4 }), undecodable(2)), 4)
    assert.strictEqual(terms(held(9, { term: 4 }), held(2, { term: 1 })), 4)
  })

  /** Few values each, so that equal ones follow each other often. */
  const Look = Schema.Struct({
    kind: Schema.Literals(["Held", "Held", "Vacant", "Undecodable", "Absent"]),
    revision: Schema.Literals([1, 2]),
    nonce: Schema.Literals(["mine", "theirs"]),
    beat: Schema.Literals([1, 2])
  })
  const seenOf = ({ beat, kind, nonce, revision }: typeof Look.Type): Seen =>
    kind === "Held"
      ? held(revision, { beat, nonce })
      : kind === "Vacant"
      ? vacant(revision, { beat, nonce })
      : kind === "Undecodable"
      ? undecodable(revision)
      : absent

  it.prop(
    "dates from the first of the equal looks that came last, and a live record from its own first look",
    { looks: Schema.NonEmptyArray(Look) },
    ({ looks }) => {
      const all = looks.map(seenOf)
      const { lastHeld, seen, since } = observed(...all)
      const startOf = (index: number): number =>
        index > 0 && Equal.equals(all[index - 1], all[index]) ? startOf(index - 1) : index
      assert.deepStrictEqual(seen, all.at(-1))
      assert.strictEqual(since, startOf(all.length - 1) * 1000)
      const lastTold = all.findLastIndex(({ _tag }) => _tag !== "Absent")
      const believed = lastTold >= 0 && all[lastTold]?._tag !== "Vacant"
      assert.strictEqual(lastHeld?.since, believed ? startOf(lastTold) * 1000 : undefined)
    },
    { arbitrary: { runs: 300 } }
  )
})

describe("a challenger", () => {
  const candidate = { lease: 50_000, renewEvery: 4000, priority: 0 }
  const third = { ...candidate, priority: 3 }

  const cells: ReadonlyArray<
    readonly [what: string, observation: Observation, as: typeof candidate, at: number, on: number | "nothing"]
  > = [
    ["at once over a vacant record", observed(held(9), vacant(10)), candidate, 1000, 10],
    ["after its turn over a vacant record", observed(held(9), vacant(10)), third, 13_000, 10],
    ["at once where nothing was ever seen", observed(absent), candidate, 0, "nothing"],
    ["after its turn where nothing was ever seen", observed(absent), third, 12_000, "nothing"],
    [
      "exactly when the HOLDER'S lease has run, on the revision it has watched",
      observed(absent, held(10, { leaseMillis: 7000 })),
      candidate,
      8000,
      10
    ],
    ["no later over a live record, whatever its turn", observed(held(10, { leaseMillis: 7000 })), third, 7000, 10],
    [
      "a lease after the last renewal",
      observed(held(10, { leaseMillis: 7000 }), held(11, { beat: 6, leaseMillis: 7000 })),
      candidate,
      8000,
      11
    ],
    ["after its own lease over what does not decode", observed(absent, undecodable(10)), candidate, 51_000, 10],
    [
      "when the lease of a live record that has gone has run since that was first seen",
      observed(held(9), held(10, { beat: 6, leaseMillis: 7000 }), absent),
      candidate,
      8000,
      "nothing"
    ],
    [
      "when its own lease has run since it first saw what did not decode and has gone",
      observed(absent, undecodable(10), absent),
      candidate,
      51_000,
      "nothing"
    ],
    [
      "at once where a record has gone that was handed over",
      observed(held(9), vacant(10), absent),
      candidate,
      2000,
      "nothing"
    ]
  ]
  for (const [what, observation, as, at, on] of cells) {
    it(`stands ${what}`, () => {
      assert.deepStrictEqual(standing(observation, as), { at, on })
    })
  }

  it("does not wait longer for a second look at the same record", () => {
    const once = observed(held(10, { leaseMillis: 7000 }))
    assert.deepStrictEqual(standing(observe(once, held(10), 6999), candidate), standing(once, candidate))
  })
})

// -----------------------------------------------------------------------------
// lease
// -----------------------------------------------------------------------------

describe("elapsed time", () => {
  /** A host's two clocks, moved by hand, in milliseconds. */
  const makeClocks = () => {
    let monotonic = 5000
    let wall = 1_000_000
    const clock: Clock.Clock = {
      ...Clock.Clock.defaultValue(),
      currentTimeMillisUnsafe: () => wall,
      monotonicTimeNanosUnsafe: () => BigInt(Math.round(monotonic * 1_000_000))
    }
    const elapsed = new ElapsedTime(clock)
    return {
      elapsed,
      /** The sum after the clocks have moved by so much. */
      after: (monotonicDelta: number, wallDelta: number): number => {
        monotonic += monotonicDelta
        wall += wallDelta
        return elapsed.sample()
      }
    }
  }

  const table: ReadonlyArray<readonly [what: string, monotonic: number, wall: number, elapsed: number]> = [
    ["nothing where neither clock has moved", 0, 0, 0],
    ["what both clocks say where they agree", 1000, 1000, 1000],
    ["the monotonic clock's time where the wall clock was set back", 1000, -86_400_000, 1000],
    ["the monotonic clock's time where the wall clock is slow", 1000, 400, 1000],
    ["the wall clock's time where the machine was suspended", 0, 30_000, 30_000],
    ["the wall clock's time where it was set forward", 1000, 86_400_000, 86_400_000],
    ["nothing where only the wall clock has moved, and back", 0, -5000, 0],
    ["nothing where both have moved back", -10, -10, 0],
    ["parts of a millisecond too", 0.25, 0, 0.25]
  ]
  for (const [what, monotonic, wall, expected] of table) {
    it(`is ${what}`, () => {
      assert.strictEqual(makeClocks().after(monotonic, wall), expected)
    })
  }

  it("is summed over samples, each adding the larger difference", () => {
    const { after } = makeClocks()
    assert.strictEqual(after(1000, 1000), 1000)
    assert.strictEqual(after(0, 5000), 6000)
    assert.strictEqual(after(1000, -5000), 7000)
    // The wall clock is back where it would have been, and what it has told once stays told.
    assert.strictEqual(after(0, 0), 7000)
    assert.strictEqual(after(1000, 1000), 8000)
  })

  it("runs no faster for being asked often, though the wall clock tells whole milliseconds only", () => {
    const { after } = makeClocks()
    let elapsed = 0
    for (let asked = 1; asked <= 10_000; asked++) elapsed = after(0.1, asked % 10 === 0 ? 1 : 0)
    assert.isTrue(elapsed >= 999.9 && elapsed < 1002, `${elapsed}`)
  })

  it("misses nothing for being asked often where the monotonic clock is slow, or stands still", () => {
    for (const monotonic of [0, 0.5, 0.99]) {
      const { after } = makeClocks()
      let elapsed = 0
      for (let asked = 1; asked <= 1000; asked++) elapsed = after(monotonic, 1)
      assert.isTrue(elapsed >= 998 && elapsed <= 1000.1, `${elapsed}`)
    }
  })

  const Forward = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
  const Delta = Schema.Int.check(Schema.isBetween({ minimum: -1000, maximum: 1000 }))
  it.prop(
    "never goes back, and from no sample to a later one falls behind either clock by more than two ticks",
    { steps: Schema.Array(Schema.Tuple([Forward, Delta])) },
    ({ steps }) => {
      const { after, elapsed } = makeClocks()
      const samples = [{ monotonic: 0, wall: 0, elapsed: elapsed.sample() }]
      for (const [monotonic, wall] of steps) {
        const now = { monotonic: 0, wall: 0, elapsed: after(monotonic, wall) }
        for (const before of samples) {
          before.monotonic += monotonic
          before.wall += wall
          assert.isAtLeast(now.elapsed - before.elapsed, before.monotonic)
          assert.isAtLeast(now.elapsed - before.elapsed, before.wall - 2)
        }
        samples.push(now)
      }
    }
  )
})

describe("a leader's deadline", () => {
  it("is counted from the sending of the attempt that landed last", () => {
    assert.strictEqual(deadline({ revision: 4, sentAt: 1000 }, 14_000), 15_000)
  })

  const table: ReadonlyArray<
    readonly [what: string, known: { revision: number; sentAt: number } | undefined, sentAt: number | undefined, number]
  > = [
    ["begins with the sending of the write that won", undefined, 1000, 1000],
    ["moves with an attempt that was sent later", { revision: 4, sentAt: 1000 }, 5000, 5000],
    ["does not move back for an attempt that was sent earlier", { revision: 4, sentAt: 5000 }, 1000, 5000],
    ["does not move for a revision whose sending is not known", { revision: 4, sentAt: 1000 }, undefined, 1000],
    ["lies in the past where no sending is known", undefined, undefined, Number.NEGATIVE_INFINITY]
  ]
  for (const [what, known, sentAt, expected] of table) {
    it(what, () => {
      assert.deepStrictEqual(landed(known, 5, sentAt), { revision: 5, sentAt: expected })
    })
  }
})

describe("a leader that lost a compare-and-set", () => {
  const lease = { revision: 10, sentAt: 1000 }
  const adopt = (revision: number): ReadBack => ({ _tag: "Adopt", revision, beat: 5 })
  const readAgain: ReadBack = { _tag: "ReadAgain" }
  const over = (reason: LossReason): ReadBack => ({ _tag: "Over", reason })
  const theirs = { nonce: "theirs" }

  const cells: ReadonlyArray<readonly [what: string, seen: Seen, expected: ReadBack]> = [
    ["nothing", absent, over("removed")],
    ["its own later write", held(11), adopt(11)],
    ["the write that it knows of", held(10), adopt(10)],
    ["an older write of its own", held(9), readAgain],
    ["another's record", held(11, theirs), over("superseded")],
    ["another's record under the same revision", held(10, theirs), over("superseded")],
    ["a record from before its own time", held(9, theirs), readAgain],
    ["its own hand-over", vacant(11), over("resigned")],
    ["its own hand-over under the same revision", vacant(10), over("resigned")],
    ["its own hand-over of an earlier revision", vacant(9), readAgain],
    ["another's hand-over", vacant(11, theirs), over("superseded")],
    ["another's hand-over under the same revision", vacant(10, theirs), over("superseded")],
    ["another's hand-over from before its own time", vacant(9, theirs), readAgain],
    ["what does not decode", undecodable(11), over("superseded")],
    ["what does not decode under the same revision", undecodable(10), over("superseded")],
    ["what does not decode from before its own time", undecodable(9), readAgain]
  ]
  for (const [what, seen, expected] of cells) {
    const decision = expected._tag === "Over" ? `is ${expected.reason}` : `decides ${expected._tag}`
    it(`${decision} where it finds ${what}`, () => {
      assert.deepStrictEqual(sortOut("mine", lease, seen), expected)
    })
  }

  it("goes by the nonce, and not by the candidate's name", () => {
    const restarted = held(11, { candidateId: "a", nonce: "another-of-the-same-name" })
    assert.deepStrictEqual(sortOut("mine", lease, restarted), over("superseded"))
  })
})

// -----------------------------------------------------------------------------
// record
// -----------------------------------------------------------------------------

describe("a stored record", () => {
  it.prop("is read back as it was written", { record: StoredRecord }, ({ record }) => {
    const seen = fromEntry(entryOf(encode(record)))
    assert.strictEqual(seen._tag, record.vacant ? "Vacant" : "Held")
    // JSON has no -0: what is compared is what JSON can say.
    assert.deepStrictEqual("record" in seen && encode(seen.record), encode(record))
    assert.isTrue("record" in seen && Equal.equals({ ...seen.record, metadata: 0 }, { ...record, metadata: 0 }))
  })

  it("is JSON in camelCase, with everything that others decide by", () => {
    const text = new TextDecoder().decode(encode(recordOf({ electedRevision: 4, metadata: { zone: "a" } })))
    assert.deepStrictEqual(JSON.parse(text), {
      candidateId: "a",
      nonce: "mine",
      term: 3,
      beat: 5,
      leaseMillis: 20_000,
      electedAt: "1970-01-01T00:16:40.000Z",
      electedRevision: 4,
      vacant: false,
      metadata: { zone: "a" }
    })
  })

  it("is kept under the key of its election, and the election is told by the key", () => {
    assert.strictEqual(keyOf("orders/main"), "election.orders/main")
    assert.strictEqual(electionOf("election.orders/main"), "orders/main")
  })

  it("shows its revision and the time at which the store took it", () => {
    assert.deepStrictEqual(fromEntry(entryOf(encode(recordOf()), 12)), held(12))
    assert.deepStrictEqual(fromRead(Option.some(entryOf(encode(recordOf({ vacant: true })), 12))), vacant(12))
    assert.deepStrictEqual(fromRead(Option.none()), absent)
  })

  it("tells the revision that won its term; in the write that won it is the write's own", () => {
    assert.strictEqual(electedRevisionOf(held(12)), 12)
    assert.strictEqual(electedRevisionOf(held(12, { electedRevision: 4 })), 4)
    assert.strictEqual(electedRevisionOf(vacant(12, { electedRevision: 4 })), 4)
  })

  const fields = JSON.parse(new TextDecoder().decode(encode(recordOf({ electedRevision: 4 })))) as Record<
    string,
    unknown
  >
  const wrong: ReadonlyArray<readonly [what: string, value: Uint8Array | string]> = [
    ["nothing at all", ""],
    ["no JSON", "leader: me"],
    ["half a record", JSON.stringify(fields).slice(0, 40)],
    ["no UTF-8", Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)],
    ["no object", "\"me\""],
    ["null", "null"],
    ["a list", JSON.stringify([fields])],
    ...Object.keys(fields).filter((name) => name !== "electedRevision").map((name) =>
      [`no ${name}`, JSON.stringify({ ...fields, [name]: undefined })] as const
    ),
    ...Object.entries({
      nonce: [5, null],
      candidateId: [5],
      term: [-1, 1.5, "3"],
      beat: [-1, 0.5, null],
      leaseMillis: [0, -1, "20 seconds", null],
      electedAt: ["yesterday"],
      electedRevision: [-1, 0.5, null],
      vacant: ["no", 0],
      metadata: [null, 5]
    }).flatMap(([name, values]) =>
      values.map((value) => [`${name} ${JSON.stringify(value)}`, JSON.stringify({ ...fields, [name]: value })] as const)
    )
  ]
  for (const [what, value] of wrong) {
    it(`does not decode with ${what}`, () => {
      assert.deepStrictEqual(fromEntry(entryOf(value)), undecodable(7))
    })
  }

  it("decodes with fields that a later version added", () => {
    assert.strictEqual(fromEntry(entryOf(JSON.stringify({ ...fields, color: "red" })))._tag, "Held")
  })
})

// -----------------------------------------------------------------------------
// candidate
// -----------------------------------------------------------------------------

/** What no type allows, and JavaScript does. */
const untyped = (value: unknown) => value as never

describe("timings", () => {
  const accepted: ReadonlyArray<readonly [lease: Duration.Input, deadline: Duration.Input, every: Duration.Input]> = [
    [resilient.lease, resilient.renewDeadline, resilient.renewEvery],
    [balanced.lease, balanced.renewDeadline, balanced.renewEvery],
    [fast.lease, fast.renewDeadline, fast.renewEvery],
    [21, 20, 10],
    ["21 millis", "20 millis", "10 millis"],
    ["2 hours", "1 hour", "30 minutes"]
  ]
  for (const [lease, renewDeadline, renewEvery] of accepted) {
    it.effect(`are taken: ${String(lease)} / ${String(renewDeadline)} / ${String(renewEvery)}`, () =>
      Effect.gen(function*() {
        const times = yield* toTimes({ lease, renewDeadline, renewEvery })
        assert.isTrue(times.lease > times.renewDeadline && times.renewDeadline >= 2 * times.renewEvery)
      }))
  }

  const good = { lease: 20_000, renewDeadline: 14_000, renewEvery: 4000 }
  const bad: ReadonlyArray<unknown> = [
    Number.NaN,
    Infinity,
    -Infinity,
    -1,
    0,
    "soon",
    "",
    "-5 seconds",
    null,
    undefined
  ]
  const refused: ReadonlyArray<readonly [what: string, timings: unknown]> = [
    ["a lease as long as the deadline", { ...good, lease: 14_000 }],
    ["a lease shorter than the deadline", { ...good, lease: 13_999 }],
    ["a deadline of less than two renewals", { ...good, renewDeadline: 7999 }],
    ["renewals that leave no time for an attempt", { lease: 30, renewDeadline: 20, renewEvery: 9 }],
    ["infinite times", { lease: Infinity, renewDeadline: Infinity, renewEvery: Infinity }],
    ...["lease", "renewDeadline", "renewEvery"].flatMap((name) =>
      bad.map((value) => [`${name} of ${String(value)} ${typeof value}`, { ...good, [name]: value }] as const)
    )
  ]
  for (const [what, timings] of refused) {
    it.effect(`are refused with ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toTimes(untyped(timings)))
        assert.strictEqual(error._tag, "InvalidCandidate")
        assert.include(error.message, "lease > renewDeadline >= 2 x renewEvery")
      }))
  }

  const Times = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))
  it.effect.prop(
    "are refused unless lease > renewDeadline >= 2 x renewEvery",
    { lease: Times, renewDeadline: Times, renewEvery: Times },
    ({ lease, renewDeadline, renewEvery }) =>
      Effect.gen(function*() {
        const result = yield* Effect.result(toTimes({ lease, renewDeadline, renewEvery }))
        assert.strictEqual(
          Result.isSuccess(result),
          lease > renewDeadline && renewDeadline >= 2 * renewEvery && renewEvery >= 10
        )
      }),
    { arbitrary: { runs: 500 } }
  )
})

describe("a candidate", () => {
  for (const name of ["a", "orders", "orders/main", "A-b_c/9", "/", "-", "x".repeat(200)]) {
    it(`may stand in the election "${name.slice(0, 20)}"`, () => {
      assert.isUndefined(checkName(name))
    })
  }

  const badNames = ["", " ", "a b", "a.b", ".", "*", ">", "a.*", "a.>", "a\n", "grüße", "日本", "a=b", "x".repeat(201)]
  for (const name of [...badNames, 5, null, undefined]) {
    it.effect(`may not stand in the election ${JSON.stringify(name)?.slice(0, 20)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toCandidate(untyped(name), {}, resilient))
        assert.strictEqual(error._tag, "InvalidName")
        assert.include(error.message, String(name))
      }))
  }

  it.effect("is filled in: a name of its own each time, no metadata, the layer's timings, first in turn", () =>
    Effect.gen(function*() {
      const one = yield* toCandidate("orders", {}, fast)
      const two = yield* toCandidate("orders", { candidateId: undefined, priority: undefined }, fast)
      assert.match(one.candidateId, new RegExp(`-${process.pid}-[0-9a-z]{8}$`))
      assert.notStrictEqual(one.candidateId, two.candidateId)
      assert.deepStrictEqual(
        { ...one, candidateId: "" },
        {
          election: "orders",
          candidateId: "",
          priority: 0,
          times: { lease: 3000, renewDeadline: 2000, renewEvery: 500 },
          metadata: {},
          healthy: undefined
        }
      )
    }))

  it.effect("is taken as it says", () =>
    Effect.gen(function*() {
      const options = { candidateId: "a b", priority: 3, timings: balanced, metadata: { zone: "a", ports: [80] } }
      const candidate = yield* toCandidate("orders", options, fast)
      assert.deepStrictEqual(candidate, {
        election: "orders",
        candidateId: "a b",
        priority: 3,
        times: { lease: 10_000, renewDeadline: 7000, renewEvery: 2000 },
        metadata: { zone: "a", ports: [80] },
        healthy: undefined
      })
    }))

  const refused: ReadonlyArray<readonly [field: string, value: unknown]> = [
    ...[-1, 0.5, Number.NaN, Infinity, 2 ** 53, "1"].map((value) => ["priority", value] as const),
    ...["", 5, {}].map((value) => ["candidateId", value] as const),
    ...[5, { when: new Date(0) }, { f: () => 1 }, { n: Number.NaN }, { big: 1n }, { u: undefined }].map((value) =>
      ["metadata", value] as const
    ),
    ["timings", { lease: 1, renewDeadline: 2, renewEvery: 3 }]
  ]
  for (const [field, value] of refused) {
    const shown = JSON.stringify(value, (_, part) => typeof part === "object" ? part : String(part))
    it.effect(`is refused with ${field} ${shown}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toCandidate("orders", untyped({ [field]: value }), resilient))
        assert.strictEqual(error._tag, "InvalidCandidate")
      }))
  }

  it.effect("says what is wrong with its metadata", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(toMetadata({ zone: new Date(0) }))
      assert.include(error.message, "metadata")
      assert.include(error.message, "zone")
    }))
})

// -----------------------------------------------------------------------------
// fencing tokens
// -----------------------------------------------------------------------------

describe("a fencing token", () => {
  const token = (epoch: number, revision: number) => new FencingToken.FencingToken({ epoch, revision })
  const sign = (left: string, right: string) => left < right ? -1 : left > right ? 1 : 0
  const largest = Number.MAX_SAFE_INTEGER

  const order: ReadonlyArray<
    readonly [what: string, older: readonly [number, number], newer: readonly [number, number]]
  > = [
    ["revision within an epoch", [1, 9], [1, 10]],
    ["epoch, whatever the revision", [1, largest], [2, 0]],
    ["epoch where both grow", [9, 1], [10, 2]],
    ["revision of very large ones", [1, largest - 1], [1, largest]]
  ]
  for (const [what, older, newer] of order) {
    it(`is older by its ${what}, also as a string`, () => {
      const [one, two] = [token(...older), token(...newer)]
      assert.strictEqual(FencingToken.Order(one, two), -1)
      assert.strictEqual(FencingToken.Order(two, one), 1)
      assert.strictEqual(FencingToken.Order(one, one), 0)
      assert.strictEqual(sign(FencingToken.encode(one), FencingToken.encode(two)), -1)
    })
  }

  it("is written as two numbers of one width", () => {
    assert.strictEqual(FencingToken.encode(token(1_795_400_293_793, 17)), "0001795400293793-0000000000000017")
  })

  const { FencingToken: Token } = FencingToken
  it.prop("is read back as it was written", { token: Token }, ({ token }) => {
    assert.isTrue(Equal.equals(FencingToken.decode(FencingToken.encode(token)), Option.some(token)))
  })

  it.prop("sorts as a string as it does by Order", { one: Token, two: Token, same: Schema.Boolean }, (pair) => {
    const two = pair.same ? token(pair.one.epoch, pair.two.revision) : pair.two
    const strings = sign(FencingToken.encode(pair.one), FencingToken.encode(two))
    assert.strictEqual(FencingToken.Order(pair.one, two), strings)
  }, { arbitrary: { runs: 500 } })

  const garbage = [
    "",
    "-",
    "1-2",
    "0001795400293793",
    "0001795400293793-",
    "-0001795400293793",
    "0001795400293793-000000000000017",
    "0001795400293793-00000000000000017",
    "0001795400293793_0000000000000017",
    " 0001795400293793-0000000000000017",
    "0001795400293793-0000000000000017\n",
    "0001795400293793-000000000000001x",
    "000179540029379.-0000000000000017",
    "-001795400293793-0000000000000017",
    "0001795400293793-00000000000001e1",
    "9999999999999999-0000000000000017",
    "0001795400293793-9007199254740992",
    "٠٠٠١٧٩٥٤٠٠٢٩٣٧٩٣-0000000000000017"
  ]
  for (const text of garbage) {
    it(`is not read from ${JSON.stringify(text)}`, () => {
      assert.isTrue(Option.isNone(FencingToken.decode(text)))
    })
  }

  it.prop("is not read from any text that it is not written as", { text: Schema.String }, ({ text }) => {
    const decoded = FencingToken.decode(text)
    if (Option.isSome(decoded)) assert.strictEqual(FencingToken.encode(decoded.value), text)
  })

  for (const [epoch, revision] of [[-1, 1], [1, -1], [1.5, 1], [1, Number.NaN], [2 ** 53, 1], [1, Infinity]] as const) {
    it(`cannot be made of ${epoch} and ${revision}`, () => {
      assert.throws(() => token(epoch, revision))
    })
  }
})
