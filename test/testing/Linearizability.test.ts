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

/** The first operation of most histories: it writes a value at revision 5. */
const first = put([0, 1], "a", 5)

const used: Options = { initial: "anything" }

type Case = readonly [title: string, history: ReadonlyArray<Operation>, options?: Options]

const right: ReadonlyArray<Case> = [
  ["an empty history", []],
  ["a get of a value that was written earlier", [first, got([2, 3], "a", 5)]],
  ["a get of the old value during a write", [first, put([2, 5], "b", 6), got([3, 4], "a", 5)]],
  ["a get of the new value during a write", [first, put([2, 5], "b", 6), got([3, 4], "b", 6)]],
  ["gets of the old and then of the new value during a write", [
    first,
    put([2, 9], "b", 6),
    got([3, 4], "a", 5),
    got([5, 6], "b", 6)
  ]],
  ["a get of the old value that begins at the time at which the write returns", [
    first,
    put([1, 2], "b", 6),
    got([2, 3], "a", 5)
  ]],
  ["a get without a value before any write", [gotNone([0, 1])]],
  ["a get without a value after a removal", [first, removed([2, 3]), gotNone([4, 5])]],
  ["a get of the value and then without a value during a removal", [
    first,
    removed([2, 9]),
    got([3, 4], "a", 5),
    gotNone([5, 6])
  ]],
  ["a get of the value of a write without a response", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "b", 9)
  ]],
  ["gets of the old value until a write without a response takes effect", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "a", 5),
    got([6, 7], "a", 5),
    got([8, 9], "b", 6)
  ]],
  ["a write without a response that never takes effect", [first, put([2], "b", unknown), got([4, 5], "a", 5)]],
  ["a removal without a response that takes effect late", [
    first,
    removed([2, 3], unknown),
    got([4, 5], "a", 5),
    gotNone([6, 7])
  ]],
  ["a get of a value from two writes without a response, one of which cannot have taken effect", [
    first,
    put([2], "b", unknown, atRevision(9)),
    put([3], "b", unknown),
    got([4, 5], "b", 6)
  ]],
  ["a get of a value from one of two writes without a response, after a removal without a response", [
    first,
    removed([2], unknown),
    put([3], "b", unknown, createOnly),
    put([3], "b", unknown, createOnly),
    got([4, 5], "b", 7)
  ]],
  ["a get of a value that needs three operations without a response, each conditioned on the previous one", [
    first,
    put([2], "z", unknown),
    removed([2], unknown, 7),
    put([3], "b", unknown, createOnly),
    got([4, 5], "b", 9),
    put([6], "b", unknown, createOnly)
  ]],
  ["two refusals that each need a removal without a response, one of which can only be the first", [
    first,
    removed([2], unknown),
    removed([3], unknown, 5),
    put([10, 11], "b", missing, updateOnly),
    put([12, 13], "c", 20),
    put([14, 15], "d", missing, updateOnly)
  ]],
  ["createOnly on a key without a value, and after a removal", [
    put([0, 1], "a", 5, createOnly),
    removed([2, 3]),
    put([4, 5], "b", 9, createOnly)
  ]],
  ["createOnly refused by a value", [first, put([2, 3], "b", exists, createOnly)]],
  ["createOnly refused because of a write without a response", [
    put([0, 1], "a", unknown),
    put([2, 3], "b", exists, createOnly)
  ]],
  ["updateOnly over a value", [first, put([2, 3], "b", 6, updateOnly)]],
  ["updateOnly refused for a key without a value", [put([0, 1], "a", missing, updateOnly)]],
  ["updateOnly refused after a removal", [first, removed([2, 3]), put([4, 5], "b", missing, updateOnly)]],
  ["a condition on the current revision", [first, put([2, 3], "b", 6, atRevision(5))]],
  ["a condition on revision 0 of a key without a value", [put([0, 1], "a", 1, atRevision(0))]],
  ["a condition refused because of another revision", [first, put([2, 3], "b", mismatch, atRevision(4))]],
  ["a removal with a condition", [first, removed([2, 3], undefined, 5), gotNone([4, 5])]],
  ["a condition on the revision of a removal, which no response contains", [
    first,
    removed([2, 3]),
    put([4, 5], "b", 9, atRevision(7))
  ]],
  ["a condition refused because the tombstone has another revision", [
    first,
    removed([2, 3]),
    put([4, 5], "b", mismatch, atRevision(6)),
    put([6, 7], "b", 9, atRevision(7))
  ]],
  ["a conflict with a write in progress", [
    first,
    put([2, 9], "b", mismatch, atRevision(5)),
    put([3, 4], "c", mismatch, atRevision(5))
  ]],
  ["a conflict with a write without a response", [
    first,
    put([2], "b", unknown, atRevision(1)),
    put([3, 4], "c", mismatch, atRevision(5))
  ]],
  ["a conflict with a write that fails later", [
    first,
    { ...put([2, 9], "b", 6), outcome: { _tag: "Failed" } },
    put([3, 4], "c", mismatch, atRevision(5))
  ]],
  ["a condition on another key, satisfied and refused", [
    put([0, 1], "a", 5, whenKey("other", 1)),
    put([2, 3], "b", mismatch, whenKey("other", 2))
  ]],
  ["a failed write", [first, { ...put([2, 3], "b", 6), outcome: { _tag: "Failed" } }, got([4, 5], "a", 5)]],
  ["a get without a response", [first, got([2], "b", 9)]],
  ["a value from before the history", [got([0, 1], "old", 4), put([2, 3], "b", 9, atRevision(4))], used],
  ["a value from before the history, although the same value is written later", [
    put([0, 5], "a", 5),
    got([4, 6], "a", 4),
    put([8], "a", unknown)
  ], used],
  ["operations on two keys", [first, ofKey("other", gotNone([2, 3])), ofKey("other", put([4, 5], "b", 6, createOnly))]]
]

