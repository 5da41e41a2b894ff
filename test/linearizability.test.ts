import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as KVStore from "../src/KVStore.ts"
import {
  check,
  type CheckOptions,
  format,
  type NotLinearizable,
  type Operation,
  type Outcome,
  recorder
} from "../src/testing/Linearizability.ts"
import {
  type Chance,
  got,
  gotNone,
  makeChance,
  ofKey,
  put,
  refused,
  removed,
  simulate,
  type Simulation,
  tryAllOrders,
  unknown
} from "./support/histories.ts"
import { bytes } from "./support/values.ts"

const { atRevision, createOnly, updateOnly, whenKey } = KVStore.KVOptions

const exists = refused("KeyAlreadyExists")
const missing = refused("KeyNotFound")
const mismatch = refused("RevisionMismatch")

/** Most histories begin with a value of revision 5. */
const first = put([0, 1], "a", 5)

const strict: CheckOptions = { conflictsInFlight: false }
const used: CheckOptions = { initial: "anything" }

type Case = readonly [title: string, history: ReadonlyArray<Operation>, options?: CheckOptions]

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
  ["a condition on another key, held and refused", [
    put([0, 1], "a", 5, whenKey("other", 1)),
    put([2, 3], "b", mismatch, whenKey("other", 2))
  ]],
  ["failures of any kind", [first, { ...put([2, 3], "b", 6), outcome: { _tag: "Failed" } }, got([4, 5], "a", 5)]],
  ["a get without an answer", [first, { ...got([2], "b", 9) }]],
  ["what was there before the history began", [got([0, 1], "old", 4), put([2, 3], "b", 9, atRevision(4))], used],
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

const notLinearizable = (history: ReadonlyArray<Operation>, options?: CheckOptions): NotLinearizable => {
  const verdict = check(history, options)
  return verdict._tag === "NotLinearizable" ? verdict : assert.fail(format(verdict))
}

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

describe("of small histories the checker", () => {
  it.effect.prop(
    "says what trying all orders says, and so of the shortest that it finds",
    { seed: Schema.Int, changes: Schema.Literals([0, 1, 1, 2]), conflictsInFlight: Schema.Boolean },
    ({ changes, conflictsInFlight, seed }) =>
      Effect.sync(() => {
        const chance = makeChance(seed)
        let history = simulate(small(chance))
        for (let n = 0; n < changes; n++) history = change(chance, history)
        for (const initial of ["nothing", "anything"] as const) {
          const verdict = check(history, { conflictsInFlight, initial })
          const expected = tryAllOrders(history, conflictsInFlight, initial) ? "Linearizable" : "NotLinearizable"
          assert.strictEqual(verdict._tag, expected, format(verdict))
          if (verdict._tag !== "NotLinearizable") continue
          assert.isFalse(tryAllOrders(verdict.shortest, conflictsInFlight, verdict.initial), format(verdict))
        }
      }),
    { arbitrary: { runs: 3000 } }
  )
})

const seeds = Array.from({ length: 300 }, (_, index) => index + 1)

const medium = (seed: number): Simulation => ({
  chance: makeChance(seed),
  keys: 3,
  processes: 5,
  operations: 150,
  unanswered: 0.05,
  removals: 0.2
})

const positions = (history: ReadonlyArray<Operation>, tag: Outcome["_tag"]) =>
  history.flatMap(({ outcome }, index) => outcome._tag === tag ? [index] : [])

/** With one answer changed so that it cannot be right: values are all different, and none is unknown to the store. */
const edited = (history: ReadonlyArray<Operation>, chance: Chance): ReadonlyArray<Operation> => {
  const index = chance.pick(positions(history, "Found"))
  const operation = history[index]!
  const { outcome } = operation
  if (outcome._tag !== "Found") return assert.fail("no get")
  const others = history.flatMap(({ outcome: other }) =>
    other._tag === "Found" && other.revision !== outcome.revision ? [other] : []
  )
  const other = chance.pick(others)
  return history.with(index, {
    ...operation,
    outcome: chance.is(0.5) ? { ...outcome, value: other.value } : { ...outcome, revision: other.revision }
  })
}

describe("of what a store answers the checker", () => {
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
    assert.isAbove(strictly.filter((tag) => tag === "NotLinearizable").length, seeds.length / 2)
  })

  it("refuses a single value or revision that was changed", () => {
    for (const seed of seeds) {
      const history = edited(simulate(medium(seed)), makeChance(-seed))
      assert.strictEqual(check(history)._tag, "NotLinearizable", `seed ${seed}`)
    }
  })

  it("refuses a single write or removal that was lost", () => {
    let removals = 0
    for (const seed of seeds) {
      const history = simulate({ ...medium(seed), unanswered: 0 })
      const wasSeen = history.flatMap(({ outcome }) => outcome._tag === "Found" ? [outcome.revision] : [])
      const lost = history.findIndex(({ outcome }) => outcome._tag === "Written" && wasSeen.includes(outcome.revision))
      assert.strictEqual(check(history.toSpliced(lost, 1))._tag, "NotLinearizable", `seed ${seed}`)
      const removed = chanceOf(seed).pick(positions(history, "Removed"))
      if (check(history.toSpliced(removed, 1))._tag === "NotLinearizable") removals++
    }
    // Nobody may have looked between the removal and the next write.
    assert.isAbove(removals, seeds.length / 4)
  })
})

