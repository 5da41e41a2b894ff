/**
 * Fleets by the thousand, in as many processes as there are processors. Every run has a plan of faults of its own; the
 * first that breaks a promise is made smaller and told whole. A fault that never struck was not tested, and is a failure.
 */
import { assert, describe, it } from "@effect/vitest"
import { simulate } from "./runner.ts"
import { scenarios } from "./scenarios.ts"

/** Of the scenario in which everything happens; the others each have a small part of that. */
const mixedRuns = 2000
const otherRuns = 60

const millisPerHour = 3_600_000

const timeout = 600_000

describe("simulated fleets", () => {
  for (const scenario of Object.keys(scenarios)) {
    const seeds = scenario === "mixed" ? mixedRuns : otherRuns
    it(`${scenario}: ${seeds} plans of faults break no promise`, { timeout }, async ({ annotate }) => {
      const began = performance.now()
      const { failures, faults, lasted, missing, runs } = await simulate({ scenario, seeds })
      assert.deepStrictEqual(failures.map((failure) => `\n${failure}`), [])
      assert.strictEqual(runs, seeds)
      assert.deepStrictEqual(missing, [], "these never struck")
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      const struck = [...faults].map(([fault, count]) => `${count} x ${fault}`).join(", ")
      await annotate(
        `${scenario}: ${runs} runs, ${(lasted / millisPerHour).toFixed(1)} fleet hours in ${seconds} s; ${struck}`
      )
    })
  }
})
