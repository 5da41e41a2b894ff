/** Shrinking and printing of histories that are not linearizable, and the speed of the search on long histories. */
import { assert, describe, it } from "@effect/vitest"
import * as KVStore from "../../../../src/KVStore.ts"
import { check, format, type Operation, type Outcome } from "../../../../src/testing/Linearizability.ts"
import {
  edited,
  got,
  gotNone,
  makeChance,
  medium,
  notLinearizable,
  ofKey,
  put,
  refused,
  removed,
  seeds,
  simulate,
  type Simulation,
  strict,
  unknown
} from "../../../support/histories.ts"

const { atRevision, createOnly, updateOnly } = KVStore.KVOptions

const exists = refused("KeyAlreadyExists")
const mismatch = refused("RevisionMismatch")

/** Drops the answer of an operation: a get or a refusal is removed, a write becomes unanswered. */
const forgetting = (history: ReadonlyArray<Operation>, index: number): ReadonlyArray<Operation> => {
  const operation = history[index]!
  return operation.input._tag === "Get" || operation.outcome._tag === "Refused"
    ? history.toSpliced(index, 1)
    : history.with(index, { ...operation, returned: undefined, outcome: unknown })
}

describe("the shortest history", () => {
  it("contains the wrong operation, and no operation that could be removed", () => {
    const sizes = seeds.map((seed) => {
      const { changed, history } = edited(simulate(medium(seed)), makeChance(-seed))
      const { initial, shortest } = notLinearizable(history)
      assert.include(shortest, changed, `seed ${seed}`)
      shortest.forEach((operation, index) => {
        if (check(forgetting(shortest, index), { initial })._tag === "Linearizable") return
        // Only a write can be left: another operation may need it, and contradicts the history without it.
        assert.notStrictEqual(operation.input._tag, "Get", `seed ${seed}`)
        assert.notStrictEqual(operation.outcome._tag, "Refused", `seed ${seed}`)
      })
      return shortest.length
    })
    assert.isAtMost(sizes.toSorted((a, b) => a - b)[seeds.length / 2]!, 3)
  })

  it("contains only the two contradicting operations of a long history", () => {
    const noise = (from: number) =>
      Array.from({ length: 100 }, (_, n) => put([from + 3 * n, from + 3 * n + 2], `${from} ${n}`, from + n + 1))
    const write = put([400, 403], "a", 500)
    const stale = got([405, 407], "0 99", 100)
    const history = [...noise(0), write, got([401, 404], "a", 500), stale, ...noise(600)]
    const { explanation, initial, key, shortest } = notLinearizable(history)
    assert.deepStrictEqual({ initial, key, shortest }, { initial: "anything", key: "key", shortest: [write, stale] })
    assert.include(explanation, `get -> "0 99", revision 100`)
  })

  it("starts from an empty key if the contradiction depends on it", () => {
    const refusal = put([2, 3], "a", exists, createOnly)
    const { initial, shortest } = notLinearizable([{ ...gotNone([0, 1]), key: "other" }, refusal, got([4, 5], "a", 9)])
    assert.deepStrictEqual({ initial, shortest }, { initial: "nothing", shortest: [refusal] })
  })

  it("is printed as a table, sorted by process, with bars for overlaps", () => {
    const operations = [
      put([0, 2], "a", 5),
      put([1, 4], "b", unknown, updateOnly),
      { ...got([3.5, 6], "b", 6), process: "at 0" },
      got([5, 7], "b", 7)
    ]
    assert.deepStrictEqual(format(notLinearizable(operations)).split("\n").slice(2), [
      "",
      "process  key  operation           answer           from  to",
      `at 0     key  put "a"             revision 5       0     2   |===|`,
      `at 0     key  get                 "b", revision 6  3.5   6         |=====|`,
      `at 1     key  put "b" updateOnly  unknown          1     4     |=============>`,
      `at 5     key  get                 "b", revision 7  5     7             |===|`
    ])
    assert.strictEqual(format(check(operations.slice(0, 3))), "linearizable: 3 operations on 1 key")
  })
})

/** A machine under load needs more than the default. */
const patience = { timeout: 60_000 }

describe("a search", patience, () => {
  const base: Simulation = {
    chance: makeChance(7),
    keys: 64,
    processes: 8,
    operations: 60_000,
    unanswered: 0.001,
    removals: 0.2
  }

  it("checks tens of thousands of operations, on 64 keys and on one key", () => {
    for (const keys of [64, 1]) {
      const history = simulate({ ...base, keys })
      const verdict = check(history, strict)
      assert.deepStrictEqual(verdict, { _tag: "Linearizable", keys, operations: history.length }, format(verdict))
    }
  })

  it("finds a contradiction at the end of as many operations", () => {
    const history = simulate(base)
    const at = history.findLastIndex(({ outcome }) => outcome._tag === "Found")
    const outcome: Outcome = { _tag: "Found", value: "nobody's", revision: 1 }
    const { key, shortest } = notLinearizable(history.with(at, { ...history[at]!, outcome }))
    assert.strictEqual(key, history[at]!.key)
    assert.isAtMost(shortest.length, 3)
  })

  it("finds a contradiction in spite of dozens of unanswered writes of every kind", () => {
    const open = Array.from({ length: 40 }, (_, n) => [
      put([n], `open ${n}`, unknown, [createOnly, updateOnly, atRevision(n), undefined][n % 4]),
      removed([n], unknown, n % 3 === 0 ? n : undefined)
    ]).flat()
    const busy = Array.from({ length: 100 }, (_, n) => [
      put([100 + 10 * n, 105 + 10 * n], `${n}`, 1000 + 2 * n),
      put([101 + 10 * n, 104 + 10 * n], "", n % 2 === 0 ? exists : mismatch, n % 2 === 0 ? createOnly : atRevision(n)),
      got([106 + 10 * n, 107 + 10 * n], `${n}`, 1000 + 2 * n)
    ]).flat()
    assert.strictEqual(check([...open, ...busy], strict)._tag, "Linearizable")
    const { shortest } = notLinearizable([...open, ...busy, got([5000, 5001], "0", 1000)], strict)
    assert.strictEqual(shortest.length, 2)
  })

  it("reports the keys that are undecided after maxSteps", () => {
    const history = simulate({ ...base, keys: 2, operations: 100 })
    const verdict = check(history, { maxSteps: 3 })
    assert.deepStrictEqual(verdict._tag === "Undecided" && verdict.keys.toSorted(), ["k0", "k1"])
    assert.include(format(verdict), `stopped after 3 steps without a result for these keys: "k`)
    const wrong = ofKey("bad", got([0, 1], "a", 1))
    assert.strictEqual(notLinearizable([...history, wrong], { maxSteps: 3 }).key, "bad")
  })
})