const chanceOf = (seed: number) => makeChance(1000 + seed)

/** Without what it says: a get and a refusal go, a write counts as not answered. */
const forgetting = (history: ReadonlyArray<Operation>, index: number): ReadonlyArray<Operation> => {
  const operation = history[index]!
  return operation.input._tag === "Get" || operation.outcome._tag === "Refused"
    ? history.toSpliced(index, 1)
    : history.with(index, { ...operation, returned: undefined, outcome: unknown })
}

describe("the shortest history", () => {
  it("has nothing that could be taken away", () => {
    const sizes = seeds.map((seed) => {
      const { initial, shortest } = notLinearizable(edited(simulate(medium(seed)), makeChance(-seed)))
      shortest.forEach((operation, index) => {
        const isOpen = operation.returned === undefined || operation.outcome._tag === "Unknown"
        const rest = forgetting(shortest, index)
        const without = check(isOpen ? shortest.toSpliced(index, 1) : rest, { initial })
        if (without._tag === "Linearizable") return
        // It is a write without which others have no order: it may still land, and an operation can need it.
        assert.notStrictEqual(operation.input._tag, "Get", format(without))
        assert.notStrictEqual(operation.outcome._tag, "Refused", format(without))
        assert.include(notLinearizable(rest, { initial }).shortest.map(({ invoked }) => invoked), operation.invoked)
      })
      return shortest.length
    })
    assert.isAtMost(sizes.toSorted((a, b) => a - b)[seeds.length / 2]!, 3)
  })

  it("is what is wrong in the middle of much that is right", () => {
    const noise = (from: number) =>
      Array.from({ length: 100 }, (_, n) => put([from + 3 * n, from + 3 * n + 2], `${from} ${n}`, from + n))
    const history = [...noise(0), put([400, 410], "a", 500), got([402, 404], "a", 500), got([405, 407], "0 99", 99)]
    const { explanation, initial, key, shortest } = notLinearizable([...history, ...noise(600)])
    assert.deepStrictEqual(shortest, [got([402, 404], "a", 500), got([405, 407], "0 99", 99)])
    assert.deepStrictEqual({ initial, key }, { initial: "anything", key: "key" })
    assert.include(explanation, `get -> "0 99", revision 99`)
  })

  it("keeps what has to be known of the start", () => {
    const history = [put([0, 1], "a", 5, createOnly), removed([2, 3]), got([4, 5], "b", 9), gotNone([6, 7])]
    assert.deepStrictEqual(notLinearizable(history), {
      ...notLinearizable(history),
      initial: "nothing",
      shortest: [got([4, 5], "b", 9)]
    })
  })

  it("is shown process by process, with what overlaps", () => {
    const verdict = notLinearizable([put([0, 2], "a", 5), put([1, 4], "b", unknown), gotNone([3, 6])])
    assert.deepStrictEqual(format(verdict).split("\n").slice(2), [
      "",
      "process  key  operation  answer      from  to",
      `at 0     key  put "a"    revision 5  0     2   ||`,
      "at 3     key  get        none        3     6     ||"
    ])
    assert.strictEqual(format(check([first])), "linearizable: 1 operations on 1 keys")
  })
})

describe("a search", () => {
  const base: Simulation = {
    chance: makeChance(7),
    keys: 64,
    processes: 8,
    operations: 100_000,
    unanswered: 0.001,
    removals: 0.2
  }

  it("gets through a hundred thousand operations, on many keys and on one", () => {
    for (const keys of [64, 1]) {
      const history = simulate({ ...base, keys })
      const verdict = check(history, strict)
      assert.deepStrictEqual(verdict, { _tag: "Linearizable", keys, operations: history.length }, format(verdict))
    }
  })

  it("gets through as many that are wrong at the end", () => {
    const history = simulate(base)
    const at = history.findLastIndex(({ outcome }) => outcome._tag === "Found")
    const outcome: Outcome = { _tag: "Found", value: "nobody's", revision: 1 }
    const { key, shortest } = notLinearizable(history.with(at, { ...history[at]!, outcome }))
    assert.strictEqual(key, history[at]!.key)
    assert.isAtMost(shortest.length, 3)
  })

  it("takes dozens of unanswered writes of every kind where nothing explains an answer", () => {
    const open = Array.from({ length: 60 }, (_, n) => [
      put([n], `open ${n}`, unknown, [createOnly, updateOnly, atRevision(n), undefined][n % 4]),
      removed([n], unknown, n % 3 === 0 ? n : undefined)
    ]).flat()
    const busy = Array.from({ length: 200 }, (_, n) => [
      put([100 + 10 * n, 105 + 10 * n], `${n}`, 1000 + 2 * n),
      put([101 + 10 * n, 104 + 10 * n], "", n % 2 === 0 ? exists : mismatch, n % 2 === 0 ? createOnly : atRevision(n)),
      got([106 + 10 * n, 107 + 10 * n], `${n}`, 1000 + 2 * n)
    ]).flat()
    assert.strictEqual(check([...open, ...busy], strict)._tag, "Linearizable")
    const { shortest } = notLinearizable([...open, ...busy, got([5000, 5001], "0", 1000)], strict)
    assert.strictEqual(shortest.length, 2)
  })

  it("says so when it gives up", () => {
    const history = simulate({ ...base, keys: 2, operations: 100 })
    const verdict = check(history, { maxSteps: 3 })
    assert.deepStrictEqual(verdict._tag === "Undecided" && verdict.keys.toSorted(), ["k0", "k1"])
    assert.include(format(verdict), `3 steps, and not all were tried, of key "k`)
    const wrong = ofKey("bad", got([0, 1], "a", 1))
    assert.strictEqual(notLinearizable([...history, wrong], { maxSteps: 3 }).key, "bad")
  })
})

