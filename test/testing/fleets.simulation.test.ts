/**
 * Thousands of simulated runs, in as many processes as there are processors. Every run has its own plan of faults. The
 * first plan that violates a guarantee is shrunk and reported. A fault that never took effect fails the test.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Scenario from "../../src/testing/Scenario.ts"
import { startCrew } from "../../tools/simulation/runner.ts"
import { expected, scenarios } from "../../tools/simulation/scenarios.ts"

/**
 * The number of runs of each scenario. `mixed` has every kind of fault except `NarrowLink`, the others have some. 60 runs
 * of `observers` take 6 s, 120 of `elections` as long. The long tests run thousands of each.
 */
const otherRuns = 60
const runsOf: Readonly<Record<string, number>> = {
  mixed: 400,
  // A write without an answer as the leader changes takes effect about once in eighty runs (25 of 2,000).
  replicated: 320,
  elections: 120
}

const millisPerHour = 3_600_000

const timeout = 600_000

describe("simulated fleets", () => {
  const everything = new Set(Object.values(expected).flat())
  const seen = new Set<string>()
  const crew = startCrew()
  afterAll(crew.end)

  for (const scenario of Object.keys(scenarios)) {
    const seeds = runsOf[scenario] ?? otherRuns
    it(`${scenario}: ${seeds} plans of faults violate no guarantee`, { timeout }, async () => {
      const began = performance.now()
      const { failures, faults, lasted, missing, runs } = await crew.simulate({ scenario, seeds })
      assert.deepStrictEqual(failures.map((failure) => `\n${failure}`), [])
      assert.strictEqual(runs, seeds)
      assert.deepStrictEqual(missing, [], "faults that never took effect")
      for (const fault of faults.keys()) seen.add(fault)
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      const counts = [...faults].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([fault, count]) => `${count} x ${fault}`)
      await Effect.runPromise(
        Console.log(
          `${scenario}: ${runs} runs, ${
            (lasted / millisPerHour).toFixed(1)
          } hours of simulated time in ${seconds} s\n  ${counts.join(", ")}`
        )
      )
    })
  }

  it("have every fault take effect in some scenario", () => {
    assert.deepStrictEqual([...everything].filter((fault) => !seen.has(fault)), [])
  })

  it("run different plans, almost none of them empty", async () => {
    const seeds = new Set<number>()
    let empty = 0
    await Effect.runPromise(
      Arbitrary.checkEffect(Scenario.plans(scenarios["mixed"]!), ({ faults, seed }) =>
        Effect.sync(() => {
          seeds.add(seed)
          if (faults.length === 0) empty++
          return true
        }), { runs: 1000, seed: 1 })
    )
    assert.isAbove(seeds.size, 990)
    assert.isBelow(empty, 100)
  })
})
