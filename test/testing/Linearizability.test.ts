import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as KVStore from "../../src/KVStore.ts"
import { check, format, type Operation, type Options } from "../../src/testing/Linearizability.ts"
import {
  type Chance,
  edited,
  got,
  gotNone,
  hardlyAnswered,
  makeChance,
  medium,
  notLinearizable,
  ofKey,
  positions,
  put,
  refused,
  removed,
  seeds,
  simulate,
  type Simulation,
  strict,
  tryAllOrders,
  unknown
} from "../support/histories.ts"

const { atRevision, createOnly, updateOnly, whenKey } = KVStore.KVOptions

const exists = refused("KeyAlreadyExists")
const missing = refused("KeyNotFound")
const mismatch = refused("RevisionMismatch")

/** Most histories begin with a value of revision 5. */
const first = put([0, 1], "a", 5)

const used: Options = { initial: "anything" }

type Case = readonly [title: string, history: ReadonlyArray<Operation>, options?: Options]

const right: ReadonlyArray<Case> = [
  ["nothing at all", []],
  ["a get of a value that was written before", [first, got([2, 3], "a", 5)]],
  ["a get of the value before while another is written", [first, put([2, 5], "b", 6), got([3, 4], "a", 5)]],
  ["a get of the value that is being written", [first, put([2, 5], "b", 6), got([3, 4], "b", 6)]],
  ["a get of the old and then of the new value", [
    first,
    put([2, 9], "b", 6),
    got([3, 4], "a", 5),
    got([5, 6], "b", 6)
  ]],
  ["a get that begins when a write is answered and does not see it", [first, put([1, 2], "b", 6), got([2, 3], "a", 5)]],
  ["none where nothing was written", [gotNone([0, 1])]],
  ["none after a removal", [first, removed([2, 3]), gotNone([4, 5])]],
  ["none while a removal is under way, and a value after it began", [
    first,
    removed([2, 9]),
    got([3, 4], "a", 5),
    gotNone([5, 6])
  ]],
  ["the value and its revision of a write that was not answered", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "b", 9)
  ]],
  ["the old value for long after a write was not answered", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "a", 5),
    got([6, 7], "a", 5),
    got([8, 9], "b", 6)
  ]],
  ["a write without an answer that never lands", [first, put([2], "b", unknown), got([4, 5], "a", 5)]],
  ["a removal without an answer that lands late", [
    first,
    removed([2, 3], unknown),
    got([4, 5], "a", 5),
    gotNone([6, 7])
  ]],
  ["a value of which one of two unanswered writes cannot have landed", [
    first,
    put([2], "b", unknown, atRevision(9)),
    put([3], "b", unknown),
    got([4, 5], "b", 6)
  ]],
  ["a value of one of two unanswered writes, which needs a removal that is not answered either", [
    first,
    removed([2], unknown),
    put([3], "b", unknown, createOnly),
    put([3], "b", unknown, createOnly),
    got([4, 5], "b", 7)
  ]],
  ["a value that takes three unanswered writes, each on what the one before has left", [
    first,
    put([2], "z", unknown),
    removed([2], unknown, 7),
    put([3], "b", unknown, createOnly),
    got([4, 5], "b", 9),
    put([6], "b", unknown, createOnly)
  ]],
  ["two answers that take an unanswered removal each, of which one can be the first only", [
    first,
    removed([2], unknown),
    removed([3], unknown, 5),
    put([10, 11], "b", missing, updateOnly),
    put([12, 13], "c", 20),
    put([14, 15], "d", missing, updateOnly)
  ]],
  ["createOnly after nothing, and after a removal", [
    put([0, 1], "a", 5, createOnly),
    removed([2, 3]),
    put([4, 5], "b", 9, createOnly)
  ]],
  ["createOnly refused by a value", [first, put([2, 3], "b", exists, createOnly)]],
  ["createOnly refused by a value that was not answered", [
    put([0, 1], "a", unknown),
    put([2, 3], "b", exists, createOnly)
  ]],
  ["updateOnly over a value", [first, put([2, 3], "b", 6, updateOnly)]],
  ["updateOnly refused where there is none", [put([0, 1], "a", missing, updateOnly)]],
  ["updateOnly refused after a removal", [first, removed([2, 3]), put([4, 5], "b", missing, updateOnly)]],
  ["a condition on the revision", [first, put([2, 3], "b", 6, atRevision(5))]],
  ["a condition on revision 0 where there is nothing", [put([0, 1], "a", 1, atRevision(0))]],
  ["a condition refused by another revision", [first, put([2, 3], "b", mismatch, atRevision(4))]],
  ["a removal on a condition", [first, removed([2, 3], undefined, 5), gotNone([4, 5])]],
  ["a condition on the revision of a removal, which nobody was told", [
    first,
    removed([2, 3]),
    put([4, 5], "b", 9, atRevision(7))
  ]],
  ["a condition refused since the tombstone has another revision", [
    first,
    removed([2, 3]),
    put([4, 5], "b", mismatch, atRevision(6)),
    put([6, 7], "b", 9, atRevision(7))
  ]],
  ["a conflict with a write under way", [
    first,
    put([2, 9], "b", mismatch, atRevision(5)),
    put([3, 4], "c", mismatch, atRevision(5))
  ]],
  ["a conflict with a write that was never answered", [
    first,
    put([2], "b", unknown, atRevision(1)),
    put([3, 4], "c", mismatch, atRevision(5))
  ]],
  ["a conflict with a write that failed in the end", [
    first,
    { ...put([2, 9], "b", 6), outcome: { _tag: "Failed" } },
    put([3, 4], "c", mismatch, atRevision(5))
  ]],
  ["a condition on another key, held and refused", [
    put([0, 1], "a", 5, whenKey("other", 1)),
    put([2, 3], "b", mismatch, whenKey("other", 2))
  ]],
  ["failures of any kind", [first, { ...put([2, 3], "b", 6), outcome: { _tag: "Failed" } }, got([4, 5], "a", 5)]],
  ["a get without an answer", [first, got([2], "b", 9)]],
  ["what was there before the history began", [got([0, 1], "old", 4), put([2, 3], "b", 9, atRevision(4))], used],
  ["what was there before, although somebody writes the same later", [
    put([0, 5], "a", 5),
    got([4, 6], "a", 4),
    put([8], "a", unknown)
  ], used],
  ["keys apart", [first, ofKey("other", gotNone([2, 3])), ofKey("other", put([4, 5], "b", 6, createOnly))]]
]

