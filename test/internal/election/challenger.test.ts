/** The observations of a challenger, and when it may try to win, as tables. */
import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Schema from "effect/Schema"
import {
  longestWaitFor,
  nextObservation,
  nextTerm,
  type Observation,
  remainingLease,
  standing
} from "../../../src/internal/election/challenger.ts"
import { absent, type Seen } from "../../../src/internal/election/record.ts"

import { created, held, undecodable, vacant } from "../../support/electionRecord.ts"

const hour = 3_600_000
const year = 365 * 24 * hour

/** The observation after one state of the key per second, from second 0 on. */
const observed = (...all: ReadonlyArray<Seen>): Observation =>
  all.reduce<Observation | undefined>((known, seen, second) => nextObservation(known, seen, second * 1000), undefined)!

describe("an observation", () => {
  const first = held(10)
  const same: ReadonlyArray<readonly [what: string, first: Seen, second: Seen]> = [
    ["the same revision, nonce and attempt", first, held(10)],
    ["the same attempt with other metadata, as each attempt is written once", first, held(10, { metadata: { a: 1 } })],
    ["the same vacant record", vacant(10), vacant(10)],
    ["the same record that cannot be decoded", undecodable(10), undecodable(10)],
    ["an absent key again", absent, absent]
  ]
  for (const [what, one, two] of same) {
    it(`keeps its time after observing ${what}`, () => {
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
    ["a hand-over", first, vacant(10)],
    ["the record, which can no longer be decoded", first, undecodable(10)],
    ["the removal of the record", first, absent],
    ["a new record", absent, first],
    ["a new vacant record", absent, vacant(10)],
    ["a new record that cannot be decoded", absent, undecodable(10)],
    ["a win over a vacant record", vacant(10), held(11)],
    ["another vacant record", vacant(10), vacant(11)],
    ["another record that cannot be decoded", undecodable(10), undecodable(11)],
    ["a record that can be decoded", undecodable(10), held(10)]
  ]
  for (const [what, one, two] of others) {
    it(`restarts its time after observing ${what}`, () => {
      const next = nextObservation(observed(one), two, 99_000)
      assert.strictEqual(next.since, 99_000)
      assert.deepStrictEqual(next.seen, two)
    })
  }

  const believed: ReadonlyArray<readonly [what: string, Observation, Observation["lastHeld"]]> = [
    ["the key was never present", observed(absent), undefined],
    ["a live record is present", observed(held(10, { leaseMillis: 7 })), { _tag: "Known", leaseMillis: 7 }],
    [
      "a live record was removed",
      observed(absent, held(10, { leaseMillis: 7 }), absent),
      { _tag: "Known", leaseMillis: 7 }
    ],
    [
      "a record was renewed, and removed",
      observed(held(10), held(11, { attempt: 6, leaseMillis: 7 }), absent),
      { _tag: "Known", leaseMillis: 7 }
    ],
    ["a record that cannot be decoded was removed", observed(undecodable(10, 7), absent), {
      _tag: "Guessed",
      leaseMillis: 7
    }],
    ["a record was handed over", observed(held(10), vacant(11)), undefined],
    ["a record was handed over, and removed", observed(held(10), vacant(11), absent), undefined],
    [
      "a candidate won after a hand-over, and its record was removed",
      observed(held(10), vacant(11), held(12, { leaseMillis: 7 }), absent),
      { _tag: "Known", leaseMillis: 7 }
    ]
  ]
  for (const [what, { lastHeld }, expected] of believed) {
    it(`has the right last live record if ${what}`, () => {
      assert.deepStrictEqual(lastHeld, expected)
    })
  }

  it("keeps the highest observed term, also after states without a term", () => {
    const terms = (...all: ReadonlyArray<Seen>) => observed(...all).term
    assert.strictEqual(terms(absent), 0)
    assert.strictEqual(terms(undecodable(1)), 0)
    assert.strictEqual(terms(held(1, { term: 4 })), 4)
    assert.strictEqual(terms(held(1, { term: 4 }), vacant(2, { term: 5 })), 5)
    assert.strictEqual(terms(held(1, { term: 4 }), absent), 4)
    assert.strictEqual(terms(held(1, { term: 4 }), undecodable(2)), 4)
    assert.strictEqual(terms(held(9, { term: 4 }), held(2, { term: 1 })), 4)
  })

  /** Few values for each field, so that equal states often follow each other. */
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
    "counts from the first of the last equal observations, and knows whether a live record was the last one",
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
      assert.strictEqual(lastHeld !== undefined, believed)
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
    ["after its priority delay over a vacant record", observed(held(9), vacant(10)), third, 13_000, 10],
    ["at once if no record was ever observed", observed(absent), candidate, 0, "nothing"],
    ["after its priority delay if no record was ever observed", observed(absent), third, 12_000, "nothing"],
    [
      "exactly at the end of the LEADER'S lease, on the revision that it has watched",
      observed(absent, held(10, { leaseMillis: 7000 })),
      candidate,
      8000,
      10
    ],
    [
      "after an hour if the leader's lease is longer",
      observed(absent, held(10, { leaseMillis: year })),
      candidate,
      1000 + hour,
      10
    ],
    [
      "an hour after the removal of a record with a longer lease",
      observed(held(10, { leaseMillis: year }), absent),
      candidate,
      1000 + hour,
      "nothing"
    ],
    [
      "after three fifths more of the LEADER'S lease with priority 3",
      observed(held(10, { leaseMillis: 7000 })),
      third,
      11_200,
      10
    ],
    [
      "after three fifths more of its own lease with priority 3 over a record that cannot be decoded",
      observed(undecodable(10)),
      third,
      80_000,
      10
    ],
    [
      "after three fifths more of the lease of a removed live record with priority 3",
      observed(held(10, { leaseMillis: 7000 }), absent),
      third,
      12_200,
      "nothing"
    ],
    [
      "after its priority delay if a vacant record was removed",
      observed(held(9), vacant(10), absent),
      third,
      14_000,
      "nothing"
    ],
    [
      "a lease after the last renewal",
      observed(held(10, { leaseMillis: 7000 }), held(11, { attempt: 6, leaseMillis: 7000 })),
      candidate,
      8000,
      11
    ],
    [
      "after the lease of a removed live record, from the first observation without it",
      observed(held(9), held(10, { attempt: 6, leaseMillis: 7000 }), absent, absent),
      candidate,
      9000,
      "nothing"
    ],
    [
      "at once if a vacant record was removed",
      observed(held(9), vacant(10), absent),
      candidate,
      2000,
      "nothing"
    ]
  ]
  for (const [what, observation, as, at, on] of cells) {
    it(`tries to win ${what}`, () => {
      assert.deepStrictEqual(standing(observation, as), { at, on })
    })
  }

  const guesses: ReadonlyArray<
    readonly [what: string, own: number, found: number | undefined, wait: number]
  > = [
    ["its own lease", 50_000, undefined, 50_000],
    ["its own lease, if that is longer than the one in the text", 50_000, 49_999, 50_000],
    ["the lease in the text, if that is longer than its own", 50_000, 50_001, 50_001],
    ["20 seconds at least", 3000, undefined, 20_000],
    ["20 seconds at least, with a shorter lease in the text", 3000, 19_999, 20_000],
    ["the lease in the text, if it is more than 20 seconds", 3000, 20_001, 20_001],
    ["an hour at most", 3000, year, hour],
    ["an hour at most, for any number in the text", 3000, Number.POSITIVE_INFINITY, hour]
  ]
  for (const [what, leaseDuration, found, wait] of guesses) {
    it(`waits for ${what}, over a record that cannot be decoded and after its removal`, () => {
      const short = { ...candidate, leaseDuration }
      assert.deepStrictEqual(standing(observed(absent, undecodable(10, found)), short), { at: 1000 + wait, on: 10 })
      assert.deepStrictEqual(standing(observed(undecodable(10, found), absent), short), {
        at: 1000 + wait,
        on: "nothing"
      })
    })
  }

  it("waits for an hour at most, whatever its lease, for what the longest wait of any candidate is", () => {
    const longest = { ...candidate, leaseDuration: hour }
    for (const last of [held(10, { leaseMillis: 7000 }), held(10, { leaseMillis: year }), undecodable(10, 7000)]) {
      const observation = observed(last, absent)
      const { at } = standing(observation, longest)
      assert.strictEqual(at - observation.since, longestWaitFor(observation.lastHeld!))
    }
  })

  const terms: ReadonlyArray<readonly [what: string, observation: Observation, next: number]> = [
    ["the first term without a record", observed(absent), 1],
    ["the next term", observed(held(10, { term: 4 }), absent), 5],
    ["the largest term that can be decoded", observed(vacant(10, { term: 2 ** 52 - 1 })), 2 ** 52],
    ["the first term again, if the next one could not be decoded", observed(vacant(10, { term: 2 ** 52 })), 1],
    ["the next term after the first one again", observed(vacant(10, { term: 2 ** 52 }), vacant(11, { term: 1 })), 2]
  ]
  for (const [what, observation, next] of terms) {
    it(`writes ${what}`, () => assert.strictEqual(nextTerm(observation), next))
  }

  it("does not wait longer after observing the same record again", () => {
    const once = observed(held(10, { leaseMillis: 7000 }))
    assert.deepStrictEqual(standing(nextObservation(once, held(10), 6999), candidate), standing(once, candidate))
  })
})

describe("the remaining lease", () => {
  const lease = 7000
  const cells: ReadonlyArray<readonly [what: string, inStore: number, observed: number, remaining: number]> = [
    ["is the whole lease when the record is written", 0, 0, lease],
    ["is 1 a millisecond before the end", lease - 1, lease - 1, 1],
    ["is 0 at the end, when a challenger may win", lease, lease, 0],
    ["is negative after the end", lease + 1, lease + 1, -1],
    ["follows the store's clock for a record that was only just observed", lease - 3, 0, 3],
    ["is 0 for a record that was only just observed, and written a lease ago", lease, 0, 0],
    ["follows the time of observation if the store's clock is behind", lease - 3, lease - 1, 1],
    ["is 0 once the record was observed for a lease, whatever the store's clock shows", 0, lease, 0],
    ["is never more than the whole lease, also if the store's clock was set back", -5000, 0, lease]
  ]
  for (const [what, inStore, observed, remaining] of cells) {
    it(what, () => {
      const now = created.epochMilliseconds + inStore
      assert.strictEqual(remainingLease(held(10, { leaseMillis: lease }), now, observed), remaining)
    })
  }

  it("is an hour at most", () => {
    const seen = held(10, { leaseMillis: year })
    assert.strictEqual(remainingLease(seen, created.epochMilliseconds + 5, 0), hour - 5)
  })

  it("ends at the time at which a challenger may win", () => {
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