const wrong: ReadonlyArray<Case> = [
  ["a value that was never written", [first, got([2, 3], "b", 5)]],
  ["a revision that was never assigned", [first, got([2, 3], "a", 6)]],
  ["a get of the old value after a write", [first, put([2, 3], "b", 6), got([4, 5], "a", 5)]],
  ["a get without a value after a write", [first, gotNone([2, 3])]],
  ["a get of a value after its removal", [first, removed([2, 3]), got([4, 5], "a", 5)]],
  ["gets of the new and then of the old value", [first, put([2, 9], "b", 6), got([3, 4], "b", 6), got([5, 6], "a", 5)]],
  ["a revision that decreases", [first, put([2, 3], "b", 4)]],
  ["a revision that is assigned twice", [first, put([2, 3], "b", 5)]],
  ["a value of one write with two revisions", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "b", 6),
    got([6, 7], "b", 7)
  ]],
  ["a get of a value before its write was called", [got([0, 1], "a", 5), put([2, 3], "a", unknown)]],
  ["a write without a response whose revision is lower than an earlier one", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "b", 4)
  ]],
  ["a get without a value after a get without a response", [first, got([2], "b", 9), gotNone([4, 5])]],
  ["a get without a value before the only removal was called", [
    first,
    gotNone([2, 3]),
    removed([4], unknown),
    gotNone([5, 6])
  ]],
  ["a get of an old value after a newer one", [
    first,
    put([2, 3], "b", unknown),
    got([4, 5], "b", 6),
    got([6, 7], "a", 5)
  ]],
  ["createOnly over a value", [first, put([2, 3], "b", 6, createOnly)]],
  ["two successful createOnly writes", [put([0, 3], "a", 5, createOnly), put([1, 2], "b", 6, createOnly)]],
  ["createOnly refused for a key without a value", [put([0, 1], "a", exists, createOnly)]],
  ["createOnly refused after a removal", [first, removed([2, 3]), put([4, 5], "b", exists, createOnly)]],
  ["updateOnly on a key without a value", [put([0, 1], "a", 5, updateOnly)]],
  ["updateOnly refused by a value", [first, put([2, 3], "b", missing, updateOnly)]],
  ["a condition on an old revision", [first, put([2, 3], "b", 6), put([4, 5], "c", 7, atRevision(5))]],
  ["a condition on revision 0 over a tombstone", [first, removed([2, 3]), put([4, 5], "b", 9, atRevision(0))]],
  ["two writes conditioned on the same revision", [
    first,
    put([2, 5], "b", 6, atRevision(5)),
    put([3, 4], "c", 7, atRevision(5))
  ]],
  ["a refusal although the condition holds", [first, put([2, 3], "b", mismatch, atRevision(5))]],
  ["a removal although its condition does not hold", [first, removed([2, 3], undefined, 4)]],
  ["a refused removal although its condition holds", [first, removed([2, 3], mismatch, 5)]],
  ["conditions that contradict each other about the revision of a tombstone", [
    first,
    removed([2, 3]),
    put([4, 5], "b", mismatch, atRevision(7)),
    put([6, 7], "b", 9, atRevision(7))
  ]],
  ["a removal without a possible revision", [first, removed([2, 3]), put([4, 5], "b", 6)]],
  ["a conflict with a write in progress, with conflictsInFlight: false", [
    first,
    put([2, 9], "b", mismatch, atRevision(5)),
    put([3, 4], "c", mismatch, atRevision(5))
  ], strict],
  ["a conflict with a write that had returned", [
    first,
    put([2, 3], "b", mismatch, atRevision(4)),
    put([4, 5], "c", mismatch, atRevision(5))
  ]],
  ["a refused write without a condition", [first, put([2, 5], "b", mismatch), put([3, 4], "c", 6)]],
  ["a refusal with a reason that does not match the condition", [first, put([2, 3], "b", missing, createOnly)]],
  ["a response that does not match the operation", [{ ...first, outcome: { _tag: "Removed" } }]],
  ["a value from before the history that disappears", [got([0, 1], "old", 4), gotNone([2, 3])], used],
  ["a revision that is assigned to two keys", [first, ofKey("other", put([2, 3], "b", 5))]],
  ["a revision of another key that decreases", [first, ofKey("other", put([2, 3], "b", 4))]],
  ["a write without a response whose revision is lower than one of another key that was known at its call", [
    first,
    ofKey("other", put([2, 3], "b", unknown)),
    ofKey("other", got([4, 5], "b", 4))
  ]]
]

