/**
 * Prints a hash of the timelines of each scenario. The hashes must be equal on every machine and every version of Node:
 *
 *   node tools/simulation/digest.ts [runs]
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as Scenario from "../../src/testing/Scenario.ts"
import { scenarios } from "./scenarios.ts"

const defaultRuns = 5

/** Returns one hash of the plans, timelines and fault counts of several runs. */
const digestOf = (scenario: Scenario.Scenario, runs: number): Effect.Effect<string, unknown> =>
  Effect.gen(function*() {
    const hash = createHash("sha256")
    yield* Arbitrary.checkEffect(Scenario.plans(scenario), (plan) =>
      Effect.map(Scenario.run(scenario, plan, { timeline: true }), ({ faults, timeline }) => {
        hash.update(JSON.stringify(plan)).update(timeline()).update(JSON.stringify([...faults]))
        return true
      }), { runs, seed: 1 })
    return hash.digest("hex")
  })

export const digests = (runs = defaultRuns): Effect.Effect<ReadonlyArray<string>, unknown> =>
  Effect.forEach(
    Object.entries(scenarios),
    ([name, scenario]) => Effect.map(digestOf(scenario, runs), (digest) => `${digest}  ${name}`)
  )

if (import.meta.main) {
  const lines = await Effect.runPromise(digests(Number(process.argv[2] ?? defaultRuns)))
  for (const line of lines) console.log(line)
}
