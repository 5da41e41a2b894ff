/** A scenario that fails for one long fault, and what the search for the shortest such fault leaves of the plan. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Faults from "../../src/testing/Faults.ts"
import * as Scenario from "../../src/testing/Scenario.ts"
import * as Simulation from "../../src/testing/Simulation.ts"

/** In milliseconds: a disruption of one part that is longer violates the scenario. */
export const longest = 3000

/** The faults of the shrunk plan of a scenario in which no single disruption may be longer than `longest`. */
export const shrunk = Effect.fnUntraced(function*(kind: Faults.Kind) {
  const failing: Scenario.Scenario = {
    nodes: ["a"],
    faults: [kind],
    duration: "1 minute",
    settleTime: "1 second",
    setup: Effect.map(Simulation.Simulation, ({ facts }) => ({
      process: (node) => Effect.andThen(Effect.provide(Effect.void, node.layer), Effect.never),
      violations: Effect.map(
        facts,
        ({ disruptions }) => disruptions.some(({ from, until }) => until - from > longest) ? ["too long"] : []
      )
    }))
  }
  const failed = yield* Effect.flip(Scenario.check(failing, { runs: 100 }))
  assert(failed instanceof Scenario.ScenarioFailed)
  return failed.plan.faults
})
