/** The states of a term, and what each event makes of them: as a table. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import type { LossReason } from "../../../src/ElectionError.ts"
import { absent, type Seen } from "../../../src/internal/election/record.ts"
import * as Term from "../../../src/internal/election/term.ts"
import { held, undecodable, vacant } from "../../support/electionRecord.ts"

const renewDeadline = 14_000
const leaseDuration = 20_000

// -----------------------------------------------------------------------------
// states
// -----------------------------------------------------------------------------

/** Of the records of `electionRecord.ts`: their nonce is "mine", their term 3, their attempt 5. */
const electedAt = DateTime.makeUnsafe(1_000_000)

/** Attempts up to `last`; those that may still land, with the time at which they were sent. */
const attempts = (last: number, sentAt: Record<number, number> = {}): Term.Attempts => ({
  last,
  sentAt: new Map(Object.entries(sentAt).map(([attempt, at]) => [Number(attempt), at]))
})

const { watching } = Term

const bid = (on: number | "nothing"): Term.Bid => ({ on, term: 3, electedAt })
const standing = (on: number | "nothing", attempts: Term.Attempts): Term.Term => ({
  _tag: "Standing",
  bid: bid(on),
  attempts
})
const withdrawing = (on: number | "nothing", attempts: Term.Attempts): Term.Term => ({
  _tag: "Withdrawing",
  bid: bid(on),
  attempts
})

/** Won at revision 4; by default the last write is revision 10, sent at second 1, and none is outstanding. */
const holding = (fields: Partial<Term.Lease> & { readonly attempts?: Term.Attempts; readonly won?: number } = {}) => ({
  elected: { term: 3, electedAt, revision: fields.won ?? 4 },
  lease: { revision: fields.revision ?? 10, sentAt: fields.sentAt ?? 1000 },
  attempts: fields.attempts ?? attempts(4)
})
const leading = (fields?: Parameters<typeof holding>[0]): Term.Term => ({ _tag: "Leading", holding: holding(fields) })
const releasing = (fields?: Parameters<typeof holding>[0]): Term.Term => ({
  _tag: "Releasing",
  holding: holding(fields)
})
const ended = (reason: LossReason, fields?: Parameters<typeof holding>[0]): Term.Term => ({
  _tag: "Ended",
  reason,
  holding: holding(fields)
})
/** Ended without having won. */
const withdrawn: Term.Term = { _tag: "Ended", reason: "resigned", holding: undefined }

// -----------------------------------------------------------------------------
// events
// -----------------------------------------------------------------------------

type Event = (state: Term.Term) => Term.Step<unknown>

const stand = (on: number | "nothing", now: number): Event => (state) => Term.stand(state, bid(on), now)
const renew = (now: number): Event => (state) => Term.renew(state, now)
const proclaim = (now: number): Event => (state) => Term.proclaim(state, now)
const vacate = (now: number): Event => (state) => Term.vacate(state, now, renewDeadline)
const readBack = (seen: Seen): Event => (state) => Term.readBack(state, "mine", seen)
const confirm = (seen: Seen): Event => (state) => Term.confirm(state, "mine", seen)
const tick = (now: number): Event => (state) => Term.tick(state, now, renewDeadline)
const release: Event = (state) => [Term.release(state), undefined]
const abandon: Event = (state) => [Term.abandon(state), undefined]
const landed = (attempt: number, revision: number, vacant = false): Event => (state) => [
  Term.landed(state, write(attempt, { vacant }), revision),
  undefined
]

/** A renewal, by default. */
const write = (attempt: number, fields: Partial<Term.Write> = {}): Term.Write => ({
  _tag: "Write",
  attempt,
  on: 10,
  term: 3,
  electedAt,
  electedRevision: 4,
  vacant: false,
  ...fields
})
const toWin = (attempt: number, on: number | "nothing"): Term.Write =>
  write(attempt, { on, electedRevision: undefined })
const nothing: Term.Nothing = { _tag: "Nothing" }
const confirmed: Term.Confirmation = { _tag: "Confirmed", elected: holding().elected }
const readAgain: Term.Confirmation = { _tag: "ReadAgain" }
const over: Term.Confirmation = { _tag: "Over" }