describe("the checker", () => {
  it("reports an invalid history as Malformed", () => {
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

  it("reports an invalid option as Malformed, and names it", () => {
    const rows: ReadonlyArray<readonly [unknown, string]> = [
      [{ initial: "Nothing" }, "initial: expected \"nothing\" or \"anything\", got \"Nothing\""],
      [{ maxSteps: Number.NaN }, "maxSteps: expected a whole number from 1, got NaN"],
      [{ maxSteps: "many" }, "maxSteps: expected a whole number from 1, got \"many\""],
      [{ conflictsInFlight: "no" }, "conflictsInFlight: expected true or false, got \"no\""],
      [{ steps: 1 }, "options: no option \"steps\": the options are initial, conflictsInFlight, maxSteps"],
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
    it(`accepts ${title}`, () => {
      const verdict = check(history, options)
      assert.strictEqual(verdict._tag, "Linearizable", format(verdict))
    })
  }

  for (const [title, history, options] of wrong) {
    it(`rejects ${title}`, () => {
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

/** Changes one operation: its value, its revision, its response or its times. */
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

/** The tests take seconds of computing, and longer on a busy machine. */
const patience = { timeout: 60_000 }

describe("the checker of small histories", () => {
  it.effect.prop(
    "agrees with a search of all orders, also for the shortest history that it returns",
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
    "agrees with a search of all orders if most writes have conditions and no response",
    { seed: Schema.Int },
    ({ seed }) => Effect.sync(() => saysWhatAllOrdersSay(hardlyAnswered(makeChance(seed)), false)),
    { arbitrary: { runs: 2000 }, ...patience }
  )
})

describe("the checker of simulated stores", patience, () => {
  it("accepts all responses of a correct store, and missing responses", () => {
    for (const seed of seeds) {
      const verdict = check(simulate(medium(seed)), strict)
      assert.strictEqual(verdict._tag, "Linearizable", `seed ${seed}\n${format(verdict)}`)
    }
  })

  it("accepts conflicts with writes in progress, and rejects them with conflictsInFlight: false", () => {
    const strictly = seeds.map((seed) => {
      const history = simulate({ ...medium(seed), keys: 1, conflicts: 0.5 })
      const verdict = check(history)
      assert.strictEqual(verdict._tag, "Linearizable", `seed ${seed}\n${format(verdict)}`)
      return check(history, strict)._tag
    })
    assert.isAbove(strictly.filter((tag) => tag === "NotLinearizable").length, seeds.length / 3)
  })

  it("rejects a history with one changed value or revision", () => {
    for (const seed of seeds) {
      const { history } = edited(simulate(medium(seed)), makeChance(-seed))
      assert.strictEqual(check(history)._tag, "NotLinearizable", `seed ${seed}`)
    }
  })

  it("rejects a history with one missing write or removal", () => {
    let removals = 0
    for (const seed of seeds) {
      const history = simulate({ ...medium(seed), unanswered: 0 })
      const wasSeen = new Set(history.flatMap(({ outcome }) => outcome._tag === "Found" ? [outcome.revision] : []))
      const lost = history.findIndex(({ outcome }) => outcome._tag === "Written" && wasSeen.has(outcome.revision))
      assert.strictEqual(check(history.toSpliced(lost, 1))._tag, "NotLinearizable", `seed ${seed}`)
      const removed = makeChance(1000 + seed).pick(positions(history, "Removed"))
      if (check(history.toSpliced(removed, 1))._tag === "NotLinearizable") removals++
    }
    // Often no operation reads between the removal and the next write.
    assert.isAbove(removals, seeds.length / 4)
  })
})
