/** The states of a term and the transition of each event, as a table. */
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

/** As in the records of `electionRecord.ts`, which have the nonce "mine", term 3 and attempt 5. */
const electedAt = DateTime.makeUnsafe(1_000_000)

/** Attempts up to `last`, with the times of sending of those that may still land. */
const attempts = (last: number, sentAt: Record<number, number> = {}): Term.Attempts => ({
  last,
  sentAt: new Map(Object.entries(sentAt).map(([attempt, at]) => [Number(attempt), at]))
})

const { watching } = Term

/** The deadline of a term whose last renewal was sent at second 1. */
const late = 1000 + renewDeadline

/** Until when renewals continue while the work stops. */
const stopBy = 50_000
/** Of a campaign that was given up: it has no work. */
const atOnce = Number.NEGATIVE_INFINITY

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

/** Won at revision 4. By default the last write is revision 10, sent at second 1, and no attempt is outstanding. */
const holding = (
  fields: Partial<Term.Lease> & {
    readonly attempts?: Term.Attempts
    readonly won?: number
    readonly wonAt?: number
    readonly hasLed?: boolean
  } = {}
) => ({
  elected: { term: 3, electedAt, revision: fields.won ?? 4 },
  // As if no renewal had landed, unless a test says otherwise.
  wonAt: fields.wonAt ?? (fields.won === undefined ? 1000 : fields.sentAt ?? 1000),
  hasLed: fields.hasLed ?? fields.won === undefined,
  lease: { revision: fields.revision ?? 10, sentAt: fields.sentAt ?? 1000 },
  attempts: fields.attempts ?? attempts(4)
})
const leading = (fields?: Parameters<typeof holding>[0]): Term.Term => ({ _tag: "Leading", holding: holding(fields) })
const releasing = (fields?: Parameters<typeof holding>[0] & { readonly stopBy?: number }): Term.Term => ({
  _tag: "Releasing",
  holding: holding(fields),
  stopBy: fields?.stopBy ?? stopBy
})
const ended = (reason: LossReason, fields?: Parameters<typeof holding>[0]): Term.Term => ({
  _tag: "Ended",
  reason,
  holding: holding(fields)
})
/** Ended without having won. */
const withdrawn = { _tag: "Ended", reason: "resigned", holding: undefined } as const

// -----------------------------------------------------------------------------
// events
// -----------------------------------------------------------------------------

type Event = (state: Term.Term) => Term.Step<unknown>

const stand = (on: number | "nothing", now: number): Event => (state) => Term.stand(state, bid(on), now)
const renew = (now: number): Event => (state) => Term.renew(state, now, renewDeadline)
const proclaim = (now: number): Event => (state) => Term.proclaim(state, now, renewDeadline)
const vacate = (now: number): Event => (state) => Term.vacate(state, now, renewDeadline)
const readBack = (seen: Seen): Event => (state) => Term.readBack(state, "mine", seen)
const confirm = (seen: Seen): Event => (state) => Term.confirm(state, "mine", seen)
const tick = (now: number): Event => (state) => Term.tick(state, now, renewDeadline)
const release: Event = (state) => [Term.release(state, stopBy), undefined]
const giveUp: Event = (state) => [Term.giveUp(state), undefined]
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
/** One outstanding attempt, and two. */
const one = attempts(1, { 1: 500 })
const two = attempts(2, { 1: 500, 2: 900 })
const outstanding = attempts(5, { 5: 5000 })
const several = attempts(6, { 5: 5000, 6: 6000 })
/** Attempt 5, which was sent at second 5, has landed. */
const adopted = { revision: 11, sentAt: 5000, attempts: attempts(5) }

type Row = readonly [what: string, from: Term.Term, event: Event, to: Term.Term, answer: unknown]

const holders: ReadonlyArray<readonly [what: string, (fields?: Parameters<typeof leading>[0]) => Term.Term]> = [
  ["leading", leading],
  ["releasing", releasing],
  ["ended", (fields) => ended("expired", fields)]
]