const memory = Effect.map(Layer.build(KVStore.layerMemory({ bucket: "recorded" })), Context.get(KVStore.KVStore))

describe("a recorder", () => {
  const makeRecorder = () => {
    const history: Array<Operation> = []
    let time = 0
    return { history, recorded: (process: string) => recorder({ process, history, now: () => ++time }) }
  }

  it.effect("writes down what was asked and answered, each at its place", () =>
    Effect.gen(function*() {
      const { history, recorded } = makeRecorder()
      const store = recorded("p")(yield* memory)
      assert.isTrue(Option.isNone(yield* store.get("key")))
      const revision = yield* store.put("key", bytes("a"), createOnly)
      yield* Effect.flip(store.put("key", bytes("b"), createOnly))
      yield* Effect.flip(store.put("", bytes("b")))
      yield* store.get("key")
      yield* store.delete("key", { revision })
      yield* store.purge("key")
      yield* Effect.flip(store.put("key", new Uint8Array([255, 0]), updateOnly))
      const told = history.map(({ input, key, outcome }) => [key, input, outcome])
      assert.deepStrictEqual<unknown>(told, [
        ["key", { _tag: "Get" }, { _tag: "None" }],
        ["key", { _tag: "Put", value: "a", options: createOnly }, { _tag: "Written", revision }],
        ["key", { _tag: "Put", value: "b", options: createOnly }, exists],
        ["", { _tag: "Put", value: "b", options: undefined }, { _tag: "Failed" }],
        ["key", { _tag: "Get" }, { _tag: "Found", value: "a", revision }],
        ["key", { _tag: "Remove", operation: "delete", revision }, { _tag: "Removed" }],
        ["key", { _tag: "Remove", operation: "purge", revision: undefined }, { _tag: "Removed" }],
        ["key", { _tag: "Put", value: "hex:ff00", options: updateOnly }, missing]
      ])
      assert.deepStrictEqual(
        history.map(({ invoked, returned }) => [invoked, returned]),
        history.map((_, index) => [2 * index + 1, 2 * index + 2])
      )
      assert.strictEqual(check(history)._tag, "Linearizable")
    }))

  it.effect("has what is under way, and takes an interrupted write for one that may land", () =>
    Effect.gen(function*() {
      const { history, recorded } = makeRecorder()
      const begun = yield* Deferred.make<void>()
      const store = recorded("p")({
        ...(yield* memory),
        put: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      })
      const fiber = yield* Effect.forkChild(store.put("key", bytes("a")))
      yield* Deferred.await(begun)
      assert.deepStrictEqual(history.map(({ outcome, returned }) => [outcome, returned]), [[unknown, undefined]])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(history.map(({ outcome, returned }) => [outcome, returned]), [[unknown, 2]])
    }))

  it.effect("records the memory backend under many at once, and the checker takes it", () =>
    Effect.gen(function*() {
      const { history, recorded } = makeRecorder()
      const store = yield* memory
      const work = (process: number) =>
        Effect.gen(function*() {
          const mine = recorded(`p${process}`)(store)
          const chance = makeChance(process)
          let seen = 0
          for (let n = 0; n < 200; n++) {
            const key = `k${chance.below(3)}`
            yield* chance.pick([
              Effect.map(mine.get(key), (entry) => {
                seen = Option.match(entry, { onNone: () => 0, onSome: ({ revision }) => revision })
              }),
              mine.put(
                key,
                bytes(`${process} ${n}`),
                chance.pick([undefined, createOnly, updateOnly, atRevision(seen)])
              ),
              mine.delete(key, { revision: chance.is(0.5) ? seen : undefined })
            ]).pipe(Effect.ignore, Effect.andThen(Effect.yieldNow))
          }
        })
      yield* Effect.forEach(Array.from({ length: 8 }, (_, process) => process), work, { concurrency: 8, discard: true })
      const verdict = check(history, strict)
      assert.deepStrictEqual(verdict, { _tag: "Linearizable", keys: 3, operations: 1600 }, format(verdict))
    }))
})
