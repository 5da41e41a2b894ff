/** What a challenger has seen, and when it may stand: as tables. */
import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Schema from "effect/Schema"
import {
  nextObservation,
  type Observation,
  remainingLease,
  standing
} from "../../../src/internal/election/challenger.ts"
import { absent, type Seen } from "../../../src/internal/election/record.ts"

import { created, held, undecodable, vacant } from "../../support/electionRecord.ts"

/** What has been seen, one second after the other, from second 0 on. */
const observed = (...all: ReadonlyArray<Seen>): Observation =>
  all.reduce<Observation | undefined>((known, seen, second) => nextObservation(known, seen, second * 1000), undefined)!

describe("an observation", () => {
  const first = held(10)
  const same: ReadonlyArray<readonly [what: string, first: Seen, second: Seen]> = [
    ["the same revision, nonce and attempt", first, held(10)],
    ["them with other metadata, as no attempt is written twice", first, held(10, { metadata: { a: 1 } })],
    ["the same vacant record", vacant(10), vacant(10)],
    ["the same record that does not decode", undecodable(10), undecodable(10)],
    ["still nothing", absent, absent]
  ]
  for (const [what, one, two] of same) {
    it(`keeps its time where a second look shows ${what}`, () => {
      const known = observed(one)
      assert.strictEqual(nextObservation(known, two, 99_000), known)
    })
  }

  const others: ReadonlyArray<readonly [what: string, first: Seen, second: Seen]> = [
    ["a higher revision", first, held(11)],
    ["a lower revision", first, held(9)],
    ["another nonce", first, held(10, { nonce: "theirs" })],
    ["another attempt", first, held(10, { attempt: 6 })],
    ["a lower attempt", first, held(10, { attempt: 4 })],
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
    it(`starts its time again where a look shows ${what}`, () => {
      const next = nextObservation(observed(one), two, 99_000)
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
      observed(held(10), held(11, { attempt: 6, leaseMillis: 7 }), absent),
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
    attempt: Schema.Literals([1, 2])
  })
  const seenOf = ({ attempt, kind, nonce, revision }: typeof Look.Type): Seen =>
    kind === "Held"
      ? held(revision, { attempt, nonce })
      : kind === "Vacant"
      ? vacant(revision, { attempt, nonce })
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
  const candidate = { leaseDuration: 50_000, renewInterval: 4000, priority: 0 }
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
      observed(held(10, { leaseMillis: 7000 }), held(11, { attempt: 6, leaseMillis: 7000 })),
      candidate,
      8000,
      11
    ],
    ["after its own lease over what does not decode", observed(absent, undecodable(10)), candidate, 51_000, 10],
    [
      "when the lease of a live record that has gone has run since that was first seen",
      observed(held(9), held(10, { attempt: 6, leaseMillis: 7000 }), absent),
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
    assert.deepStrictEqual(standing(nextObservation(once, held(10), 6999), candidate), standing(once, candidate))
  })
})

describe("what remains of a lease", () => {
  const lease = 7000
  const cells: ReadonlyArray<readonly [what: string, inStore: number, observed: number, remaining: number]> = [
    ["is all of it when the record is written", 0, 0, lease],
    ["is a millisecond before its end", lease - 1, lease - 1, 1],
    ["is none at its end, when a challenger may win", lease, lease, 0],
    ["is none after its end", lease + 1, lease + 1, -1],
    ["goes by the store's time for what this process has only just seen", lease - 3, 0, 3],
    ["is none for what this process has only just seen, and the store took a lease ago", lease, 0, 0],
    ["goes by what this process has observed where the store's time is behind", lease - 3, lease - 1, 1],
    ["is none once this process has observed it for a lease, whatever the store's time", 0, lease, 0],
    ["is never more than all of it, also where the store's time was set back", -5000, 0, lease]
  ]
  for (const [what, inStore, observed, remaining] of cells) {
    it(what, () => {
      const now = created.epochMilliseconds + inStore
      assert.strictEqual(remainingLease(held(10, { leaseMillis: lease }), now, observed), remaining)
    })
  }

  it("ends when a challenger that has observed as much may win", () => {
    const observation = observed(absent, held(10, { leaseMillis: lease }))
    const candidate = { leaseDuration: 50_000, renewInterval: 4000, priority: 0 }
    const { at } = standing(observation, candidate)
    const seen = held(10, { leaseMillis: lease })
    for (const offset of [-1, 0, 1]) {
      const observed = at + offset - observation.since
      assert.strictEqual(remainingLease(seen, created.epochMilliseconds, observed) <= 0, offset >= 0)
    }
  })
})