/**
 * The same rows for the states `Leading`, `Releasing` and `Ended`. `open` are the attempts that may still land: after the
 * end, those before as well, because their record is handed back.
 */
const forHolders = (
  rows: (
    state: typeof leading,
    open: (before: Term.Attempts, after: Term.Attempts) => Term.Attempts
  ) => ReadonlyArray<Row>
): ReadonlyArray<Row> =>
  holders.flatMap(([who, state]) =>
    rows(state, (before, after) => who === "ended" ? before : after).map((
      [what, from, event, to, answer]
    ): Row => [`${who}: ${what}`, from, event, to, answer])
  )

const tables: Record<string, ReadonlyArray<Row>> = {
  "an attempt to win": [
    ["has number 1 if it is the first", watching, stand("nothing", 500), standing("nothing", one), toWin(1, "nothing")],
    ["is conditioned on the record that was watched", watching, stand(7, 500), standing(7, one), toWin(1, 7)],
    ["has the next number", standing("nothing", one), stand(8, 900), standing(8, two), toWin(2, 8)],
    ["is not sent after winning", leading(), stand(10, 900), leading(), nothing],
    ["is not sent after withdrawing", withdrawing(7, one), stand(7, 900), withdrawing(7, one), nothing],
    ["is not sent while releasing", releasing(), stand(10, 900), releasing(), nothing],
    ["is not sent after the end", ended("expired"), stand(10, 900), ended("expired"), nothing],
    ["is not sent after the end of a campaign", withdrawn, stand(10, 900), withdrawn, nothing]
  ],
  "a renewal": [
    ["is not sent before winning", standing(7, one), renew(5000), standing(7, one), nothing],
    ["is conditioned on the last revision", leading(), renew(5000), leading({ attempts: outstanding }), write(5)],
    [
      "is conditioned on the same revision while an attempt is outstanding",
      leading({ attempts: outstanding }),
      renew(6000),
      leading({ attempts: several }),
      write(6)
    ],
    ["is sent while releasing", releasing(), renew(5000), releasing({ attempts: outstanding }), write(5)],
    [
      "is sent just before the deadline",
      leading(),
      renew(late - 1),
      leading({ attempts: attempts(5, { 5: late - 1 }) }),
      write(5)
    ],
    ["is not sent after the deadline, at which the term ends", leading(), renew(late), ended("expired"), nothing],
    ["is not sent after the deadline while releasing", releasing(), renew(late), ended("expired"), nothing],
    ["is not sent after the end", ended("superseded"), renew(5000), ended("superseded"), nothing],
    ["is not sent after withdrawing", withdrawing(7, one), renew(5000), withdrawing(7, one), nothing],
    ["is not sent while watching", watching, renew(5000), watching, nothing]
  ],
  "a proclamation": [
    ["is sent by a leader", leading(), proclaim(5000), leading({ attempts: outstanding }), write(5)],
    ["is not sent after the deadline, at which the term ends", leading(), proclaim(late), ended("expired"), nothing],
    ["is not sent once a release has begun", releasing(), proclaim(5000), releasing(), nothing],
    ["is not sent before winning", standing(7, one), proclaim(5000), standing(7, one), nothing],
    ["is not sent after the end", ended("removed"), proclaim(5000), ended("removed"), nothing]
  ],
  "the vacant record": [
    [
      "is conditioned on the last revision",
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
    ["is not sent at the deadline, which ends the term", releasing(), vacate(15_000), ended("expired"), nothing],
    ["is not sent while leadership is valid", leading(), vacate(5000), leading(), nothing],
    ["is not sent before winning", withdrawing(7, one), vacate(5000), withdrawing(7, one), nothing],
    ["is not sent after the end", ended("superseded"), vacate(5000), ended("superseded"), nothing]
  ],
  "an answer to an attempt": [
    [
      "wins the term",
      standing(7, one),
      landed(1, 8),
      leading({ won: 8, revision: 8, sentAt: 500, attempts: attempts(1) }),
      undefined
    ],
    [
      "wins the term, and an earlier attempt can no longer land",
      standing(7, two),
      landed(2, 8),
      leading({ won: 8, revision: 8, sentAt: 900, attempts: attempts(2) }),
      undefined
    ],
    [
      "wins the term late, and a later attempt may still land",
      standing(7, two),
      landed(1, 8),
      leading({ won: 8, revision: 8, sentAt: 500, attempts: attempts(2, { 2: 900 }) }),
      undefined
    ],
    [
      "wins for a campaign that was given up, which then releases",
      withdrawing(7, one),
      landed(1, 8),
      releasing({ won: 8, revision: 8, sentAt: 500, attempts: attempts(1), stopBy: atOnce }),
      undefined
    ],
    ["changes nothing if no attempt was sent", watching, landed(1, 8), watching, undefined],
    ["changes nothing after a campaign without a win", withdrawn, landed(1, 8), withdrawn, undefined],
    ...forHolders((state, open) => [
      [
        "moves the lease to the sending of the attempt",
        state({ attempts: outstanding }),
        landed(5, 11),
        state({ ...adopted, attempts: open(outstanding, adopted.attempts) }),
        undefined
      ],
      [
        "keeps a later attempt, which may still land",
        state({ attempts: several }),
        landed(5, 11),
        state({ ...adopted, attempts: open(several, attempts(6, { 6: 6000 })) }),
        undefined
      ],
      [
        "removes earlier attempts, which can no longer land",
        state({ attempts: several }),
        landed(6, 11),
        state({ revision: 11, sentAt: 6000, attempts: open(several, attempts(6)) }),
        undefined
      ],
      [
        "does not move the lease back if the attempt was sent earlier",
        state({ sentAt: 7000, attempts: outstanding }),
        landed(5, 11),
        state({ ...adopted, sentAt: 7000, attempts: open(outstanding, adopted.attempts) }),
        undefined
      ],
      [
        "does not move the lease if the attempt was read back before",
        state(adopted),
        landed(5, 11),
        state(adopted),
        undefined
      ]
    ]),
    [
      "ends a release if the record is vacant",
      releasing({ attempts: outstanding }),
      landed(5, 11, true),
      ended("resigned", adopted),
      undefined
    ],
    [
      "does not change the reason if a vacant record lands after the deadline",
      ended("expired", { attempts: outstanding }),
      landed(5, 11, true),
      ended("expired", { ...adopted, attempts: outstanding }),
      undefined
    ]
  ],
  "a candidate that reads the key": [
    [
      "has won if it finds its own attempt, with the time of its sending",
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
      "adopts term, time and revision of the record that won",
      standing(7, one),
      readBack(held(12, { attempt: 1, term: 9, electedAt: DateTime.makeUnsafe(7), electedRevision: 8 })),
      {
        _tag: "Leading",
        holding: {
          elected: { term: 9, electedAt: DateTime.makeUnsafe(7), revision: 8 },
          wonAt: 500,
          hasLed: false,
          lease: { revision: 12, sentAt: 500 },
          attempts: attempts(1)
        }
      },
      "settled"
    ],
    [
      "has won, but is not valid, if the sending of its attempt is unknown",
      watching,
      readBack(held(8)),
      leading({ won: 8, revision: 8, sentAt: Number.NEGATIVE_INFINITY, attempts: attempts(0) }),
      "settled"
    ],
    ...([
      ["no record", absent],
      ["the revision in its condition", vacant(7, theirs)],
      ["the record of another candidate", held(8, theirs)],
      ["a vacant record with its nonce", vacant(8)],
      ["the vacant record of another candidate", vacant(8, theirs)],
      ["a record that cannot be decoded", undecodable(8)]
    ] as const).map(([what, seen]): Row => [
      `does not know the outcome if it finds ${what}`,
      standing(7, one),
      readBack(seen),
      standing(7, one),
      "retry"
    ])
  ],
  "a campaign that is given up and reads the key": [
    [
      "has won if it finds its own attempt, and releases",
      withdrawing(7, outstanding),
      readBack(held(8)),
      releasing({ won: 8, revision: 8, sentAt: 5000, attempts: attempts(5), stopBy: atOnce }),
      "settled"
    ],
    ...([
      ["the record in its condition", 7, held(7, theirs)],
      ["the vacant record in its condition", 7, vacant(7, theirs)],
      ["the record in its condition, which cannot be decoded", 7, undecodable(7)],
      ["no record, as in its condition", "nothing", absent]
    ] as const).map(([what, on, seen]): Row => [
      `may still win if it finds ${what}`,
      withdrawing(on, one),
      readBack(seen),
      withdrawing(on, one),
      "retry"
    ]),
    ...([
      ["the record of another candidate", 7, held(8, theirs)],
      ["a vacant record with its nonce", 7, vacant(8)],
      ["the vacant record of another candidate", 7, vacant(8, theirs)],
      ["a record that cannot be decoded", 7, undecodable(8)],
      ["a record with a lower revision", 7, held(6, theirs)],
      ["no record, but a revision in its condition", 7, absent],
      ["a record, but createOnly as its condition", "nothing", held(8, theirs)]
    ] as const).map(([what, on, seen]): Row => [
      `can no longer win if it finds ${what}`,
      withdrawing(on, one),
      readBack(seen),
      withdrawn,
      "settled"
    ])
  ],
  "a leader that reads the key after a conflict": [
    ...forHolders((state, open) => [
      [
        "adopts its own later write, with the time of its sending",
        state({ attempts: outstanding }),
        readBack(held(11)),
        state({ ...adopted, attempts: open(outstanding, adopted.attempts) }),
        "settled"
      ],
      [
        "adopts the earlier of two attempts",
        state({ attempts: several }),
        readBack(held(11)),
        state({ ...adopted, attempts: open(several, attempts(6, { 6: 6000 })) }),
        "settled"
      ],
      [
        "does not move its deadline for its own write if the sending is unknown",
        state(),
        readBack(held(11)),
        state({ revision: 11 }),
        "settled"
      ],
      [
        "retries if it finds its last known write, as no attempt has landed",
        state({ attempts: attempts(6, { 6: 6000 }) }),
        readBack(held(10)),
        state({ attempts: attempts(6, { 6: 6000 }) }),
        "retry"
      ],
      ...([
        ["its own record", held(9)],
        ["the record of another candidate", held(9, theirs)],
        ["its own vacant record", vacant(9)],
        ["the vacant record of another candidate", vacant(9, theirs)],
        ["a record that cannot be decoded", undecodable(9)]
      ] as const).map(([what, seen]): Row => [
        `retries after a stale answer: ${what}`,
        state({ attempts: outstanding }),
        readBack(seen),
        state({ attempts: outstanding }),
        "retry"
      ])
    ]),
    ...([
      ["no record", "removed", absent],
      ["the record of another candidate", "superseded", held(11, theirs)],
      ["the record of another candidate with the same revision", "superseded", held(10, theirs)],
      ["the vacant record of another candidate", "superseded", vacant(11, theirs)],
      ["the vacant record of another candidate with the same revision", "superseded", vacant(10, theirs)],
      ["a record that cannot be decoded", "superseded", undecodable(11)],
      ["a record that cannot be decoded with the same revision", "superseded", undecodable(10)],
      [
        "a record with the same candidateId and another nonce",
        "superseded",
        held(11, { candidateId: "a", nonce: "another-of-the-same-name" })
      ],
      ["its own vacant record, which got no answer", "resigned", vacant(11)],
      ["its own vacant record with the same revision", "resigned", vacant(10)]
    ] as const).flatMap(([what, reason, seen]): ReadonlyArray<Row> => [
      [
        `leading: is ${reason} if it finds ${what}`,
        leading({ attempts: outstanding }),
        readBack(seen),
        ended(reason, { attempts: outstanding }),
        "settled"
      ],
      [
        `releasing: is ${reason} if it finds ${what}`,
        releasing({ attempts: outstanding }),
        readBack(seen),
        ended(reason, { attempts: outstanding }),
        "settled"
      ],
      [
        `ended: stays expired if it finds ${what}`,
        ended("expired", { attempts: outstanding }),
        readBack(seen),
        ended("expired", { attempts: outstanding }),
        "settled"
      ]
    ]),
    ["changes nothing if it never won", withdrawn, readBack(held(11)), withdrawn, "settled"]
  ],
  "a winner that reads the key before the announcement": [
    ["is confirmed by the write that won", leading(), confirm(held(10)), leading(), confirmed],
    [
      "is confirmed by a renewal, without adopting it",
      leading({ attempts: outstanding }),
      confirm(held(11)),
      leading({ attempts: outstanding }),
      confirmed
    ],
    ["reads again after a stale answer", leading(), confirm(held(9)), leading(), readAgain],
    [
      "reads again after a stale answer with the record of another candidate",
      leading(),
      confirm(vacant(9, theirs)),
      leading(),
      readAgain
    ],
    [
      "ends if it finds the record of another candidate",
      leading(),
      confirm(held(11, theirs)),
      ended("superseded"),
      over
    ],
    ["ends if it finds no record", leading(), confirm(absent), ended("removed"), over],
    ["ends if it finds its own vacant record", releasing(), confirm(vacant(11)), ended("resigned"), over],
    ["keeps the first reason", ended("expired"), confirm(held(11, theirs)), ended("expired"), over],
    ["is over before winning", standing(7, one), confirm(held(8)), standing(7, one), over],
    ["is over while watching", watching, confirm(absent), watching, over],
    ["is over if it never won", withdrawn, confirm(held(8)), withdrawn, over]
  ],
  "the deadline": [
    ["is renewDeadline after the sending", leading(), tick(1000), leading(), renewDeadline],
    ["is a millisecond away", leading(), tick(14_999), leading(), 1],
    ["ends leadership exactly when it is reached", leading(), tick(15_000), ended("expired"), 0],
    ["ends leadership when it has passed", leading(), tick(99_000), ended("expired"), 0],
    ["is a fraction of a millisecond away", leading(), tick(14_999.75), leading(), 0.25],
    [
      "is not extended by an outstanding attempt",
      leading({ attempts: outstanding }),
      tick(15_000),
      ended("expired", { attempts: outstanding }),
      0
    ],
    ["is the same while releasing", releasing(), tick(14_999), releasing(), 1],
    ["ends a release", releasing(), tick(15_000), ended("expired"), 0],
    [
      "has passed if no sending is known",
      leading({ sentAt: Number.NEGATIVE_INFINITY }),
      tick(0),
      ended("expired", { sentAt: Number.NEGATIVE_INFINITY }),
      0
    ],
    ["is 0 while watching", watching, tick(99_000), watching, 0],
    ["is 0 before winning", standing(7, one), tick(99_000), standing(7, one), 0],
    ["is 0 for a campaign that was given up", withdrawing(7, one), tick(99_000), withdrawing(7, one), 0],
    ["does not change the reason of an end", ended("superseded"), tick(99_000), ended("superseded"), 0],
    ["does not undo an end", ended("expired"), tick(2000), ended("expired"), 0]
  ],
  "a release": [
    ["ends a campaign that has sent no attempt", watching, release, withdrawn, undefined],
    ["withdraws attempts that may still land", standing(7, two), release, withdrawing(7, two), undefined],
    [
      "begins while an attempt is outstanding",
      leading({ attempts: outstanding }),
      release,
      releasing({ attempts: outstanding }),
      undefined
    ],
    ["begins once", releasing(), release, releasing(), undefined],
    ["of a campaign begins once", withdrawing(7, one), release, withdrawing(7, one), undefined],
    ["does not change a term that has ended", ended("expired"), release, ended("expired"), undefined]
  ],
  "a hand-over that is given up": [
    ["ends a release", releasing(), giveUp, ended("resigned"), undefined],
    [
      "ends a campaign that was given up, whose attempt may still land",
      withdrawing(7, one),
      giveUp,
      { ...withdrawn, unresolved: { on: 7, attempts: one } },
      undefined
    ],
    ["does not end leadership", leading(), giveUp, leading(), undefined],
    ["does not end a campaign", standing(7, one), giveUp, standing(7, one), undefined],
    ["does not change a term that has ended", ended("expired"), giveUp, ended("expired"), undefined]
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
    ["is later than the end of leadership", ended("expired"), 20_999, 1],
    ["is reached", ended("expired"), 21_000, 0],
    ["has passed", ended("expired"), 22_000, -1000],
    ["is now if no attempt has won", withdrawn, 1000, 0],
    ["is now before winning", standing(7, one), 1000, 0]
  ]
  for (const [what, state, now, left] of rows) {
    it(what, () => {
      assert.strictEqual(Term.untilLeaseEnds(state, now, leaseDuration), left)
    })
  }
})