const wrong: ReadonlyArray<Case> = [
  ["a value that nobody wrote", [first, got([2, 3], "b", 5)]],
  ["a revision that nobody got", [first, got([2, 3], "a", 6)]],
  ["a get that forgets a write", [first, put([2, 3], "b", 6), got([4, 5], "a", 5)]],
  ["none after a write", [first, gotNone([2, 3])]],
  ["a value after its removal", [first, removed([2, 3]), got([4, 5], "a", 5)]],
  ["the new and then the old value", [first, put([2, 9], "b", 6), got([3, 4], "b", 6), got([5, 6], "a", 5)]],
  ["a revision that goes back", [first, put([2, 3], "b", 4)]],
  ["a revision given twice", [first, put([2, 3], "b", 5)]],
  ["one write read at two revisions", [first, put([2, 3], "b", unknown), got([4, 5], "b", 6), got([6, 7], "b", 7)]],
  ["a value read before its write began", [got([0, 1], "a", 5), put([2, 3], "a", unknown)]],
  ["an unanswered write that lands at a revision from before", [first, put([2, 3], "b", unknown), got([4, 5], "b", 4)]],
  ["none after a get without an answer", [first, got([2], "b", 9), gotNone([4, 5])]],
  ["none before the only removal began", [first, gotNone([2, 3]), removed([4], unknown), gotNone([5, 6])]],
  ["a value that comes back", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "b", 6),
    got([6, 7], "a", 5)
  ]],
  ["createOnly over a value", [first, put([2, 3], "b", 6, createOnly)]],
  ["two that create", [put([0, 3], "a", 5, createOnly), put([1, 2], "b", 6, createOnly)]],
  ["createOnly refused where there is nothing", [put([0, 1], "a", exists, createOnly)]],
  ["createOnly refused after a removal", [first, removed([2, 3]), put([4, 5], "b", exists, createOnly)]],
  ["updateOnly where there is nothing", [put([0, 1], "a", 5, updateOnly)]],
  ["updateOnly refused by a value", [first, put([2, 3], "b", missing, updateOnly)]],
  ["a condition on a revision that is gone", [first, put([2, 3], "b", 6), put([4, 5], "c", 7, atRevision(5))]],
  ["a condition on revision 0 over a tombstone", [first, removed([2, 3]), put([4, 5], "b", 9, atRevision(0))]],
  ["two that update one revision", [first, put([2, 5], "b", 6, atRevision(5)), put([3, 4], "c", 7, atRevision(5))]],
  ["a condition refused that holds", [first, put([2, 3], "b", mismatch, atRevision(5))]],
  ["a removal on a condition that does not hold", [first, removed([2, 3], undefined, 4)]],
  ["a removal refused on a condition that holds", [first, removed([2, 3], mismatch, 5)]],
  ["a tombstone with a revision that it has turned out not to have", [
    first,
    removed([2, 3]),
    put([4, 5], "b", mismatch, atRevision(7)),
    put([6, 7], "b", 9, atRevision(7))
  ]],
  ["a tombstone without a revision left for it", [first, removed([2, 3]), put([4, 5], "b", 6)]],
  ["a conflict with a write under way, on a server that has none", [
    first,
    put([2, 9], "b", mismatch, atRevision(5)),
    put([3, 4], "c", mismatch, atRevision(5))
  ], strict],
  ["a conflict with a write that was answered before", [
    first,
    put([2, 3], "b", mismatch, atRevision(4)),
    put([4, 5], "c", mismatch, atRevision(5))
  ]],
  ["a plain write that is refused", [first, put([2, 5], "b", mismatch), put([3, 4], "c", 6)]],
  ["a refusal that the condition cannot have", [first, put([2, 3], "b", missing, createOnly)]],
  ["an answer that the operation cannot have", [{ ...first, outcome: { _tag: "Removed" } }]],
  ["a get that was there before and is not any more", [got([0, 1], "old", 4), gotNone([2, 3])], used],
  ["one revision given to two keys", [first, ofKey("other", put([2, 3], "b", 5))]],
  ["a revision that goes back from key to key", [first, ofKey("other", put([2, 3], "b", 4))]],
  ["a write without an answer read at a revision from before it began", [
    first,
    ofKey("other", put([2, 3], "b", unknown)),
    ofKey("other", got([4, 5], "b", 4))
  ]]
]