const theirs = { nonce: "theirs" }
/** An attempt outstanding, and one more. */
const one = attempts(1, { 1: 500 })
const two = attempts(2, { 1: 500, 2: 900 })
const outstanding = attempts(5, { 5: 5000 })
const several = attempts(6, { 5: 5000, 6: 6000 })
/** Attempt 5 has landed, and was sent at second 5. */
const adopted = { revision: 11, sentAt: 5000, attempts: attempts(5) }

type Row = readonly [what: string, from: Term.Term, event: Event, to: Term.Term, answer: unknown]

const holders: ReadonlyArray<readonly [what: string, (fields?: Parameters<typeof leading>[0]) => Term.Term]> = [
  ["leading", leading],
  ["releasing", releasing],
  ["ended", (fields) => ended("expired", fields)]
]

/** The same rows for a leader, for one that releases, and after the end. */
const forHolders = (rows: (state: typeof leading) => ReadonlyArray<Row>): ReadonlyArray<Row> =>
  holders.flatMap(([who, state]) =>
    rows(state).map(([what, from, event, to, answer]): Row => [`${who}: ${what}`, from, event, to, answer])
  )

const tables: Record<string, ReadonlyArray<Row>> = {
  "an attempt to win": [
    ["the first has number 1", watching, stand("nothing", 500), standing("nothing", one), toWin(1, "nothing")],
    ["is conditioned on the record that was watched", watching, stand(7, 500), standing(7, one), toWin(1, 7)],
    ["the next has the next number", standing("nothing", one), stand(8, 900), standing(8, two), toWin(2, 8)],
    ["none after winning", leading(), stand(10, 900), leading(), nothing],
    ["none after withdrawing", withdrawing(7, one), stand(7, 900), withdrawing(7, one), nothing],
    ["none while releasing", releasing(), stand(10, 900), releasing(), nothing],
    ["none after the end", ended("expired"), stand(10, 900), ended("expired"), nothing],
    ["none after withdrawing for good", withdrawn, stand(10, 900), withdrawn, nothing]
  ],
  "a renewal": [
    ["none before winning", standing(7, one), renew(5000), standing(7, one), nothing],
    ["is on the last revision", leading(), renew(5000), leading({ attempts: outstanding }), write(5)],
    [
      "is on the same revision again while an answer is missing",
      leading({ attempts: outstanding }),
      renew(6000),
      leading({ attempts: several }),
      write(6)
    ],
    ["is sent while releasing", releasing(), renew(5000), releasing({ attempts: outstanding }), write(5)],
    ["none after the end", ended("superseded"), renew(5000), ended("superseded"), nothing],
    ["none after withdrawing", withdrawing(7, one), renew(5000), withdrawing(7, one), nothing],
    ["none while watching", watching, renew(5000), watching, nothing]
  ],
  "other metadata": [
    ["is written by a leader", leading(), proclaim(5000), leading({ attempts: outstanding }), write(5)],
    ["is not written once a release has begun", releasing(), proclaim(5000), releasing(), nothing],
    ["is not written before winning", standing(7, one), proclaim(5000), standing(7, one), nothing],
    ["is not written after the end", ended("removed"), proclaim(5000), ended("removed"), nothing]
  ],
  "the write of vacant": [
    [
      "is on the last revision",
      releasing(),
      vacate(5000),
      releasing({ attempts: outstanding }),
      write(5, { vacant: true })
    ],
    [
      "is sent while an attempt is outstanding",
      releasing({ attempts: outstanding }),
      vacate(6000),
      releasing({ attempts: several }),
      write(6, { vacant: true })
    ],
    [
      "is sent a millisecond before the deadline",
      releasing(),
      vacate(14_999),
      releasing({ attempts: attempts(5, { 5: 14_999 }) }),
      write(5, { vacant: true })
    ],
    ["is not sent at the deadline, when it ends", releasing(), vacate(15_000), ended("expired"), nothing],
    ["is not sent while it is valid", leading(), vacate(5000), leading(), nothing],
    ["is not sent before winning", withdrawing(7, one), vacate(5000), withdrawing(7, one), nothing],
    ["is not sent after the end", ended("superseded"), vacate(5000), ended("superseded"), nothing]
  ],
  "an attempt that is answered": [
    [
      "wins",
      standing(7, one),
      landed(1, 8),
      leading({ won: 8, revision: 8, sentAt: 500, attempts: attempts(1) }),
      undefined
    ],
    [
      "wins, and the one before it cannot land any more",
      standing(7, two),
      landed(2, 8),
      leading({ won: 8, revision: 8, sentAt: 900, attempts: attempts(2) }),
      undefined
    ],
    [
      "wins late, and the one after it may still land",
      standing(7, two),
      landed(1, 8),
      leading({ won: 8, revision: 8, sentAt: 500, attempts: attempts(2, { 2: 900 }) }),
      undefined
    ],
    [
      "wins for a campaign that was given up, and is handed back",
      withdrawing(7, one),
      landed(1, 8),
      releasing({ won: 8, revision: 8, sentAt: 500, attempts: attempts(1) }),
      undefined
    ],
    ["changes nothing where nothing was sent", watching, landed(1, 8), watching, undefined],
    ["changes nothing where nothing was won", withdrawn, landed(1, 8), withdrawn, undefined],
    ...forHolders((state) => [
      ["moves the lease to its sending", state({ attempts: outstanding }), landed(5, 11), state(adopted), undefined],
      [
        "leaves the one that was sent after it",
        state({ attempts: several }),
        landed(5, 11),
        state({ ...adopted, attempts: attempts(6, { 6: 6000 }) }),
        undefined
      ],
      [
        "forgets the ones that were sent before it",
        state({ attempts: several }),
        landed(6, 11),
        state({ revision: 11, sentAt: 6000, attempts: attempts(6) }),
        undefined
      ],
      [
        "does not move the lease back for one that was sent earlier",
        state({ sentAt: 7000, attempts: outstanding }),
        landed(5, 11),
        state({ ...adopted, sentAt: 7000 }),
        undefined
      ],
      [
        "does not move the lease for one that was read back before its answer came",
        state(adopted),
        landed(5, 11),
        state(adopted),
        undefined
      ]
    ]),
    [
      "ends a release with vacant",
      releasing({ attempts: outstanding }),
      landed(5, 11, true),
      ended("resigned", adopted),
      undefined
    ],
    [
      "changes no reason with a vacant that lands after the deadline",
      ended("expired", { attempts: outstanding }),
      landed(5, 11, true),
      ended("expired", adopted),
      undefined
    ]
  ],
  "a candidate that reads the key": [
    [
      "has won where it finds its own attempt, with the time of its sending",
      standing(7, attempts(6, { 5: 5000, 6: 6000 })),
      readBack(held(8)),
      leading({ won: 8, revision: 8, sentAt: 5000, attempts: attempts(6, { 6: 6000 }) }),
      "settled"
    ],
    [
      "has won by the last of several attempts",
      standing(7, several),
      readBack(held(8, { attempt: 6 })),
      leading({ won: 8, revision: 8, sentAt: 6000, attempts: attempts(6) }),
      "settled"
    ],
    [
      "takes term, time and revision from the record that won",
      standing(7, one),
      readBack(held(12, { attempt: 1, term: 9, electedAt: DateTime.makeUnsafe(7), electedRevision: 8 })),
      {
        _tag: "Leading",
        holding: {
          elected: { term: 9, electedAt: DateTime.makeUnsafe(7), revision: 8 },
          lease: { revision: 12, sentAt: 500 },
          attempts: attempts(1)
        }
      },
      "settled"
    ],
    [
      "has won, and too long ago, where the sending of its attempt is not known",
      watching,
      readBack(held(8)),
      leading({ won: 8, revision: 8, sentAt: Number.NEGATIVE_INFINITY, attempts: attempts(0) }),
      "settled"
    ],
    ...([
      ["nothing", absent],
      ["the revision that it was sent for", vacant(7, theirs)],
      ["another's record", held(8, theirs)],
      ["a hand-over with its nonce", vacant(8)],
      ["another's hand-over", vacant(8, theirs)],
      ["a record that does not decode", undecodable(8)]
    ] as const).map(([what, seen]): Row => [
      `does not know where it finds ${what}`,
      standing(7, one),
      readBack(seen),
      standing(7, one),
      "retry"
    ])
  ],
  "a campaign that is given up and reads the key": [
    [
      "has won where it finds its own attempt, and hands it back",
      withdrawing(7, outstanding),
      readBack(held(8)),
      releasing({ won: 8, revision: 8, sentAt: 5000, attempts: attempts(5) }),
      "settled"
    ],
    ...([
      ["the record that it was to replace", 7, held(7, theirs)],
      ["the hand-over that it was to replace", 7, vacant(7, theirs)],
      ["a record that does not decode, and that it was to replace", 7, undecodable(7)],
      ["still nothing", "nothing", absent]
    ] as const).map(([what, on, seen]): Row => [
      `may still win where it finds ${what}`,
      withdrawing(on, one),
      readBack(seen),
      withdrawing(on, one),
      "retry"
    ]),
    ...([
      ["another's record", 7, held(8, theirs)],
      ["a hand-over with its nonce", 7, vacant(8)],
      ["another's hand-over", 7, vacant(8, theirs)],
      ["a record that does not decode", 7, undecodable(8)],
      ["a record of a lower revision", 7, held(6, theirs)],
      ["nothing, where it was to replace a record", 7, absent],
      ["a record, where there was nothing", "nothing", held(8, theirs)]
    ] as const).map(([what, on, seen]): Row => [
      `cannot win any more where it finds ${what}`,
      withdrawing(on, one),
      readBack(seen),
      withdrawn,
      "settled"
    ])
  ],
  "a leader that lost a compare-and-set and reads the key": [
    ...forHolders((state) => [
      [
        "continues from its own later write, with the time of its sending",
        state({ attempts: outstanding }),
        readBack(held(11)),
        state(adopted),
        "settled"
      ],
      [
        "continues from the earlier of two attempts",
        state({ attempts: several }),
        readBack(held(11)),
        state({ ...adopted, attempts: attempts(6, { 6: 6000 }) }),
        "settled"
      ],
      [
        "does not move its deadline for its own write where the sending is not known",
        state(),
        readBack(held(11)),
        state({ revision: 11 }),
        "settled"
      ],
      [
        "tries again where it finds the write that it knows of: nothing was written",
        state({ attempts: attempts(6, { 6: 6000 }) }),
        readBack(held(10)),
        state({ attempts: attempts(6, { 6: 6000 }) }),
        "retry"
      ],
      ...([
        ["its own", held(9)],
        ["another's record", held(9, theirs)],
        ["its own hand-over", vacant(9)],
        ["another's hand-over", vacant(9, theirs)],
        ["a record that does not decode", undecodable(9)]
      ] as const).map(([what, seen]): Row => [
        `tries again after a stale answer: ${what}`,
        state({ attempts: outstanding }),
        readBack(seen),
        state({ attempts: outstanding }),
        "retry"
      ])
    ]),
    ...([
      ["nothing", "removed", absent],
      ["another's record", "superseded", held(11, theirs)],
      ["another's record under the same revision", "superseded", held(10, theirs)],
      ["another's hand-over", "superseded", vacant(11, theirs)],
      ["another's hand-over under the same revision", "superseded", vacant(10, theirs)],
      ["a record that does not decode", "superseded", undecodable(11)],
      ["a record that does not decode under the same revision", "superseded", undecodable(10)],
      [
        "a record of the same name, and another nonce",
        "superseded",
        held(11, { candidateId: "a", nonce: "another-of-the-same-name" })
      ],
      ["its own hand-over, of which it was not told", "resigned", vacant(11)],
      ["its own hand-over under the same revision", "resigned", vacant(10)]
    ] as const).flatMap(([what, reason, seen]): ReadonlyArray<Row> => [
      [
        `leading: is ${reason} where it finds ${what}`,
        leading({ attempts: outstanding }),
        readBack(seen),
        ended(reason, { attempts: outstanding }),
        "settled"
      ],
      [
        `releasing: is ${reason} where it finds ${what}`,
        releasing({ attempts: outstanding }),
        readBack(seen),
        ended(reason, { attempts: outstanding }),
        "settled"
      ],
      [
        `ended: stays expired where it finds ${what}`,
        ended("expired", { attempts: outstanding }),
        readBack(seen),
        ended("expired", { attempts: outstanding }),
        "settled"
      ]
    ]),
    ["has nothing to find out where it never won", withdrawn, readBack(held(11)), withdrawn, "settled"]
  ],
  "a winner that reads the key before it is announced": [
    ["is confirmed by the write that won", leading(), confirm(held(10)), leading(), confirmed],
    [
      "is confirmed by a renewal, which its answer adopts",
      leading({ attempts: outstanding }),
      confirm(held(11)),
      leading({ attempts: outstanding }),
      confirmed
    ],
    ["reads again after a stale answer", leading(), confirm(held(9)), leading(), readAgain],
    ["reads again after a stale answer of another's", leading(), confirm(vacant(9, theirs)), leading(), readAgain],
    ["is over where it finds another's record", leading(), confirm(held(11, theirs)), ended("superseded"), over],
    ["is over where it finds nothing", leading(), confirm(absent), ended("removed"), over],
    ["is over where it finds its own hand-over", releasing(), confirm(vacant(11)), ended("resigned"), over],
    ["keeps the first reason", ended("expired"), confirm(held(11, theirs)), ended("expired"), over],
    ["has nothing to confirm before winning", standing(7, one), confirm(held(8)), standing(7, one), over],
    ["has nothing to confirm while watching", watching, confirm(absent), watching, over],
    ["has nothing to confirm where it never won", withdrawn, confirm(held(8)), withdrawn, over]
  ],
  "the deadline": [
    ["is renewDeadline after the sending", leading(), tick(1000), leading(), renewDeadline],
    ["is a millisecond away", leading(), tick(14_999), leading(), 1],
    ["ends leadership exactly", leading(), tick(15_000), ended("expired"), 0],
    ["ends leadership when it has passed", leading(), tick(99_000), ended("expired"), 0],
    ["is a part of a millisecond away", leading(), tick(14_999.75), leading(), 0.25],
    [
      "is not put off by an attempt that is outstanding",
      leading({ attempts: outstanding }),
      tick(15_000),
      ended("expired", { attempts: outstanding }),
      0
    ],
    ["is kept while releasing", releasing(), tick(14_999), releasing(), 1],
    ["ends a release", releasing(), tick(15_000), ended("expired"), 0],
    [
      "has passed where no sending is known",
      leading({ sentAt: Number.NEGATIVE_INFINITY }),
      tick(0),
      ended("expired", { sentAt: Number.NEGATIVE_INFINITY }),
      0
    ],
    ["has no meaning while watching", watching, tick(99_000), watching, 0],
    ["has no meaning before winning", standing(7, one), tick(99_000), standing(7, one), 0],
    ["has no meaning for a campaign that is given up", withdrawing(7, one), tick(99_000), withdrawing(7, one), 0],
    ["does not change a reason", ended("superseded"), tick(99_000), ended("superseded"), 0],
    ["does not undo an end", ended("expired"), tick(2000), ended("expired"), 0]
  ],
  "a release": [
    ["ends a campaign that has sent nothing", watching, release, withdrawn, undefined],
    ["withdraws attempts that may still land", standing(7, two), release, withdrawing(7, two), undefined],
    [
      "begins with an attempt outstanding",
      leading({ attempts: outstanding }),
      release,
      releasing({ attempts: outstanding }),
      undefined
    ],
    ["begins once", releasing(), release, releasing(), undefined],
    ["of a campaign begins once", withdrawing(7, one), release, withdrawing(7, one), undefined],
    ["does not change an end", ended("expired"), release, ended("expired"), undefined]
  ],
  "an outcome that cannot be read": [
    ["ends a campaign that was given up", withdrawing(7, one), abandon, withdrawn, undefined],
    ["ends no campaign that was not given up", standing(7, one), abandon, standing(7, one), undefined],
    ["ends no leadership", leading(), abandon, leading(), undefined],
    ["ends no release", releasing(), abandon, releasing(), undefined]
  ]
}