describe("a write that may land late", () => {
  const lost = ended("expired", { attempts: outstanding })
  const given: Term.Term = { ...withdrawn, unresolved: { on: 7, attempts: one } }
  const created: Term.Term = { ...withdrawn, unresolved: { on: "nothing", attempts: one } }
  const unused = ended("expired", { won: 10, attempts: attempts(4) })
  const rows: ReadonlyArray<
    readonly [what: string, state: Term.Term, seen: Seen, expected: Term.LateWrite]
  > = [
    ["has landed if the record has its attempt", lost, held(11), "landed"],
    ["has not landed with a known attempt, as after a roll-back", lost, held(11, { attempt: 4 }), "impossible"],
    ["can land on the revision in its condition", lost, held(10, { attempt: 4 }), "possible"],
    ["can land if an old record was read", lost, held(9, { attempt: 3 }), "possible"],
    ["can land if no record was read", lost, absent, "possible"],
    ["cannot land over the record of another candidate", lost, held(11, theirs), "impossible"],
    ["cannot land over a vacant record", lost, vacant(11), "impossible"],
    ["cannot land without an open attempt", ended("expired"), held(10), "impossible"],
    ["of a campaign that was given up has landed", given, held(8, { attempt: 1 }), "landed"],
    ["of a campaign that was given up can land", given, vacant(7, theirs), "possible"],
    ["of a campaign that was given up cannot land", given, held(8, theirs), "impossible"],
    ["with createOnly can land", created, absent, "possible"],
    ["with createOnly cannot land over a record", created, held(3, theirs), "impossible"],
    ["of a term that never led has landed", unused, held(10, { attempt: 4 }), "landed"],
    ["of a term that never led has not landed in an older record", unused, held(9, { attempt: 4 }), "possible"],
    [
      "of a term that led is no late write",
      ended("expired", { attempts: attempts(4) }),
      held(10, { attempt: 4 }),
      "impossible"
    ],
    ["of a term that was handed over is none", ended("resigned", { won: 10 }), vacant(10), "impossible"],
    ["does not exist before the end", leading({ attempts: outstanding }), held(11), "impossible"]
  ]
  for (const [what, state, seen, expected] of rows) {
    it(what, () => {
      assert.strictEqual(Term.lateWrite(state, "mine", seen), expected)
    })
  }

  it("is handed back on its own revision, with the next number and its token", () => {
    const [next, write] = Term.handBack(lost, held(11), 9000)
    assert.deepStrictEqual(write, {
      _tag: "Write",
      attempt: 6,
      on: 11,
      term: 3,
      electedAt,
      electedRevision: 11,
      vacant: true
    })
    assert.strictEqual(Term.holdingOf(next)?.attempts.last, 6)
    assert.deepStrictEqual(Term.handBack(leading(), held(11), 9000)[1], nothing)
  })
})

