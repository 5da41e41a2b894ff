/** The plan of a cleanup, as a table, and the confirmation by a second run. */
import { assert, describe, it } from "@effect/vitest"
import { confirm, type Judged, Memory, plan, type Suspects } from "../../../src/internal/registry/cleanup.ts"

/** `known` records of a service, the first `going` of them expired. */
const judgedOf = (serviceName: string, known: number, going: number): ReadonlyArray<Judged> =>
  Array.from({ length: known }, (_, index) => ({
    key: `service-instances.${serviceName}.${index}`,
    serviceName,
    revision: index + 1,
    reason: index < going ? "expired" : undefined
  }))

const always = () => true

describe("the plan of a cleanup", () => {
  const cases: ReadonlyArray<readonly [known: number, going: number, maxRemovalRatio: number, isPreserved: boolean]> = [
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

  for (const [known, going, maxRemovalRatio, isPreserved] of cases) {
    it(`${isPreserved ? "keeps" : "removes"} ${going} expired of ${known} records with a ratio of ${maxRemovalRatio}`, () => {
      const judged = judgedOf("orders", known, going)
      assert.deepStrictEqual(plan(judged, maxRemovalRatio, always), {
        remove: isPreserved ? [] : judged.slice(0, going),
        preserved: isPreserved ? ["orders"] : []
      })
    })
  }

  it("applies the ratio to each service separately", () => {
    const small = judgedOf("small", 3, 3)
    const dying = judgedOf("dying", 10, 9)
    const well = judgedOf("well", 10, 1)
    const { preserved, remove } = plan([...small, ...dying, ...well], 0.5, always)
    assert.deepStrictEqual(preserved, ["dying"])
    assert.deepStrictEqual(remove, [...small, ...well.slice(0, 1)])
  })

  it("keeps services apart whose names have a common prefix", () => {
    const { preserved, remove } = plan([...judgedOf("a", 5, 5), ...judgedOf("a-b", 5, 5)], 0.5, always)
    assert.deepStrictEqual(preserved, [])
    assert.strictEqual(remove.length, 10)
  })
})

describe("what a cleanup remembers", () => {
  const [one] = judgedOf("orders", 1, 1) as [Judged]

  it("lets self-preservation of a service end after 10 times maxAge without a break", () => {
    const memory = new Memory()
    memory.skipped(["orders"], 0)
    memory.skipped(["orders", "mail"], 150_000)
    const mayPreserve = (now: number) => ["orders", "mail", "new"].map((name) => memory.mayPreserve(name, now, 30_000))
    assert.deepStrictEqual(mayPreserve(299_999), [true, true, true])
    assert.deepStrictEqual(mayPreserve(300_000), [false, true, true])
    memory.skipped(["mail"], 300_000)
    assert.deepStrictEqual(mayPreserve(300_001), [true, true, true])
    memory.skipped(["orders"], 300_001)
    memory.forget()
    assert.deepStrictEqual(mayPreserve(1_000_000), [true, true, true])
  })

  it("is forgotten when the store was out of reach: both looks are in one connected time", () => {
    const memory = new Memory()
    assert.deepStrictEqual(memory.confirm([one], 0, 10_000), [])
    memory.forget()
    assert.deepStrictEqual(memory.confirm([one], 20_000, 10_000), [])
    assert.deepStrictEqual(memory.confirm([one], 30_000, 10_000), [one])
  })
})

describe("the confirmation of a cleanup", () => {
  const heartbeat = 10_000
  const [one, two] = judgedOf("orders", 2, 2) as [Judged, Judged]
  const keysOf = (confirmed: ReadonlyArray<Judged>) => confirmed.map((judged) => judged.key)

  /** The keys that each of several consecutive runs confirms. */
  const runs = (...all: ReadonlyArray<readonly [now: number, remove: ReadonlyArray<Judged>]>) => {
    const suspects: Suspects = new Map()
    return all.map(([now, remove]) => keysOf(confirm(suspects, remove, now, heartbeat)))
  }

  it("removes nothing on the first run", () => {
    assert.deepStrictEqual(runs([0, [one, two]]), [[]])
  })

  it("removes nothing on a second run less than a heartbeat later", () => {
    assert.deepStrictEqual(runs([0, [one]], [heartbeat - 1, [one]]), [[], []])
  })

  it("removes on a second run one heartbeat later", () => {
    assert.deepStrictEqual(runs([0, [one]], [heartbeat, [one]]), [[], [one.key]])
  })

  it("measures from the first run that found the record expired", () => {
    assert.deepStrictEqual(runs([0, [one]], [6_000, [one]], [heartbeat, [one]]), [[], [], [one.key]])
  })

  it("starts again if the record was written in between", () => {
    const later = { ...one, revision: one.revision + 1 }
    assert.deepStrictEqual(
      runs([0, [one]], [heartbeat, [later]], [heartbeat + 1, [later]], [2 * heartbeat, [later]]),
      [[], [], [], [one.key]]
    )
  })

  it("starts again if the instance was live in between", () => {
    assert.deepStrictEqual(runs([0, [one]], [6_000, []], [heartbeat, [one]], [2 * heartbeat, [one]]), [
      [],
      [],
      [],
      [one.key]
    ])
  })

  it("confirms each record separately", () => {
    assert.deepStrictEqual(runs([0, [one]], [6_000, [one, two]], [heartbeat, [one, two]], [16_000, [two]]), [
      [],
      [],
      [one.key],
      [two.key]
    ])
  })

  it("confirms a record again that was not removed", () => {
    assert.deepStrictEqual(runs([0, [one]], [heartbeat, [one]], [heartbeat + 1, [one]]), [[], [one.key], [one.key]])
  })
})