for (const [what, rows] of Object.entries(tables)) {
  describe(what, () => {
    for (const [name, from, event, to, answer] of rows) {
      it(name, () => {
        assert.deepStrictEqual(event(from), [to, answer])
      })
    }
  })
}

describe("the end of a lease", () => {
  const rows: ReadonlyArray<readonly [what: string, state: Term.Term, now: number, left: number]> = [
    ["is leaseDuration after the sending", leading(), 1000, leaseDuration],
    ["lies after the deadline of a leader", releasing(), 15_000, leaseDuration - renewDeadline],
    ["comes after the end of leadership", ended("expired"), 20_999, 1],
    ["has come", ended("expired"), 21_000, 0],
    ["has passed", ended("expired"), 22_000, -1000],
    ["is now where nothing was won", withdrawn, 1000, 0],
    ["is now before winning", standing(7, one), 1000, 0]
  ]
  for (const [what, state, now, left] of rows) {
    it(what, () => {
      assert.strictEqual(Term.untilLeaseEnds(state, now, leaseDuration), left)
    })
  }
})

describe("any events in any order", () => {
  /** The states that may follow each, besides itself. */
  const next: Record<Term.Term["_tag"], ReadonlyArray<Term.Term["_tag"]>> = {
    Watching: ["Standing", "Leading", "Ended"],
    Standing: ["Withdrawing", "Leading"],
    Withdrawing: ["Releasing", "Ended"],
    Leading: ["Releasing", "Ended"],
    Releasing: ["Ended"],
    Ended: []
  }
  const seen: ReadonlyArray<(revision: number, attempt: number) => Seen> = [
    () => absent,
    (revision, attempt) => held(revision, { attempt }),
    (revision, attempt) => held(revision, { attempt, ...theirs }),
    (revision, attempt) => vacant(revision, { attempt }),
    (revision, attempt) => vacant(revision, { attempt, ...theirs }),
    undecodable
  ]
  /** By a number: what, at a time, under a revision. */
  const eventOf = ([kind, now, revision, attempt]: readonly [number, number, number, number]): Event => {
    const look = seen[attempt % seen.length]!(revision, attempt)
    const events: ReadonlyArray<Event> = [
      stand(revision, now),
      stand("nothing", now),
      renew(now),
      proclaim(now),
      vacate(now),
      landed(attempt, revision),
      landed(attempt, revision, true),
      readBack(look),
      readBack(held(revision, { attempt })),
      confirm(look),
      tick(now),
      release,
      abandon
    ]
    return events[kind % events.length]!
  }
  const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
  const Time = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20_000 }))
  const isWrite = (answer: unknown): answer is Term.Write => (answer as Term.Write | undefined)?._tag === "Write"

  it.prop(
    "lead to no state that has been left, move no deadline back, and number each write once",
    { steps: Schema.Array(Schema.Tuple([Small, Time, Small, Small])) },
    ({ steps }) => {
      let state: Term.Term = watching
      let last = 0
      for (const step of steps) {
        const before = state
        const [after, answer] = eventOf(step)(before)
        state = after
        if (after._tag !== before._tag) assert.include(next[before._tag], after._tag)
        if (before._tag === "Ended" && after._tag === "Ended") assert.strictEqual(after.reason, before.reason)
        const known = Term.holdingOf(before)
        const holds = Term.holdingOf(after)
        if (known !== undefined) {
          assert.isAtLeast(holds!.lease.sentAt, known.lease.sentAt)
          assert.deepStrictEqual(holds!.elected, known.elected)
        }
        if (isWrite(answer)) {
          assert.strictEqual(answer.attempt, ++last)
          if (answer.vacant) assert.strictEqual(after._tag, "Releasing")
          if (known !== undefined) assert.strictEqual(answer.on, known.lease.revision)
        }
      }
    }
  )
})