describe("a write that was refused", () => {
  const refused = (state: Term.Term, attempt: number) => Term.refused(state, write(attempt))
  it("can no longer land", () => {
    assert.deepStrictEqual(refused(standing(7, two), 2), standing(7, attempts(2, { 1: 500 })))
    assert.deepStrictEqual(
      refused(leading({ attempts: several }), 5),
      leading({ attempts: attempts(6, { 6: 6000 }) })
    )
    assert.deepStrictEqual(refused(watching, 1), watching)
    assert.deepStrictEqual(refused(withdrawn, 1), withdrawn)
  })

  it("leaves nothing to resolve if it was the only one", () => {
    assert.deepStrictEqual(Term.release(refused(standing(7, one), 1), stopBy), withdrawn)
    assert.isFalse(Term.mayLandLate(refused(ended("expired", { attempts: outstanding }), 5)))
  })
})

describe("the announcement of a winner", () => {
  const won = { hasLed: false, wonAt: 1000, sentAt: 9000 }
  const announce = (state: Term.Term, now: number) => Term.announce(state, now, renewDeadline)

  it("is possible within renewDeadline of the sending of the write that won, which renewals do not extend", () => {
    assert.deepStrictEqual(announce(leading(won), 14_999), [leading({ ...won, hasLed: true }), true])
    assert.deepStrictEqual(announce(leading(won), 15_000), [leading(won), false])
    assert.isFalse(Term.couldNotAnnounce(leading(won), 14_999, renewDeadline))
    assert.isTrue(Term.couldNotAnnounce(leading(won), 15_000, renewDeadline))
  })

  it("is not possible after the deadline of the last renewal, or during a release", () => {
    const late = leading({ hasLed: false, wonAt: 5000 })
    assert.deepStrictEqual(announce(late, 15_000), [ended("expired", { hasLed: false, wonAt: 5000 }), false])
    assert.deepStrictEqual(announce(releasing(won), 2000), [releasing(won), false])
  })

  it("was not missed by a leader, or by a candidate that lost its record", () => {
    assert.isFalse(Term.couldNotAnnounce(leading(), 99_000, renewDeadline))
    assert.isFalse(Term.couldNotAnnounce(ended("superseded", won), 99_000, renewDeadline))
    assert.isFalse(Term.couldNotAnnounce(withdrawn, 99_000, renewDeadline))
  })
})