describe("the checker", () => {
  it("says nothing of what is no history", () => {
    const right: Operation = {
      process: "a",
      key: "x",
      invoked: 5,
      returned: 6,
      input: { _tag: "Get" },
      outcome: { _tag: "Found", value: "1", revision: 1 }
    }
    const rows: ReadonlyArray<readonly [object, string]> = [
      [{ invoked: Number.NaN }, "operation 1: invoked: expected a time, got NaN"],
      [{ returned: 4 }, "operation 1: returned: expected a time of at least 5 (invoked), got 4"],
      [{ returned: Number.NaN }, "operation 1: returned: expected a time of at least 5"],
      [{ input: null }, "operation 1: input: expected one of Get, Put, Remove, got none"],
      [{ input: { _tag: "Look" } }, "operation 1: input: expected one of Get, Put, Remove, got Look"],
      [{ outcome: { _tag: "Seen" } }, "operation 1: outcome: expected one of None, Found"],
      [{ outcome: undefined }, "operation 1: outcome: expected one of None, Found"],
      [
        { outcome: { _tag: "Found", value: "1" } },
        "operation 1: outcome.revision: expected a whole number, got undefined"
      ]
    ]
    for (const [wrong, problem] of rows) {
      const verdict = check([right, { ...right, ...wrong } as Operation])
      assert.strictEqual(verdict._tag, "Malformed")
      assert.include(format(verdict), `invalid input: ${problem}`)
    }
  })

  it("says of options that are not valid that they are malformed, and names the option", () => {
    const rows: ReadonlyArray<readonly [unknown, string]> = [
      [{ initial: "Nothing" }, "initial: expected \"nothing\" or \"anything\", got \"Nothing\""],
      [{ maxSteps: Number.NaN }, "maxSteps: expected a whole number from 1, got NaN"],
      [{ maxSteps: "many" }, "maxSteps: expected a whole number from 1, got \"many\""],
      [{ conflictsInFlight: "no" }, "conflictsInFlight: expected true or false, got \"no\""],
      [{ steps: 1 }, "options: no option \"steps\": there are initial, conflictsInFlight, maxSteps"],
      [null, "options: expected an object with initial"]
    ]
    for (const [options, problem] of rows) {
      const verdict = check([], options as Options)
      assert.strictEqual(verdict._tag, "Malformed")
      assert.include(format(verdict), problem)
    }
    assert.include(format(check(null as unknown as [])), "history: expected a list of operations, got null")
  })

  for (const [title, history, options] of right) {
    it(`takes ${title}`, () => {
      const verdict = check(history, options)
      assert.strictEqual(verdict._tag, "Linearizable", format(verdict))
    })
  }

  for (const [title, history, options] of wrong) {
    it(`refuses ${title}`, () => {
      const verdict = notLinearizable(history, options)
      assert.strictEqual(check(verdict.shortest, { ...options, initial: verdict.initial })._tag, "NotLinearizable")
    })
  }
})