describe("a term", () => {
  const rows: ReadonlyArray<readonly [what: string, state: Term.Term, isInVain: boolean]> = [
    ["that was lost before the announcement was in vain", ended("expired", { hasLed: false }), true],
    ["that was lost before a renewal landed was in vain", ended("superseded", { won: 10, hasLed: true }), true],
    ["that was lost later was not in vain", ended("expired"), false],
    ["that was handed over was not in vain", ended("resigned", { hasLed: false }), false],
    ["that has not ended was not in vain", leading({ won: 10 }), false],
    ["that was never won was not in vain", withdrawn, false]
  ]
  for (const [what, state, isInVain] of rows) {
    it(what, () => {
      assert.strictEqual(Term.wasInVain(state), isInVain)
    })
  }
})

describe("renewals while the work stops", () => {
  it("continue until the time for the stop is over", () => {
    assert.notDeepEqual(Term.renew(releasing({ stopBy: 5000 }), 4999, renewDeadline)[1], nothing)
    assert.deepStrictEqual(Term.renew(releasing({ stopBy: 5000 }), 5000, renewDeadline)[1], nothing)
    assert.notDeepEqual(Term.vacate(releasing({ stopBy: 5000 }), 5000, renewDeadline)[1], nothing)
  })
})

describe("any events in any order", () => {
  /** The states that can follow each state, besides itself. */
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
  /** The event for a kind, a time, a revision and an attempt. */
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
      giveUp
    ]
    return events[kind % events.length]!
  }
  const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
  const Time = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20_000 }))
  const isWrite = (answer: unknown): answer is Term.Write => (answer as Term.Write | undefined)?._tag === "Write"

  it.prop(
    "never lead back to a former state, never move the deadline back, and number each write once",
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