const small = (chance: Chance): Simulation => ({
  chance,
  keys: 1,
  processes: 2 + chance.below(3),
  operations: 2 + chance.below(5),
  unanswered: chance.pick([0, 0.2, 0.5]),
  removals: 0.4,
  conflicts: chance.pick([0, 0.3]),
  unique: chance.is(0.4)
})

/** Changes an operation: its value, its revision, its answer for another's, or its time. */
const change = (chance: Chance, history: ReadonlyArray<Operation>): ReadonlyArray<Operation> => {
  const chosen = chance.below(history.length)
  const { invoked, outcome, returned } = history[chosen]!
  const later = chance.below(40) - 20
  const change = chance.pick<Partial<Operation>>([
    { outcome: "value" in outcome ? { ...outcome, value: chance.pick(["x", "y"]) } : outcome },
    { outcome: "revision" in outcome ? { ...outcome, revision: Math.max(1, outcome.revision + later % 3) } : outcome },
    { outcome: chance.pick(history).outcome },
    { invoked: invoked + later, returned: returned === undefined ? undefined : returned + later }
  ])
  return history.with(chosen, { ...history[chosen]!, ...change })
}

const saysWhatAllOrdersSay = (history: ReadonlyArray<Operation>, conflictsInFlight: boolean) => {
  for (const initial of ["nothing", "anything"] as const) {
    const verdict = check(history, { conflictsInFlight, initial })
    const expected = tryAllOrders(history, conflictsInFlight, initial) ? "Linearizable" : "NotLinearizable"
    assert.strictEqual(verdict._tag, expected, format(verdict))
    if (verdict._tag !== "NotLinearizable") continue
    assert.isFalse(tryAllOrders(verdict.shortest, conflictsInFlight, verdict.initial), format(verdict))
  }
}

/** A busy machine takes its time. */
const patience = { timeout: 60_000 }

describe("of small histories the checker", () => {
  it.effect.prop(
    "says what trying all orders says, and so of the shortest that it finds",
    { seed: Schema.Int, changes: Schema.Literals([0, 1, 1, 2]), conflictsInFlight: Schema.Boolean },
    ({ changes, conflictsInFlight, seed }) =>
      Effect.sync(() => {
        const chance = makeChance(seed)
        let history = simulate(small(chance))
        for (let n = 0; n < changes; n++) history = change(chance, history)
        saysWhatAllOrdersSay(history, conflictsInFlight)
      }),
    { arbitrary: { runs: 2000 }, ...patience }
  )

  it.effect.prop(
    "says so too where most writes were not answered, and are on conditions",
    { seed: Schema.Int },
    ({ seed }) => Effect.sync(() => saysWhatAllOrdersSay(hardlyAnswered(makeChance(seed)), false)),
    { arbitrary: { runs: 2000 }, ...patience }
  )
})

describe("of what a store answers the checker", patience, () => {
  it("takes everything, whether it is answered or not", () => {
    for (const seed of seeds) {
      const verdict = check(simulate(medium(seed)), strict)
      assert.strictEqual(verdict._tag, "Linearizable", `seed ${seed}\n${format(verdict)}`)
    }
  })

  it("takes refusals where another write is under way, and in strictness does not", () => {
    const strictly = seeds.map((seed) => {
      const history = simulate({ ...medium(seed), keys: 1, conflicts: 0.5 })
      const verdict = check(history)
      assert.strictEqual(verdict._tag, "Linearizable", `seed ${seed}\n${format(verdict)}`)
      return check(history, strict)._tag
    })
    assert.isAbove(strictly.filter((tag) => tag === "NotLinearizable").length, seeds.length / 3)
  })

  it("refuses a single value or revision that was changed", () => {
    for (const seed of seeds) {
      const { history } = edited(simulate(medium(seed)), makeChance(-seed))
      assert.strictEqual(check(history)._tag, "NotLinearizable", `seed ${seed}`)
    }
  })

  it("refuses a single write or removal that was lost", () => {
    let removals = 0
    for (const seed of seeds) {
      const history = simulate({ ...medium(seed), unanswered: 0 })
      const wasSeen = new Set(history.flatMap(({ outcome }) => outcome._tag === "Found" ? [outcome.revision] : []))
      const lost = history.findIndex(({ outcome }) => outcome._tag === "Written" && wasSeen.has(outcome.revision))
      assert.strictEqual(check(history.toSpliced(lost, 1))._tag, "NotLinearizable", `seed ${seed}`)
      const removed = makeChance(1000 + seed).pick(positions(history, "Removed"))
      if (check(history.toSpliced(removed, 1))._tag === "NotLinearizable") removals++
    }
    // Nobody may have looked between the removal and the next write.
    assert.isAbove(removals, seeds.length / 4)
  })
})
